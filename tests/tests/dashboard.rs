//! The dashboard for Grafana: its expressions name what the services export and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use system_tests::skip;

/// Where the names are written down, each once.
const SOURCES: [&str; 2] = ["coordinator/src/metrics.rs", "agent/src/metrics.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Every word that begins as our names do.
fn names(text: &str) -> BTreeSet<String> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !letter(c)).filter(|word| word.starts_with("loadbank_"));
    words.map(str::to_owned).collect()
}

/// What the services export.
fn exported() -> BTreeSet<String> {
    let code = |path: &&str| read(path).split("#[cfg(test)]").next().unwrap().to_owned();
    SOURCES.iter().map(code).flat_map(|text| names(&text)).collect()
}

/// Every expression: of panels, of variables, of annotations.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field.as_str()) {
                    ("expr" | "definition", Some(text)) => found.push(text.to_owned()),
                    _ => expressions(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&read("docs/monitoring/dashboard.json")).unwrap()
}

#[test]
fn a_dashboard_asks_only_for_what_is_exported() {
    let exported = exported();
    let mut found = Vec::new();
    expressions(&dashboard(), &mut found);
    assert!(found.len() > 20, "{} expressions", found.len());
    for expression in &found {
        let named = names(expression);
        assert!(!named.is_empty(), "{expression} asks for nothing of ours");
        for name in named {
            assert!(exported.contains(&name), "{expression}: nobody exports {name}");
        }
    }
}

#[test]
fn what_is_exported_is_told_in_the_document() {
    let told = names(&read("docs/monitoring.md"));
    let untold: Vec<String> = exported().difference(&told).cloned().collect();
    assert!(untold.is_empty(), "docs/monitoring.md does not name {untold:?}");
}

#[test]
fn panels_lie_beside_each_other_and_have_numbers_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut numbers = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{} is wider than the page", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
    }
}

#[test]
fn its_expressions_are_right_by_promtools_own_word() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return skip("prometheus", "promtool is not installed");
    }
    let mut found = Vec::new();
    expressions(&dashboard(), &mut found);
    let rules: Vec<String> = found
        .iter()
        // What fills a menu is no expression of Prometheus.
        .filter(|expression| !expression.starts_with("label_values("))
        .enumerate()
        .map(|(at, expression)| {
            let filled = expression.replace("$kind", ".*").replace("$node", ".*");
            format!("  - record: dashboard:{at}\n    expr: {}\n", Value::from(filled))
        })
        .collect();
    assert!(rules.len() > 20);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, format!("groups:\n- name: dashboard\n  rules:\n{}", rules.concat()))
        .unwrap();
    let done = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(done.status.success(), "{}", said.concat());
}
