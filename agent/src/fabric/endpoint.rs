//! One node's end of the data plane: the door for callers, and the way to call others.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use super::clock::{Halt, now_ns};
use super::error::FabricError;
use super::hello::{ANSWER_BYTES, Hello, Purpose, Token, WELCOME, nonce};
use super::listener::Listener;
use super::socket::{Tuning, connect, source_port};

/// Longest single attempt to connect, and pause before the next one.
const ATTEMPT: Duration = Duration::from_secs(2);
const PAUSE_NS: u64 = 20_000_000;

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
}

impl Endpoint {
    /// Listens.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn bind(config: EndpointConfig) -> io::Result<Self> {
        let listener = Listener::bind(config.listen, config.token.clone(), &config.tuning)?;
        Ok(Self { config, listener })
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
        loop {
            let failure = match self.attempt(peer, target, hello) {
                Ok(stream) => return Ok(stream),
                Err(failure) => failure,
            };
            if now_ns() + PAUSE_NS >= deadline_ns {
                return Err(failure);
            }
            halt.sleep_until(now_ns() + PAUSE_NS)?;
        }
    }

    fn attempt(
        &self,
        peer: u32,
        target: SocketAddr,
        hello: Hello,
    ) -> Result<TcpStream, FabricError> {
        let port = match hello.purpose {
            Purpose::Bulk { stream, .. } => source_port(&self.config.tuning, peer, stream),
            Purpose::Ring | Purpose::Probe => 0,
        };
        let source = SocketAddr::new(self.config.listen.ip(), port);
        let tuning = self.config.tuning.of(hello.purpose, target.ip());
        let mut stream = connect(target, source, &tuning, ATTEMPT)?;
        let nonsense = || FabricError::Nonsense(format!("{target} answered, but not as one of us"));
        let said = nonce().map(|nonce| hello.encode(&nonce)).map_err(FabricError::io("hello"))?;
        let mut answer = [0; ANSWER_BYTES];
        stream
            .set_read_timeout(Some(ATTEMPT))
            .and_then(|()| stream.set_write_timeout(Some(ATTEMPT)))
            .and_then(|()| stream.write_all(&said))
            .and_then(|()| stream.read_exact(&mut answer))
            .map_err(FabricError::io("hello"))?;
        let proof = self.config.token.prove(&said, &answer).ok_or_else(nonsense)?;
        let mut welcome = [0; WELCOME.len()];
        stream
            .write_all(&proof)
            .and_then(|()| stream.read_exact(&mut welcome))
            .map_err(FabricError::io("hello"))?;
        if welcome == WELCOME { Ok(stream) } else { Err(nonsense()) }
    }
}
