//! The Debian package: built of these very binaries, installed on a machine that boots in
//! namespaces, used, removed (`tests/ansible/package`); and units that say the same everywhere.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::PathBuf;
use std::process::{Command, Output};

use system_tests::{Bank, binary, skip};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn build(arguments: &[&str], out: &std::path::Path) -> Output {
    let binaries = binary("loadbank");
    Command::new(repository().join("packaging/build-deb"))
        .args(arguments)
        .args([binaries.parent().unwrap(), out])
        .output()
        .unwrap()
}

#[test]
fn a_package_is_installed_used_and_removed_on_a_clean_machine() {
    for tool in ["dpkg-deb", "readelf"] {
        if Command::new(tool).arg("--version").output().is_err() {
            skip("machines", &format!("{tool} is not installed"));
            return;
        }
    }
    let rig = repository().join("tests/ansible/rig");
    let check = Command::new(&rig).arg("check").output().unwrap();
    if !check.status.success() {
        skip("machines", words(&check).trim());
        return;
    }
    let turn = Bank::new();
    let scratch = tempfile::tempdir().unwrap();
    // No system is as old as that; a floor below what the binaries ask for must be refused.
    let refused = build(&["--floor", "2.2"], scratch.path());
    assert!(!refused.status.success() && words(&refused).contains("build them on an older system"));
    let built = build(&[], scratch.path());
    assert!(built.status.success(), "{}", words(&built));
    let line = words(&built);
    assert!(line.contains("needs glibc 2."), "{line}");
    let deb = line.split_whitespace().next().unwrap();

    let output =
        Command::new(rig.with_file_name("package")).arg(deb).arg(scratch.path()).output().unwrap();
    println!("{}", words(&output));
    assert!(output.status.success(), "{}", words(&output));
    drop(turn);
}

/// What a unit forbids and how it stops: from `Restart=` on, without comments and without what
/// the role fills in.
fn conduct(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(path)).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("Restart="));
    let filled_in = ["TimeoutStopSec=", "MemoryMax=", "TasksMax=", "ReadWritePaths="];
    lines
        .filter(|line| !line.starts_with('#') && !line.starts_with("{%"))
        .map(|line| match filled_in.iter().find(|key| line.starts_with(**key)) {
            Some(key) => (*key).to_owned(),
            None => line.to_owned(),
        })
        .collect()
}

#[test]
fn the_packaged_units_and_those_of_the_roles_forbid_the_same() {
    for name in ["agent", "coordinator"] {
        let packaged = conduct(&format!("packaging/loadbank-{name}.service"));
        let of_role =
            conduct(&format!("ansible/roles/{name}/templates/loadbank-{name}.service.j2"));
        assert!(packaged.iter().any(|line| line == "ProtectSystem=strict"), "{packaged:?}");
        assert_eq!(packaged, of_role, "{name}");
    }
}
