//! Nodes, the worst first, with a count of each state.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::node::{NodeRow, NodeState, watts};
use super::super::palette::Tone;
use super::super::state::{Pane, Screen};
use super::{cut, number, page, pane, time};

/// `refused`.
const STATE_COLUMNS: usize = 7;
/// From this width on there is room for more than state, level, power and temperature.
const WIDE: usize = 70;

pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let all = screen.nodes();
    let counts: Vec<String> = NodeState::ALL
        .iter()
        .filter_map(|state| {
            let count = all.iter().filter(|row| row.state == *state).count();
            (count > 0).then(|| format!("{count} {}", state.word()))
        })
        .collect();
    let rows = screen.filtered(all);
    let title = match screen.filter.as_str() {
        "" if counts.is_empty() => "nodes".to_owned(),
        "" => format!("nodes: {}", counts.join(", ")),
        filter => format!("nodes with {filter:?}: {}", rows.len()),
    };
    let inner = pane(frame, screen, Pane::Nodes, title, area);
    let [head, mut list] = [Rect { height: 1, ..inner }, inner];
    list.y += 1;
    list.height = inner.height.saturating_sub(1);
    let width = usize::from(inner.width);
    if !rows.is_empty() {
        let style = Tone::Faint.style(screen.colour);
        frame.render_widget(Paragraph::new(Line::styled(columns(width), style)), head);
    }
    let lines = page(screen, Pane::Nodes, &rows, list.height, |row| line(screen, row, width));
    frame.render_widget(Paragraph::new(lines), list);
}

/// The narrow columns: level, kW, temperature.
const NARROW_COLUMNS: usize = 5 + 1 + 6 + 1 + 5;
/// The wide ones beside them: rack, GFLOP/s, GB/s, batches that wait, and words.
const WIDE_COLUMNS: usize = 1 + 8 + 1 + 8 + 1 + 7 + 1 + 5;

fn name_columns(width: usize) -> usize {
    let more = if width >= WIDE { WIDE_COLUMNS } else { 0 };
    width.saturating_sub(STATE_COLUMNS + 1 + 1 + NARROW_COLUMNS + more)
}

fn columns(width: usize) -> String {
    let name = name_columns(width);
    let narrow = format!(
        "{:<STATE_COLUMNS$} {:<name$} {:>5} {:>6} {:>5}",
        "state", "node", "level", "kW", "C"
    );
    if width < WIDE {
        return narrow;
    }
    format!("{narrow} {:<8} {:>8} {:>7} {:>5}", "rack", "GFLOP/s", "GB/s", "spool")
}

fn line(screen: &Screen, row: &NodeRow<'_>, width: usize) -> Line<'static> {
    let node = row.node;
    let state = format!("{:<STATE_COLUMNS$}", row.state.word());
    let wide = name_columns(width);
    let name = match (row.state, node.silent_s) {
        (NodeState::Silent, Some(silent_s)) => format!("{} for {}", node.node, time(silent_s)),
        (NodeState::Wrong, _) => format!("{} {} blocks", node.node, node.errors),
        (NodeState::Braked, _) => format!("{} {} devices", node.node, node.devices_braked),
        (NodeState::Refused, _) => format!("{} {} devices", node.node, node.devices_refused),
        _ => node.node.clone(),
    };
    let name = cut(&name, wide);
    // What a lost node said last is not what it does now.
    let said = row.state != NodeState::Lost;
    let level = said.then_some(node.level * 100.0);
    let level = level.map_or_else(|| "-".to_owned(), |level| format!("{level:.0}%"));
    let kw = watts(node).map(|watts| watts / 1e3);
    let temp = node.temp_c_max.filter(|_| said);
    let mut rest = format!(" {name:<wide$} {level:>5} {:>6} {:>5}", number(kw, 2), number(temp, 0));
    if width >= WIDE {
        let gflops = said.then_some(node.gflops);
        let gb_per_s = said.then_some(node.gb_per_s);
        rest += &format!(
            " {:<8} {:>8} {:>7} {:>5}",
            cut(&node.rack, 8),
            number(gflops, 0),
            number(gb_per_s, 1),
            number(said.then_some(node.unacked_batches as f64), 0),
        );
    }
    Line::from(vec![Span::styled(state, row.state.tone().style(screen.colour)), Span::raw(rest)])
}
