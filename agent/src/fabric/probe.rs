//! Round-trip probes on connections of their own, recorded from the intended send time.
//!
//! Probes leave on a fixed schedule whether or not earlier ones were answered. A probe that
//! leaves late because we were stalled is timed from when it should have left, so that one
//! stall shows in as many probes as it delayed (Tene, "coordinated omission").

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::mpsc::Sender;

use model::histogram::LatencyHistogram;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::clock::{Halt, now_ns};
use super::collective::LATE_NS;
use super::endpoint::Endpoint;
use super::error::FabricError;
use super::hello::{Hello, Purpose};
use super::{FabricOrder, FabricReport, PeerAddress, ProbePlan};

/// Bytes of a probe and of its echo.
pub const PROBE_BYTES: usize = 64;
/// Unanswered probes per peer; beyond it a due probe is lost. Ten seconds at 1 kHz.
const IN_FLIGHT_MAX: usize = 10_000;
/// Peers that a rank probes: its successors, so that everybody is probed by as many.
const PROBED_MAX: u32 = proto::channel::NEIGHBOURS_MAX;
/// Shortest interval that makes sense, in nanoseconds.
const INTERVAL_MIN_NS: u64 = 10_000;
/// Length of a window, in nanoseconds.
const WINDOW_NS: u64 = 5_000_000_000;
/// After the end answers are awaited for this long; the rest is lost.
const LINGER_NS: u64 = 1_000_000_000;
/// A sleeping prober wakes this long before a probe is due and then spins: the time to
/// wake it is no property of the network (25 to 50 us measured on virtual machines).
const AWAKE_NS: u64 = 70_000;
/// Longest sleep before the stop flag is looked at, in nanoseconds.
const LOOK_NS: u64 = 10_000_000;

/// Instants at which probes are due.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    next_ns: u64,
    interval_ns: u64,
    end_ns: u64,
}

impl Beat {
    /// A probe every `interval_ns` from `first_ns` until before `end_ns`.
    #[must_use]
    pub fn new(first_ns: u64, interval_ns: u64, end_ns: u64) -> Self {
        Self { next_ns: first_ns, interval_ns: interval_ns.max(1), end_ns }
    }

    /// The next intended instant, once it has come; each is given out once.
    pub fn due(&mut self, now_ns: u64) -> Option<u64> {
        let due = self.next_ns;
        if due > now_ns || due >= self.end_ns {
            return None;
        }
        self.next_ns += self.interval_ns;
        Some(due)
    }
}

/// What is known about the probes to one peer.
#[derive(Debug, Default)]
pub struct Book {
    /// Intended instants of the unanswered ones, oldest first.
    in_flight: VecDeque<u64>,
    histogram: LatencyHistogram,
    lost: u64,
}

impl Book {
    /// A probe left; `false` when there are too many unanswered ones for another.
    pub fn sent(&mut self, intended_ns: u64) -> bool {
        let room = self.in_flight.len() < IN_FLIGHT_MAX;
        if room {
            self.in_flight.push_back(intended_ns);
        }
        room
    }

    /// A probe that was due could not leave, or will not be waited for.
    pub fn lose(&mut self, probes: u64) {
        self.lost += probes;
    }

    /// The oldest probe was answered (TCP keeps the order); `false` when there was none.
    pub fn answered(&mut self, now_ns: u64) -> bool {
        let Some(intended) = self.in_flight.pop_front() else { return false };
        self.histogram.record(now_ns.saturating_sub(intended), intended as i64);
        true
    }

    /// Probes on their way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.in_flight.len()
    }

    /// The latencies so far.
    #[must_use]
    pub fn histogram(&self) -> &LatencyHistogram {
        &self.histogram
    }
}

/// One connection: probes out and echoes in, or the other way round.
struct Line {
    stream: TcpStream,
    /// Our probes, or `None` where we echo.
    book: Option<(PeerAddress, Book)>,
    /// Bytes of an incomplete probe or echo.
    incoming: [u8; PROBE_BYTES],
    have: usize,
    /// Bytes that must leave before anything else does.
    outgoing: [u8; PROBE_BYTES],
    left: usize,
    open: bool,
}

