//! Bulk transfer between two ranks, one way or both ways, over one stream or several.
//!
//! The receiver counts, because only it knows what arrived; the sender reports, because it
//! knows the tuple and the retransmissions. The receiver's count comes back on stream 0.
//!
//! A transfer ends with its slot, whatever is still under way: what arrived by then is the
//! measurement, and a link on which little arrived is a slow one, not a failure.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use model::reading::{Absence, Reading};
use nix::poll::PollFlags;

use super::clock::{Halt, now_ns};
use super::endpoint::Endpoint;
use super::error::FabricError;
use super::hello::{Hello, Purpose};
use super::path::Hops;
use super::patience::Patience;
use super::progress::Progress;
use super::socket::{close_at_once, congestion_of, retransmits_of};

/// Bytes of one block on a stream: written and read in one call, and small enough to stay
/// in the second-level cache on both sides.
const BLOCK_BYTES: usize = 256 << 10;
/// Each block begins with its length and whether it is the stream's last.
const HEADER_BYTES: usize = 8;
/// The first part of a transfer that is not measured: slow start, cold buffers.
const WARM_UP_SHARE: u64 = 8;
/// Bytes of the receiver's answer: bytes and nanoseconds measured, bytes in all.
const ANSWER_BYTES: usize = 24;
/// Set in an answer's nanoseconds when the slot ended before the transfer did.
const CUT: u64 = 1 << 63;

/// What a receiver measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Bytes within the measured part.
    pub bytes: u64,
    /// Length of the measured part.
    pub nanoseconds: u64,
    /// Bytes of the whole transfer, as far as they arrived.
    pub total: u64,
    /// Whether the slot ended before the transfer did.
    pub cut: bool,
}

/// What became of a transfer.
#[derive(Debug)]
pub enum Outcome {
    /// This rank sent, and knows what arrived.
    Sent(Sent),
    /// This rank only received.
    Received,
    /// The two never met, or the count never came back: nothing is known of the way between
    /// them, and neither is to blame for a machine that was late.
    Missed(FabricError),
}

/// A transfer with one peer.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    pub epoch: u32,
    /// Number of the slot: part of the connections' key.
    pub round: u32,
    pub rank: u32,
    pub peer: (u32, SocketAddr),
    pub streams: u32,
    /// Bytes to send, all streams together.
    pub bytes: u64,
    pub sends: bool,
    pub receives: bool,
    /// Peers must have met by this instant.
    pub meet_ns: u64,
    /// Nothing new is sent after this instant.
    pub cut_ns: u64,
    /// The receiver counts what has arrived by this instant.
    pub count_ns: u64,
    /// The sender waits so long for that count.
    pub end_ns: u64,
}

/// A finished transfer as its sender knows it.
#[derive(Debug)]
pub struct Sent {
    pub measured: Measured,
    /// The tuple of stream 0 as the kernel really used it.
    pub source_port: u16,
    pub dest_port: u16,
    /// Over all streams.
    pub retransmits: Reading<u64>,
    /// Really used.
    pub congestion: String,
    /// The routers on its way, of a transfer over one stream.
    pub via: Option<Hops>,
}

impl Sent {
    fn over(
        streams: &[TcpStream],
        (source_port, dest_port): (u16, u16),
        measured: Measured,
        via: Option<Hops>,
    ) -> Result<Self, FabricError> {
        let Some(first) = streams.first() else {
            return Err(FabricError::Nonsense("a transfer over no stream".into()));
        };
        let again = streams.iter().map(|stream| retransmits_of(stream).value());
        let retransmits =
            again.sum::<Option<u64>>().map_or(Reading::Absent(Absence::Failed), Reading::Value);
        let congestion = congestion_of(first);
        Ok(Self { measured, source_port, dest_port, retransmits, congestion, via })
    }
}

/// Streams that we send on with the way of a single one, and streams that we receive on.
type Met = ((Vec<TcpStream>, Option<Hops>), Vec<TcpStream>);

