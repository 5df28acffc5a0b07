//! What a coordinator is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use formats::sources::Sources;
use proto::dial::Security;

use crate::permit::Permission;

/// Where the building's meters are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Meters {
    /// A table that something else writes, followed.
    Table(PathBuf),
    /// Devices and services of the building.
    Sources(Sources),
}

/// Settings of one coordinator.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds the catalogue and `runs/RUN/`.
    pub state_dir: PathBuf,
    /// Length of a lease. A coordinator that dies leaves heat for at most this plus the ramp.
    pub lease: Duration,
    /// How long loads take to come down after a stop, a lost lease or the last phase.
    pub ramp: Duration,
    /// Distance of samples.
    pub sample_interval: Duration,
    /// Congestion control asked for on data sockets; empty leaves the system's.
    pub congestion: String,
    /// What allows heat.
    pub permission: Permission,
    /// While this file is there nothing heats: a stop button that every operator can reach.
    pub stop_file: PathBuf,
    /// Document of interlocks, read anew for every run; `None` watches nothing.
    pub interlocks: Option<PathBuf>,
    /// Where the building's own meters are read; `None` reads none.
    pub meters: Option<Meters>,
    /// Folder of programs that sweeps may call before and after; `None`: none.
    pub sweep_hooks: Option<PathBuf>,
    /// How the port for agents and operators is guarded.
    pub security: Security,
}

impl Config {
    /// Defaults of DESIGN §1 over a state directory.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            stop_file: state_dir.join("STOP"),
            permission: Permission::default(),
            interlocks: None,
            meters: None,
            sweep_hooks: None,
            state_dir,
            lease: Duration::from_secs(3),
            ramp: Duration::from_secs(2),
            sample_interval: Duration::from_secs(1),
            congestion: "cubic".to_owned(),
            security: Security::InsecureLoopback,
        }
    }

    /// Folder of a run.
    #[must_use]
    pub fn folder_of(&self, run: &str) -> PathBuf {
        self.state_dir.join("runs").join(run)
    }
}