impl Line {
    fn new(stream: TcpStream, peer: Option<PeerAddress>) -> Result<Self, FabricError> {
        stream.set_nonblocking(true).map_err(FabricError::io("make a socket non-blocking"))?;
        let book = peer.map(|peer| (peer, Book::default()));
        let (incoming, outgoing) = ([0; PROBE_BYTES], [0; PROBE_BYTES]);
        Ok(Self { stream, book, incoming, have: 0, outgoing, left: PROBE_BYTES, open: true })
    }

    /// Sends what is left of the last message; `true` when nothing is.
    fn flush(&mut self) -> Result<bool, FabricError> {
        if self.left < PROBE_BYTES {
            let unsent = &self.outgoing[self.left..];
            self.left += idle_is_zero((&self.stream).write(unsent), "send a probe")?;
        }
        Ok(self.left == PROBE_BYTES)
    }

    /// Sends a probe that is due.
    fn probe(&mut self, intended_ns: u64) -> Result<(), FabricError> {
        let clear = self.open && self.flush()?;
        let Some((_, book)) = &mut self.book else { return Ok(()) };
        if !clear || !book.sent(intended_ns) {
            book.lose(1);
            return Ok(());
        }
        self.left = 0;
        self.flush().map(|_| ())
    }

    /// Takes at most one message; whether there was one.
    fn serve(&mut self) -> Result<bool, FabricError> {
        if !self.open || !self.flush()? {
            return Ok(false);
        }
        let read = match (&self.stream).read(&mut self.incoming[self.have..]) {
            Ok(0) => return Err(FabricError::Closed("probe")),
            other => idle_is_zero(other, "receive a probe")?,
        };
        self.have += read;
        if self.have < PROBE_BYTES {
            return Ok(false);
        }
        self.have = 0;
        match &mut self.book {
            Some((_, book)) => {
                if !book.answered(now_ns()) {
                    return Err(FabricError::Nonsense("an echo of nothing".into()));
                }
            }
            None => {
                self.outgoing = self.incoming;
                self.left = 0;
                self.flush()?;
            }
        }
        Ok(true)
    }

    fn outstanding(&self) -> usize {
        self.book.as_ref().map_or(0, |(_, book)| if self.open { book.outstanding() } else { 0 })
    }
}

fn idle_is_zero(moved: io::Result<usize>, step: &'static str) -> Result<usize, FabricError> {
    match moved {
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
            _ => Err(FabricError::Io { step, source: error }),
        },
        Ok(moved) => Ok(moved),
    }
}

/// Probes peers and echoes theirs, from the order's start to its end.
///
/// # Errors
/// When a peer is missing or gone, or when stopped.
pub fn run(
    endpoint: &Endpoint,
    order: &FabricOrder,
    plan: ProbePlan,
    halt: &Halt,
    reports: &Sender<FabricReport>,
) -> Result<(), FabricError> {
    if plan.interval_ns < INTERVAL_MIN_NS {
        let text = format!("a probe every {} ns is too often", plan.interval_ns);
        return Err(FabricError::Nonsense(text));
    }
    let lines = open(endpoint, order, halt)?;
    // A prober that wakes 50 us late (Linux's default slack) would report that as latency.
    let _ = nix::sys::prctl::set_timerslack(1);
    halt.sleep_until(order.start_ns)?;
    // Ranks take turns: a peer that just woke up to send would answer too soon.
    let world_size = u64::from(order.world_size);
    let stagger = plan.interval_ns * u64::from(order.rank) / world_size;
    let first_ns = order.start_ns.max(now_ns()) + stagger;
    let beat = Beat::new(first_ns, plan.interval_ns, order.end_ns);
    let mut prober = Prober { lines, turn: 0, from_ns: first_ns, order, plan, reports };
    prober.keep(beat, halt)
}

