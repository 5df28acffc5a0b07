//! `loadbank watch` on a terminal: a run on one screen.
//!
//! [`Screen`] is a value that messages and keys fold into, with `now` as an argument;
//! [`draw()`] writes it down. What touches the terminal, the coordinator and the clock is in
//! this file and in `feed` and `terminal`. A view only: nothing here holds or ends heat, but for
//! the stop, which goes the way of `loadbank stop`.

mod answer;
mod course;
mod domain;
mod draw;
mod feed;
mod keys;
mod node;
mod palette;
mod state;
mod terminal;

use std::process::ExitCode;
use std::time::Instant;

use ratatui::crossterm::event::Event;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

pub use draw::draw;
pub use keys::Action;
pub use state::{Message, Screen};
pub use terminal::{Restored, is_usable};

use crate::failure::Failure;
use crate::options::{Target, WatchOptions};
use crate::output;
use crate::verb::stop;

/// Redrawn at least so often: times go on while nothing is heard.
const REDRAW: std::time::Duration = std::time::Duration::from_millis(500);
/// Messages that may wait: a screen that is behind skips none of them for long.
const WAITING_MAX: usize = 16;

/// Shows a run until the operator leaves.
///
/// # Errors
/// When there is no such run or no coordinator, or the terminal can't be written to.
pub async fn show(options: WatchOptions) -> Result<ExitCode, Failure> {
    let WatchOptions { run, target, .. } = options;
    // What is wrong with the command is told before the terminal changes.
    feed::check(&target, &run).await?;
    let terminal = Restored::take().map_err(Failure::infrastructure)?;
    let left = Showing::new(terminal, target, run)?.until_left().await;
    output::line(&left?)?;
    Ok(ExitCode::SUCCESS)
}

/// A screen with all that it hears.
struct Showing {
    terminal: Restored,
    screen: Screen,
    began: Instant,
    target: Target,
    messages: mpsc::Receiver<Message>,
    tell: mpsc::Sender<Message>,
    keys: mpsc::UnboundedReceiver<std::io::Result<Event>>,
    ends: [Signal; 3],
}

impl Showing {
    fn new(terminal: Restored, target: Target, run: String) -> Result<Self, Failure> {
        let size = terminal.size().map_err(Failure::infrastructure)?;
        let (tell, messages) = mpsc::channel(WAITING_MAX);
        tokio::spawn(feed::follow(target.clone(), run, tell.clone()));
        let hear = |kind| signal(kind).map_err(Failure::infrastructure);
        Ok(Self {
            screen: Screen::new(terminal::colour(), command_options(&target), size),
            terminal,
            began: Instant::now(),
            target,
            messages,
            tell,
            keys: terminal::events(),
            ends: [
                hear(SignalKind::interrupt())?,
                hear(SignalKind::terminate())?,
                hear(SignalKind::hangup())?,
            ],
        })
    }

    /// Draws and folds until a key or a signal ends it; the words that are left behind.
    async fn until_left(mut self) -> Result<String, Failure> {
        let [interrupt, terminate, hangup] = &mut self.ends;
        loop {
            let (screen, now) = (&self.screen, self.began.elapsed());
            self.terminal
                .draw(|frame| draw(frame, screen, now))
                .map_err(Failure::infrastructure)?;
            let action = tokio::select! {
                message = self.messages.recv() => {
                    // The sender of our own lives as long as we do.
                    message.into_iter().for_each(|m| self.screen.fold(m, self.began.elapsed()));
                    None
                }
                event = self.keys.recv() => match event {
                    Some(Ok(Event::Key(key))) => self.screen.press(key),
                    Some(Ok(Event::Resize(columns, rows))) => {
                        let resized = Message::Resized(columns, rows);
                        self.screen.fold(resized, self.began.elapsed());
                        None
                    }
                    Some(Ok(_)) => None,
                    Some(Err(error)) => return Err(Failure::infrastructure(error)),
                    // A terminal without a keyboard has nobody who looks.
                    None => Some(Action::Quit),
                },
                _ = interrupt.recv() => Some(Action::Quit),
                _ = terminate.recv() => Some(Action::Quit),
                _ = hangup.recv() => Some(Action::Quit),
                () = tokio::time::sleep(REDRAW) => None,
            };
            match action {
                Some(Action::Quit) => return Ok(self.screen.parting()),
                Some(Action::Stop { run, now }) => {
                    let (target, tell) = (self.target.clone(), self.tell.clone());
                    tokio::spawn(async move {
                        let words = stop_words(&target, run, now).await;
                        let _ = tell.send(Message::Said(words)).await;
                    });
                }
                None => {}
            }
        }
    }
}

/// Asks for a stop as the verb does, with the same rights; what came of it.
async fn stop_words(target: &Target, run: String, now: bool) -> String {
    match stop::ask(target, run, now).await {
        Ok(reply) => stop::words(&reply, now),
        Err(failure) => format!("STOP WAS NOT TAKEN: {failure}"),
    }
}

/// The options by which another command reaches the same coordinator, each after a blank.
fn command_options(target: &Target) -> String {
    let mut options = String::new();
    if target.coordinator != crate::options::COORDINATOR {
        options += &format!(" --coordinator {}", target.coordinator);
    }
    if let Some(dir) = &target.tls_dir {
        options += &format!(" --tls-dir {}", answer::quoted(&dir.display().to_string()));
    }
    if target.insecure_loopback {
        options += " --insecure-loopback";
    }
    options
}
