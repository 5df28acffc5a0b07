//! Racks, power and cooling: what each draws of what it may.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::domain::DomainRow;
use super::super::state::{Pane, Screen};
use super::{cut, number, page, pane};

/// `held 67%`, `unmeasured`.
const WORD_COLUMNS: usize = 10;
/// `1234.5/1234.5`.
const KW_COLUMNS: usize = 12;

pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let rows = screen.domains();
    let title = match rows.len() {
        0 => "domains".to_owned(),
        count => format!("domains {count}, kW of limit"),
    };
    let inner = pane(frame, screen, Pane::Domains, title, area);
    if rows.is_empty() {
        let words = match &screen.status {
            Some(status) if !status.ended => "no site says what nodes share",
            _ => "",
        };
        frame.render_widget(Paragraph::new(words), inner);
        return;
    }
    let width = usize::from(inner.width);
    let lines = page(screen, Pane::Domains, &rows, inner.height, |row| line(screen, row, width));
    frame.render_widget(Paragraph::new(lines), inner);
}

fn line(screen: &Screen, row: &DomainRow<'_>, width: usize) -> Line<'static> {
    let domain = row.domain;
    let words = format!("{:<WORD_COLUMNS$}", row.words());
    let limit = domain.most_kw.map_or_else(String::new, |kw| format!("/{kw:.1}"));
    let kw = format!("{}{limit}", number(domain.kw, 1));
    let share = row.share().map_or_else(String::new, |share| format!("{:.0}%", share * 100.0));
    let name_width = width.saturating_sub(WORD_COLUMNS + KW_COLUMNS + 7);
    // `pdu-a1` says that it is a PDU.
    let name = match domain.id.starts_with(&domain.kind) {
        true => domain.id.clone(),
        false => format!("{} {}", domain.kind, domain.id),
    };
    let name = cut(&name, name_width);
    Line::from(vec![
        Span::styled(words, row.tone().style(screen.colour)),
        Span::raw(format!(" {name:<name_width$} {kw:>KW_COLUMNS$} {share:>4}")),
    ])
}
