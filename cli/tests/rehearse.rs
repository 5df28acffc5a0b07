//! What a rehearsal of the built-in acceptance makes of a small hall's network.

use std::process::Command;

const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/three-pods.toml");

/// Exit code, and the report.
fn rehearsed(faults: &[&str]) -> (Option<i32>, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadbank"));
    command.args(["rehearse", SITE, "--json"]);
    command.args(faults.iter().flat_map(|fault| ["--fault", fault]));
    let done = command.output().expect("loadbank runs");
    let report = serde_json::from_slice(&done.stdout).expect("one document");
    (done.status.code(), report)
}

/// Kind and suspect of every confirmed finding.
fn confirmed(report: &serde_json::Value) -> Vec<(String, String)> {
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().expect("findings");
    let sure = findings.iter().filter(|finding| finding["standing"] == "confirmed");
    sure.map(|finding| (word(&finding["kind"]), word(&finding["suspect"]["id"]))).collect()
}

fn assert_named(fault: &str, kind: &str, suspect: &str) {
    let (code, report) = rehearsed(&[fault]);
    assert_eq!(confirmed(&report), [(kind.to_owned(), suspect.to_owned())]);
    assert_eq!((code, &report["verdict"]), (Some(1), &"NOT_READY".into()));
}

#[test]
fn a_sound_hall_is_silent_and_ready_and_says_what_nobody_simulated() {
    let (code, report) = rehearsed(&[]);
    assert_eq!(confirmed(&report), []);
    assert_eq!((code, &report["verdict"]), (Some(0), &"READY".into()));
    assert_eq!(report["coverage"]["pairs_measured"], 30 * 29);
    let open = report["not_measured"].as_array().expect("a list");
    for what in ["rtt", "collective"] {
        assert!(open.iter().any(|line| line["what"] == what), "{what}: {open:?}");
    }
}

#[test]
fn a_slow_uplink_is_named_up_and_down() {
    assert_named("slow_uplink:leaf-1>spine-2=50%", "slow_uplink", "leaf-1>spine-2");
    assert_named("slow_uplink:spine-3>leaf-2=50%", "slow_uplink", "spine-3>leaf-2");
}

#[test]
fn a_flapping_uplink_is_named() {
    assert_named("flaky_uplink:leaf-1>spine-2~25%/60", "flaky_link", "leaf-1>spine-2");
}

#[test]
fn a_slow_card_is_named() {
    assert_named("slow_nic:gpu07/mlx5_0=50%", "slow_nic", "gpu07/mlx5_0");
}
