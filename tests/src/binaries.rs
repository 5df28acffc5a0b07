//! The binaries under test: those of this very build.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

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
            build(&folder, &["cli", "agent"]);
        }
    });
    folder.join(name)
}

/// The library of a test double, by the name of its crate. Built once by each test
/// program: nobody else builds it, and what is fresh costs nothing.
///
/// # Panics
/// When it can't be built.
pub(crate) fn double(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let folder = folder();
    // Held while it is built: two tests of one program must not build the same.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if built.insert(name.to_owned()) {
        build(&folder, &[name]);
    }
    folder.join(format!("lib{}.so", name.replace('-', "_")))
}

fn build(folder: &Path, packages: &[&str]) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target = folder.parent().expect("a profile lies in a target folder");
    let status = Command::new(env!("CARGO"))
        .arg("build")
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .args(["--profile", profile, "--target-dir"])
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
