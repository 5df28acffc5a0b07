//! One coordinator a state folder: a second one would judge and resume the first one's runs.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::Duration;

use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, Done, plans};

/// A refusal comes at once; this is for a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn second(bank: &Bank) -> Done {
    let dir = bank.state_dir().display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--insecure-loopback", "--state-dir", &dir];
    bank.loadbank(&serve).finish(SOON)
}

#[test]
fn a_second_coordinator_on_the_same_folder_is_refused_and_the_run_of_the_first_goes_on() {
    let mut bank = Bank::with_agents(1);
    let (mut run, watch, id) = bank.begin(&plans::hold(6));
    watch.wait_for_phase("hold", 0.5);

    let refused = second(&bank);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let holder = format!("process {}", bank.coordinator().pid());
    for words in [bank.state_dir().display().to_string(), holder] {
        assert!(refused.stderr.contains(&words), "{words}: {}", refused.stderr);
    }
    let plan = bank.write("local.toml", &plans::hold(1));
    let dir = bank.state_dir().display().to_string();
    let local = bank.loadbank(&["local", "--plan", &plan, "--state-dir", &dir]).finish(SOON);
    assert_eq!(local.code, Some(4), "{local:?}");
    assert!(local.stderr.contains("another coordinator"), "{}", local.stderr);

    assert_eq!(bank.run_row(&id).unwrap()["state"], "running");
    let done = run.finish(RUN_PATIENCE);
    assert!(matches!(done.code, Some(0 | 3)), "{done:?}");
}

#[test]
fn the_folder_of_a_coordinator_that_was_killed_is_free() {
    let mut bank = Bank::new();
    bank.serve();
    bank.coordinator().kill();
    bank.serve();
    assert_eq!(second(&bank).code, Some(4));
}