impl Transfer {
    /// Runs the transfer within its slot.
    ///
    /// # Errors
    /// When stopped, when the peer counted other bytes than were sent, or when a socket
    /// fails in another way than by its peer's absence.
    pub fn run(&self, endpoint: &Endpoint, halt: &Halt) -> Result<Outcome, FabricError> {
        let met = self.meet(endpoint, halt);
        let ((outgoing, via), incoming) = match met {
            Ok(met) => met,
            Err(FabricError::Stopped) => return Err(FabricError::Stopped),
            Err(error @ FabricError::Nonsense(_)) => return Err(error),
            Err(error) => {
                self.let_go(endpoint, halt);
                return Ok(Outcome::Missed(error));
            }
        };
        let done = match self.exchange(endpoint, (&outgoing, via), &incoming, halt) {
            Err(error @ FabricError::TimedOut { .. }) => Ok(Outcome::Missed(error)),
            Err(error) if error.is_departure() => Ok(Outcome::Missed(error)),
            done => done,
        };
        outgoing.into_iter().for_each(close_at_once);
        wait_for_close(&incoming, self.patience("wait for the sender", endpoint), halt);
        done
    }

    /// The streams of both directions, opened in time.
    fn meet(&self, endpoint: &Endpoint, halt: &Halt) -> Result<Met, FabricError> {
        let outgoing = self.call(endpoint, halt)?;
        let late_ns = now_ns().saturating_sub(self.meet_ns);
        // The peer waits no longer: nothing that we sent now would be counted.
        if self.sends && late_ns > 0 {
            return Err(FabricError::TimedOut {
                step: "meet in time",
                waited_ms: late_ns / 1_000_000,
            });
        }
        Ok((outgoing, self.take(endpoint, halt)?))
    }

    fn patience(&self, step: &'static str, endpoint: &Endpoint) -> Patience {
        Patience::new(step, endpoint.stall_ns()).until(self.end_ns)
    }

    fn exchange(
        &self,
        endpoint: &Endpoint,
        (outgoing, via): (&[TcpStream], Option<Hops>),
        incoming: &[TcpStream],
        halt: &Halt,
    ) -> Result<Outcome, FabricError> {
        let patience = || self.patience("bulk transfer", endpoint);
        // Read while both ends are there: the peer's reset takes the tuple with it.
        let tuple = outgoing.first().map(ports).transpose()?.unwrap_or_default();
        let (sent, received) = std::thread::scope(|scope| {
            let sender =
                self.sends.then(|| scope.spawn(|| send_all(outgoing, self, patience(), halt)));
            let received =
                self.receives.then(|| receive_all(incoming, self, patience(), halt)).transpose();
            let sent = sender.map(|thread| {
                let gone = || Err(FabricError::Nonsense("the sending thread panicked".into()));
                thread.join().unwrap_or_else(|_| gone())
            });
            (sent.transpose(), received)
        });
        let (sent, received) = (sent?, received?);
        if let (Some(received), Some(stream)) = (received, incoming.first()) {
            let measured = received.measure(sent.as_ref().map(|s| (s.from_ns, s.to_ns)));
            answer(stream, measured)?;
        }
        let Some(sent) = sent else { return Ok(Outcome::Received) };
        let measured = read_answer(outgoing, self.patience("read the count", endpoint), halt)?;
        let whole = sent.whole && !measured.cut;
        if measured.total > sent.total || (whole && measured.total != sent.total) {
            let (ours, theirs) = (sent.total, measured.total);
            let text = format!("sent {ours} bytes, the peer counted {theirs}");
            return Err(FabricError::Nonsense(text));
        }
        Sent::over(outgoing, tuple, measured, via).map(Outcome::Sent)
    }

    /// The streams that we send on; of a single one also its way.
    fn call(
        &self,
        endpoint: &Endpoint,
        halt: &Halt,
    ) -> Result<(Vec<TcpStream>, Option<Hops>), FabricError> {
        let wanted = if self.sends { self.streams } else { 0 };
        let (peer, address) = self.peer;
        let hello = |stream| {
            let purpose = Purpose::Bulk { round: self.round, stream };
            Hello { epoch: self.epoch, rank: self.rank, purpose }
        };
        if wanted == 1 {
            let (stream, via) =
                endpoint.call_traced(peer, address, hello(0), self.meet_ns, halt)?;
            return Ok((vec![nonblocking(stream)?], via));
        }
        // All at once: each takes a few round trips, which are long where a fabric is full.
        let call = |stream| {
            let called = endpoint.call(peer, address, hello(stream), self.meet_ns, halt);
            called.and_then(nonblocking)
        };
        let streams = std::thread::scope(|scope| {
            let calls: Vec<_> =
                (0..wanted).map(|stream| scope.spawn(move || call(stream))).collect();
            let panicked = || Err(FabricError::Nonsense("a calling thread panicked".into()));
            let done = calls.into_iter().map(|call| call.join().unwrap_or_else(|_| panicked()));
            done.collect::<Result<Vec<_>, _>>()
        })?;
        Ok((streams, None))
    }

