//! The loop of a GPU's worker: launches kept ahead of the GPU, counted when they are back.
//!
//! One thread; nothing in it waits for the GPU. Each turn looks what is back, what time has
//! brought, sends what is due, and then waits for a command or the next instant.

mod copying;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use model::load::Kernel;

use super::super::programme::{Change, Command, Programme};
use super::super::{LoadCommand, LoadReport};
use super::Failure;
use super::checksum;
use super::copies::Copies;
use super::flight::{Flight, Landed};
use super::pace::Move;
use super::prepared::{MIX_SHARE, Prepared, Purpose};
use super::rig::{Rig, SEED};
use super::shift::Shift;
use super::timeline::Timeline;
use super::watchdog::Watchdog;
use crate::clock::monotonic_ns;

/// A turn of the loop takes microseconds; a driver call that takes this long hangs.
const TURN_TIME: Duration = Duration::from_secs(4);
/// Looks at launches in flight: a tenth of a launch.
const LOOK_NS: u64 = 150_000;
/// Longest wait for a command while nothing is in flight.
const IDLE_NS: u64 = 100_000_000;
/// A sleeper wakes late: what comes on time spins for the last part.
const SPIN_NS: u64 = 200_000;

/// Serves orders until the commands end or the GPU fails.
pub(super) fn run(
    rig: Rig,
    commands: &Receiver<LoadCommand>,
    reports: &Sender<LoadReport>,
    dog: &Watchdog,
) -> Result<(), Failure> {
    let mut floor = Floor::new(rig);
    for note in std::mem::take(&mut floor.rig.notes) {
        tracing::warn!("{note}");
        let _ = reports.send(LoadReport::Note { at_ns: monotonic_ns(), text: note });
    }
    loop {
        dog.expect("a driver call of the load", TURN_TIME);
        let wake_ns = floor.turn()?;
        for report in floor.out.drain(..) {
            if reports.send(report).is_err() {
                return Ok(());
            }
        }
        dog.rest();
        if !floor.listen(commands, wake_ns) {
            dog.expect("the last launches", TURN_TIME);
            return floor.drain();
        }
    }
}

struct Floor {
    rig: Rig,
    programme: Programme,
    kernels: BTreeMap<Kernel, Prepared>,
    /// In the order of the compute stream.
    flights: VecDeque<(Kernel, Flight)>,
    /// Rounds of copies have lanes of their own.
    copies: Option<Copies>,
    /// The order that is served, and before it those whose last launches are not back.
    shifts: VecDeque<Shift>,
    timeline: Timeline,
    /// When the GPU is expected to be done with all that is in flight.
    queue_end_ns: u64,
    /// When the launch before the first in flight was back.
    last_landed_ns: u64,
    /// The stop word is up until nothing is in flight.
    stopping: bool,
    /// Tensor work of `mix`, per mille, as it was asked for.
    mix_share: u32,
    serial: u64,
    idle_said: bool,
    anchor_due: bool,
    out: Vec<LoadReport>,
}

impl Floor {
    fn new(rig: Rig) -> Self {
        Self {
            rig,
            programme: Programme::new(),
            kernels: BTreeMap::new(),
            flights: VecDeque::new(),
            copies: None,
            shifts: VecDeque::new(),
            timeline: Timeline::default(),
            queue_end_ns: 0,
            last_landed_ns: 0,
            stopping: false,
            mix_share: MIX_SHARE,
            serial: 0,
            idle_said: true,
            anchor_due: false,
            out: Vec::new(),
        }
    }

    /// One turn; when to look again.
    fn turn(&mut self) -> Result<u64, Failure> {
        self.harvest()?;
        self.harvest_copies()?;
        let now_ns = monotonic_ns();
        self.pass_time(now_ns);
        self.close_shifts();
        if self.stopping {
            if self.flights.is_empty() && self.copies_idle() {
                self.rig.stop.write_u32(0, 0);
                self.stopping = false;
                self.kernels.values_mut().for_each(Prepared::cut);
            }
            return Ok(now_ns + LOOK_NS);
        }
        self.prepare()?;
        let wake_ns = self.load(now_ns)?;
        self.say_idle(now_ns);
        let quiet = self.flights.is_empty() && self.copies_idle();
        Ok(if quiet { wake_ns } else { wake_ns.min(now_ns + LOOK_NS) })
    }

