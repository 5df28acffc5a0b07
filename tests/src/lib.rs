//! The bench for end-to-end tests: real binaries, real load, real kills.
//!
//! [`Bank`] is one coordinator's world in a folder of its own: agents, verbs, run folders.
//! Whatever it starts dies with it, grandchildren included. Every test heats this machine,
//! so one test runs at a time, also across test binaries: [`Bank::new`] waits for its turn.

pub mod adaptive;
pub mod bank;
mod binaries;
pub mod building;
pub mod chaos;
pub mod clos;
pub mod disk;
pub mod gpu;
pub mod http;
pub mod interlock;
mod network;
pub mod plans;
pub mod process;
pub mod pty;
pub mod record;
mod watch;

pub use bank::Bank;
pub use process::{Done, Process};
pub use pty::Pty;
pub use watch::{Watch, wait_until};

/// Runs `loadbank` to its end, in this test's folder, without a bank: for verbs that heat
/// nothing and need nobody's turn.
///
/// # Panics
/// When the binary can't be started.
#[must_use]
pub fn loadbank(arguments: &[&str]) -> std::process::Output {
    let program = binaries::path("loadbank");
    let output = std::process::Command::new(program).args(arguments).output();
    output.expect("loadbank can be started")
}

/// A binary of the product, built first where it is not there.
#[must_use]
pub fn binary(name: &str) -> std::path::PathBuf {
    binaries::path(name)
}

/// The library of a test double, by the name of its crate (`fake-cuda`).
#[must_use]
pub fn double(name: &str) -> std::path::PathBuf {
    binaries::double(name)
}

/// A file of published data that lies beside the tests.
#[must_use]
pub fn data(name: &str) -> String {
    format!("{}/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Facilities that must be there, a comma-separated list: a test that lacks one of them
/// fails instead of being skipped.
pub const REQUIRE: &str = "LOADBANK_REQUIRE";

/// Whether this machine has a facility. Without it a test says so and is skipped, unless
/// `LOADBANK_REQUIRE` names the facility. Known: `root`; tests that find out by themselves
/// call [`skip`] (`c++`, `nvrtc`).
///
/// # Panics
/// When the facility is required and not there, or nobody knows it.
#[must_use]
pub fn require(facility: &str) -> bool {
    let (here, why) = match facility {
        // SAFETY: geteuid reads a number of this process and can't fail.
        "root" => (unsafe { libc::geteuid() } == 0, "this process is not root"),
        other => panic!("no such facility: {other}"),
    };
    if !here {
        skip(facility, why);
    }
    here
}

/// Says that a test is skipped for want of a facility.
///
/// # Panics
/// When `LOADBANK_REQUIRE` names the facility.
pub fn skip(facility: &str, why: &str) {
    let required = std::env::var(REQUIRE).unwrap_or_default();
    let required = required.split(',').any(|word| word.trim() == facility);
    assert!(!required, "{REQUIRE} names {facility}: {why}");
    eprintln!("SKIPPED: needs {facility}: {why}");
}
