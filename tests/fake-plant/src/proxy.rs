//! Between a client and an agent: what a network, or somebody in it, does to datagrams.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Nothing ever comes.
    Mute,
    /// Bytes that are no SNMP.
    Garbage,
    /// It comes from another port than was asked.
    Elsewhere,
    /// The answer before comes again first.
    Stale,
}

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    #[must_use]
    pub fn start(agent: SocketAddr, mischief: Mischief) -> Self {
        let front = socket();
        let address = front.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let thread = std::thread::spawn(move || pass(&front, agent, mischief, &ended));
        Self { address, stop, thread: Some(thread) }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket
}

fn pass(front: &UdpSocket, agent: SocketAddr, mischief: Mischief, stop: &AtomicBool) {
    let (back, aside) = (socket(), socket());
    back.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut bytes = [0; 65_536];
    let mut before = None;
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = front.recv_from(&mut bytes) else { continue };
        match mischief {
            Mischief::Mute => continue,
            Mischief::Garbage => {
                front.send_to(b"\x30\x82\xff\xffHTTP/1.1 400 Bad Request", client).unwrap();
                continue;
            }
            Mischief::Elsewhere | Mischief::Stale => {}
        }
        back.send_to(&bytes[..length], agent).unwrap();
        let Ok(length) = back.recv(&mut bytes) else { continue };
        let answer = bytes[..length].to_vec();
        if mischief == Mischief::Elsewhere {
            aside.send_to(&answer, client).unwrap();
            continue;
        }
        if let Some(before) = before.replace(answer.clone()) {
            let _ = front.send_to(&before, client);
        }
        let _ = front.send_to(&answer, client);
    }
}
