//! One rank's part in a ring all-reduce over TCP: sum of `f32`, every element checked.
//!
//! One thread a rank: it sends to its successor and receives from its predecessor on
//! non-blocking sockets, and adds and checks each piece while it is hot in the cache.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use nix::poll::PollFlags;

use super::clock::Halt;
use super::endpoint::Endpoint;
use super::error::FabricError;
use super::hello::{Hello, Purpose};
use super::layout::{Arrival, Layout};
use super::operand::Operand;
use super::patience::Patience;
use super::sums;

/// Longest segment, in bytes. Measured on a core with 2 MiB of second-level cache: two
/// segments of partial sums, one of input and one of output must fit beside each other.
const SEGMENT_BYTES: usize = 256 << 10;
/// Longest single read, in bytes: what is read is added and checked before the next read.
const PIECE_BYTES: usize = 128 << 10;
/// How long a rank only yields the core before it sleeps, in nanoseconds. A sleeping thread
/// costs tens of microseconds to wake (25 us across cores of a virtual machine), a yield
/// less than one.
const YIELD_NS: u64 = 50_000;
/// Bytes of an `f32`.
const ELEMENT: usize = size_of::<f32>();
/// Bytes before each operation: its number, and the last one if that is known.
const HEADER_BYTES: usize = 16;
/// The last operation, while nobody knows it.
const UNKNOWN: u64 = u64::MAX;

/// Corrupt one element of a result, to prove that the check works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingInjection {
    /// Which operation, from 0.
    pub operation: u64,
}

/// The ring's two sockets as one rank holds them.
#[derive(Debug)]
pub struct Ring {
    rank: u32,
    world_size: u32,
    next: TcpStream,
    previous: TcpStream,
    stall_ns: u64,
    operation: u64,
    /// The operation after which all ranks stop, as far as it is known here.
    last: u64,
    /// Partial sums between the turn that receives and the turn that sends them.
    scratch: [Vec<f32>; 2],
    /// Hidden: corrupt a result.
    pub inject: Option<RingInjection>,
}

/// Who takes part in a ring.
#[derive(Debug, Clone, Copy)]
pub struct RingSeat {
    pub epoch: u32,
    pub rank: u32,
    pub world_size: u32,
    /// Rank and address of the successor.
    pub next: (u32, SocketAddr),
}

impl Ring {
    /// Calls the successor and waits for the predecessor.
    ///
    /// # Errors
    /// When either is not there by `deadline_ns`, or when stopped.
    pub fn join(
        endpoint: &Endpoint,
        seat: RingSeat,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<Self, FabricError> {
        let RingSeat { epoch, rank, world_size, next: (successor, address) } = seat;
        let hello = |rank| Hello { epoch, rank, purpose: Purpose::Ring };
        let next = endpoint.call(successor, address, hello(rank), deadline_ns, halt)?;
        let before = (rank + world_size - 1) % world_size;
        let previous = endpoint.take(hello(before), deadline_ns, halt)?;
        for stream in [&next, &previous] {
            stream.set_nonblocking(true).map_err(FabricError::io("make a socket non-blocking"))?;
        }
        Ok(Self {
            rank,
            world_size,
            next,
            previous,
            stall_ns: endpoint.stall_ns(),
            operation: 0,
            last: UNKNOWN,
            scratch: [Vec::new(), Vec::new()],
            inject: None,
        })
    }

    /// The socket to the successor.
    #[must_use]
    pub fn next(&self) -> &TcpStream {
        &self.next
    }

    /// Number of the next operation, from 0.
    #[must_use]
    pub fn operation(&self) -> u64 {
        self.operation
    }

    /// Asks all ranks to stop together: the word travels with the operations, one rank an
    /// operation, so the last one is as many operations away as there are ranks. Only one
    /// rank may ask.
    pub fn wind_down(&mut self) {
        if self.last == UNKNOWN {
            self.last = self.operation + u64::from(self.world_size);
        }
    }

    /// Whether another operation follows.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.operation <= self.last
    }

