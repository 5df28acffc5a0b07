//! The floors of the house: imports point down only, siblings never meet.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate of the house may import, and nothing else of the house.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("proto", &["model"]),
    ("formats", &["model"]),
    ("analysis", &["model"]),
    ("sim", &["model"]),
    ("agent", &["model", "proto"]),
    // Its tests ask doubles of meters.
    ("coordinator", &["model", "proto", "formats", "analysis", "fake-plant"]),
    ("cli", &["model", "proto", "formats", "analysis", "sim", "agent", "coordinator"]),
    ("fake-clock", &[]),
    ("fake-cuda", &["model"]),
    ("fake-nccl", &[]),
    ("fake-nvml", &[]),
    ("fake-plant", &[]),
    (
        "system-tests",
        &[
            "model",
            "proto",
            "formats",
            "analysis",
            "sim",
            "agent",
            "coordinator",
            "cli",
            "fake-nvml",
            "fake-plant",
        ],
    ),
];

/// What must never be linked into the binary that runs on nodes, even through others.
const NEVER_ON_A_NODE: [&str; 6] =
    ["analysis", "sim", "coordinator", "formats", "parquet", "arrow-array"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        // Only what this machine builds has been fetched.
        .args(["--filter-platform", &host()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// The target that this machine builds for.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let words = String::from_utf8(output.stdout).expect("rustc speaks UTF-8");
    let line = words.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc names its host").to_owned()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("packages").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The crates of the house and what their manifests name, tests included.
fn house(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<String> =
        metadata["workspace_members"].as_array().expect("members").iter().map(text).collect();
    packages(metadata)
        .filter(|package| members.contains(&text(&package["id"])))
        .map(|package| {
            let named = package["dependencies"].as_array().expect("dependencies");
            let local = named.iter().filter(|d| d["path"].is_string()).map(|d| text(&d["name"]));
            (text(&package["name"]), local.collect())
        })
        .collect()
}

#[test]
fn imports_point_down_and_siblings_never_meet() {
    let metadata = metadata();
    let house = house(&metadata);
    let known: BTreeSet<String> = MAY_IMPORT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(house.keys().cloned().collect::<BTreeSet<_>>(), known, "every crate has its floor");
    for (name, may) in MAY_IMPORT {
        let forbidden: Vec<&String> =
            house[name].iter().filter(|import| !may.contains(&import.as_str())).collect();
        assert!(forbidden.is_empty(), "{name} may not import {forbidden:?}");
    }
}

#[test]
fn nothing_that_judges_or_invents_runs_on_a_node() {
    let metadata = metadata();
    let names: BTreeMap<String, String> =
        packages(&metadata).map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a resolved graph");
    let normal: BTreeMap<String, Vec<String>> = nodes
        .iter()
        .map(|node| {
            let linked = node["deps"].as_array().expect("deps").iter().filter(|dep| {
                dep["dep_kinds"]
                    .as_array()
                    .expect("kinds")
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            });
            (text(&node["id"]), linked.map(|dep| text(&dep["pkg"])).collect())
        })
        .collect();
    let start = names.iter().find(|(_, name)| *name == "agent").expect("the agent").0.clone();
    let (mut reached, mut open) = (BTreeSet::from([start.clone()]), vec![start]);
    while let Some(id) = open.pop() {
        for next in &normal[&id] {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    let linked: BTreeSet<&str> = reached.iter().map(|id| names[id].as_str()).collect();
    assert!(linked.contains("tonic"), "the walk found the agent's libraries");
    for never in NEVER_ON_A_NODE {
        assert!(!linked.contains(never), "loadbank-agent links {never}");
    }
}
