//! Windows before everything else: help, and the stop that must be typed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::answer::answers;
use super::super::palette::Tone;
use super::super::state::Screen;

const HELP: [&str; 17] = [
    "q, Ctrl-C    leave this view; the run goes on",
    "s            stop the run: asks, and wants the word typed",
    "/            show only nodes with these letters (name, rack, state)",
    "esc          clear the filter, close a window",
    "tab, < >     to the next list; its head has the sign >",
    "arrows, page up and down, home, end   move in the list",
    "",
    "domains      OVER its limit, lost nodes, near the limit, held below the",
    "             plan by it, ok, unmeasured, no limit; worst first",
    "nodes        lost, wrong (its results), braked (by its own hardware),",
    "             refused (GPUs not loaded), silent, loaded, idle; worst",
    "             first, the hottest of its likes first",
    "-            not measured: that is never zero",
    "NOT LIVE     the coordinator is not heard: the picture is old. Heat",
    "             ends with its leases, whether or not anybody looks",
    "",
    "any key closes this",
];

pub(super) fn help(frame: &mut Frame<'_>, screen: &Screen) {
    let lines = HELP.iter().map(|line| Line::from(*line)).collect();
    window(frame, screen, " help ", lines);
}

pub(super) fn stop(frame: &mut Frame<'_>, screen: &Screen, typed: &str) {
    let Some(status) = screen.stoppable() else { return };
    let mut lines = vec![
        Line::from(format!("run {}", status.run_id)),
        Line::from(""),
        Line::from("type  stop      to ramp it down"),
        Line::from("type  stop now  to drop its load at once"),
        Line::from(""),
        Line::styled(format!("> {typed}_"), Tone::Strong.style(screen.colour)),
        Line::from(""),
        Line::from("enter sends it, esc leaves the run alone"),
    ];
    if !answers(status, "").is_empty() {
        lines.insert(1, Line::from("(it waits for a person: see the lines above)"));
    }
    window(frame, screen, " stop the run? ", lines);
}

fn window(frame: &mut Frame<'_>, screen: &Screen, title: &str, lines: Vec<Line<'_>>) {
    let width = lines.iter().map(Line::width).max().unwrap_or(0).max(title.len()) as u16 + 4;
    let area = centre(frame.area(), width, lines.len() as u16 + 2);
    let block = Block::bordered()
        .title(title.to_owned())
        .title_style(Tone::Strong.style(screen.colour))
        .padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn centre(area: Rect, width: u16, height: u16) -> Rect {
    area.centered(Constraint::Length(width), Constraint::Length(height))
}
