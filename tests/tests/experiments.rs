//! Experiments: phases that load some nodes and not others, from the plan to what they say.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::Path;

use coordinator::store::JournalEntry;
use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, record, wait_until};

/// Three nodes, a rack each, two of them on one PDU.
const SITE: &str = "schema = 1\nname = \"hall-t\"\n\
    [[domain]]\nkind = \"pdu\"\nid = \"pdu-1\"\nbudget_kw = 1\n\
    [[domain]]\nkind = \"pdu\"\nid = \"pdu-2\"\nbudget_kw = 1\n\
    [[nodes]]\nnames = \"n[1-2]\"\ndomains = [\"pdu-1\"]\nmax_kw = 0.1\n\
    [[nodes]]\nnames = \"n3\"\ndomains = [\"pdu-2\"]\nmax_kw = 0.1\n";

const ISOLATED: &str = "schema = 1\nname = \"e\"\nrequires = [\"compute\"]\n[[phase]]\n\
    kind = \"isolated\"\nby = \"pdu\"\nseconds = 4\nrest_seconds = 1\n\
    load = { kernel = \"fp64\", percent = 40 }\n";

fn example(name: &str) -> String {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    at.to_str().unwrap().to_owned()
}

#[test]
fn an_isolated_plan_runs_its_steps_one_after_another_and_is_ready() {
    let bank = Bank::with_agents(3);
    let site = bank.write("site.toml", SITE);
    let (mut run, _watch, id) = bank.begin_with(ISOLATED, &["--site", &site]);
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(0), "{done:?}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["verdict"], "READY", "{done:?}");
    assert_eq!(report["coverage"]["phases_completed"], 6, "{report}");
    let journal = wait_until("the journal is whole", RUN_PATIENCE, || {
        let journal = record::journal(&bank.run_folder(&id));
        let ended = journal.iter().any(|entry| matches!(entry, JournalEntry::Ended { .. }));
        ended.then_some(journal)
    });
    let expanded = journal.iter().find_map(|entry| match entry {
        JournalEntry::Expanded { phases } => Some(phases.clone()),
        _ => None,
    });
    let steps: Vec<(String, Vec<String>)> =
        expanded.unwrap().into_iter().map(|step| (step.phase, step.loaded)).collect();
    let step = |name: &str, nodes: &[&str]| {
        (format!("isolated:{name}"), nodes.iter().map(|node| (*node).to_owned()).collect())
    };
    assert_eq!(
        steps,
        [
            step("rest-1", &[]),
            step("pdu=pdu-1", &["n1", "n2"]),
            step("rest-2", &[]),
            step("pdu=pdu-2", &["n3"]),
            step("rest-3", &[]),
            step("together", &["n1", "n2", "n3"]),
        ]
    );
    let work = record::windows(&bank.run_folder(&id), &id);
    let worked = |node: &str, phase: &str| {
        work.iter().any(|(at, work)| at == node && work.phase == phase && work.level > 0.1)
    };
    assert!(worked("n1", "isolated:pdu=pdu-1") && worked("n3", "isolated:pdu=pdu-2"));
    assert!(!worked("n3", "isolated:pdu=pdu-1") && !worked("n1", "isolated:pdu=pdu-2"));
    assert!(["n1", "n2", "n3"].iter().all(|node| worked(node, "isolated:together")));
}

/// What a rehearsal of a plan on three pods reports.
fn rehearsed(bank: &Bank, phase: &str, fault: &str) -> Value {
    let plan = format!(
        "schema = 1\nname = \"e\"\nrequires = [\"compute\", \"power\", \"temperature\"]\n\
         [[phase]]\nkind = \"idle\"\nseconds = 120\n[[phase]]\n{phase}\nseconds = 180\n"
    );
    let plan = bank.write("rehearsed.toml", &plan);
    let site = example("three-pods.toml");
    let done = bank
        .loadbank(&["rehearse", &site, "--plan", &plan, "--fault", fault, "--json"])
        .finish(RUN_PATIENCE);
    serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
}

/// Suspect and those that are not excluded, of the first finding of a kind.
fn suspects(report: &Value, kind: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let Some(found) = findings.iter().find(|found| found["kind"] == kind) else {
        return Vec::new();
    };
    assert_eq!(found["standing"], "confirmed", "{found}");
    let rivals = found["cannot_exclude"].as_array().unwrap();
    let all = std::iter::once(&found["suspect"]).chain(rivals);
    all.map(|suspect| suspect["id"].as_str().unwrap().to_owned()).collect()
}

const HALVES: &str = "kind = \"halves\"\nover = [\"pdu\", \"loop\"]";

