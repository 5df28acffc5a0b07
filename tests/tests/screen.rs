//! `loadbank watch` on a terminal: it shows a real run, stops it only when that was typed, and gives
//! the terminal back however it ends.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::Duration;

use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, Pty, plans, wait_until};

const SIZE: (u16, u16) = (80, 24);
const SOON: Duration = Duration::from_secs(20);
const CTRL_C: &str = "\u{3}";
const ESCAPE: &str = "\u{1b}";
/// Tells this program that it is the one that panics.
const PANICS: &str = "LOADBANK_TEST_PANICS";

/// The terminal is as it was before, and the words of the end stand on it.
fn assert_given_back(screen: &mut Pty, words: &str) {
    // What was written last may still be on its way through the terminal.
    wait_until("the last words", SOON, || screen.picture().contains(words).then_some(()));
    assert!(screen.is_a_shells(), "{}", screen.picture());
}

#[test]
fn a_run_is_seen_left_alone_and_stopped_by_the_word() {
    let bank = Bank::with_agents(2);
    let mut screen = bank.verb_on_terminal(&["watch"], SIZE);
    screen.wait_for(&["no run yet"]);
    assert!(screen.shows_other_screen() && !screen.is_a_shells());
    let (mut run, _watch, id) = bank.begin(&plans::hold(600));
    let live = [" LIVE", "RUNNING", "phase 1/1 hold", "2 loaded", "phase hold begins"];
    screen.wait_for_only(&[&live[..], &[&id, "q quit, the run goes on"]].concat(), &["NOT LIVE"]);

    screen.type_in("/n2\r");
    screen.wait_for_only(&["nodes with \"n2\": 1", "loaded  n2"], &["loaded  n1"]);
    screen.type_in(ESCAPE);
    screen.wait_for(&["loaded  n1", "loaded  n2"]);
    screen.resize((60, 20));
    screen.wait_for(&["60x20 is too small"]);
    screen.resize(SIZE);
    screen.wait_for(&["phase 1/1 hold"]);

    screen.type_in("q");
    assert_eq!(screen.finish(), Some(0));
    assert_given_back(&mut screen, "goes on (running)");
    assert!(run.runs(), "who looks away stops nothing");

    let mut screen = bank.verb_on_terminal(&["watch", &id], SIZE);
    screen.wait_for(&["2 loaded"]);
    screen.type_in("s");
    screen.wait_for(&["stop the run?"]);
    screen.type_in("stop");
    screen.wait_for(&["> stop_"]);
    assert!(run.runs(), "the word alone stops nothing");
    screen.type_in("\r");
    screen.wait_for(&["ENDED", "STOPPED", "stopped by", "loadbank report"]);
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(130), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(done.json()["verdict"], "INTERRUPTED");
    screen.type_in(CTRL_C);
    assert_eq!(screen.finish(), Some(0));
    assert_given_back(&mut screen, "stopped INTERRUPTED");
}

#[test]
fn a_coordinator_that_goes_away_is_said_to_and_found_again() {
    let mut bank = Bank::with_agents(1);
    let (_run, _watch, id) = bank.begin(&plans::hold(600));
    let mut screen = bank.verb_on_terminal(&["watch"], SIZE);
    screen.wait_for(&["RUNNING", "1 loaded"]);
    bank.coordinator().kill();
    // With its last picture.
    screen.wait_for(&["NOT LIVE", "no word of the coordinator", "trying again", &id, "1 loaded"]);
    bank.serve();
    let resume = format!("loadbank resume {id}");
    let waits = ["SUSPENDED", "heat returns when a person says so", &resume];
    screen.wait_for_only(&waits, &["NOT LIVE", "no word of the coordinator"]);
    screen.signal(libc::SIGTERM);
    assert_eq!(screen.finish(), Some(0));
    assert_given_back(&mut screen, &id);
}

#[test]
fn a_stop_without_the_right_is_refused_and_told() {
    let bank = Bank::with_secure_agents(1);
    let (mut run, _watch, id) = bank.begin(&plans::hold(600));
    // An agent's certificate may not even look.
    let agent = bank.tls_dir("agent-n1").display().to_string();
    let arguments = ["watch", "--coordinator", bank.address(), "--tls-dir", &agent];
    let arguments = arguments.map(str::to_owned);
    let program = system_tests::binary("loadbank");
    let mut refused = Pty::start(&program, &arguments, &[], SIZE, "refused");
    assert_ne!(refused.finish(), Some(0));
    assert!(!refused.picture().contains(&id), "{}", refused.picture());
    assert!(refused.is_a_shells());
    // An operator's may stop, and is written down by the name in it.
    let mut screen = bank.verb_on_terminal(&["watch"], SIZE);
    screen.wait_for(&["1 loaded"]);
    screen.type_in("sstop now");
    screen.wait_for(&["> stop now_"]);
    screen.type_in("\r");
    screen.wait_for(&["dropped at once by tester"]);
    assert_eq!(run.finish(RUN_PATIENCE).code, Some(130));
}

#[test]
fn lines_come_where_they_are_asked_for() {
    let bank = Bank::with_agents(1);
    let (mut run, _watch, id) = bank.begin(&plans::hold(3));
    let mut lines = bank.verb_on_terminal(&["watch", &id, "--plain"], (200, 24));
    assert_eq!(lines.finish(), Some(0));
    assert_given_back(&mut lines, &format!("run {id} finished"));
    assert!(lines.picture().contains("running 1/1 hold"), "{}", lines.picture());
    run.finish(RUN_PATIENCE);
}

#[test]
fn a_panic_gives_the_terminal_back() {
    if std::env::var_os(PANICS).is_some() {
        let _terminal = loadbank_cli::screen::Restored::take().unwrap();
        panic!("in the middle of a frame");
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "a_panic_gives_the_terminal_back", "--nocapture"];
    let arguments = arguments.map(str::to_owned);
    // The words of a panic, and not so many frames that they are gone beyond the top.
    let alone = [(PANICS, "1"), ("RUST_BACKTRACE", "0")];
    let mut panics = Pty::start(&program, &arguments, &alone, SIZE, "panics");
    assert_eq!(panics.finish(), Some(101));
    assert_given_back(&mut panics, "in the middle of a frame");
}
