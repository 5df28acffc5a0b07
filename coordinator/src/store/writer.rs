//! The one writer: a thread that commits in groups and says so after the commit.
//!
//! The catalogue is written here as well: a disk may take seconds over a write, and a hall
//! that waited for it under its mutex would let every lease run out. One thread keeps the
//! order too: a run's line never says more than the journal that lies in its file.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::run_file::{RunFile, StoredBatch};
use super::{Catalogue, JournalEntry, Notices, RunRow, StoreError as FileError};

/// One transaction takes at most this many commands, so that an ack is never late by much.
const GROUP_MAX: usize = 1024;
/// Commits follow each other at this distance at least: what comes meanwhile shares one sync of
/// the disk. Whoever comes after a pause is committed at once.
const GROUP_DISTANCE: Duration = Duration::from_millis(25);

/// Why something was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    File(String),
    #[error("the store is closed")]
    Closed,
}

/// Answer to a write: sent after the commit.
pub type Durable = Result<(), StoreError>;

type Change = dyn FnOnce(&Catalogue) -> Result<(), FileError> + Send;

enum Command {
    Batch {
        run: String,
        stored: StoredBatch,
        done: oneshot::Sender<Durable>,
    },
    Journal {
        run: String,
        time_ns: i64,
        entry: JournalEntry,
        done: Option<oneshot::Sender<Durable>>,
    },
    /// A run's line in the catalogue, behind all that was sent before.
    Row {
        row: RunRow,
        done: oneshot::Sender<Durable>,
    },
    /// Watts of a run's nodes, for budgets of later runs.
    Peaks {
        run: String,
        peaks: Vec<(String, f64)>,
    },
    /// Another change of the catalogue, and what it is about.
    Change {
        what: &'static str,
        change: Box<Change>,
    },
    /// Closes the run's file, so that it is whole without a journal beside it.
    Close {
        run: String,
        done: oneshot::Sender<Durable>,
    },
    /// Answered when everything before it is committed.
    Flush {
        done: oneshot::Sender<Durable>,
    },
}

/// Handle of the writer thread. Cloning shares it; the thread ends with the last handle.
#[derive(Clone)]
pub struct Writer {
    /// Bounded by what the senders have in flight: `session::IN_FLIGHT_MAX` a stream.
    queue: Sender<Command>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// What of it a person should know.
    pub(crate) notices: Notices,
}

impl Writer {
    /// Starts the writer. `folder_of` tells where a run's file lies.
    #[must_use]
    pub fn start(
        catalogue: Catalogue,
        folder_of: impl Fn(&str) -> PathBuf + Send + 'static,
    ) -> Self {
        let (queue, commands) = channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write_loop(&commands, &catalogue, &folder_of))
            .ok();
        Self { queue, thread: Arc::new(Mutex::new(thread)), notices: Notices::default() }
    }

    /// Stores a batch; the receiver hears after the commit.
    #[must_use]
    pub fn batch(&self, run: &str, stored: StoredBatch) -> oneshot::Receiver<Durable> {
        let (done, durable) = oneshot::channel();
        self.send(Command::Batch { run: run.to_owned(), stored, done });
        durable
    }

    /// Writes a journal entry, in order with everything else.
    pub fn journal(&self, run: &str, time_ns: i64, entry: JournalEntry) {
        self.notices.journalled(run, time_ns, &entry);
        self.send(Command::Journal { run: run.to_owned(), time_ns, entry, done: None });
    }

    /// Writes a journal entry; the receiver hears after the commit.
    #[must_use]
    pub fn journal_durable(
        &self,
        run: &str,
        time_ns: i64,
        entry: JournalEntry,
    ) -> oneshot::Receiver<Durable> {
        let (done, durable) = oneshot::channel();
        let done = Some(done);
        self.notices.journalled(run, time_ns, &entry);
        self.send(Command::Journal { run: run.to_owned(), time_ns, entry, done });
        durable
    }

    /// Writes a run's line into the catalogue. The receiver hears after the commit; whoever
    /// does not wait may drop it. A line that the disk refuses is tried again later.
    pub fn row(&self, row: RunRow) -> oneshot::Receiver<Durable> {
        let (done, durable) = oneshot::channel();
        self.send(Command::Row { row, done });
        durable
    }

    /// Keeps what a run's nodes were measured with.
    pub fn peaks(&self, run: &str, peaks: Vec<(String, f64)>) {
        self.send(Command::Peaks { run: run.to_owned(), peaks });
    }

    /// Changes the catalogue behind all that was sent before. What the disk refuses is told.
    pub(crate) fn change(
        &self,
        what: &'static str,
        change: impl FnOnce(&Catalogue) -> Result<(), FileError> + Send + 'static,
    ) {
        self.send(Command::Change { what, change: Box::new(change) });
    }

    /// The receiver hears when everything sent before is committed.
    #[must_use]
    pub fn flush(&self) -> oneshot::Receiver<Durable> {
        let (done, durable) = oneshot::channel();
        self.send(Command::Flush { done });
        durable
    }

    /// Closes a run's file once everything sent before is in it; a later batch opens it anew.
    #[must_use]
    pub fn close_file(&self, run: &str) -> oneshot::Receiver<Durable> {
        let (done, durable) = oneshot::channel();
        self.send(Command::Close { run: run.to_owned(), done });
        durable
    }

    /// Ends the thread once it has committed everything; for the last handle.
    pub fn close(self) {
        let Self { queue, thread, .. } = self;
        drop(queue);
        if let Some(thread) = thread.lock().ok().and_then(|mut thread| thread.take()) {
            let _ = thread.join();
        }
    }

    fn send(&self, command: Command) {
        // A writer that is gone drops the command, and with it the sender of the answer:
        // the caller hears "closed" and acknowledges nothing.
        let _ = self.queue.send(command);
    }
}

