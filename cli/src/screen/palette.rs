//! Few tones, each with a word beside it wherever it is used: nothing is said by colour alone.

use ratatui::style::{Color, Modifier, Style};

/// What a style is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Strong,
    Good,
    /// A person should look at it.
    Mind,
    Bad,
}

impl Tone {
    /// The style. Without colour, weight alone: bad is reversed, so that it is seen from afar.
    pub(super) fn style(self, colour: bool) -> Style {
        let style = Style::new();
        match (self, colour) {
            (Self::Plain, _) | (Self::Good, false) => style,
            (Self::Faint, _) => style.add_modifier(Modifier::DIM),
            (Self::Strong, _) | (Self::Mind, false) => style.add_modifier(Modifier::BOLD),
            (Self::Good, true) => style.fg(Color::Green),
            (Self::Mind, true) => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            (Self::Bad, true) => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Self::Bad, false) => style.add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }
}
