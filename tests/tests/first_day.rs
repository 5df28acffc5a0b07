//! The first day's guide, as it stands: its commands are run, in its order, in one shell.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The blocks of a page whose first line is a fence with exactly this word.
fn blocks(page: &str, word: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if info == word {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let page = std::fs::read_to_string(root().join("docs/first-day.md")).unwrap();
    let commands = blocks(&page, "sh");
    assert_eq!((commands.len(), blocks(&page, "sh hardware").len()), (4, 3));
    let free = std::net::TcpListener::bind("127.0.0.1:7733");
    assert!(free.is_ok(), "port 7733, which the guide uses, is taken here: {free:?}");
    drop(free);

    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples")).unwrap();
    let binaries = system_tests::binary("loadbank").parent().unwrap().to_owned();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    // A newcomer's shell goes on after an error; this one ends, and its services with it.
    let script = format!(
        "set -e -m\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}\n",
        commands.join("\n")
    );
    let done = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let also = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}\n{said}\n{also}", done.status);
    assert!(said.contains("VERDICT  READY  for: compute, data_plane"), "{said}");
    for node in ["n1", "n2", "n3"] {
        assert!(said.contains(node), "{node}: {said}");
    }
    let page = std::fs::read_to_string(folder.path().join("first-day/report.html")).unwrap();
    assert!(page.contains("rack-2") && page.contains("READY"));
}