fn write_loop(
    commands: &Receiver<Command>,
    catalogue: &Catalogue,
    folder_of: &dyn Fn(&str) -> PathBuf,
) {
    let mut files: HashMap<String, RunFile> = HashMap::new();
    let mut lines = Lines { catalogue, owed: BTreeMap::new() };
    let mut committed: Option<Instant> = None;
    while let Ok(first) = commands.recv() {
        if let Some(since) = committed.map(|at| at.elapsed()) {
            std::thread::sleep(GROUP_DISTANCE.saturating_sub(since));
        }
        let mut group = vec![first];
        group.extend(commands.try_iter().take(GROUP_MAX - 1));
        commit_group(group, &mut files, &mut lines, folder_of);
        committed = Some(Instant::now());
    }
}

/// The catalogue's lines that are to be written, one a run: the latest.
struct Lines<'a> {
    catalogue: &'a Catalogue,
    owed: BTreeMap<String, RunRow>,
}

impl Lines<'_> {
    fn write(&mut self, waiting: Vec<(String, oneshot::Sender<Durable>)>) {
        let mut refused: BTreeMap<String, String> = BTreeMap::new();
        self.owed.retain(|run, row| match self.catalogue.put(row) {
            Ok(()) => false,
            Err(error) => {
                tracing::error!(%run, %error, "catalogue not written");
                refused.insert(run.clone(), error.to_string());
                true
            }
        });
        for (run, done) in waiting {
            let outcome =
                refused.get(&run).map_or(Ok(()), |why| Err(StoreError::File(why.clone())));
            let _ = done.send(outcome);
        }
    }
}

#[derive(Default)]
struct Share {
    batches: Vec<StoredBatch>,
    journal: Vec<(i64, JournalEntry)>,
    waiting: Vec<oneshot::Sender<Durable>>,
}

