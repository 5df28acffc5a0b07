//! The spooler: the one thread that writes what was measured to the disk. A disk may take
//! seconds over a write; nobody else waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::id::{AgentInstance, RunId};
use model::record::{Loss, Record};
use proto::convert::records_to_bytes;
use tokio::sync::Notify;

use crate::clock::AgentClock;
use crate::spool::{LossNote, Spool, SpoolError, StreamKey};
use crate::supervisor::Event;

/// Batches that wait for the disk: minutes of one node. More are lost, and counted.
const QUEUE_MAX: usize = 4096;
/// The promise of durability and the losses are looked after this often.
const TEND_INTERVAL: Duration = Duration::from_millis(100);
/// Some hundred bytes each: so many fit the smallest segment, beside its head.
const LOSSES_PER_BATCH: usize = 4;

enum Command {
    Append {
        run: RunId,
        records: Vec<Record>,
    },
    /// Answered by [`Event::Spooled`] when everything before it is written.
    Close {
        run: RunId,
    },
}

/// The supervisor's end of the spooler.
pub(crate) struct Spooler {
    queue: SyncSender<Command>,
    state: Arc<State>,
}

/// What others see of the spool without waiting for its disk.
#[derive(Debug, Default)]
struct State {
    unacked_batches: AtomicU64,
    records_lost: AtomicU64,
    /// Records that the queue had no room for, not yet told as a loss.
    untold: AtomicU64,
}

/// What the thread works on.
struct Desk {
    spool: Arc<Mutex<Spool>>,
    /// Woken when there is something to send.
    spooled: Arc<Notify>,
    instance: AgentInstance,
    clock: AgentClock,
    hear: std::sync::mpsc::Sender<Event>,
    state: Arc<State>,
    last_run: Option<RunId>,
}

impl Spooler {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) fn start(
        spool: Arc<Mutex<Spool>>,
        spooled: Arc<Notify>,
        instance: AgentInstance,
        clock: AgentClock,
        hear: std::sync::mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (queue, commands) = sync_channel(QUEUE_MAX);
        let state = Arc::new(State::default());
        let desk =
            Desk { spool, spooled, instance, clock, hear, state: state.clone(), last_run: None };
        std::thread::Builder::new().name("spooler".into()).spawn(move || desk.work(&commands))?;
        Ok(Self { queue, state })
    }

    /// Hands a batch over. Without room it is lost, and its loss is recorded.
    pub(crate) fn append(&self, run: RunId, records: Vec<Record>) {
        let count = records.len() as u64;
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Command::Append { run, records })
        {
            self.state.untold.fetch_add(count, Ordering::Relaxed);
            self.state.records_lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Asks for [`Event::Spooled`] once everything before is written.
    pub(crate) fn close(&self, run: RunId) {
        // The one command that may wait: at a run's end there is nothing else to do.
        let _ = self.queue.send(Command::Close { run });
    }

    /// Batches that wait for their acknowledgement.
    pub(crate) fn unacked_batches(&self) -> u64 {
        self.state.unacked_batches.load(Ordering::Relaxed)
    }

    /// Records given up since the agent's start.
    pub(crate) fn records_lost(&self) -> u64 {
        self.state.records_lost.load(Ordering::Relaxed)
    }
}

impl Desk {
    fn work(mut self, commands: &Receiver<Command>) {
        let mut tended = Instant::now();
        loop {
            match commands.recv_timeout(TEND_INTERVAL) {
                Ok(Command::Append { run, records }) => self.append(&run, &records),
                Ok(Command::Close { run }) => {
                    self.tend();
                    let last_seq = self.last_seq(&run);
                    let _ = self.hear.send(Event::Spooled { run: run.0, last_seq });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.tend();
                    return;
                }
            }
            if tended.elapsed() >= TEND_INTERVAL {
                self.tend();
                tended = Instant::now();
            }
        }
    }

    fn append(&mut self, run: &RunId, records: &[Record]) {
        self.last_run = Some(run.clone());
        let payload = records_to_bytes(records);
        let outcome = self.spool().append(run, records.len() as u32, &payload);
        match outcome {
            Ok(_) => {}
            Err(error @ SpoolError::NotDurable { .. }) => {
                tracing::warn!(%error, "kept, and a loss of power may take it");
            }
            Err(error) => {
                // The spool keeps the tally; it becomes a loss record once writing works.
                self.state.records_lost.fetch_add(records.len() as u64, Ordering::Relaxed);
                tracing::error!(error = &error as &dyn std::error::Error, "not recorded");
            }
        }
        self.spooled.notify_one();
    }

    /// Keeps the spool's promise of durability, and turns losses into records.
    fn tend(&mut self) {
        let mut spool = self.spool();
        if spool.next_sync().is_some_and(|due| due <= Instant::now())
            && let Err(error) = spool.sync()
        {
            tracing::warn!(%error, "a loss of power may take what was measured last");
        }
        let losses = spool.losses();
        let of_a_run = losses.chunk_by(|a, b| a.stream.run == b.stream.run);
        for notes in of_a_run.flat_map(|notes| notes.chunks(LOSSES_PER_BATCH)) {
            let ids: Vec<u64> = notes.iter().map(|note| note.id).collect();
            let records: Vec<Record> =
                notes.iter().map(|note| Record::Loss(self.loss_of(note))).collect();
            let payload = records_to_bytes(&records);
            match spool.tell_losses(&notes[0].stream.run, &ids, &payload) {
                Ok(_) | Err(SpoolError::NotDurable { .. }) => self.spooled.notify_one(),
                // A disk that still takes nothing: the notes are offered again.
                Err(_) => break,
            }
        }
        let unacked: u64 = spool.pending().iter().map(|stream| stream.batches).sum();
        drop(spool);
        self.state.unacked_batches.store(unacked, Ordering::Relaxed);
        self.tell_overflow();
    }

    fn loss_of(&self, note: &LossNote) -> Loss {
        Loss {
            time_ns: self.clock.now_ns(),
            instance: note.stream.instance.0.clone(),
            from_seq: note.from_seq,
            to_seq: note.to_seq,
            records: note.records,
            why: note.why.words().to_owned(),
        }
    }

    /// What the queue had no room for never got a seq: a loss record without a range.
    fn tell_overflow(&mut self) {
        let Some(run) = self.last_run.clone() else { return };
        let records = self.state.untold.swap(0, Ordering::Relaxed);
        if records > 0 {
            let why = "the disk was too slow for what was measured".to_owned();
            let loss = Loss {
                time_ns: self.clock.now_ns(),
                instance: String::new(),
                from_seq: 0,
                to_seq: 0,
                records,
                why,
            };
            self.append(&run, &[Record::Loss(loss)]);
        }
    }

    fn last_seq(&self, run: &RunId) -> u64 {
        let stream = StreamKey { run: run.clone(), instance: self.instance.clone() };
        self.spool().last_seq(&stream)
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
