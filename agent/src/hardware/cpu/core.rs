//! One core's thread: serves its programme, block by block. Between two blocks it looks at
//! the clock once and at one atomic; it takes no lock, allocates nothing, logs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use model::load::Kernel;

use super::super::programme::{Active, Change, Command, Programme};
use super::super::{CoreWindow, MISMATCHES_REPORTED_MAX};
use super::block::{Workbench, Wrong};
use super::clock::{SPIN_NS, now_ns, sleep_until};

/// Length of a window of counters.
const WINDOW_NS: u64 = 1_000_000_000;
/// Busy first, then asleep, within each frame. Half of the 10 ms within which the busy
/// share must follow; a hundred times the wake-up latency.
const FRAME_NS: u64 = 5_000_000;
/// Below this a sleep would overshoot: spin instead. Timer slack plus wake-up.
const NAP_NS: u64 = 100_000;

/// A command with its number and the instant at which it came.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) serial: u64,
    pub(super) at_ns: u64,
    pub(super) command: Command,
}

/// What a core says.
#[derive(Debug)]
pub(super) enum Said {
    /// This order's first block begins now.
    Started { serial: u64, intended_ns: u64, actual_ns: u64 },
    /// A window closed.
    Window { key: WindowKey, kernel: Kernel, to_ns: u64, level: f64, window: CoreWindow },
    /// A block was wrong.
    Mismatch { at_ns: u64, kernel: Kernel, core: u32, injected: bool, wrong: Wrong },
    /// Nothing is left to do; every command up to `serial` was heeded.
    Idle { core: u32, serial: u64, at_ns: u64 },
    /// The thread ended.
    Gone { core: u32 },
}

/// Windows of different cores with the same key belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WindowKey {
    pub(super) from_ns: u64,
    pub(super) serial: u64,
}

/// A core's thread. Runs on the core it is pinned to.
pub(super) struct CoreThread {
    pub(super) core: u32,
    /// Which of how many: staggers the frames, so that a half load is smooth in watts
    /// rather than all cores on and off together.
    pub(super) place: (u64, u64),
    pub(super) bench: Workbench,
    pub(super) told: Receiver<Told>,
    /// Number of the last command told; the block loop looks here, not into the channel.
    pub(super) last_told: Arc<AtomicU64>,
    pub(super) say: Sender<Said>,
    pub(super) programme: Programme,
    pub(super) heeded: u64,
    /// The last of them that an idle answers.
    pub(super) asked: u64,
    pub(super) shift: Shift,
}

/// What a core keeps while it serves an order.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// Nanoseconds of work owed; negative after a block longer than its frame's share.
    credit_ns: i64,
    frame_from_ns: u64,
    window_from_ns: u64,
    window_to_ns: u64,
    blocks: u64,
    injected: bool,
    window: CoreWindow,
}

/// The commands' sender is gone.
struct Closed;

impl Drop for CoreThread {
    /// Also where the thread panics: the others' windows must not wait for it.
    fn drop(&mut self) {
        let _ = self.say.send(Said::Gone { core: self.core });
    }
}

impl CoreThread {
    /// Serves until the commands end.
    pub(super) fn serve(mut self) {
        while self.turn().is_ok() {}
        if let Some(active) = self.programme.drop_load() {
            self.close_window(&active, now_ns());
        }
    }

    fn turn(&mut self) -> Result<(), Closed> {
        let now = now_ns();
        while let Some(change) = self.programme.advance(now) {
            match change {
                Change::Ended(active, at) => self.close_window(&active, at),
                Change::Began => self.begin(),
            }
        }
        if let Some(active) = self.programme.active().cloned() {
            self.frame(&active);
            return self.listen();
        }
        match self.programme.next_start_ns() {
            Some(start_ns) => self.wait(start_ns),
            None => self.rest(),
        }
    }

