//! The hooks for Slurm that the pages give, with commands that play Slurm: what they drain, what
//! they leave, and whose drain they never undo.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `sinfo` and `scontrol` over a folder with two files a node: its state and its reason.
struct Slurm {
    folder: tempfile::TempDir,
}

const SINFO: &str = r#"#!/bin/sh
for word in "$@"; do case $word in --nodes=*) node=${word#*=};; --format=*) format=${word#*=};; esac; done
case $format in
%T) cat "$SLURM/$node.state";;
%E) cat "$SLURM/$node.reason";;
esac
"#;
const SCONTROL: &str = r#"#!/bin/sh
for word in "$@"; do case $word in
nodename=*) node=${word#*=};; state=*) state=${word#*=};; reason=*) reason=${word#*=};; esac; done
echo "$node $state" >> "$SLURM/calls"
[ -e "$SLURM/$node.refuses" ] && exit 1
case $state in
drain) [ -e "$SLURM/$node.races" ] && echo draining > "$SLURM/$node.state" || echo drained > "$SLURM/$node.state"
       echo "$reason" > "$SLURM/$node.reason";;
resume) echo idle > "$SLURM/$node.state"; echo none > "$SLURM/$node.reason";;
esac
"#;

impl Slurm {
    fn new(nodes: &[(&str, &str)]) -> Self {
        let slurm = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in [("sinfo", SINFO), ("scontrol", SCONTROL)] {
            let path = slurm.file(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        for (node, state) in nodes {
            std::fs::write(slurm.file(&format!("{node}.state")), format!("{state}\n")).unwrap();
            std::fs::write(slurm.file(&format!("{node}.reason")), "none\n").unwrap();
        }
        slurm
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self, node: &str) -> String {
        std::fs::read_to_string(self.file(&format!("{node}.state"))).unwrap().trim().to_owned()
    }

    /// Calls a hook of the pages; what it said.
    fn call(&self, hook: &str) -> String {
        let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/sweep-hooks");
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let done = Command::new(hooks.join(hook))
            .arg("nightly")
            .env("PATH", path)
            .env("SLURM", self.folder.path())
            .env("LOADBANK_NODES", "n1,n2,n3,n4,n5")
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }
}

#[test]
fn idle_nodes_are_drained_others_are_skipped_and_somebody_elses_drain_stays() {
    let nodes =
        [("n1", "idle"), ("n2", "allocated"), ("n3", "drained"), ("n4", "idle"), ("n5", "idle")];
    let slurm = Slurm::new(&nodes);
    std::fs::write(slurm.file("n3.reason"), "disk swap, ada\n").unwrap();
    std::fs::write(slurm.file("n4.races"), "").unwrap();
    std::fs::write(slurm.file("n5.refuses"), "").unwrap();
    let said = slurm.call("slurm-drain");
    let skipped = [
        "skip n2 Slurm says allocated",
        "skip n3 Slurm says drained",
        "skip n5 can't be drained",
        "skip n4 took a job before it was drained",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), skipped);
    assert_eq!(slurm.state("n1"), "drained");
    let calls = std::fs::read_to_string(slurm.file("calls")).unwrap();
    assert!(!calls.contains("n2") && !calls.contains("n3"), "{calls}");

    // Meanwhile a person drains n1 for a reason of their own.
    let ours = slurm.file("n1.reason");
    std::fs::write(&ours, "fan, ada\n").unwrap();
    assert_eq!(slurm.call("slurm-resume"), "");
    assert_eq!((slurm.state("n1"), slurm.state("n3")), ("drained".into(), "drained".into()));
    assert_eq!(slurm.state("n4"), "idle", "ours, and given back");
    std::fs::write(&ours, "loadbank sweep nightly\n").unwrap();
    slurm.call("slurm-resume");
    assert_eq!(slurm.state("n1"), "idle");
}
