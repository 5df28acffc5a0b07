//! A Modbus server over TCP with registers that a test sets. It knows functions 3 and 4, and
//! counts whatever else it is asked: nobody may.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    #[default]
    Well,
    /// Takes connections and never answers.
    Mute,
    /// Bytes that are no Modbus.
    Garbage,
    /// Under another transaction number first, then well.
    Stale,
    /// The head of an answer, and then the end of the connection.
    Cut,
    /// Ends the connections there are, and answers well on others.
    Hangup,
}

/// Unit, function, address.
type Place = (u8, u8, u16);

#[derive(Default)]
struct State {
    registers: BTreeMap<Place, u16>,
    manner: Manner,
    requests: Vec<(u8, u8, u16, u16)>,
    connections: usize,
    /// Connections that are still open.
    open: usize,
}

/// A running server; it ends when this is dropped.
pub struct FakeModbus {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl FakeModbus {
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::new(AtomicBool::new(false)));
        let (shared, ended) = (state.clone(), stop.clone());
        std::thread::spawn(move || accept(&listener, &shared, &ended));
        Self { address, state, stop }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets registers from an address on.
    pub fn set(&self, unit: u8, function: u8, address: u16, values: &[u16]) {
        let mut state = self.state.lock().unwrap();
        for (at, value) in values.iter().enumerate() {
            state.registers.insert((unit, function, address + at as u16), *value);
        }
    }

    pub fn be(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// Unit, function, address and count of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<(u8, u8, u16, u16)> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Whether no connection is open any more.
    #[must_use]
    pub fn has_hung_up(&self) -> bool {
        self.state.lock().unwrap().open == 0
    }

    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for FakeModbus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, state: &Arc<Mutex<State>>, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let hung_up = {
            let mut state = state.lock().unwrap();
            state.connections += 1;
            state.open += 1;
            state.manner == Manner::Hangup
        };
        let (state, stop) = (state.clone(), stop.clone());
        std::thread::spawn(move || {
            serve(stream, &state, &stop, hung_up);
            state.lock().unwrap().open -= 1;
        });
    }
}

/// `new`: it began after the hanging up.
fn serve(mut stream: TcpStream, state: &Mutex<State>, stop: &AtomicBool, new: bool) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut request = [0; 12];
    while !stop.load(Ordering::Relaxed) {
        if !new && state.lock().unwrap().manner == Manner::Hangup {
            return;
        }
        match stream.read_exact(&mut request) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => return,
        }
        let Some(answer) = answer(&request, &mut state.lock().unwrap()) else { continue };
        let cut = answer.len() < 9;
        if stream.write_all(&answer).is_err() || cut {
            return;
        }
    }
}

fn answer(request: &[u8; 12], state: &mut State) -> Option<Vec<u8>> {
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let (unit, function, first, count) = (request[6], request[7], word(8), word(10));
    state.requests.push((unit, function, first, count));
    let well = frame(word(0), unit, &body(function, unit, first, count, &state.registers));
    match state.manner {
        Manner::Well | Manner::Hangup => Some(well),
        Manner::Mute => None,
        Manner::Garbage => Some(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()),
        Manner::Cut => Some(well[..8].to_vec()),
        Manner::Stale => {
            let stale = frame(word(0).wrapping_sub(1), unit, &[function, 2, 0xde, 0xad]);
            Some([stale, well].concat())
        }
    }
}

fn frame(transaction: u16, unit: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u16 + 1;
    let mut frame = [transaction, 0, length].map(u16::to_be_bytes).concat();
    frame.push(unit);
    frame.extend(body);
    frame
}

/// Units that have no register are not there: a gateway's exception 11.
fn body(
    function: u8,
    unit: u8,
    first: u16,
    count: u16,
    registers: &BTreeMap<Place, u16>,
) -> Vec<u8> {
    let exception = |code: u8| vec![function | 0x80, code];
    if !registers.keys().any(|(there, ..)| *there == unit) {
        return exception(11);
    }
    if !matches!(function, 3 | 4) {
        return exception(1);
    }
    if !(1..=125).contains(&count) {
        return exception(3);
    }
    let values: Option<Vec<u16>> = (0..count)
        .map(|at| registers.get(&(unit, function, first.checked_add(at)?)).copied())
        .collect();
    let Some(values) = values else { return exception(2) };
    let mut body = vec![function, values.len() as u8 * 2];
    body.extend(values.into_iter().flat_map(u16::to_be_bytes));
    body
}