fn commit_group(
    group: Vec<Command>,
    files: &mut HashMap<String, RunFile>,
    lines: &mut Lines<'_>,
    folder_of: &dyn Fn(&str) -> PathBuf,
) {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    let (mut flushes, mut closes, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for command in group {
        match command {
            Command::Batch { run, stored, done } => {
                let share = shares.entry(run).or_default();
                share.batches.push(stored);
                share.waiting.push(done);
            }
            Command::Journal { run, time_ns, entry, done } => {
                let share = shares.entry(run).or_default();
                share.journal.push((time_ns, entry));
                share.waiting.extend(done);
            }
            Command::Row { row, done } => {
                rows.push((row.run.clone(), done));
                lines.owed.insert(row.run.clone(), row);
            }
            Command::Peaks { run, peaks } => {
                if let Err(error) = lines.catalogue.keep_peaks(&run, &peaks) {
                    tracing::error!(%run, %error, "measured watts not kept");
                }
            }
            Command::Change { what, change } => {
                if let Err(error) = change(lines.catalogue) {
                    tracing::error!(%error, "{what} not kept for a restart");
                }
            }
            Command::Flush { done } => flushes.push(done),
            Command::Close { run, done } => {
                closes.push(run);
                flushes.push(done);
            }
        }
    }
    for (run, share) in shares {
        let outcome = commit_share(&run, &share, files, folder_of);
        if let Err(error) = &outcome {
            tracing::error!(%run, %error, "not stored");
        }
        for done in share.waiting {
            let _ = done.send(outcome.clone());
        }
    }
    lines.write(rows);
    for run in closes {
        files.remove(&run);
    }
    for done in flushes {
        let _ = done.send(Ok(()));
    }
}

fn commit_share(
    run: &str,
    share: &Share,
    files: &mut HashMap<String, RunFile>,
    folder_of: &dyn Fn(&str) -> PathBuf,
) -> Durable {
    let words = |error: FileError| StoreError::File(error.to_string());
    if !files.contains_key(run) {
        files.insert(run.to_owned(), RunFile::create(&folder_of(run)).map_err(words)?);
    }
    let file = files.get_mut(run).ok_or(StoreError::Closed)?;
    let outcome = file.commit(&share.batches, &share.journal).map_err(words);
    if outcome.is_err() {
        // Open it anew next time: a disk may have room again.
        files.remove(run);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1;

    #[test]
    fn an_answer_comes_after_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let writer = Writer::start(Catalogue::open(&root).unwrap(), move |run| root.join(run));
        let batch =
            v1::Batch { node: "n".into(), instance: "i".into(), seq: 1, ..Default::default() };
        let durable = writer.batch("r", StoredBatch { batch, received_ns: 1 });
        durable.blocking_recv().unwrap().unwrap();
        let file = RunFile::open(&folder.path().join("r")).unwrap();
        assert_eq!(file.counts().unwrap(), [("n".into(), "i".into(), 1, 1)]);
        writer.close();
    }

    #[test]
    fn what_can_not_be_stored_is_not_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(folder.path()).unwrap();
        let writer = Writer::start(catalogue, |_| PathBuf::from("/proc/no/such/place"));
        let durable = writer.journal_durable("r", 1, JournalEntry::Suspended { phase: 0 });
        assert!(durable.blocking_recv().unwrap().is_err());
    }

    fn row(run: &str, state: &str) -> RunRow {
        RunRow {
            run: run.to_owned(),
            plan: "p".to_owned(),
            site: String::new(),
            state: state.to_owned(),
            verdict: String::new(),
            started_ns: 1,
            ended_ns: 0,
            folder: String::new(),
        }
    }

    #[test]
    fn a_line_is_in_the_catalogue_when_its_answer_comes_and_the_latest_wins() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let writer = Writer::start(Catalogue::open(&root).unwrap(), move |run| root.join(run));
        let _unheard = writer.row(row("r", "running"));
        let other = writer.row(row("q", "running"));
        writer.journal("r", 2, JournalEntry::Suspended { phase: 0 });
        writer.row(row("r", "finished")).blocking_recv().unwrap().unwrap();
        other.blocking_recv().unwrap().unwrap();
        let read = Catalogue::open(folder.path()).unwrap().runs().unwrap();
        assert_eq!(read, [row("q", "running"), row("r", "finished")]);
        let file = RunFile::open(&folder.path().join("r")).unwrap();
        assert_eq!(file.journal().unwrap().len(), 1, "the journal is there before the line");
        writer.close();
    }

    #[test]
    fn a_line_that_the_disk_refused_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(folder.path()).unwrap();
        let blocker = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).unwrap();
        let root = folder.path().to_owned();
        let writer = Writer::start(catalogue, move |run| root.join(run));
        blocker.execute_batch("ALTER TABLE runs RENAME TO away").unwrap();
        assert!(writer.row(row("r", "finished")).blocking_recv().unwrap().is_err());
        blocker.execute_batch("ALTER TABLE away RENAME TO runs").unwrap();
        writer.flush().blocking_recv().unwrap().unwrap();
        let read = Catalogue::open(folder.path()).unwrap().runs().unwrap();
        assert_eq!(read, [row("r", "finished")]);
        writer.close();
    }
}
