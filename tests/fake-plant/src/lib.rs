//! Stand-ins for a building's meters: an SNMP agent and a Modbus server on loopback whose
//! values a test changes while they run.
#![allow(clippy::unwrap_used, reason = "a double that can't start ends its test")]

pub mod modbus;
pub mod proxy;
pub mod snmp;
pub mod snmpd;
pub mod walk;