fn open(endpoint: &Endpoint, order: &FabricOrder, halt: &Halt) -> Result<Vec<Line>, FabricError> {
    let deadline = order.start_ns.max(now_ns()) + LATE_NS;
    let world_size = order.world_size;
    let reach = (world_size - 1).min(PROBED_MAX);
    let hello = |rank| Hello { epoch: order.epoch, rank, purpose: Purpose::Probe };
    let mut lines = Vec::new();
    for step in 1..=reach {
        let rank = (order.rank + step) % world_size;
        let Some(peer) = order.peer(rank) else {
            return Err(FabricError::Nonsense(format!("no address for rank {rank}")));
        };
        let stream = endpoint.call(rank, peer.address, hello(order.rank), deadline, halt)?;
        lines.push(Line::new(stream, Some(peer.clone()))?);
    }
    for step in 1..=reach {
        let rank = (order.rank + world_size - step) % world_size;
        lines.push(Line::new(endpoint.take(hello(rank), deadline, halt)?, None)?);
    }
    Ok(lines)
}

struct Prober<'a> {
    /// Those we probe, then those that we echo.
    lines: Vec<Line>,
    turn: usize,
    from_ns: u64,
    order: &'a FabricOrder,
    plan: ProbePlan,
    reports: &'a Sender<FabricReport>,
}

