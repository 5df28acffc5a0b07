//! The roll-out: `ansible/` run against three machines that boot in namespaces of this one
//! (`tests/ansible/rollout`, which says what it shows), and its lint.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::PathBuf;
use std::process::{Command, Output};

use system_tests::{Bank, binary, skip};

const FACILITY: &str = "ansible";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where `.ci/run` puts ansible-core and ansible-lint, before whatever the machine has.
fn path() -> String {
    let here = repository().join("target/ansible-venv/bin");
    format!("{}:{}", here.display(), std::env::var("PATH").unwrap_or_default())
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", path()).current_dir(repository());
    command
}

/// Whether a tool of Ansible is there; says why not where it isn't.
fn has(tool: &str) -> bool {
    let there = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", tool])
        .env("PATH", path())
        .status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        skip(FACILITY, &format!("{tool} is not installed"));
    }
    there
}

fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
fn a_fleet_is_rolled_out_upgraded_rolled_back_renewed_stopped_and_removed_by_playbooks() {
    if !has("ansible-playbook") {
        return;
    }
    let rig = repository().join("tests/ansible/rig");
    let check = command(&rig.display().to_string()).arg("check").output().unwrap();
    if !check.status.success() {
        skip(FACILITY, words(&check).trim());
        return;
    }
    // Its machines heat this one: it waits for its turn like the others.
    let turn = Bank::new();
    let scratch = tempfile::tempdir().unwrap();
    let output = command(&rig.with_file_name("rollout").display().to_string())
        .args([binary("loadbank"), binary("loadbank-agent"), scratch.path().to_owned()])
        .output()
        .unwrap();
    println!("{}", words(&output));
    assert!(output.status.success(), "{}", words(&output));
    drop(turn);
}

#[test]
fn the_collection_has_no_fault_that_the_lint_for_production_knows() {
    if !has("ansible-lint") {
        return;
    }
    // The lint finds the collection's own roles only where a collection lies.
    let folder = tempfile::tempdir().unwrap();
    let fleet = folder.path().join("ansible_collections/loadbank/fleet");
    std::fs::create_dir_all(fleet.parent().unwrap()).unwrap();
    let copied = command("cp").arg("-r").arg("ansible").arg(&fleet).status().unwrap();
    assert!(copied.success());
    let output = command("ansible-lint")
        .args(["--offline", "--nocolor", "--profile", "production"])
        .env("ANSIBLE_COLLECTIONS_PATH", folder.path())
        .env("ANSIBLE_HOME", folder.path().join("home"))
        .current_dir(&fleet)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
}
