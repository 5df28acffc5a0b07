//! The door of the data plane: accepts connections, believes only those that know the
//! run's token, and parks them until an order asks. A stranger costs a slot for two seconds and
//! a number in a counter, nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::clock::{Halt, now_ns};
use super::error::FabricError;
use super::hello::{HELLO_BYTES, Hello, Nonce, PROOF_BYTES, Token, WELCOME, nonce};
use super::socket::{Tuning, tune};

/// Longest time between accept and a whole hello: many round trips of any fabric.
const HELLO_NS: u64 = 2_000_000_000;
/// Connections without a hello at one time. Beyond it the oldest is refused: a real dialer
/// says its hello within a round trip and is never the oldest for long.
const HALF_OPEN_MAX: usize = 64;
/// Believed connections that no order has asked for yet.
const PARKED_MAX: usize = 1024;
/// A parked connection that nobody asked for is closed after this time.
const PARKED_NS: u64 = 120_000_000_000;
/// Addresses told apart when strangers are counted; the rest counts under the first.
const STRANGERS_MAX: usize = 64;
/// Backlog of the listening socket: every peer of a round may dial at the same instant.
const BACKLOG: i32 = 1024;
/// How often the listener looks whether it should end, in milliseconds.
const LOOK_MS: u16 = 50;

/// Connections that said who they are, and strangers that did not.
#[derive(Debug, Default)]
struct Hall {
    parked: Mutex<VecDeque<(Hello, TcpStream, u64)>>,
    arrived: Condvar,
    strangers: Mutex<BTreeMap<IpAddr, u64>>,
}

/// A listening address with its thread.
#[derive(Debug)]
pub struct Listener {
    hall: Arc<Hall>,
    address: SocketAddr,
    halt: Halt,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listener {
    /// Binds (port 0: any) and starts to accept.
    ///
    /// # Errors
    /// When the address can't be bound or the thread can't be started.
    pub fn bind(address: SocketAddr, token: Token, tuning: &Tuning) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        tune(SockRef::from(&socket), tuning)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listening: TcpListener = socket.into();
        let address = listening.local_addr()?;
        let (hall, halt) = (Arc::new(Hall::default()), Halt::default());
        let door = Door {
            listening,
            token,
            tuning: tuning.clone(),
            half_open: VecDeque::new(),
            hall: Arc::clone(&hall),
        };
        let ends = halt.clone();
        let thread = std::thread::Builder::new()
            .name("fabric-door".into())
            .spawn(move || door.keep(&ends))?;
        Ok(Self { hall, address, halt, thread: Some(thread) })
    }

