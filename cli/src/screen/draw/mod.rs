//! Draws a screen: a pure function of it and of `now`.

mod domains;
mod foot;
mod head;
mod nodes;
mod notices;
mod power;
mod window;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::palette::Tone;
use super::state::{Mode, Pane, Screen};

/// The least that everything fits into: what terminals open with.
const COLUMNS_MIN: u16 = 80;
const ROWS_MIN: u16 = 24;
/// From this height on panels get more than their least.
const ROWS_TALL: u16 = 32;
/// Share of the width that domains get, in percent.
const DOMAINS_PERCENT: u16 = 50;

/// Whether everything fits into so many columns and rows.
pub(super) fn fits((columns, rows): (u16, u16)) -> bool {
    columns >= COLUMNS_MIN && rows >= ROWS_MIN
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen, now: Duration) {
    let area = frame.area();
    if !fits((area.width, area.height)) {
        return too_small(frame, screen, now);
    }
    let head = head::lines(screen, now, area.width);
    let tall = area.height >= ROWS_TALL;
    let power_rows = if tall { 6 } else { 3 };
    let notice_rows = if tall { 12 } else { 5 };
    let [head_area, power_area, middle, notice_area, foot_area] = Layout::vertical([
        Constraint::Length(head.len() as u16),
        Constraint::Length(power_rows),
        Constraint::Min(5),
        Constraint::Length(notice_rows),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), head_area);
    power::draw(frame, screen, power_area);
    let [domain_area, node_area] = Layout::horizontal([
        Constraint::Percentage(DOMAINS_PERCENT),
        Constraint::Percentage(100 - DOMAINS_PERCENT),
    ])
    .spacing(1)
    .areas(middle);
    domains::draw(frame, screen, domain_area);
    nodes::draw(frame, screen, node_area);
    notices::draw(frame, screen, notice_area);
    frame.render_widget(Paragraph::new(foot::line(screen)), foot_area);
    match &screen.mode {
        Mode::Help => window::help(frame, screen),
        Mode::Stop { typed } => window::stop(frame, screen, typed),
        Mode::Look | Mode::Filter => {}
    }
}

/// Three lines, for what is most needed where nothing fits.
fn too_small(frame: &mut Frame<'_>, screen: &Screen, now: Duration) {
    let area = frame.area();
    let size = format!("{}x{} is too small: 80x24 is the least", area.width, area.height);
    let run = screen.status.as_ref().map_or_else(String::new, |status| {
        let stale = screen.stale(now).map_or("", |_| " NOT LIVE");
        format!("run {}{stale}", status.state)
    });
    let goes_on = screen.stoppable().map_or("", |_| ", the run goes on");
    let quit = format!("q quits{goes_on}");
    let lines: Vec<Line<'_>> = [size, run, quit].into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// The head of a list, with a sign where the arrow keys move it; what is left for its lines.
fn pane(frame: &mut Frame<'_>, screen: &Screen, pane: Pane, title: String, area: Rect) -> Rect {
    let here = screen.pane == pane;
    let title = if here { format!("> {title} ") } else { format!("  {title} ") };
    let tone = if here { Tone::Strong } else { Tone::Plain };
    panel(frame, screen, (title, tone), area)
}

fn panel(
    frame: &mut Frame<'_>,
    screen: &Screen,
    (title, tone): (String, Tone),
    area: Rect,
) -> Rect {
    let title = cut(&title, usize::from(area.width));
    let title = Span::styled(title, tone.style(screen.colour));
    let block = Block::new().borders(Borders::TOP).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// `and 12 more` for the last line of a list that does not fit.
fn more(screen: &Screen, hidden: usize) -> Line<'static> {
    Line::styled(format!("  and {hidden} more below"), Tone::Faint.style(screen.colour))
}

/// The lines of a list that are seen: from its top, with a word where more follow.
fn page<'a, T>(
    screen: &Screen,
    pane: Pane,
    rows: &'a [T],
    height: u16,
    line: impl Fn(&'a T) -> Line<'a>,
) -> Vec<Line<'a>> {
    let height = usize::from(height);
    let top = screen.top(pane, rows.len(), height);
    let rest = &rows[top..];
    if rest.len() <= height {
        return rest.iter().map(line).collect();
    }
    let shown = height.saturating_sub(1);
    let mut lines: Vec<Line<'a>> = rest[..shown].iter().map(line).collect();
    lines.push(more(screen, rest.len() - shown));
    lines
}

/// A text cut to a width, with a sign that it was.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}~")
}

/// A number, or a sign that nothing is measured.
fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Seconds as a person says them.
fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_texts_are_short() {
        let said = [0.4, 119.0, 120.0, 7199.0, 7200.0, 90_061.0].map(time);
        assert_eq!(said, ["0 s", "119 s", "2:00 min", "119:59 min", "2:00 h", "25:01 h"]);
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".to_owned(), "ab~".to_owned()));
    }
}