impl Prober<'_> {
    fn keep(&mut self, mut beat: Beat, halt: &Halt) -> Result<(), FabricError> {
        let probed = self.lines.iter().filter(|line| line.book.is_some()).count();
        loop {
            halt.check()?;
            let mut moved = false;
            for at in 0..self.lines.len() {
                let served = self.lines[at].serve();
                moved |= self.survive(at, served);
            }
            let now = now_ns();
            if let Some(intended) = beat.due(now) {
                let at = self.turn % probed.max(1);
                let sent = self.lines[at].probe(intended).map(|()| true);
                self.survive(at, sent);
                self.turn += 1;
                continue;
            }
            if now.saturating_sub(self.from_ns) >= WINDOW_NS && now < self.order.end_ns {
                self.tell(now);
            }
            if self.is_over(now) {
                break;
            }
            if !moved && !self.plan.spin {
                self.rest(beat.next_ns, now)?;
            }
        }
        for line in &mut self.lines {
            let unanswered = line.outstanding() as u64;
            if let Some((_, book)) = &mut line.book {
                book.lose(unanswered);
            }
        }
        self.tell(now_ns());
        Ok(())
    }

    /// Closes a line that failed; a peer that leaves after the end is no failure.
    fn survive(&mut self, at: usize, result: Result<bool, FabricError>) -> bool {
        let error = match result {
            Ok(moved) => return moved,
            Err(error) => error,
        };
        let now = now_ns();
        let line = &mut self.lines[at];
        let unanswered = line.outstanding() as u64;
        line.open = false;
        let Some((peer, book)) = &mut line.book else { return false };
        book.lose(unanswered);
        if now < self.order.end_ns || !error.is_departure() {
            let (phase, peer) = (self.order.phase.clone(), Some(peer.node.clone()));
            let text = error.to_string();
            let _ = self.reports.send(FabricReport::Failed { at_ns: now, phase, text, peer });
        }
        false
    }

    /// Over when the end has come, ours are answered and theirs are echoed or waited for.
    fn is_over(&mut self, now: u64) -> bool {
        if now < self.order.end_ns {
            return false;
        }
        if now >= self.order.end_ns + LINGER_NS {
            return true;
        }
        for line in self.lines.iter_mut().filter(|line| line.book.is_some() && line.open) {
            if line.outstanding() == 0 {
                // Tells the peer that it need not echo any longer.
                line.open = line.stream.shutdown(std::net::Shutdown::Write).is_err();
            }
        }
        self.lines.iter().all(|line| !line.open)
    }

    /// Sleeps until a message comes, or until just before the next probe is due.
    fn rest(&self, next_ns: u64, now: u64) -> Result<(), FabricError> {
        let due =
            if next_ns < self.order.end_ns { next_ns.saturating_sub(AWAKE_NS) } else { u64::MAX };
        let nap = due.saturating_sub(now).min(LOOK_NS);
        if nap == 0 {
            return Ok(());
        }
        let mut sockets: Vec<PollFd<'_>> = self
            .lines
            .iter()
            .filter(|line| line.open)
            .map(|line| PollFd::new(line.stream.as_fd(), PollFlags::POLLIN))
            .collect();
        let time = TimeSpec::from_duration(std::time::Duration::from_nanos(nap));
        match ppoll(&mut sockets, Some(time), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(FabricError::Io { step: "wait for probes", source: errno.into() }),
        }
    }

    fn tell(&mut self, now: u64) {
        for (peer, book) in self.lines.iter_mut().filter_map(|line| line.book.as_mut()) {
            let _ = self.reports.send(FabricReport::Latency {
                from_ns: self.from_ns,
                to_ns: now,
                phase: self.order.phase.clone(),
                peer: peer.node.clone(),
                loaded: self.plan.loaded,
                lost: std::mem::take(&mut book.lost),
                histogram: book.histogram.clone(),
            });
            book.histogram.clear();
        }
        self.from_ns = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with a service time of 10 us that answers nothing during a stall.
    fn histogram(seconds: u64, stall_from: u64, stall_ns: u64) -> LatencyHistogram {
        const SERVICE_NS: u64 = 10_000;
        let mut beat = Beat::new(0, 1_000_000, seconds * 1_000_000_000);
        let mut book = Book::default();
        let mut now = 0;
        while now < (seconds + 5) * 1_000_000_000 {
            while let Some(intended) = beat.due(now) {
                assert!(book.sent(intended));
            }
            let stalled = (stall_from..stall_from + stall_ns).contains(&now);
            while !stalled && book.outstanding() > 0 {
                book.answered(now + SERVICE_NS);
            }
            now += 100_000;
        }
        book.histogram().clone()
    }

    #[test]
    fn a_stall_shows_in_the_percentiles_as_if_nobody_had_waited_for_it() {
        let (t, d) = (60.0, 2.0);
        let histogram = histogram(60, 20_000_000_000, 2_000_000_000);
        assert_eq!(histogram.count(), 60_000);
        // Quantile p after one stall of D in T seconds is D - (1 - p) T.
        for p in [0.97, 0.98, 0.99, 0.999] {
            let expected = d - (1.0 - p) * t;
            let seen = histogram.quantile_ns(p).unwrap() as f64 / 1e9;
            assert!((seen - expected).abs() < 0.01 * expected + 0.02, "{p}: {seen} {expected}");
        }
        assert!(histogram.quantile_ns(0.9).unwrap() < 200_000);
        let longest = histogram.longest().unwrap();
        assert!((longest.at_ns - 20_000_000_000).abs() < 2_000_000);
    }

    #[test]
    fn our_own_stall_shows_too() {
        let mut beat = Beat::new(1_000, 1_000, 10_000);
        let mut book = Book::default();
        while let Some(intended) = beat.due(8_000) {
            book.sent(intended);
            book.answered(8_500);
        }
        assert_eq!(book.histogram().count(), 8);
        assert_eq!(book.histogram().longest().unwrap().latency_ns, 7_500);
        assert_eq!(beat.due(u64::MAX), Some(9_000));
        assert_eq!(beat.due(u64::MAX), None);
    }

    #[test]
    fn probes_in_flight_are_bounded() {
        let mut book = Book::default();
        let sent = (0..IN_FLIGHT_MAX as u64 + 5).filter(|at| book.sent(*at)).count();
        assert_eq!((sent, book.outstanding()), (IN_FLIGHT_MAX, IN_FLIGHT_MAX));
    }
}
