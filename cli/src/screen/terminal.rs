//! The terminal: taken for the screen, and given back however this ends.

use std::io::{IsTerminal, Stdout, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;

/// A terminal in raw mode on its other screen. Dropping it restores the operator's own; so does
/// a panic of any thread, whose words would be unreadable otherwise.
pub struct Restored {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    given_back: Arc<AtomicBool>,
}

impl Restored {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it can't be set.
    pub fn take() -> std::io::Result<Self> {
        let given_back = Arc::new(AtomicBool::new(false));
        let (by_panic, before) = (given_back.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            give_back(&by_panic);
            before(panic);
        }));
        // Made first: what fails half-way is restored by its drop.
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let taken = Self { terminal, given_back };
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(taken)
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal does not say.
    pub fn size(&self) -> std::io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Draws a frame; only what changed is written.
    ///
    /// # Errors
    /// When the terminal is gone, or was given back by a panic elsewhere.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> std::io::Result<()> {
        if self.given_back.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("a part of the screen failed: see above"));
        }
        self.terminal.draw(draw).map(drop)
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        give_back(&self.given_back);
    }
}

/// Once: a second time would put the cursor back to where it was before the screen, and what is
/// said then over the words of a panic.
fn give_back(given_back: &AtomicBool) {
    if !given_back.swap(true, Ordering::SeqCst) {
        // A terminal that is gone needs no restoring.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// Whether there is a terminal to draw on and a keyboard to leave it by.
#[must_use]
pub fn is_usable() -> bool {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    stdout().is_terminal() && std::io::stdin().is_terminal() && !dumb
}

/// Whether colours are wanted: <https://no-color.org>.
pub(super) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Keys and sizes, from a thread of their own: reading them blocks.
pub(super) fn events() -> mpsc::UnboundedReceiver<std::io::Result<Event>> {
    let (tell, events) = mpsc::unbounded_channel();
    thread::spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if tell.send(event).is_err() || failed {
                return;
            }
        }
    });
    events
}