#[test]
fn halves_leave_one_suspect_where_a_hold_names_three() {
    let bank = Bank::new();
    let warm = "recirculation:rack-1";
    let hold = suspects(&rehearsed(&bank, "kind = \"hold\"", warm), "weak_cooling");
    assert_eq!(hold, ["rack-1", "pdu-a1", "pdu-b1"]);
    assert_eq!(suspects(&rehearsed(&bank, HALVES, warm), "weak_cooling"), ["rack-1"]);
    let short = "pdu_limit:pdu-a1";
    let hold = suspects(&rehearsed(&bank, "kind = \"hold\"", short), "weak_power");
    assert_eq!(hold, ["pdu-a1", "pdu-b1", "rack-1"]);
    // Both feeds hold the same nodes: only the feeds themselves can tell.
    assert_eq!(suspects(&rehearsed(&bank, HALVES, short), "weak_power"), ["pdu-a1", "pdu-b1"]);
}

#[test]
fn a_limit_that_all_share_shows_in_company_and_a_bad_node_stays_bad_alone() {
    let bank = Bank::new();
    let isolated = "kind = \"isolated\"\nby = \"loop\"";
    let limit = "cdu_capacity:cdu-1";
    let hold = rehearsed(&bank, "kind = \"hold\"", limit);
    assert_eq!(suspects(&hold, "weak_cooling"), [""; 0], "nobody is left to compare with");
    assert_eq!(suspects(&rehearsed(&bank, isolated, limit), "weak_cooling"), ["cdu-1"]);
    let bad = rehearsed(&bank, isolated, "weak_psu:gpu07=20%");
    assert_eq!(suspects(&bad, "weak_cooling"), [""; 0]);
    assert_eq!(suspects(&bad, "weak_power"), [""; 0]);
    assert_eq!(suspects(&bad, "power_short"), ["gpu07"]);
}

#[test]
fn coupling_prints_its_matrix_and_wiring_names_two_swapped_meters() {
    let bank = Bank::new();
    let site = example("three-pods.toml");
    let printed = |phase: &str, fault: &str| {
        let head = "schema = 1\nname = \"e\"\nrequires = [\"power\"]\n[[phase]]\n";
        let plan = bank.write("printed.toml", &format!("{head}{phase}\n"));
        let arguments = ["rehearse", &site, "--plan", &plan, "--fault", fault];
        let done = bank.loadbank(&arguments).finish(RUN_PATIENCE);
        assert!(done.stdout.lines().all(|line| line.chars().count() <= 80), "{done:?}");
        done.stdout
    };
    let coupling =
        printed("kind = \"coupling\"\nby = \"loop\"\nseconds = 200", "shared_header:loop-1>loop-3");
    assert!(coupling.contains("weak_cooling  cut loop-1>loop-3"), "{coupling}");
    assert!(coupling.contains("in mK for each kW of the column's load"), "{coupling}");
    let wiring =
        printed("kind = \"wiring\"\nby = \"pdu\"\nseconds = 60", "swapped_meters:pdu-a2>pdu-a4");
    assert!(wiring.contains("the records of pdu-a2 and pdu-a4 are swapped"), "{wiring}");
}

#[test]
fn an_experiment_that_does_not_fit_is_refused_with_the_mend() {
    let bank = Bank::new();
    let site = example("three-pods.toml");
    let refused = |phase: &str, words: &str| {
        let head = "schema = 1\nname = \"e\"\nrequires = [\"compute\"]\n[[phase]]\n";
        let plan = bank.write("refused.toml", &format!("{head}{phase}\n"));
        let done = bank.loadbank(&["review", &site, "--plan", &plan]).finish(RUN_PATIENCE);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains(words), "{}\nexpected: {words}", done.stderr);
    };
    refused("kind = \"isolated\"\nseconds = 9", "by = \"rack\"");
    refused("kind = \"halves\"\nby = \"pdu\"\nseconds = 9", "over = [\"pdu\", \"loop\"]");
    refused("kind = \"isolated\"\nby = \"leaf\"\nseconds = 9", "isolated can't be by \"leaf\"");
    refused("kind = \"isolatd\"\nseconds = 9", "did you mean \"isolated\"?");
    let one = "kind = \"isolated\"\nby = \"cdu\"\nseconds = 9";
    refused(one, "all of its nodes are on one cdu");
    let kw = "kind = \"isolated\"\nby = \"pdu\"\nseconds = 9\nload = { kw = 5 }";
    refused(kw, "use percent, or watts of each device");
    refused("kind = \"isolated\"\nby = \"chassis\"\nseconds = 9", "hangs on no chassis");
    let long = "kind = \"hold\"\nseconds = 9\n[[phase]]\nkind = \"isolated\"\nby = \"pdu\"\n\
                seconds = 9\n[[phase]]\nkind = \"isolated\"\nby = \"rack\"\nseconds = 9";
    refused(long, "two experiments are named \"isolated\"");
}
