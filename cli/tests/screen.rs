//! The screen of `loadbank watch`, drawn for scenes of a run and kept as text.

use std::time::Duration;

use loadbank_cli::screen::{Action, Message, Screen, draw};
use proto::v1;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

/// What terminals open with, and a large one.
const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];
/// 2026-11-23 12:00:00 UTC.
const NOON_NS: i64 = 1_795_435_200_000_000_000;
const RUN: &str = "20261123T120000Z-soak-1a2b";

fn node(index: usize) -> v1::NodeStatus {
    v1::NodeStatus {
        node: format!("gpu{index:02}"),
        state: "active".to_owned(),
        level: 0.8,
        power_w: Some(6000.0 + 10.0 * index as f64),
        temp_c_max: Some(60.0 + index as f64),
        gflops: 51_234.0,
        gb_per_s: 12.3,
        unacked_batches: 2,
        devices_heating: 8,
        scale: Some(1.0),
        rack: format!("rack-{}", index / 6),
        silent_s: Some(0.4),
        ..v1::NodeStatus::default()
    }
}

fn domain(kind: &str, id: &str, kw: Option<f64>, most_kw: Option<f64>) -> v1::DomainStatus {
    v1::DomainStatus {
        kind: kind.to_owned(),
        id: id.to_owned(),
        most_kw,
        kw,
        nodes: 6,
        scale: most_kw.map(|_| 1.0),
        ..v1::DomainStatus::default()
    }
}

fn notice(seconds: i64, weight: &str, words: &str) -> v1::Notice {
    let at_ns = NOON_NS + seconds * 1_000_000_000;
    v1::Notice { at_ns, weight: weight.to_owned(), words: words.to_owned() }
}

fn healthy() -> v1::RunStatus {
    v1::RunStatus {
        run_id: RUN.to_owned(),
        plan: "soak".to_owned(),
        state: "running".to_owned(),
        phase: "hold".to_owned(),
        phase_index: 1,
        phase_count: 3,
        phase_elapsed_s: 135.0,
        phase_seconds: 600.0,
        elapsed_s: 195.0,
        plan_seconds: 1260.0,
        nodes: (1..=11).map(node).collect(),
        domains: vec![
            domain("all", "nodes", Some(66.7), Some(90.0)),
            domain("rack", "rack-0", Some(30.2), None),
            domain("rack", "rack-1", Some(36.5), None),
            domain("pdu", "pdu-a1", Some(33.4), Some(34.5)),
            domain("pdu", "pdu-b1", Some(33.3), Some(40.0)),
            domain("loop", "loop-1", None, Some(120.0)),
        ],
        notices: vec![
            notice(0, "warning", "the site names no loop of gpu11"),
            notice(1, "note", "phase ramp begins"),
            notice(60, "note", "phase hold begins"),
        ],
        ..v1::RunStatus::default()
    }
}

fn tripped() -> v1::RunStatus {
    let mut status = healthy();
    status.state = "stopping".to_owned();
    status.nodes[3].state = "lost".to_owned();
    status.nodes[5].errors = 3;
    status.nodes[6].devices_braked = 8;
    status.nodes[7].devices_refused = 1;
    status.nodes[8].silent_s = Some(7.0);
    status.nodes[9].devices_heating = 0;
    status.domains[3].kw = Some(36.1);
    status.domains[4].lost = 1;
    status.domains[1].lost = 1;
    status.domains[0].scale = Some(0.675);
    status.tripped = vec!["supply".to_owned()];
    status.notices.extend([
        notice(190, "warning", "lost gpu04: its lease ended"),
        notice(194, "note", "pdu pdu-a1 held at 95 %: 36.10 of 34.5 kW measured"),
        notice(195, "trip", "interlock supply (stop_ramp): loop loop-1 supply_c 46.2 above 45"),
    ]);
    status
}

fn waiting() -> v1::RunStatus {
    let mut status = healthy();
    status.state = "preparing".to_owned();
    status.phase = String::new();
    status.phase_elapsed_s = 0.0;
    status.elapsed_s = 0.0;
    status.message = "waits for the first release".to_owned();
    for node in &mut status.nodes {
        (node.level, node.power_w, node.devices_heating) = (0.0, Some(900.0), 0);
    }
    for domain in &mut status.domains {
        domain.kw = domain.kw.map(|_| 5.0);
    }
    (status.released, status.next_release) = (Some(0), Some(25));
    status.releasers = vec!["ada".to_owned(), "grace".to_owned()];
    status
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A screen on which a minute of a run was seen that came up to a status.
fn screen(colour: bool, size: (u16, u16), last: &v1::RunStatus) -> Screen {
    let mut screen = Screen::new(colour, " --insecure-loopback".to_owned(), size);
    for second in 0..60 {
        let mut status = last.clone();
        for node in &mut status.nodes {
            node.power_w = node.power_w.map(|watts| watts * (second + 1) as f64 / 61.0);
        }
        screen.fold(Message::Status(Box::new(status)), seconds(second));
    }
    screen.fold(Message::Status(Box::new(last.clone())), seconds(60));
    screen
}

fn drawn(screen: &Screen, (columns, rows): (u16, u16), now: Duration) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, screen, now)).unwrap();
    terminal
}

