//! The agent: a supervisor that must not die, with workers that may.
//!
//! Lease, guard, sampler, spool and session live in the supervisor's process; each device's
//! load and the data plane live in worker processes that can be killed at any instant.
//! Refuses to judge, and links neither `sim` nor `analysis`: what runs on a node can't
//! invent measurements.

pub mod clock;
pub mod fabric;
pub mod guard;
pub mod hardware;
mod join;
pub mod lease;
mod main_loop;
mod metrics;
pub mod node_facts;
mod node_watch;
mod nvml;
mod options;
pub mod power;
pub mod sampler;
pub mod sensors;
mod session;
pub mod spool;
mod spooler;
pub mod state_dir;
mod supervisor;
mod surroundings;
pub mod time_base;
mod upload;
pub mod worker;

pub use join::JoinOptions;
pub use main_loop::run;
pub use options::{AgentOptions, Options, SelfArguments};

/// Logs to standard error; `LOADBANK_LOG` says how much (default: warnings).
pub fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LOADBANK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}