    /// Drops what a peer opened for a slot that came to nothing, so that it learns so at once.
    fn let_go(&self, endpoint: &Endpoint, halt: &Halt) {
        if self.receives {
            for stream in 0..self.streams {
                // One that never came is not there to drop.
                let _ = endpoint.take(self.expected(stream), 0, halt);
            }
        }
    }

    fn expected(&self, stream: u32) -> Hello {
        let purpose = Purpose::Bulk { round: self.round, stream };
        Hello { epoch: self.epoch, rank: self.peer.0, purpose }
    }

    fn take(&self, endpoint: &Endpoint, halt: &Halt) -> Result<Vec<TcpStream>, FabricError> {
        let wanted = if self.receives { self.streams } else { 0 };
        (0..wanted)
            .map(|stream| {
                let taken = endpoint.take(self.expected(stream), self.meet_ns, halt);
                taken.and_then(nonblocking)
            })
            .collect()
    }
}

/// Source and destination port.
fn ports(stream: &TcpStream) -> Result<(u16, u16), FabricError> {
    let source = stream.local_addr().map_err(FabricError::io("read the source port"))?;
    let dest = stream.peer_addr().map_err(FabricError::io("read the peer's port"))?;
    Ok((source.port(), dest.port()))
}

fn nonblocking(stream: TcpStream) -> Result<TcpStream, FabricError> {
    stream.set_nonblocking(true).map_err(FabricError::io("make a socket non-blocking"))?;
    Ok(stream)
}

/// When a sender was active, and how much it sent.
struct Sending {
    from_ns: u64,
    to_ns: u64,
    /// Bytes of all blocks that were begun.
    total: u64,
    /// Whether all of them left before the slot ended.
    whole: bool,
}

/// A stream while it sends.
#[derive(Clone, Default)]
struct Outlet {
    header: [u8; HEADER_BYTES],
    /// Length of the present block and what of it has left; equal between blocks.
    length: usize,
    left: usize,
    finished: bool,
}

impl Outlet {
    fn begin(&mut self, length: usize, last: bool) {
        let (word, flag) = (length as u32, u32::from(last));
        self.header[..4].copy_from_slice(&word.to_le_bytes());
        self.header[4..].copy_from_slice(&flag.to_le_bytes());
        (self.length, self.left, self.finished) = (length, 0, last);
    }
}

fn send_all(
    streams: &[TcpStream],
    transfer: &Transfer,
    mut patience: Patience,
    halt: &Halt,
) -> Result<Sending, FabricError> {
    let &Transfer { bytes, cut_ns, count_ns, .. } = transfer;
    let mut block = vec![0x5a; BLOCK_BYTES];
    let mut outlets = vec![Outlet::default(); streams.len()];
    let (mut total, from_ns) = (0, now_ns());
    loop {
        let (mut moved, mut open) = (false, false);
        for (outlet, mut stream) in outlets.iter_mut().zip(streams) {
            if outlet.left == outlet.length {
                if outlet.finished {
                    continue;
                }
                // Whoever is ready takes the next block, so that all end together.
                let rest = bytes.saturating_sub(total);
                let cut = now_ns() >= cut_ns;
                let length = if cut { 0 } else { rest.min(BLOCK_BYTES as u64) as usize };
                let length = length.max(HEADER_BYTES);
                outlet.begin(length, cut || rest <= BLOCK_BYTES as u64);
                total += length as u64;
            }
            open = true;
            if outlet.left < HEADER_BYTES {
                block[..HEADER_BYTES].copy_from_slice(&outlet.header);
            }
            match stream.write(&block[outlet.left..outlet.length]) {
                Ok(sent) => {
                    outlet.left += sent;
                    moved = true;
                }
                Err(error) if is_idle(&error) => {}
                Err(source) => return Err(FabricError::Io { step: "send", source }),
            }
        }
        let now = now_ns();
        if !open || now >= count_ns {
            return Ok(Sending { from_ns, to_ns: now, total, whole: !open });
        }
        rest(moved, &mut patience, streams, PollFlags::POLLOUT, halt)?;
    }
}

/// What a receiver saw.
struct Receiving {
    progress: Progress,
    total: u64,
    /// All streams were past the warm-up at this instant.
    warm_ns: u64,
    /// The first stream ended at this instant, or all of them were cut.
    ended_ns: u64,
    cut: bool,
}

