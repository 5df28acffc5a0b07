//! The real agent of net-snmp, where it is installed, with the values of a walk.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use async_snmp::{Oid, Value};

use crate::snmp::{AUTH_PASSWORD, COMMUNITY, PRIVACY_PASSWORD};

/// A running snmpd; it ends when this is dropped.
pub struct Snmpd {
    address: SocketAddr,
    child: Child,
}

impl Snmpd {
    /// Starts snmpd with users `sha1` and `sha256`, both with AES, and files in `folder`.
    /// `None` when it is not installed; a test is skipped then, or fails where
    /// `LOADBANK_REQUIRE` names `snmpd`.
    #[must_use]
    pub fn start(folder: &Path, values: &[(Oid, Value)]) -> Option<Self> {
        let Some(program) = installed() else {
            let required = std::env::var("LOADBANK_REQUIRE").unwrap_or_default();
            let required = required.split(',').any(|word| word.trim() == "snmpd");
            assert!(!required, "LOADBANK_REQUIRE names snmpd: it is not installed");
            eprintln!("SKIPPED: needs snmpd: it is not installed");
            return None;
        };
        let address = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let document = folder.join("snmpd.conf");
        fs::write(&document, configuration(values)).unwrap();
        let child = Command::new(program)
            .args(["-f", "-Lf"])
            .arg(folder.join("snmpd.log"))
            .args(["-C", "-c"])
            .arg(&document)
            .arg("-p")
            .arg(folder.join("snmpd.pid"))
            .arg(format!("udp:{address}"))
            .env("SNMP_PERSISTENT_DIR", folder.join("persistent"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { address, child })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Snmpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian keeps it out of the way of those who are not root.
fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("snmpd")).find(|program| program.is_file())
}

fn configuration(values: &[(Oid, Value)]) -> String {
    let mut text = format!("rocommunity {COMMUNITY} 127.0.0.1\n");
    for (name, hash) in [("sha1", "SHA"), ("sha256", "SHA-256")] {
        writeln!(text, "createUser {name} {hash} {AUTH_PASSWORD} AES {PRIVACY_PASSWORD}").unwrap();
        writeln!(text, "rouser {name} priv").unwrap();
    }
    for (oid, value) in values {
        let (kind, value) = match value {
            Value::Integer(number) => ("integer", number.to_string()),
            Value::Gauge32(number) => ("gauge", number.to_string()),
            Value::Counter32(number) => ("counter", number.to_string()),
            other => ("octet_str", format!("\"{}\"", other.as_str().unwrap_or_default())),
        };
        writeln!(text, "override .{oid} {kind} {value}").unwrap();
    }
    text
}
