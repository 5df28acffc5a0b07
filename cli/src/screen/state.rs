//! What the terminal shows, as one value: messages fold into it with `now` as an argument, and
//! drawing only reads it.

use std::time::Duration;

use proto::v1;

use super::answer::is_over;
use super::course::Course;
use super::domain::DomainRow;
use super::draw;
use super::node::NodeRow;

/// Statuses come twice a second; without one for so long the picture is not of now.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// What the coordinator answered to a stop stays for this long.
const SAID_STAYS: Duration = Duration::from_secs(20);

/// Something that happened while the screen was open.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Status(Box<v1::RunStatus>),
    /// The coordinator is there and has no run yet.
    NoRun,
    /// It can't be reached, and why.
    Lost(String),
    /// What came of a stop that was asked for here.
    Said(String),
    /// Columns and rows of the terminal.
    Resized(u16, u16),
}

/// Whether the coordinator is heard.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Link {
    /// Nothing came yet.
    New,
    Live,
    /// There is no run to show.
    NoRun,
    Lost {
        since: Duration,
        why: String,
    },
}

/// The lists, in the order of the tab key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Domains,
    Nodes,
    Notices,
}

impl Pane {
    pub(super) const ALL: [Self; 3] = [Self::Domains, Self::Nodes, Self::Notices];
}

/// What keys mean now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Look,
    Help,
    /// The filter of the nodes is being typed.
    Filter,
    /// A stop is being typed.
    Stop {
        typed: String,
    },
}

/// The whole screen.
#[derive(Debug, Clone)]
pub struct Screen {
    /// Whether colours may be used: `NO_COLOR` says no.
    pub(super) colour: bool,
    /// How commands that answer reach this coordinator: the options of this command.
    pub(super) options: String,
    /// The last status that came, however old.
    pub(super) status: Option<v1::RunStatus>,
    /// When it came.
    heard: Duration,
    pub(super) link: Link,
    pub(super) course: Course,
    pub(super) pane: Pane,
    /// Of each pane, the line at its top.
    pub(super) tops: [usize; 3],
    pub(super) filter: String,
    pub(super) mode: Mode,
    said: Option<(Duration, String)>,
    pub(super) size: (u16, u16),
}

impl Screen {
    /// An empty screen. `options`: what a command needs to reach the same coordinator, with a
    /// leading blank; `size`: columns and rows.
    #[must_use]
    pub fn new(colour: bool, options: String, size: (u16, u16)) -> Self {
        Self {
            colour,
            options,
            status: None,
            heard: Duration::ZERO,
            link: Link::New,
            course: Course::default(),
            pane: Pane::Nodes,
            tops: [0; 3],
            filter: String::new(),
            mode: Mode::Look,
            said: None,
            size,
        }
    }

    /// Takes a message in. `now` counts from the opening of the screen.
    pub fn fold(&mut self, message: Message, now: Duration) {
        match message {
            Message::Status(status) => self.take(*status, now),
            Message::NoRun => {
                self.link = Link::NoRun;
                self.heard = now;
            }
            Message::Lost(why) => {
                let since = match &self.link {
                    Link::Lost { since, .. } => *since,
                    // The picture is as old as its status, not as the failure.
                    _ if self.status.is_some() => self.heard,
                    _ => now,
                };
                self.link = Link::Lost { since, why };
            }
            Message::Said(words) => self.said = Some((now, words)),
            Message::Resized(columns, rows) => {
                self.size = (columns, rows);
                // A question that can't be seen is not answered by accident.
                if !draw::fits(self.size) {
                    self.mode = Mode::Look;
                }
            }
        }
    }

    fn take(&mut self, status: v1::RunStatus, now: Duration) {
        let other = self.status.as_ref().is_none_or(|known| known.run_id != status.run_id);
        if other {
            // Nothing of an earlier run may stand beside this one, nor may a stop meant for it.
            self.course = Course::default();
            self.tops = [0; 3];
            if matches!(self.mode, Mode::Stop { .. }) {
                self.mode = Mode::Look;
            }
        }
        if !status.ended {
            self.course.add(now, &status);
        }
        self.status = Some(status);
        self.heard = now;
        self.link = Link::Live;
    }

    /// How old the picture is, where it is not of now.
    pub(super) fn stale(&self, now: Duration) -> Option<Duration> {
        let age = now.saturating_sub(self.heard);
        let waits = self.status.as_ref().is_some_and(|status| !status.ended);
        match &self.link {
            Link::Lost { since, .. } => Some(now.saturating_sub(*since)),
            // An ended run says nothing more, and that is no silence.
            Link::Live if waits && age > STALE_AFTER => Some(age),
            _ => None,
        }
    }

    /// What came of a stop, for a while.
    pub(super) fn said(&self, now: Duration) -> Option<&str> {
        let (at, words) = self.said.as_ref()?;
        (now.saturating_sub(*at) < SAID_STAYS).then_some(words.as_str())
    }

    /// The run that a stop would end.
    pub(super) fn stoppable(&self) -> Option<&v1::RunStatus> {
        self.status.as_ref().filter(|status| !is_over(status))
    }

    /// What is said when the view is left: that the run goes on, where it does.
    #[must_use]
    pub fn parting(&self) -> String {
        let options = &self.options;
        match &self.status {
            None => "no run was seen".to_owned(),
            Some(status) if status.ended => {
                format!("run {} {} {}", status.run_id, status.state, status.message)
            }
            Some(status) => format!(
                "run {run} goes on ({state}): `loadbank watch{options}` shows it, \
                 `loadbank stop{options}` ends it",
                run = status.run_id,
                state = status.state,
            ),
        }
    }

    /// Domains, the worst first.
    pub(super) fn domains(&self) -> Vec<DomainRow<'_>> {
        let mut rows: Vec<DomainRow<'_>> =
            self.status.iter().flat_map(|status| &status.domains).map(DomainRow::of).collect();
        rows.sort_by(DomainRow::worst_first);
        rows
    }

    /// Every node, the worst first.
    pub(super) fn nodes(&self) -> Vec<NodeRow<'_>> {
        let mut rows: Vec<NodeRow<'_>> =
            self.status.iter().flat_map(|status| &status.nodes).map(NodeRow::of).collect();
        rows.sort_by(NodeRow::worst_first);
        rows
    }

    /// Nodes that the filter lets through.
    pub(super) fn filtered<'a>(&self, mut nodes: Vec<NodeRow<'a>>) -> Vec<NodeRow<'a>> {
        nodes.retain(|row| row.matches(&self.filter));
        nodes
    }

    /// Lines of a pane.
    pub(super) fn lines(&self, pane: Pane) -> usize {
        match pane {
            Pane::Domains => self.status.as_ref().map_or(0, |status| status.domains.len()),
            Pane::Nodes => self.filtered(self.nodes()).len(),
            Pane::Notices => self.status.as_ref().map_or(0, |status| status.notices.len()),
        }
    }

    /// The first line that a pane shows: never beyond its last page, however it shrank.
    pub(super) fn top(&self, pane: Pane, lines: usize, rows: usize) -> usize {
        self.tops[pane as usize].min(lines.saturating_sub(rows))
    }
}
