//! What happened, the latest first: trips, warnings, notes.

use proto::v1;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::palette::Tone;
use super::super::state::{Pane, Screen};
use super::{cut, page, pane};

pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let notices: Vec<&v1::Notice> =
        screen.status.iter().flat_map(|status| status.notices.iter().rev()).collect();
    let count = |weight: &str| notices.iter().filter(|notice| notice.weight == weight).count();
    let title = format!(
        "what happened, latest first (UTC); trips {}, warnings {}",
        count("trip"),
        count("warning")
    );
    let inner = pane(frame, screen, Pane::Notices, title, area);
    let width = usize::from(inner.width);
    let lines =
        page(screen, Pane::Notices, &notices, inner.height, |notice| line(screen, notice, width));
    frame.render_widget(Paragraph::new(lines), inner);
}

fn line(screen: &Screen, notice: &v1::Notice, width: usize) -> Line<'static> {
    let (word, tone) = match notice.weight.as_str() {
        "trip" => ("TRIP", Tone::Bad),
        "warning" => ("warning", Tone::Mind),
        _ => ("note", Tone::Plain),
    };
    let at = jiff::Timestamp::from_nanosecond(i128::from(notice.at_ns))
        .map(|at| at.strftime("%H:%M:%S").to_string())
        .unwrap_or_default();
    Line::from(vec![
        Span::raw(format!("{at} ")),
        Span::styled(format!("{word:<7}"), tone.style(screen.colour)),
        Span::raw(cut(&format!(" {}", notice.words), width.saturating_sub(16))),
    ])
}
