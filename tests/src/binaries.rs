//! The binaries under test: those of this very build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Folder of the build's binaries: `target/PROFILE`, two above this test's own.
///
/// # Panics
/// When this is no test of a cargo build.
pub(crate) fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its program");
    let deps = own.parent().expect("a program lies in a folder");
    let folder = if deps.ends_with("deps") { deps.parent() } else { Some(deps) };
    folder.expect("deps lies in a profile's folder").to_owned()
}

/// A binary by name, built first if it is not there. A stale one is the caller's business:
/// `cargo test --workspace` builds them all.
///
/// # Panics
/// When it can't be built.
pub(crate) fn path(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let folder = folder();
    BUILT.get_or_init(|| {
        let here = |name: &str| folder.join(name).exists();
        if !(here("loadbank") && here("loadbank-agent")) {
            build(&folder);
        }
    });
    folder.join(name)
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target = folder.parent().expect("a profile lies in a target folder");
    let status = Command::new(env!("CARGO"))
        .args(["build", "-p", "cli", "-p", "agent", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "the binaries can't be built");
}

/// The stand-in for NVIDIA's library: this crate depends on it, so that cargo built it.
///
/// # Panics
/// When it is not there.
#[must_use]
pub(crate) fn fake_nvml() -> PathBuf {
    let library = folder().join("deps/libfake_nvml.so");
    assert!(library.exists(), "{} was not built", library.display());
    library
}
