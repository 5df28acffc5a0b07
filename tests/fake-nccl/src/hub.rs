//! Where ranks meet: rank 0's process listens, takes every rank's operand, works the result
//! out and gives each its own.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// One rank's part in one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Sum of f32 (`max` false) or maximum of u32 over all ranks; `scatter` leaves each rank
    /// its part.
    Reduce {
        max: bool,
        scatter: bool,
        operand: Vec<u8>,
    },
    Gather {
        operand: Vec<u8>,
    },
    /// Messages to peers; the answer is those of all peers to us, by rank.
    Exchange {
        messages: Vec<(u32, Vec<u8>)>,
    },
}

/// Opens a hub for one communicator; answers its port.
pub(crate) fn open() -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::Builder::new().name("fake-nccl-hub".into()).spawn(move || {
        // A rank that leaves ends the hub; the others see it at their sockets.
        let _ = serve(&listener);
    })?;
    Ok(port)
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let mut seats: Vec<Option<TcpStream>> = Vec::new();
    while seats.is_empty() || seats.iter().any(Option::is_none) {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let (rank, world) = (read_u32(&mut stream)?, read_u32(&mut stream)?);
        seats.resize_with(world as usize, || None);
        seats[rank as usize] = Some(stream);
    }
    let mut ranks: Vec<TcpStream> = seats.into_iter().flatten().collect();
    for rank in &mut ranks {
        write_frame(rank, &[])?;
    }
    loop {
        let taken: io::Result<Vec<Operation>> = ranks.iter_mut().map(read_operation).collect();
        let results = work_out(&taken?);
        for (rank, result) in ranks.iter_mut().zip(results) {
            write_frame(rank, &result)?;
        }
    }
}

/// What each rank gets.
fn work_out(operations: &[Operation]) -> Vec<Vec<u8>> {
    let world = operations.len();
    match &operations[0] {
        Operation::Reduce { max, scatter, .. } => {
            let operands = operations.iter().map(|operation| match operation {
                Operation::Reduce { operand, .. } => operand.as_slice(),
                _ => &[],
            });
            let reduced = reduce(*max, operands);
            let part = reduced.len() / world;
            let of = |rank: usize| match scatter {
                true => reduced[rank * part..(rank + 1) * part].to_vec(),
                false => reduced.clone(),
            };
            (0..world).map(of).collect()
        }
        Operation::Gather { .. } => {
            let all: Vec<u8> = operations
                .iter()
                .flat_map(|operation| match operation {
                    Operation::Gather { operand } => operand.clone(),
                    _ => Vec::new(),
                })
                .collect();
            vec![all; world]
        }
        Operation::Exchange { .. } => (0..world).map(|rank| received(operations, rank)).collect(),
    }
}

/// The messages to a rank, in the order of their senders.
fn received(operations: &[Operation], rank: usize) -> Vec<u8> {
    let to_rank = |operation: &Operation| match operation {
        Operation::Exchange { messages } => messages
            .iter()
            .filter(|(to, _)| *to as usize == rank)
            .flat_map(|(_, message)| message.clone())
            .collect(),
        _ => Vec::new(),
    };
    operations.iter().flat_map(to_rank).collect()
}

fn reduce<'a>(max: bool, operands: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut total: Vec<u8> = Vec::new();
    for operand in operands {
        if total.is_empty() {
            total = operand.to_vec();
            continue;
        }
        let words = total.as_chunks_mut::<4>().0.iter_mut().zip(operand.as_chunks::<4>().0);
        for (sum, word) in words {
            *sum = match max {
                true => u32::from_ne_bytes(*sum).max(u32::from_ne_bytes(*word)).to_ne_bytes(),
                false => (f32::from_ne_bytes(*sum) + f32::from_ne_bytes(*word)).to_ne_bytes(),
            };
        }
    }
    total
}

/// A rank's way to the hub. Comes back once all ranks are there.
pub(crate) fn join(port: u16, rank: u32, world: u32) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.write_all(&rank.to_le_bytes())?;
    stream.write_all(&world.to_le_bytes())?;
    read_frame(&mut stream)?;
    Ok(stream)
}

/// Takes part in an operation: sends ours, brings the result.
pub(crate) fn take_part(stream: &mut TcpStream, operation: &Operation) -> io::Result<Vec<u8>> {
    let (kind, messages): (u8, Vec<(u32, &[u8])>) = match operation {
        Operation::Reduce { max, scatter, operand } => {
            (u8::from(*max) | u8::from(*scatter) << 1, vec![(0, operand)])
        }
        Operation::Gather { operand } => (4, vec![(0, operand)]),
        Operation::Exchange { messages } => {
            (8, messages.iter().map(|(to, message)| (*to, message.as_slice())).collect())
        }
    };
    stream.write_all(&[kind])?;
    stream.write_all(&(messages.len() as u32).to_le_bytes())?;
    for (to, message) in messages {
        stream.write_all(&to.to_le_bytes())?;
        write_frame(stream, message)?;
    }
    read_frame(stream)
}

fn read_operation(stream: &mut TcpStream) -> io::Result<Operation> {
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    let count = read_u32(stream)?;
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push((read_u32(stream)?, read_frame(stream)?));
    }
    let mut operand = || messages.pop().map(|(_, operand)| operand).unwrap_or_default();
    Ok(match kind[0] {
        8 => Operation::Exchange { messages },
        4 => Operation::Gather { operand: operand() },
        bits => {
            Operation::Reduce { max: bits & 1 != 0, scatter: bits & 2 != 0, operand: operand() }
        }
    })
}

fn read_u32(stream: &mut TcpStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn write_frame(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&(bytes.len() as u64).to_le_bytes())?;
    stream.write_all(bytes)
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u64::from_le_bytes(length) as usize];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
