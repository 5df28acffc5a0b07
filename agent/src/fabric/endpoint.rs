//! One node's end of the data plane: the door for callers, and the way to call others.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::clock::{Halt, now_ns};
use super::error::FabricError;
use super::hello::{ANSWER_BYTES, Hello, Purpose, Token, WELCOME, nonce};
use super::listener::Listener;
use super::path::{self, Hops};
use super::socket::{Tuning, connect, source_port};

/// Longest single attempt to connect, and pause before the next one.
const ATTEMPT: Duration = Duration::from_secs(2);
const PAUSE_NS: u64 = 20_000_000;
/// An attempt has at least so long, however near the deadline is.
const ATTEMPT_LEAST: Duration = Duration::from_millis(20);
/// Ways that could not be learned in a row, after which nobody is asked any more.
const SILENCES_MAX: u32 = 8;

/// How an endpoint is set up.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Address to listen on and to call from; port 0 takes any.
    pub listen: SocketAddr,
    /// The run's secret.
    pub token: Token,
    pub tuning: Tuning,
    /// A step in which nothing moves for this long has failed, in nanoseconds.
    pub stall_ns: u64,
}

/// Default of [`EndpointConfig::stall_ns`]: longer than TCP's first retransmissions and
/// any scheduler, far shorter than a phase.
pub const STALL_NS: u64 = 5_000_000_000;

/// One node's end of the data plane.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    listener: Listener,
    /// Ways in a row that could not be learned.
    silences: AtomicU32,
}

impl Endpoint {
    /// Listens.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn bind(config: EndpointConfig) -> io::Result<Self> {
        let listener = Listener::bind(config.listen, config.token.clone(), &config.tuning)?;
        Ok(Self { config, listener, silences: AtomicU32::new(0) })
    }

    /// The address really bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Longest standstill of any step, in nanoseconds.
    #[must_use]
    pub fn stall_ns(&self) -> u64 {
        self.config.stall_ns
    }

    /// Strangers refused since the last call.
    #[must_use]
    pub fn refused(&self) -> Vec<(IpAddr, u64)> {
        self.listener.refused()
    }

    /// Waits for a peer's call.
    ///
    /// # Errors
    /// When it did not come by `deadline_ns`, or when stopped.
    pub fn take(
        &self,
        hello: Hello,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<TcpStream, FabricError> {
        self.listener.take(hello, deadline_ns, halt)
    }

    /// Calls a peer until it answers: it may start later than we do.
    ///
    /// # Errors
    /// When it was not reached by `deadline_ns`, or when stopped.
    pub fn call(
        &self,
        peer: u32,
        target: SocketAddr,
        hello: Hello,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<TcpStream, FabricError> {
        self.call_over(peer, target, hello, deadline_ns, halt, false).map(|(stream, _)| stream)
    }

    /// As [`Endpoint::call`], with the way of the connection where it can be learned.
    ///
    /// # Errors
    /// As of [`Endpoint::call`].
    pub fn call_traced(
        &self,
        peer: u32,
        target: SocketAddr,
        hello: Hello,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<(TcpStream, Option<Hops>), FabricError> {
        self.call_over(peer, target, hello, deadline_ns, halt, true)
    }

    fn call_over(
        &self,
        peer: u32,
        target: SocketAddr,
        hello: Hello,
        deadline_ns: u64,
        halt: &Halt,
        trace: bool,
    ) -> Result<(TcpStream, Option<Hops>), FabricError> {
        loop {
            // No attempt beyond the deadline: a dead peer must not cost the next slots.
            let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns()));
            let within = left.clamp(ATTEMPT_LEAST, ATTEMPT);
            let failure = match self.attempt(peer, target, hello, (trace, within)) {
                Ok(called) => return Ok(called),
                Err(failure) => failure,
            };
            if now_ns() + PAUSE_NS >= deadline_ns {
                return Err(failure);
            }
            halt.sleep_until(now_ns() + PAUSE_NS)?;
        }
    }

    /// A connection whose way is known. Where routers say nothing they are not asked for
    /// ever: each silence costs time of the slot.
    fn trace(
        &self,
        target: SocketAddr,
        source: SocketAddr,
        tuning: &Tuning,
    ) -> Option<(TcpStream, Hops)> {
        if self.silences.load(Ordering::Relaxed) >= SILENCES_MAX {
            return None;
        }
        let traced = path::connect(target, source, tuning);
        match traced {
            Some(_) => self.silences.store(0, Ordering::Relaxed),
            None => _ = self.silences.fetch_add(1, Ordering::Relaxed),
        }
        traced
    }

    fn attempt(
        &self,
        peer: u32,
        target: SocketAddr,
        hello: Hello,
        (trace, within): (bool, Duration),
    ) -> Result<(TcpStream, Option<Hops>), FabricError> {
        let port = match hello.purpose {
            Purpose::Bulk { round, stream } => {
                source_port(&self.config.tuning, peer, stream, round)
            }
            Purpose::Ring | Purpose::Probe => 0,
        };
        let source = SocketAddr::new(self.config.listen.ip(), port);
        let tuning = self.config.tuning.of(hello.purpose, target.ip());
        let traced = if trace { self.trace(target, source, &tuning) } else { None };
        let (mut stream, hops) = match traced {
            Some((stream, hops)) => (stream, Some(hops)),
            None => (connect(target, source, &tuning, within)?, None),
        };
        let nonsense = || FabricError::Nonsense(format!("{target} answered, but not as one of us"));
        let said = nonce().map(|nonce| hello.encode(&nonce)).map_err(FabricError::io("hello"))?;
        let mut answer = [0; ANSWER_BYTES];
        stream
            .set_read_timeout(Some(within))
            .and_then(|()| stream.set_write_timeout(Some(within)))
            .and_then(|()| stream.write_all(&said))
            .and_then(|()| stream.read_exact(&mut answer))
            .map_err(FabricError::io("hello"))?;
        let proof = self.config.token.prove(&said, &answer).ok_or_else(nonsense)?;
        let mut welcome = [0; WELCOME.len()];
        stream
            .write_all(&proof)
            .and_then(|()| stream.read_exact(&mut welcome))
            .map_err(FabricError::io("hello"))?;
        if welcome == WELCOME { Ok((stream, hops)) } else { Err(nonsense()) }
    }
}