impl Receiving {
    /// Nothing has arrived yet.
    fn from(began_ns: u64) -> Self {
        let progress = Progress::default();
        Self { progress, total: 0, warm_ns: began_ns, ended_ns: 0, cut: false }
    }

    /// The slot is over: what comes now counts no more.
    fn cut_at(self, now_ns: u64) -> Self {
        let ended_ns = if self.ended_ns == 0 { now_ns } else { self.ended_ns };
        Self { ended_ns, cut: true, ..self }
    }

    /// Cuts out the steady part, within our own sending where both ways run at once.
    fn measure(&self, sending: Option<(u64, u64)>) -> Measured {
        let (first, last) = self.progress.span().unwrap_or_default();
        let (own_from, own_to) = sending.unwrap_or((0, u64::MAX));
        let steady = (self.warm_ns.max(own_from), self.ended_ns.min(own_to));
        // A transfer too short for a steady part is measured whole.
        let (from, to) = if steady.0 < steady.1 { steady } else { (first, last) };
        let bytes = self.progress.between(from, to) as u64;
        Measured { bytes, nanoseconds: to - from, total: self.total, cut: self.cut }
    }
}

/// A stream while it receives.
#[derive(Clone, Copy, Default)]
struct Inlet {
    header: [u8; HEADER_BYTES],
    /// Bytes of the present block that have arrived.
    have: usize,
    bytes: u64,
    finished: bool,
}

impl Inlet {
    /// Bytes to ask for: never beyond the present block.
    fn wants(&self) -> usize {
        if self.have < HEADER_BYTES { BLOCK_BYTES - self.have } else { self.length() - self.have }
    }

