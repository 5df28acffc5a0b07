//! What a key does: a change of the screen, or something to be done outside of it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::draw;
use super::state::{Mode, Pane, Screen};

/// Characters of a filter, or of a stop that is being typed.
const TYPED_MAX: usize = 40;
/// Lines of a page.
const PAGE: isize = 10;

/// What is to be done outside of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Leave; the run goes on.
    Quit,
    /// Ask the coordinator for a stop, as `loadbank stop` does.
    Stop { run: String, now: bool },
}

impl Screen {
    /// Takes a key in.
    pub fn press(&mut self, key: KeyEvent) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // A terminal in raw mode makes no signal of it.
            return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Action::Quit);
        }
        match self.mode.clone() {
            Mode::Look => self.press_looking(key.code),
            Mode::Help => {
                self.mode = Mode::Look;
                (key.code == KeyCode::Char('q')).then_some(Action::Quit)
            }
            Mode::Filter => {
                self.press_filtering(key.code);
                None
            }
            Mode::Stop { typed } => self.press_stopping(key.code, typed),
        }
    }

    fn press_looking(&mut self, code: KeyCode) -> Option<Action> {
        match code {
            KeyCode::Char('q') => return Some(Action::Quit),
            // What can't be seen can't be answered.
            KeyCode::Char(_) if !draw::fits(self.size) => {}
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => {
                self.pane = Pane::Nodes;
                self.mode = Mode::Filter;
            }
            KeyCode::Char('s') if self.stoppable().is_some() => {
                self.mode = Mode::Stop { typed: String::new() };
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(Pane::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::PageDown => self.scroll(PAGE),
            KeyCode::PageUp => self.scroll(-PAGE),
            KeyCode::Home => self.scroll(isize::MIN),
            KeyCode::End => self.scroll(isize::MAX),
            _ => {}
        }
        None
    }

    fn turn(&mut self, by: usize) {
        self.pane = Pane::ALL[(self.pane as usize + by) % Pane::ALL.len()];
    }

    fn scroll(&mut self, by: isize) {
        let last = self.lines(self.pane).saturating_sub(1);
        let top = &mut self.tops[self.pane as usize];
        *top = top.saturating_add_signed(by).min(last);
    }

    fn press_filtering(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.mode = Mode::Look,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Look;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(typed) if self.filter.chars().count() < TYPED_MAX => {
                self.filter.push(typed);
            }
            _ => {}
        }
        self.tops[Pane::Nodes as usize] = 0;
    }

    /// Only whole words stop: a cat on the keyboard does not.
    fn press_stopping(&mut self, code: KeyCode, mut typed: String) -> Option<Action> {
        match code {
            KeyCode::Esc => {
                self.mode = Mode::Look;
                return None;
            }
            KeyCode::Enter => {
                let now = match typed.trim() {
                    "stop" => false,
                    "stop now" => true,
                    _ => return None,
                };
                self.mode = Mode::Look;
                let run = self.stoppable()?.run_id.clone();
                return Some(Action::Stop { run, now });
            }
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Char(letter) if typed.chars().count() < TYPED_MAX => typed.push(letter),
            _ => {}
        }
        self.mode = Mode::Stop { typed };
        None
    }
}