fn text(screen: &Screen, size: (u16, u16), now: Duration) -> String {
    drawn(screen, size, now).backend().to_string()
}

fn buffer(screen: &Screen, size: (u16, u16), now: Duration) -> Buffer {
    drawn(screen, size, now).backend().buffer().clone()
}

fn press(screen: &mut Screen, code: KeyCode) -> Option<Action> {
    screen.press(KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_in(screen: &mut Screen, words: &str) {
    for letter in words.chars() {
        assert_eq!(press(screen, KeyCode::Char(letter)), None);
    }
}

#[test]
fn a_scene_is_drawn_as_recorded() {
    let scenes = [("healthy", healthy()), ("tripped", tripped()), ("waiting", waiting())];
    for size in SIZES {
        for (name, status) in &scenes {
            let text = text(&screen(true, size, status), size, seconds(60));
            insta::assert_snapshot!(format!("{name}_{}", size.0), text);
        }
        let mut silent = screen(true, size, &healthy());
        silent.fold(Message::Lost("no coordinator answers".to_owned()), seconds(65));
        insta::assert_snapshot!(format!("lost_{}", size.0), text(&silent, size, seconds(72)));
    }
}

#[test]
fn windows_are_drawn_as_recorded() {
    let size = SIZES[0];
    let mut screen = screen(true, size, &waiting());
    press(&mut screen, KeyCode::Char('?'));
    insta::assert_snapshot!("help", text(&screen, size, seconds(60)));
    press(&mut screen, KeyCode::Esc);
    press(&mut screen, KeyCode::Char('s'));
    type_in(&mut screen, "sto");
    insta::assert_snapshot!("stop", text(&screen, size, seconds(60)));
}

#[test]
fn a_stop_wants_its_word() {
    let stop = |now| Some(Action::Stop { run: RUN.to_owned(), now });
    for (typed, becomes) in [
        ("", None),
        ("sto", None),
        ("stops", None),
        ("stop", stop(false)),
        ("stop now", stop(true)),
    ] {
        let mut screen = screen(true, SIZES[0], &healthy());
        assert_eq!(press(&mut screen, KeyCode::Enter), None, "nothing was asked");
        press(&mut screen, KeyCode::Char('s'));
        type_in(&mut screen, typed);
        assert_eq!(press(&mut screen, KeyCode::Enter), becomes, "{typed:?}");
    }
    let mut screen = screen(true, SIZES[0], &healthy());
    press(&mut screen, KeyCode::Char('s'));
    type_in(&mut screen, "stop");
    press(&mut screen, KeyCode::Esc);
    assert_eq!(press(&mut screen, KeyCode::Enter), None, "escaped");
}

#[test]
fn a_stop_is_never_for_another_run_than_the_one_that_was_shown() {
    let mut screen = screen(true, SIZES[0], &healthy());
    press(&mut screen, KeyCode::Char('s'));
    type_in(&mut screen, "stop");
    let other = v1::RunStatus { run_id: "another".to_owned(), ..healthy() };
    screen.fold(Message::Status(Box::new(other)), seconds(61));
    assert_eq!(press(&mut screen, KeyCode::Enter), None);
}

#[test]
fn q_and_ctrl_c_leave_and_say_that_the_run_goes_on() {
    let mut screen = screen(true, SIZES[0], &healthy());
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Some(Action::Quit));
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.press(ctrl_c), Some(Action::Quit));
    press(&mut screen, KeyCode::Char('s'));
    assert_eq!(press(&mut screen, KeyCode::Char('q')), None, "a letter of what is typed");
    assert_eq!(screen.press(ctrl_c), Some(Action::Quit), "from everywhere");
    let said = screen.parting();
    assert!(said.contains("goes on") && said.contains("`loadbank stop --insecure-loopback`"));
    let ended = v1::RunStatus {
        ended: true,
        state: "finished".to_owned(),
        message: "READY".to_owned(),
        ..healthy()
    };
    screen.fold(Message::Status(Box::new(ended)), seconds(61));
    assert_eq!(screen.parting(), format!("run {RUN} finished READY"));
}

#[test]
fn a_filter_shows_only_its_nodes_until_it_is_cleared() {
    let size = SIZES[0];
    let mut screen = screen(true, size, &healthy());
    press(&mut screen, KeyCode::Char('/'));
    type_in(&mut screen, "gpu07");
    press(&mut screen, KeyCode::Enter);
    let filtered = text(&screen, size, seconds(60));
    assert!(filtered.contains("gpu07") && !filtered.contains("gpu08"), "{filtered}");
    assert!(filtered.contains("nodes with \"gpu07\": 1"), "{filtered}");
    press(&mut screen, KeyCode::Esc);
    assert!(text(&screen, size, seconds(60)).contains("gpu08"));
}