    /// Adds up all ranks' inputs into `output`; returns how many elements are wrong.
    ///
    /// # Errors
    /// When a peer is gone, stands still or speaks of another operation, or when stopped.
    pub fn all_reduce(
        &mut self,
        operand: &Operand,
        output: &mut [f32],
        halt: &Halt,
    ) -> Result<u64, FabricError> {
        let layout = Layout::new(self.rank, self.world_size, output.len(), SEGMENT_BYTES / ELEMENT);
        for scratch in &mut self.scratch {
            scratch.resize(layout.segment_elements(), 0.0);
        }
        let mut pass = Pass {
            layout,
            operand,
            input: operand.input(self.operation),
            output,
            sending: Cursor::default(),
            receiving: Cursor::default(),
            summed: 0,
            wrong: 0,
            ring: self,
        };
        pass.run(halt)?;
        let wrong = pass.wrong;
        self.operation += 1;
        Ok(wrong)
    }
}

/// Where one direction stands: at which turn, and how many bytes of it have moved.
#[derive(Debug, Default)]
struct Cursor {
    /// Bytes of the header that have moved.
    header: usize,
    incoming: [u8; HEADER_BYTES],
    turn: usize,
    bytes: usize,
}

/// One operation under way.
struct Pass<'a> {
    ring: &'a mut Ring,
    layout: Layout,
    operand: &'a Operand,
    input: &'a [f32],
    output: &'a mut [f32],
    sending: Cursor,
    receiving: Cursor,
    /// Elements of the receiving turn that are added and may be passed on.
    summed: usize,
    wrong: u64,
}