    /// The address really bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the connection that opened with this hello.
    ///
    /// # Errors
    /// When stopped, or when it has not come by `deadline_ns`.
    pub fn take(
        &self,
        wanted: Hello,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<TcpStream, FabricError> {
        let began = now_ns();
        let mut parked = lock(&self.hall.parked);
        loop {
            halt.check()?;
            if let Some(at) = parked.iter().position(|(hello, ..)| *hello == wanted)
                && let Some((_, stream, _)) = parked.remove(at)
            {
                return Ok(stream);
            }
            let now = now_ns();
            if now >= deadline_ns {
                let waited_ms = (now - began) / 1_000_000;
                return Err(FabricError::TimedOut { step: "wait for a peer to call", waited_ms });
            }
            let nap = Duration::from_nanos((deadline_ns - now).min(10_000_000));
            parked = self
                .hall
                .arrived
                .wait_timeout(parked, nap)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Strangers refused since the last call, by address.
    #[must_use]
    pub fn refused(&self) -> Vec<(IpAddr, u64)> {
        std::mem::take(&mut *lock(&self.hall.strangers)).into_iter().collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.halt.raise();
        if let Some(thread) = self.thread.take() {
            // A panic in there was already printed; there is nobody to tell here.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that has not proved itself yet.
struct HalfOpen {
    stream: TcpStream,
    from: IpAddr,
    since_ns: u64,
    /// The hello, and the proof behind it.
    bytes: [u8; HELLO_BYTES + PROOF_BYTES],
    have: usize,
    /// Our nonce, once the hello was answered with it.
    asked: Option<Nonce>,
}

/// What became of a half-open connection after a look at it.
enum Look {
    Waits,
    Believed(Hello),
    Stranger,
}

struct Door {
    listening: TcpListener,
    token: Token,
    tuning: Tuning,
    half_open: VecDeque<HalfOpen>,
    hall: Arc<Hall>,
}

impl Door {
    fn keep(mut self, halt: &Halt) {
        while !halt.is_raised() {
            self.wait();
            self.admit();
            for _ in 0..self.half_open.len() {
                let Some(mut caller) = self.half_open.pop_front() else { break };
                match caller.look(&self.token) {
                    Look::Waits => self.half_open.push_back(caller),
                    Look::Believed(hello) => self.park(hello, caller.stream),
                    Look::Stranger => self.refuse(caller.from),
                }
            }
            let now = now_ns();
            lock(&self.hall.parked).retain(|(.., since)| now.saturating_sub(*since) < PARKED_NS);
        }
    }

    fn wait(&self) {
        let callers = self.half_open.iter().map(|caller| caller.stream.as_fd());
        let mut waiting: Vec<PollFd<'_>> = std::iter::once(self.listening.as_fd())
            .chain(callers)
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        if poll(&mut waiting, PollTimeout::from(LOOK_MS)).is_err() {
            // Interrupted, or short of memory: look again a little later.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn admit(&mut self) {
        // Bounded, so that a flood can't keep us from those who already are inside.
        for _ in 0..HALF_OPEN_MAX {
            let Ok((stream, from)) = self.listening.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.half_open.len() >= HALF_OPEN_MAX
                && let Some(oldest) = self.half_open.pop_front()
            {
                self.refuse(oldest.from);
            }
            let (from, since_ns) = (from.ip(), now_ns());
            let bytes = [0; HELLO_BYTES + PROOF_BYTES];
            let caller = HalfOpen { stream, from, since_ns, bytes, have: 0, asked: None };
            self.half_open.push_back(caller);
        }
    }

    fn park(&self, hello: Hello, mut stream: TcpStream) {
        let Ok(peer) = stream.peer_addr() else { return };
        // An empty send buffer always holds eight bytes; a dead dialer is found out later.
        let ready = tune(SockRef::from(&stream), &self.tuning.of(hello.purpose, peer.ip())).is_ok()
            && stream.write_all(&WELCOME).is_ok()
            && stream.set_nonblocking(false).is_ok();
        if !ready {
            return;
        }
        let mut parked = lock(&self.hall.parked);
        parked.retain(|(other, ..)| *other != hello);
        if parked.len() >= PARKED_MAX {
            parked.pop_front();
        }
        parked.push_back((hello, stream, now_ns()));
        self.hall.arrived.notify_all();
    }

    fn refuse(&self, from: IpAddr) {
        let mut strangers = lock(&self.hall.strangers);
        let known = strangers.contains_key(&from) || strangers.len() < STRANGERS_MAX;
        let counted = if known { Some(from) } else { strangers.keys().next().copied() };
        if let Some(address) = counted {
            *strangers.entry(address).or_default() += 1;
        }
    }
}

impl HalfOpen {
    fn look(&mut self, token: &Token) -> Look {
        // No further than the proof: what comes behind it belongs to the connection.
        let end = if self.asked.is_some() { self.bytes.len() } else { HELLO_BYTES };
        match self.stream.read(&mut self.bytes[self.have..end]) {
            Ok(0) => Look::Stranger,
            Ok(read) => {
                self.have += read;
                if self.have < end { Look::Waits } else { self.heard(token) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let slow = now_ns().saturating_sub(self.since_ns) > HELLO_NS;
                if slow { Look::Stranger } else { Look::Waits }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Look::Waits,
            Err(_) => Look::Stranger,
        }
    }

    /// Answers a whole hello, or believes a whole proof.
    fn heard(&mut self, token: &Token) -> Look {
        let mut said = [0; HELLO_BYTES];
        said.copy_from_slice(&self.bytes[..HELLO_BYTES]);
        let Some(hello) = Hello::decode(&said) else { return Look::Stranger };
        if let Some(ours) = &self.asked {
            let right = token.proves(&said, ours, &self.bytes[HELLO_BYTES..]);
            return if right { Look::Believed(hello) } else { Look::Stranger };
        }
        let Ok(ours) = nonce() else { return Look::Stranger };
        // An empty send buffer always holds so few bytes.
        match self.stream.write_all(&token.answer(&said, &ours)) {
            Ok(()) => {
                self.asked = Some(ours);
                Look::Waits
            }
            Err(_) => Look::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::hello::{ANSWER_BYTES, Purpose, TOKEN_BYTES};

    const HELLO: Hello = Hello { epoch: 3, rank: 1, purpose: Purpose::Ring };

    fn listener() -> Listener {
        let token = Token([9; TOKEN_BYTES]);
        Listener::bind("127.0.0.1:0".parse().unwrap(), token, &Tuning::default()).unwrap()
    }

    fn refused_within(listener: &Listener, wanted: u64) -> u64 {
        let deadline = now_ns() + 10_000_000_000;
        let mut seen = 0;
        while seen < wanted && now_ns() < deadline {
            seen += listener.refused().iter().map(|(_, count)| count).sum::<u64>();
            std::thread::sleep(Duration::from_millis(5));
        }
        seen
    }

    /// Calls as a peer does; the door's last word.
    fn call(listener: &Listener, token: &Token) -> (TcpStream, Option<[u8; 8]>) {
        let mut caller = TcpStream::connect(listener.address()).unwrap();
        let said = HELLO.encode(&nonce().unwrap());
        caller.write_all(&said).unwrap();
        let mut answer = [0; ANSWER_BYTES];
        caller.read_exact(&mut answer).unwrap();
        // A stranger can't make a proof: it sends what it heard.
        let proof = token.prove(&said, &answer).unwrap_or([5; PROOF_BYTES]);
        caller.write_all(&proof).unwrap();
        let mut welcome = [0; 8];
        let read = caller.read_exact(&mut welcome);
        (caller, read.is_ok().then_some(welcome))
    }

    #[test]
    fn a_right_hello_is_welcomed_and_found_by_its_key() {
        let listener = listener();
        let (_caller, welcome) = call(&listener, &Token([9; TOKEN_BYTES]));
        assert_eq!(welcome, Some(WELCOME));
        let deadline = now_ns() + 5_000_000_000;
        assert!(listener.take(HELLO, deadline, &Halt::default()).is_ok());
        assert!(listener.refused().is_empty());
    }

    #[test]
    fn strangers_are_closed_and_counted() {
        let listener = listener();
        let (_caller, wrong_token) = call(&listener, &Token([8; TOKEN_BYTES]));
        let mut garbage = TcpStream::connect(listener.address()).unwrap();
        garbage.write_all(&[b'G'; 4096]).unwrap();
        drop(TcpStream::connect(listener.address()).unwrap());
        assert_eq!(refused_within(&listener, 3), 3);
        assert_eq!(wrong_token, None);
    }

    #[test]
    fn a_silent_caller_is_refused_after_the_deadline() {
        let listener = listener();
        let _silent = TcpStream::connect(listener.address()).unwrap();
        assert_eq!(refused_within(&listener, 1), 1);
    }

    #[test]
    fn a_crowd_of_silent_callers_does_not_keep_a_peer_out() {
        let listener = listener();
        let crowd: Vec<_> = (0..HALF_OPEN_MAX + 8)
            .map(|_| TcpStream::connect(listener.address()).unwrap())
            .collect();
        assert_eq!(call(&listener, &Token([9; TOKEN_BYTES])).1, Some(WELCOME));
        drop(crowd);
    }
}