    /// Takes in every launch that is back.
    fn harvest(&mut self) -> Result<(), Failure> {
        while let Some((word, flight)) = self.flights.front() {
            let word = *word;
            let Some(kernel) = self.kernels.get_mut(&word) else { return Ok(()) };
            if !flight.is_back(&self.rig, kernel, self.last_landed_ns)? {
                return Ok(());
            }
            let Some((_, flight)) = self.flights.pop_front() else { return Ok(()) };
            let landed = flight.land(kernel);
            self.last_landed_ns = landed.seen_ns;
            if let Some(span) = landed.outcome.span {
                self.timeline.learn(landed.flight.submitted_ns, landed.seen_ns, span);
            }
            self.account(word, &landed)?;
            self.expect_end(&landed);
        }
        Ok(())
    }

    /// When the GPU will be done, from the last stamp and what is still in flight.
    fn expect_end(&mut self, landed: &Landed) {
        let stamp = landed.outcome.span.and_then(|(_, end)| self.timeline.monotonic(end));
        let ahead: u64 = self.flights.iter().map(|(_, flight)| flight.expected_ns).sum();
        self.queue_end_ns = stamp.unwrap_or(landed.seen_ns) + ahead;
    }

    fn account(&mut self, word: Kernel, landed: &Landed) -> Result<(), Failure> {
        let Some(kernel) = self.kernels.get_mut(&word) else { return Ok(()) };
        let shift = self.shifts.iter_mut().find(|s| s.active.serial == landed.flight.serial);
        match (landed.flight.purpose, shift) {
            (Purpose::Load, Some(shift)) => {
                if !self.stopping && landed.outcome.tiles_done() == 0 {
                    let text = format!("kernel {} left no result", word.word());
                    return Err(Failure { code: 0, text, refused: false });
                }
                if let Some((begin, end)) = landed.outcome.span.filter(|_| !self.stopping) {
                    kernel.took(end - begin);
                }
                say_started(shift, landed, &self.timeline, &mut self.out);
                shift.count(landed, kernel, &self.timeline, &mut self.out);
                if !std::mem::replace(&mut shift.checksum_said, true) {
                    self.out.extend(checksum_of(&self.rig, kernel, landed.seen_ns));
                }
            }
            (Purpose::Anchor, Some(shift)) => {
                let misses = kernel.anchor_misses(&landed.outcome);
                shift.count_anchor(landed, kernel, &misses, &mut self.out);
            }
            (purpose, _) if landed.flight.serial == 0 && !self.stopping => {
                self.account_preparation(word, purpose, landed)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A launch of the preparation: what is wrong with it is wrong with the GPU all the same.
    fn account_preparation(
        &mut self,
        word: Kernel,
        purpose: Purpose,
        landed: &Landed,
    ) -> Result<(), Failure> {
        let Some(kernel) = self.kernels.get_mut(&word) else { return Ok(()) };
        let at_ns = landed.seen_ns;
        let injected = |tile| landed.flight.injected == Some(tile);
        if purpose == Purpose::Anchor {
            for miss in kernel.anchor_misses(&landed.outcome) {
                let detail = format!(
                    "tile {}: hash {:#018x}, the CPU computed {:#018x} in advance",
                    miss.tile, miss.got, miss.expected
                );
                let (core, injected) = (miss.tile, injected(miss.tile));
                self.out.push(LoadReport::Mismatch { at_ns, kernel: word, core, injected, detail });
            }
        }
        for flaw in landed.outcome.flaws.iter().take(4) {
            let (core, injected) = (flaw.tile, injected(flaw.tile));
            let detail = super::shift::describe(flaw, kernel.tiles);
            self.out.push(LoadReport::Mismatch { at_ns, kernel: word, core, injected, detail });
        }
        kernel.learn(&mut self.rig, purpose, &landed.outcome)
    }

    fn pass_time(&mut self, now_ns: u64) {
        while let Some(change) = self.programme.advance(now_ns) {
            match change {
                Change::Ended(active, at_ns) => self.end_shift(active.serial, at_ns),
                Change::Began => {
                    let Some(active) = self.programme.active().cloned() else { continue };
                    let mut shift = Shift::new(active, now_ns);
                    if shift.active.level_at(now_ns) <= 0.0 {
                        shift.started = true;
                        let intended_ns = shift.active.order.start_ns;
                        self.out.push(LoadReport::Started { intended_ns, actual_ns: now_ns });
                    }
                    self.shifts.push_back(shift);
                    self.anchor_due = true;
                }
            }
        }
        for shift in &mut self.shifts {
            self.anchor_due |= shift.close_if_due(now_ns, &mut self.out);
        }
    }

    fn end_shift(&mut self, serial: u64, at_ns: u64) {
        if let Some(shift) = self.shifts.iter_mut().find(|shift| shift.active.serial == serial) {
            shift.ended_ns = Some(at_ns);
        }
    }

    /// Orders that ended and have no launch in flight hand their last window in.
    fn close_shifts(&mut self) {
        let shifts = std::mem::take(&mut self.shifts);
        let flying = |serial| {
            self.flights.iter().any(|(_, flight)| flight.serial == serial)
                || self.copies_fly_for(serial)
        };
        let (done, rest): (VecDeque<_>, VecDeque<_>) = shifts
            .into_iter()
            .partition(|shift| shift.ended_ns.is_some() && !flying(shift.active.serial));
        self.shifts = rest;
        for mut shift in done {
            shift.close_last(&mut self.out);
        }
    }

    /// Sends the next launch of a preparation, one at a time, for the order that is served
    /// and the one that comes next.
    fn prepare(&mut self) -> Result<(), Failure> {
        let active =
            self.programme.active().map(|active| (active.order.kernel, active.order.inject));
        let next = self.programme.next().map(|order| (order.kernel, order.inject));
        self.prepare_copies()?;
        let kernels = [active, next].into_iter().flatten();
        for (word, inject) in kernels.filter(|(word, _)| *word != Kernel::Copy) {
            if !self.kernels.contains_key(&word) {
                let kernel = Prepared::new(&mut self.rig, word, self.mix_share)?;
                let (entry, image) = (kernel.shape.entry, kernel.image);
                let text = format!(
                    "kernel {} is {entry} of image {} ({})",
                    word.word(),
                    image.name,
                    image.target
                );
                self.out.push(LoadReport::Note { at_ns: monotonic_ns(), text });
                self.kernels.insert(word, kernel);
            }
            let Some(kernel) = self.kernels.get_mut(&word) else { continue };
            if kernel.is_ready() && kernel.has_other_share(self.mix_share) {
                if self.flights.iter().any(|(flying, _)| *flying == word) {
                    return Ok(());
                }
                kernel.set_share(self.mix_share);
            }
            if kernel.is_ready() {
                continue;
            }
            if self.flights.iter().any(|(_, flight)| flight.serial == 0) {
                return Ok(());
            }
            if let Some(purpose) = kernel.wants(&self.rig) {
                // Consistent corruption: the first results are wrong as well.
                let tile = inject.filter(|i| i.always).map(|i| i.core);
                self.send(word, purpose, 0, tile)?;
            }
            return Ok(());
        }
        Ok(())
    }

    fn send(
        &mut self,
        word: Kernel,
        purpose: Purpose,
        serial: u64,
        inject: Option<u32>,
    ) -> Result<bool, Failure> {
        let Some(kernel) = self.kernels.get_mut(&word) else { return Ok(false) };
        let Some(flight) = Flight::submit(&self.rig, kernel, purpose, serial, inject)? else {
            return Ok(false);
        };
        self.queue_end_ns = self.queue_end_ns.max(flight.submitted_ns) + flight.expected_ns;
        self.flights.push_back((word, flight));
        Ok(true)
    }

    /// Sends what the waveform asks for; when to look again.
    fn load(&mut self, now_ns: u64) -> Result<u64, Failure> {
        let idle_ns = now_ns + IDLE_NS;
        let next_ns = self.programme.next_start_ns();
        let soon = next_ns.map_or(idle_ns, |start| start.min(idle_ns));
        let Some(active) = self.programme.active().cloned() else { return Ok(soon) };
        let word = active.order.kernel;
        if word == Kernel::Copy {
            return self.load_copies(now_ns, soon);
        }
        let Some(kernel) = self.kernels.get(&word) else { return Ok(soon) };
        if !kernel.is_ready() || kernel.has_other_share(self.mix_share) {
            return Ok(now_ns + LOOK_NS);
        }
        let has_anchor = kernel.has_anchor();
        let until_ns = self.programme.until_ns().unwrap_or(u64::MAX);
        let end = (until_ns, next_ns == Some(until_ns));
        loop {
            let quantum_ns = self.kernels.get(&word).map_or(1, |kernel| kernel.quantum_ns);
            let queue = (quantum_ns, self.queue_end_ns);
            let Some(shift) = self.shifts.back_mut() else { return Ok(soon) };
            match shift.pacer.next(monotonic_ns(), &active, queue, end) {
                Move::Wait(at_ns) => return Ok(at_ns.min(soon).min(until_ns)),
                Move::Submit => {
                    let tile = shift.injection();
                    shift.launched += 1;
                    let always = active.order.inject.filter(|i| i.always).map(|i| i.core);
                    if std::mem::take(&mut self.anchor_due) && has_anchor {
                        self.send(word, Purpose::Anchor, active.serial, always)?;
                    }
                    if !self.send(word, Purpose::Load, active.serial, tile)? {
                        return Ok(now_ns + LOOK_NS);
                    }
                }
            }
        }
    }

    fn say_idle(&mut self, now_ns: u64) {
        let busy = self.programme.active().is_some() || self.programme.next().is_some();
        if !busy && self.flights.is_empty() && self.copies_idle() && !self.idle_said {
            self.idle_said = true;
            self.out.push(LoadReport::Idle { at_ns: now_ns });
        }
    }

    /// Waits for a command until an instant; false when there are no more.
    fn listen(&mut self, commands: &Receiver<LoadCommand>, until_ns: u64) -> bool {
        let now_ns = monotonic_ns();
        let exact = self.programme.next_start_ns() == Some(until_ns);
        let spare = if exact { SPIN_NS } else { 0 };
        let wait = Duration::from_nanos(until_ns.saturating_sub(now_ns + spare));
        match commands.recv_timeout(wait) {
            Ok(command) => self.heed(command),
            Err(RecvTimeoutError::Timeout) => {
                while exact && monotonic_ns() < until_ns {
                    std::hint::spin_loop();
                }
            }
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        while let Ok(command) = commands.try_recv() {
            self.heed(command);
        }
        true
    }

    fn heed(&mut self, command: LoadCommand) {
        let now_ns = monotonic_ns();
        self.serial += 1;
        let command = Command::from(command);
        if let Command::Mix { per_mille } = command {
            self.mix_share = per_mille.min(1000);
        }
        if command.is_answered_by_idle() {
            self.idle_said = false;
        }
        if matches!(command, Command::Drop) {
            self.raise_stop();
        }
        if let Some(dropped) = self.programme.apply(now_ns, self.serial, &command) {
            self.end_shift(dropped.serial, now_ns);
        }
        let Some(active) = self.programme.active().cloned() else { return };
        if let Some(shift) = self.shifts.back_mut()
            && shift.active != active
        {
            shift.pacer.replan(now_ns);
            shift.active = active;
        }
    }

    fn raise_stop(&mut self) {
        // A copy can't be cut short: two rounds of a millisecond or three are waited for.
        if !self.flights.is_empty() || !self.copies_idle() {
            self.rig.stop.write_u32(0, 1);
            self.stopping = true;
        }
    }

    /// The commands are over: what flies is stopped and waited for, with a bound.
    fn drain(&mut self) -> Result<(), Failure> {
        self.raise_stop();
        while !(self.flights.is_empty() && self.copies_idle()) {
            self.harvest()?;
            self.harvest_copies()?;
            std::thread::sleep(Duration::from_nanos(LOOK_NS));
        }
        Ok(())
    }
}

/// What this GPU's results add up to, for the fleet's vote; said once an order.
fn checksum_of(rig: &Rig, kernel: &Prepared, at_ns: u64) -> Option<LoadReport> {
    let work = (SEED, kernel.iterations, kernel.tiles, kernel.share);
    let key = checksum::key(kernel.image, kernel.kernel, &rig.gpu, &rig.driver, work);
    let value = checksum::value(&kernel.right);
    (!kernel.right.is_empty()).then_some(LoadReport::Checksum { at_ns, key, value })
}

/// The first launch of an order tells when its load really began.
fn say_started(shift: &mut Shift, landed: &Landed, timeline: &Timeline, out: &mut Vec<LoadReport>) {
    if !std::mem::replace(&mut shift.started, true) {
        let begin = landed.outcome.span.and_then(|(begin, _)| timeline.monotonic(begin));
        let actual_ns = begin.unwrap_or(landed.flight.submitted_ns);
        let intended_ns = shift.active.order.start_ns;
        out.push(LoadReport::Started { intended_ns, actual_ns });
    }
}
