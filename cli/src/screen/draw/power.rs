//! Power of all nodes now, against what they may draw together, and its last minutes.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::Sparkline;

use super::super::answer::is_over;
use super::super::course::Moment;
use super::super::domain::DomainRow;
use super::super::node::watts;
use super::super::palette::Tone;
use super::super::state::Screen;
use super::panel;

pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let (title, tone) = title(screen);
    let inner = panel(frame, screen, (format!("  {title} "), tone), area);
    let measured = screen.course.is_measured();
    // Whole numbers are what is drawn: watts, or per mille of level.
    let values: Vec<Option<u64>> = screen
        .course
        .last(usize::from(inner.width))
        .map(|moment| match measured {
            true => moment.kw.map(|kw| (kw * 1e3) as u64),
            false => Some((moment.level * 1e3) as u64),
        })
        .collect();
    let top = if measured { limit_kw(screen).map(|kw| (kw * 1e3) as u64) } else { Some(1000) };
    let most = values.iter().flatten().max().copied().unwrap_or(0).max(1);
    let drawn = Sparkline::default()
        .data(values)
        .max(top.unwrap_or(most).max(most))
        .absent_value_symbol("?")
        .style(tone.style(screen.colour));
    frame.render_widget(drawn, inner);
}

/// What all nodes together may draw, where the permit says so.
fn limit_kw(screen: &Screen) -> Option<f64> {
    let domains = &screen.status.as_ref()?.domains;
    domains.iter().find(|domain| domain.kind == "all")?.most_kw
}

fn title(screen: &Screen) -> (String, Tone) {
    let Some(status) = &screen.status else { return ("power".to_owned(), Tone::Plain) };
    let now = Moment::of(0, status);
    let level = format!("level {:.0} %", now.level * 100.0);
    let unmeasured = status.nodes.iter().filter(|node| watts(node).is_none()).count();
    let Some(kw) = now.kw else {
        let words = match status.nodes.is_empty() {
            true if is_over(status) => "power: the run is over".to_owned(),
            true => "power: no nodes to ask".to_owned(),
            false => format!("power not measured, {level} commanded"),
        };
        return (words, Tone::Plain);
    };
    let part = match unmeasured {
        0 => String::new(),
        _ => format!(" of {} nodes, {unmeasured} unmeasured", status.nodes.len() - unmeasured),
    };
    let all = status.domains.iter().find(|domain| domain.kind == "all");
    match all.map(DomainRow::of).and_then(|row| Some((row, row.domain.most_kw?))) {
        Some((row, most_kw)) => {
            let share =
                row.share().map_or(String::new(), |share| format!(", {:.0} %", share * 1e2));
            let words =
                format!("{kw:.2} kW{part}, permit {most_kw:.1} kW{share} {}, {level}", row.words());
            (words, row.tone())
        }
        None => (format!("{kw:.2} kW{part}, no limit on all together, {level}"), Tone::Plain),
    }
}