#[test]
fn arrows_move_the_list_that_has_the_sign_and_never_beyond_its_end() {
    let size = SIZES[0];
    let mut screen = screen(true, size, &healthy());
    assert!(!text(&screen, size, seconds(60)).contains("gpu01 "), "it does not fit");
    press(&mut screen, KeyCode::End);
    let at_end = text(&screen, size, seconds(60));
    assert!(at_end.contains("gpu01 ") && at_end.contains("> nodes"), "{at_end}");
    press(&mut screen, KeyCode::Down);
    assert_eq!(text(&screen, size, seconds(60)), at_end);
    press(&mut screen, KeyCode::Tab);
    assert!(text(&screen, size, seconds(60)).contains("> what happened"));
    press(&mut screen, KeyCode::Tab);
    assert!(text(&screen, size, seconds(60)).contains("> domains"));
}

#[test]
fn a_terminal_that_is_too_small_says_so_and_takes_no_stop() {
    for size in [(79, 24), (80, 23), (20, 3), (1, 1)] {
        let mut screen = screen(true, size, &healthy());
        let said = text(&screen, size, seconds(60));
        assert_eq!(said.contains("too small"), size.0 >= 20, "{said}");
        press(&mut screen, KeyCode::Char('s'));
        type_in(&mut screen, "stop");
        assert_eq!(press(&mut screen, KeyCode::Enter), None);
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Some(Action::Quit));
    }
    let mut shrunk = screen(true, SIZES[0], &healthy());
    press(&mut shrunk, KeyCode::Char('s'));
    type_in(&mut shrunk, "stop");
    shrunk.fold(Message::Resized(40, 10), seconds(61));
    assert_eq!(press(&mut shrunk, KeyCode::Enter), None, "what can't be seen is not answered");
}

#[test]
fn without_colour_the_words_are_the_same_and_nothing_is_coloured() {
    for status in [healthy(), tripped(), waiting()] {
        let coloured = buffer(&screen(true, SIZES[0], &status), SIZES[0], seconds(60));
        let plain = buffer(&screen(false, SIZES[0], &status), SIZES[0], seconds(60));
        let letters = |buffer: &Buffer| -> String {
            buffer.content.iter().map(|cell| cell.symbol().to_owned()).collect()
        };
        assert_eq!(letters(&coloured), letters(&plain));
        let is_plain =
            |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
        assert!(plain.content.iter().all(is_plain));
        assert!(!coloured.content.iter().all(is_plain));
    }
    let trip = buffer(&screen(false, SIZES[0], &tripped()), SIZES[0], seconds(60));
    let reversed = |cell: &&ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
    let marked: String = trip.content.iter().filter(reversed).map(|c| c.symbol()).collect();
    assert!(marked.contains("TRIP") && marked.contains("OVER"), "{marked}");
}

#[test]
fn a_silent_coordinator_leaves_the_picture_and_says_how_old_it_is() {
    let size = SIZES[0];
    let mut screen = screen(true, size, &healthy());
    assert!(text(&screen, size, seconds(62)).contains(" LIVE"));
    let silent = text(&screen, size, seconds(71));
    assert!(silent.contains("NOT LIVE 11 s") && silent.contains("gpu11"), "{silent}");
    screen.fold(Message::Lost("refused".to_owned()), seconds(75));
    screen.fold(Message::Lost("refused".to_owned()), seconds(76));
    assert!(text(&screen, size, seconds(80)).contains("NOT LIVE 20 s"), "as old as the picture");
    screen.fold(Message::Status(Box::new(healthy())), seconds(81));
    let back = text(&screen, size, seconds(81));
    assert!(back.contains(" LIVE") && !back.contains("NOT LIVE"), "{back}");
    let ended = v1::RunStatus { ended: true, state: "finished".to_owned(), ..healthy() };
    screen.fold(Message::Status(Box::new(ended)), seconds(82));
    let ended = text(&screen, size, seconds(500));
    assert!(ended.contains("ENDED") && !ended.contains("NOT LIVE"), "an end is no silence");
}

#[test]
fn names_with_control_characters_reach_no_terminal() {
    let size = SIZES[0];
    let mut status = healthy();
    status.nodes[0].node = "evil\u{1b}[2J\u{7}".to_owned();
    status.notices.push(notice(61, "trip", "\u{1b}]0;title\u{7}boo"));
    let buffer = buffer(&screen(true, size, &status), size, seconds(60));
    let control = |cell: &ratatui::buffer::Cell| cell.symbol().chars().any(char::is_control);
    assert!(!buffer.content.iter().any(control));
}

#[test]
fn before_the_first_run_it_says_what_begins_one() {
    let size = SIZES[0];
    let mut screen = Screen::new(true, String::new(), size);
    screen.fold(Message::NoRun, seconds(1));
    assert!(text(&screen, size, seconds(9)).contains("no run yet"));
    press(&mut screen, KeyCode::Char('s'));
    assert_eq!(press(&mut screen, KeyCode::Enter), None);
    assert_eq!(screen.parting(), "no run was seen");
}