    /// Heeds the commands that came, without waiting.
    fn listen(&mut self) -> Result<(), Closed> {
        if self.heeded == self.last_told.load(Ordering::Acquire) {
            return Ok(());
        }
        loop {
            match self.told.try_recv() {
                Ok(told) => self.heed(&told),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Closed),
            }
        }
    }

    fn heed(&mut self, told: &Told) {
        self.heeded = told.serial;
        if told.command.is_answered_by_idle() {
            self.asked = told.serial;
        }
        if let Some(dropped) = self.programme.apply(told.at_ns, told.serial, &told.command) {
            self.close_window(&dropped, told.at_ns);
        }
    }

    /// Nothing to do: says so and sleeps until a command comes.
    fn rest(&mut self) -> Result<(), Closed> {
        if self.asked > 0 {
            let (core, serial) = (self.core, self.asked);
            let _ = self.say.send(Said::Idle { core, serial, at_ns: now_ns() });
        }
        let told = self.told.recv().map_err(|_| Closed)?;
        self.heed(&told);
        Ok(())
    }

    /// An order is to come: gets its memory ready, sleeps, spins the last part.
    fn wait(&mut self, start_ns: u64) -> Result<(), Closed> {
        let now = now_ns();
        if now + SPIN_NS < start_ns {
            if !self.prepare_next() {
                return self.listen();
            }
            let rest = Duration::from_nanos(start_ns - SPIN_NS - now);
            return match self.told.recv_timeout(rest) {
                Ok(told) => {
                    self.heed(&told);
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => Err(Closed),
            };
        }
        while now_ns() < start_ns && !self.is_called() {
            std::hint::spin_loop();
        }
        self.listen()
    }

    /// Whether a command waits that was not heeded yet.
    fn is_called(&self) -> bool {
        self.heeded != self.last_told.load(Ordering::Relaxed)
    }

    /// Touches one piece of the memory that the next order needs; true once all is ready.
    /// Where the kernel gives no memory the thread ends: what can't load says so by going.
    fn prepare_next(&mut self) -> bool {
        let Some(kernel) = self.programme.next().map(|order| order.kernel) else {
            return true;
        };
        self.prepare(kernel)
    }

    fn prepare(&mut self, kernel: Kernel) -> bool {
        match self.bench.prepare(kernel) {
            Ok(ready) => ready,
            Err(error) => panic!("core {}: no memory to stream through: {error}", self.core),
        }
    }

    fn begin(&mut self) {
        let Some(active) = self.programme.active() else { return };
        let (serial, intended_ns, kernel) =
            (active.serial, active.order.start_ns, active.order.kernel);
        // Ready long ago, unless the order came too late: then it starts late, and says so.
        while !self.prepare(kernel) {}
        self.shift = Shift {
            frame_from_ns: intended_ns,
            window_from_ns: intended_ns,
            window_to_ns: intended_ns + WINDOW_NS,
            window: CoreWindow { core: self.core, ..CoreWindow::default() },
            ..Shift::default()
        };
        let actual_ns = now_ns();
        // An order that came late owes nothing for the time before it came.
        if actual_ns > intended_ns + FRAME_NS {
            self.shift.frame_from_ns = actual_ns;
            let missed = (actual_ns - intended_ns) / WINDOW_NS;
            self.shift.window_from_ns += missed * WINDOW_NS;
            self.shift.window_to_ns += missed * WINDOW_NS;
        }
        let _ = self.say.send(Said::Started { serial, intended_ns, actual_ns });
    }

    /// Serves one frame of the active order: works off its share, then sleeps.
    fn frame(&mut self, active: &Active) {
        let from = self.shift.frame_from_ns;
        let Some(until) = self.programme.until_ns() else { return };
        let to = self.frame_end(active, from).min(until).max(from + 1);
        let level = active.mean_level(from, to);
        let owed = self.shift.credit_ns + (level * (to - from) as f64) as i64;
        self.shift.credit_ns = owed.min(FRAME_NS as i64);
        let mut now = now_ns();
        while now < to && (level >= 1.0 || self.shift.credit_ns > 0) {
            now = self.work(active, now);
            if self.is_called() {
                // The rest of this frame is planned anew, from here and with what is owed.
                self.shift.credit_ns -= (level * to.saturating_sub(now) as f64) as i64;
                self.shift.frame_from_ns = now.min(to);
                return;
            }
        }
        if level >= 1.0 {
            self.shift.credit_ns = 0;
        }
        self.shift.frame_from_ns = to;
        pause(now, to, to == until);
        if to >= self.shift.window_to_ns {
            self.close_window(active, to);
        }
    }

    /// Where a frame ends: on the grid of frames, at a window's end, at a square's edge.
    fn frame_end(&self, active: &Active, from: u64) -> u64 {
        let since = from.saturating_sub(active.order.start_ns);
        let stagger = FRAME_NS * self.place.0 / self.place.1.max(1);
        let grid = FRAME_NS - (since + stagger) % FRAME_NS;
        let edge = active.edge_after(from, FRAME_NS).map_or(FRAME_NS, |at| at - from);
        (from + grid.min(edge)).min(self.shift.window_to_ns.max(from + 1))
    }

    /// Runs one block and counts it. Time flows from `from` to what is returned.
    fn work(&mut self, active: &Active, from: u64) -> u64 {
        let order = &active.order;
        // A piece of the next order's memory is touched beside the load, not in its place.
        self.prepare_next();
        let flip = order.inject.is_some_and(|injection| {
            let once = !self.shift.injected && self.shift.blocks >= injection.after_blocks;
            injection.core == self.core && (injection.always || once)
        });
        self.shift.injected |= flip;
        let done = self.bench.run(order.kernel, flip);
        let now = now_ns();
        let busy = now.saturating_sub(from);
        self.shift.blocks += 1;
        self.shift.credit_ns -= busy as i64;
        let window = &mut self.shift.window;
        window.busy_ns += busy;
        window.blocks += 1;
        window.verified += 1;
        window.flops += done.flops;
        window.bytes += done.bytes;
        if let Some(wrong) = done.wrong {
            self.mismatch(order.kernel, now, flip, wrong);
        }
        now
    }

    #[cold]
    fn mismatch(&mut self, kernel: Kernel, at_ns: u64, injected: bool, wrong: Wrong) {
        let window = &mut self.shift.window;
        window.mismatches += 1;
        window.injected += u64::from(injected);
        if window.mismatches <= u64::from(MISMATCHES_REPORTED_MAX) {
            let core = self.core;
            let _ = self.say.send(Said::Mismatch { at_ns, kernel, core, injected, wrong });
        }
    }

    /// Hands the counters in and opens the next window.
    fn close_window(&mut self, active: &Active, to_ns: u64) {
        let shift = &mut self.shift;
        let from_ns = shift.window_from_ns;
        let next = CoreWindow { core: self.core, ..CoreWindow::default() };
        let window = std::mem::replace(&mut shift.window, next);
        shift.window_from_ns = to_ns;
        shift.window_to_ns = to_ns + WINDOW_NS;
        if to_ns <= from_ns && window.blocks == 0 {
            return;
        }
        let level = active.mean_level(from_ns, to_ns);
        let key = WindowKey { from_ns, serial: active.serial };
        let _ =
            self.say.send(Said::Window { key, kernel: active.order.kernel, to_ns, level, window });
    }
}

/// Lets the time until `to` pass: asleep, and awake for the last part where the next order
/// starts there.
fn pause(now: u64, to: u64, exact: bool) {
    let early = if exact { SPIN_NS } else { 0 };
    if now + early + NAP_NS < to {
        sleep_until(to - early);
    }
    while now_ns() < to {
        std::hint::spin_loop();
    }
}
