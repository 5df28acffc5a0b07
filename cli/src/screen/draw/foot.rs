//! The last line: what keys do now.

use ratatui::text::Line;

use super::super::palette::Tone;
use super::super::state::{Mode, Screen};

pub(super) fn line(screen: &Screen) -> Line<'static> {
    let style = Tone::Strong.style(screen.colour);
    let (quit, stop) = match screen.stoppable() {
        Some(_) => ("q quit, the run goes on", "s stop   "),
        None => ("q quit", ""),
    };
    let words = match (&screen.mode, screen.filter.as_str()) {
        (Mode::Filter, filter) => {
            format!("filter nodes: {filter}_   enter keeps it, esc clears it")
        }
        (_, "") => format!("{quit}   {stop}/ filter   tab list   arrows move   ? help"),
        (_, filter) => format!("filter {filter:?}: esc clears it   {quit}   ? help"),
    };
    Line::styled(words, style)
}