impl Pass<'_> {
    fn run(&mut self, halt: &Halt) -> Result<(), FabricError> {
        let turns = self.layout.turns();
        let mut patience = Patience::new("all-reduce", self.ring.stall_ns).yielding(YIELD_NS);
        loop {
            let sent = self.send()?;
            let received = self.receive()?;
            if self.sending.turn == turns && self.receiving.turn == turns {
                return Ok(());
            }
            if sent || received {
                patience.renew();
                continue;
            }
            let when = |wanted, flag| if wanted { flag } else { PollFlags::empty() };
            let sockets = [
                (self.ring.previous.as_fd(), when(self.may_receive(), PollFlags::POLLIN)),
                (self.ring.next.as_fd(), when(self.may_send(), PollFlags::POLLOUT)),
            ];
            patience.wait(&sockets, halt)?;
        }
    }

    /// Sends what may be sent; whether anything moved.
    fn send(&mut self) -> Result<bool, FabricError> {
        let mut moved = false;
        if self.sending.header < HEADER_BYTES {
            let mut header = [0; HEADER_BYTES];
            header[..8].copy_from_slice(&self.ring.operation.to_le_bytes());
            header[8..].copy_from_slice(&self.ring.last.to_le_bytes());
            let sent = attempt("send a header", || {
                send_more(&self.ring.next, &header[self.sending.header..])
            })?;
            self.sending.header += sent;
            moved = sent > 0;
        }
        while self.sending.header == HEADER_BYTES && self.sending.turn < self.layout.turns() {
            let range = self.layout.sent(self.sending.turn);
            let (length, sendable) = (range.len() * ELEMENT, self.sendable());
            if self.sending.bytes < sendable {
                let from = self.sending.bytes;
                let source = self.source(range);
                let bytes = &as_bytes(source)[from..sendable];
                let sent = attempt("send", || (&self.ring.next).write(bytes))?;
                if sent == 0 {
                    return Ok(moved);
                }
                moved = true;
                self.sending.bytes += sent;
            }
            if self.sending.bytes < length {
                return Ok(moved);
            }
            self.sending.turn += 1;
            self.sending.bytes = 0;
        }
        Ok(moved)
    }

    fn may_send(&self) -> bool {
        self.sending.header < HEADER_BYTES || self.sending.bytes < self.sendable()
    }

    /// The scratch of a turn was filled two turns ago; until that was sent nothing may come.
    fn may_receive(&self) -> bool {
        let turn = self.receiving.turn;
        turn < self.layout.turns()
            && (self.layout.arrival(turn) == Arrival::Finished || self.sending.turn >= turn)
    }

    /// Bytes of the sending turn that exist already.
    fn sendable(&self) -> usize {
        let turn = self.sending.turn;
        if turn == self.layout.turns() {
            return 0;
        }
        let whole = self.layout.sent(turn).len() * ELEMENT;
        if self.layout.begins_slice(turn) || self.receiving.turn >= turn {
            whole
        } else if self.receiving.turn + 1 == turn {
            self.summed * ELEMENT
        } else {
            0
        }
    }

    fn source(&self, range: std::ops::Range<usize>) -> &[f32] {
        let turn = self.sending.turn;
        if self.layout.begins_slice(turn) {
            &self.input[range]
        } else if self.layout.arrival(turn - 1) == Arrival::Partial {
            &self.ring.scratch[(turn - 1) % 2][..range.len()]
        } else {
            &self.output[range]
        }
    }

    /// Receives one piece and works it in; whether anything moved.
    fn receive(&mut self) -> Result<bool, FabricError> {
        let mut moved = false;
        if self.receiving.header < HEADER_BYTES {
            let have = self.receiving.header;
            let read = fill(&self.ring.previous, &mut self.receiving.incoming[have..])?;
            self.receiving.header += read;
            moved = read > 0;
            if self.receiving.header < HEADER_BYTES {
                return Ok(moved);
            }
            self.read_header()?;
        }
        let turn = self.receiving.turn;
        if !self.may_receive() {
            return Ok(moved);
        }
        let (range, arrival) = (self.layout.received(turn), self.layout.arrival(turn));
        let have = self.receiving.bytes;
        let want = (range.len() * ELEMENT).min(have + PIECE_BYTES);
        if have < want {
            let target = match arrival {
                Arrival::Finished => &mut self.output[range.clone()],
                Arrival::Partial | Arrival::Last => &mut self.ring.scratch[turn % 2][..range.len()],
            };
            let read = fill(&self.ring.previous, &mut as_bytes_mut(target)[have..want])?;
            if read == 0 {
                return Ok(moved);
            }
            moved = true;
            self.receiving.bytes += read;
            self.work_in(turn, &range, arrival);
        }
        if self.receiving.bytes == range.len() * ELEMENT {
            self.receiving.turn += 1;
            self.receiving.bytes = 0;
            self.summed = 0;
        }
        Ok(moved)
    }

    fn read_header(&mut self) -> Result<(), FabricError> {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.receiving.incoming[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (theirs, last) = (word(0), word(8));
        let ours = self.ring.operation;
        if theirs != ours {
            let text = format!("the predecessor is at operation {theirs}, we are at {ours}");
            return Err(FabricError::Nonsense(text));
        }
        self.ring.last = self.ring.last.min(last);
        Ok(())
    }

    /// Adds ours to the whole elements that have arrived, and checks results.
    fn work_in(&mut self, turn: usize, range: &std::ops::Range<usize>, arrival: Arrival) {
        let (from, to) = (self.summed, self.receiving.bytes / ELEMENT);
        let (first, end) = (range.start + from, range.start + to);
        let partial = &mut self.ring.scratch[turn % 2];
        match arrival {
            Arrival::Partial => sums::add_into(&mut partial[from..to], &self.input[first..end]),
            Arrival::Last => {
                let (output, input) = (&mut self.output[first..end], &self.input[first..end]);
                sums::add_to(output, &partial[from..to], input);
                let inject = self.ring.inject.take_if(|i| i.operation == self.ring.operation);
                if let (Some(_), Some(victim)) = (inject, output.first_mut()) {
                    *victim = f32::from_bits(victim.to_bits() ^ 1);
                }
            }
            Arrival::Finished => {}
        }
        if arrival != Arrival::Partial {
            let piece = &self.output[first..end];
            self.wrong += self.operand.count_wrong(piece, first, self.ring.operation);
        }
        self.summed = to;
    }
}

/// Runs a non-blocking call: 0 when it would block.
fn attempt(
    step: &'static str,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Result<usize, FabricError> {
    match call() {
        Ok(moved) => Ok(moved),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
            _ => Err(FabricError::Io { step, source: error }),
        },
    }
}

/// Reads what is there: 0 when nothing is, an error when nothing will be.
fn fill(mut stream: &TcpStream, target: &mut [u8]) -> Result<usize, FabricError> {
    let mut closed = false;
    let read = attempt("receive", || {
        let read = stream.read(target)?;
        closed = read == 0 && !target.is_empty();
        Ok(read)
    })?;
    if closed { Err(FabricError::Closed("receive")) } else { Ok(read) }
}

/// Sends with MSG_MORE: the header leaves together with the data behind it.
fn send_more(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
    socket2::SockRef::from(stream).send_with_flags(bytes, flags)
}

fn as_bytes(values: &[f32]) -> &[u8] {
    // SAFETY: f32 has no padding, u8 has no alignment, and the length covers the same memory.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn as_bytes_mut(values: &mut [f32]) -> &mut [u8] {
    // SAFETY: as above; every bit pattern is a valid f32, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}