    fn length(&self) -> usize {
        let [a, b, c, d, ..] = self.header;
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    fn arrived(&mut self, bytes: &[u8]) -> Result<(), FabricError> {
        let missing = HEADER_BYTES.saturating_sub(self.have).min(bytes.len());
        self.header[self.have.min(HEADER_BYTES)..][..missing].copy_from_slice(&bytes[..missing]);
        self.have += bytes.len();
        self.bytes += bytes.len() as u64;
        if self.have < HEADER_BYTES {
            return Ok(());
        }
        if !(HEADER_BYTES.max(self.have)..=BLOCK_BYTES).contains(&self.length()) {
            return Err(FabricError::Nonsense(format!("a block of {} bytes", self.length())));
        }
        if self.have == self.length() {
            self.finished = self.header[4] == 1;
            self.have = 0;
        }
        Ok(())
    }
}

fn receive_all(
    streams: &[TcpStream],
    transfer: &Transfer,
    mut patience: Patience,
    halt: &Halt,
) -> Result<Receiving, FabricError> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut inlets = vec![Inlet::default(); streams.len()];
    let warm = transfer.bytes / WARM_UP_SHARE / streams.len() as u64;
    let began = now_ns();
    // A transfer that its slot cuts off is warm when a share of the time has passed.
    let warm_by_ns = began + transfer.count_ns.saturating_sub(began) / WARM_UP_SHARE;
    let mut seen = Receiving::from(began);
    loop {
        let now = now_ns();
        if now >= transfer.count_ns {
            return Ok(seen.cut_at(now));
        }
        let mut moved = false;
        for (inlet, mut stream) in inlets.iter_mut().zip(streams) {
            if inlet.finished {
                continue;
            }
            let want = inlet.wants();
            match stream.read(&mut buffer[..want]) {
                Ok(0) => return Err(FabricError::Closed("receive")),
                Ok(read) => {
                    let now = now_ns();
                    let cold = inlet.bytes < warm && now < warm_by_ns;
                    inlet.arrived(&buffer[..read])?;
                    moved = true;
                    seen.total += read as u64;
                    seen.progress.note(now, seen.total);
                    if cold || seen.total == read as u64 {
                        seen.warm_ns = now;
                    }
                    if inlet.finished && seen.ended_ns == 0 {
                        seen.ended_ns = now;
                    }
                }
                Err(error) if is_idle(&error) => {}
                Err(source) => return Err(FabricError::Io { step: "receive", source }),
            }
        }
        if inlets.iter().all(|inlet| inlet.finished) {
            return Ok(seen);
        }
        rest(moved, &mut patience, streams, PollFlags::POLLIN, halt)?;
    }
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn rest(
    moved: bool,
    patience: &mut Patience,
    streams: &[TcpStream],
    flags: PollFlags,
    halt: &Halt,
) -> Result<(), FabricError> {
    if moved {
        patience.renew();
        return halt.check();
    }
    let sockets: Vec<_> = streams.iter().map(|stream| (stream.as_fd(), flags)).collect();
    patience.wait(&sockets, halt)
}

fn answer(mut stream: &TcpStream, measured: Measured) -> Result<(), FabricError> {
    let mut bytes = [0; ANSWER_BYTES];
    let nanoseconds = measured.nanoseconds | if measured.cut { CUT } else { 0 };
    for (part, word) in bytes.chunks_exact_mut(8).zip([measured.bytes, nanoseconds, measured.total])
    {
        part.copy_from_slice(&word.to_le_bytes());
    }
    // Nothing was ever sent in this direction: the send buffer has room.
    stream.write_all(&bytes).map_err(FabricError::io("send the count"))
}

fn read_answer(
    streams: &[TcpStream],
    mut patience: Patience,
    halt: &Halt,
) -> Result<Measured, FabricError> {
    let Some((mut stream, only)) = streams.first().zip(streams.get(..1)) else {
        return Err(FabricError::Nonsense("a transfer over no stream".into()));
    };
    let (mut bytes, mut have) = ([0; ANSWER_BYTES], 0);
    while have < ANSWER_BYTES {
        match stream.read(&mut bytes[have..]) {
            Ok(0) => return Err(FabricError::Closed("read the count")),
            Ok(read) => have += read,
            Err(error) if is_idle(&error) => {
                rest(false, &mut patience, only, PollFlags::POLLIN, halt)?;
            }
            Err(source) => return Err(FabricError::Io { step: "read the count", source }),
        }
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (nanoseconds, cut) = (word(8) & !CUT, word(8) & CUT != 0);
    Ok(Measured { bytes: word(0), nanoseconds, total: word(16), cut })
}

/// Lets the sender close first, so that its reset frees the tuple on both sides. What was
/// still under way when the slot ended is taken and thrown away.
fn wait_for_close(streams: &[TcpStream], mut patience: Patience, halt: &Halt) {
    let mut rubbish = vec![0; BLOCK_BYTES];
    for mut stream in streams {
        loop {
            let waits = match stream.read(&mut rubbish) {
                Ok(0) => break,
                Ok(_) => patience.check(halt),
                Err(error) if is_idle(&error) => {
                    rest(false, &mut patience, streams, PollFlags::POLLIN, halt)
                }
                Err(_) => break,
            };
            if waits.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_in_pieces_is_put_together_and_a_mad_length_is_refused() {
        let mut outlet = Outlet::default();
        outlet.begin(10, true);
        let mut inlet = Inlet::default();
        inlet.arrived(&outlet.header[..3]).unwrap();
        inlet.arrived(&outlet.header[3..]).unwrap();
        assert_eq!((inlet.wants(), inlet.finished), (2, false));
        inlet.arrived(&[0; 2]).unwrap();
        assert!(inlet.finished);
        assert!(Inlet::default().arrived(&[0xff; HEADER_BYTES]).is_err());
        assert!(Inlet::default().arrived(&[0; HEADER_BYTES]).is_err());
    }

    #[test]
    fn the_measured_part_lies_within_our_own_sending() {
        let mut progress = Progress::default();
        (0..=100).for_each(|step| progress.note(1_000 + step, step * 5));
        let (total, cut) = (500, false);
        let seen = Receiving { progress, total, warm_ns: 1_010, ended_ns: 1_100, cut };
        let whole = Measured { bytes: 450, nanoseconds: 90, total, cut };
        assert_eq!(seen.measure(None), whole);
        let clipped = Measured { bytes: 200, nanoseconds: 40, total, cut };
        assert_eq!(seen.measure(Some((1_020, 1_060))), clipped);
    }

    #[test]
    fn a_slot_that_ends_first_counts_what_came_and_the_time_in_which_nothing_did() {
        let mut seen = Receiving::from(1_000);
        seen.warm_ns = 1_100;
        (1..=10).for_each(|step| seen.progress.note(1_000 + step * 100, step * 50));
        seen.total = 500;
        let seen = seen.cut_at(3_100);
        let stalled = Measured { bytes: 450, nanoseconds: 2_000, total: 500, cut: true };
        assert_eq!(seen.measure(None), stalled);
        let nothing = Receiving::from(1_000).cut_at(2_000).measure(None);
        assert_eq!(nothing, Measured { bytes: 0, nanoseconds: 1_000, total: 0, cut: true });
    }
}
