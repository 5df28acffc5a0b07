//! Verbs that heat nothing: analyze, review, rehearse and compare, with input that is good,
//! poor or wrong. Exit codes are the contract: 0, 1 and 3 are verdicts, 2 is invalid input.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::Path;

use serde_json::Value;
use system_tests::loadbank;

const SITE: &str = r#"schema = 1
name = "room"

[[domain]]
kind = "pdu"
id = "pdu-1"
rating_kw = 100

[[nodes]]
names = "n[1-4]"
domains = ["pdu-1"]
max_kw = 10
"#;

/// A folder with files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Exit code, standard output and standard error of a verb; names of files stand alone.
fn verb(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let at = |word: &&str| match folder.join(word) {
        path if path.exists() => path.display().to_string(),
        _ => (*word).to_owned(),
    };
    let words: Vec<String> = words.iter().map(at).collect();
    let output = loadbank(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn analyzed(rows: &str) -> (i32, Value, String) {
    let folder = folder(&[("site.toml", SITE), ("samples.csv", rows)]);
    let words = ["analyze", "--site", "site.toml", "--samples", "samples.csv", "--json"];
    let (code, out, told) = verb(folder.path(), &words);
    (code, serde_json::from_str(&out).unwrap_or_default(), told)
}

#[test]
fn poor_tables_end_in_an_honest_answer() {
    for (what, rows) in [
        ("one device", "1,n1,0,300\n"),
        ("all values missing", "1,n1,0,\n1,n2,0,\n1,n3,0,\n"),
        ("no numbers", "1,n1,0,nan\n1,n2,0,inf\n1,n3,0,-inf\n1,n4,0,300\n"),
        ("no row", ""),
        ("clocks that jump back", "9,n1,0,300\n1,n1,0,300\n5,n2,0,301\n"),
    ] {
        let (code, report, told) = analyzed(&format!("time,node,device,power_w\n{rows}"));
        assert_eq!(code, 3, "{what}: {told}");
        assert_eq!(report["verdict"], "INCONCLUSIVE", "{what}");
        assert_eq!(report["findings"].as_array().unwrap().len(), 0, "{what}: {report:#}");
    }
}

#[test]
fn a_node_that_the_site_lacks_is_named_and_judged_without_a_place() {
    let rows = "time,node,device,power_w,odd\n1,n1,0,300,1\n1,n9,0,300,2\n";
    let (code, report, told) = analyzed(rows);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("odd"), "{told}");
    let gaps = report["not_measured"].as_array().unwrap();
    let location = gaps.iter().find(|gap| gap["what"] == "location").unwrap();
    assert!(location["why"].as_str().unwrap().contains("n9"), "{location}");
    assert_eq!(report["coverage"]["nodes_planned"], 4);
    assert_eq!(report["coverage"]["nodes_reporting"], 1);
}

#[test]
fn a_row_that_is_wrong_is_invalid_input_with_its_line() {
    let (code, _, told) = analyzed("time,node,device,power_w\n1,n1,0,300\n1,n2,first,300\n");
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("samples.csv:3"), "{told}");
}

#[test]
fn nothing_to_judge_is_a_usage_error() {
    let folder = folder(&[("site.toml", SITE)]);
    let (code, _, told) = verb(folder.path(), &["analyze", "--site", "site.toml"]);
    assert_eq!(code, 2);
    assert!(told.contains("--samples"), "{told}");
}

#[test]
fn a_load_that_somebody_vouches_for_can_be_ready() {
    let rows = "time,node,device,power_w\n1,n1,0,300\n1,n2,0,301\n1,n3,0,299\n1,n4,0,300\n";
    let policy = "schema = 1\nload_was_commanded = true\n";
    let files = [("site.toml", SITE), ("samples.csv", rows), ("policy.toml", policy)];
    let folder = folder(&files);
    let words = ["analyze", "--site", "site.toml", "--samples", "samples.csv"];
    let (code, out, _) = verb(folder.path(), &words);
    assert_eq!(code, 3, "{out}");
    let (code, out, _) = verb(folder.path(), &[&words[..], &["--policy", "policy.toml"]].concat());
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("READY  for: power"), "{out}");
}

#[test]
fn a_review_refuses_what_a_run_would_refuse() {
    let small = SITE.replace("rating_kw = 100", "rating_kw = 40");
    let bare = SITE.replace("rating_kw = 100\n", "");
    let folder = folder(&[("good.toml", SITE), ("small.toml", &small), ("bare.toml", &bare)]);
    let (code, out, _) = verb(folder.path(), &["review", "good.toml"]);
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = verb(folder.path(), &["review", "small.toml"]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("pdu pdu-1 may give 32.0 kW; its 4 nodes draw 40.0 kW"), "{out}");
    assert_eq!(verb(folder.path(), &["review", "bare.toml"]).0, 2);
    assert_eq!(verb(folder.path(), &["review", "bare.toml", "--allow-unrated"]).0, 0);
    let (code, out, _) = verb(folder.path(), &["review", "--policy-default"]);
    assert_eq!(code, 0);
    assert!(out.contains("[floors]"), "{out}");
}

#[test]
fn a_rehearsal_says_that_it_is_none_of_hardware_and_compares_with_another() {
    let folder = folder(&[("site.toml", SITE)]);
    let rehearse = |more: &[&str]| {
        let words = [&["rehearse", "site.toml", "--plan", "quick", "--json"], more].concat();
        let (code, out, told) = verb(folder.path(), &words);
        let report: Value =
            serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {told}"));
        assert_eq!(report["exit_code"], code);
        assert_eq!(report["run"]["simulated"], true);
        (report, out)
    };
    let (healthy, text) = rehearse(&[]);
    assert_eq!(rehearse(&[]).1, text, "the same seed, the same bytes");
    assert_eq!(healthy["run"]["injected"], false);
    let (faulty, other) = rehearse(&["--fault", "node_lost:n2"]);
    assert_eq!(faulty["run"]["injected"], true);
    std::fs::write(folder.path().join("a.json"), text).unwrap();
    std::fs::write(folder.path().join("b.json"), other).unwrap();
    let (code, out, told) = verb(folder.path(), &["compare", "a.json", "b.json", "--json"]);
    let compared: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {told}"));
    assert_eq!(faulty["exit_code"], code);
    assert_eq!(compared["schema"], "loadbank.compare/1");
    let (code, _, told) = verb(folder.path(), &["rehearse", "site.toml", "--fault", "rust:n1"]);
    assert_eq!(code, 2, "{told}");
}
