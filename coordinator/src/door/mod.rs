//! The door of the coordinator's ports: who comes in, within which time, how many at once.
//!
//! A caller costs a task until it has shown its certificate and spoken the first words of
//! HTTP/2. Whoever is too slow, too many or nobody is refused, counted, and costs nothing more.

mod connection;
mod crowd;
mod gate;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use proto::tls::{Identity, Role, ServerTls};
use rustls::{CertificateError, Error as TlsError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

pub(crate) use connection::{Connection, Peer};
use crowd::{Crowd, Place, Ticket};
pub(crate) use gate::{gate, operator_of, speaks_for};
pub(crate) use refusals::{Reason, Refusals};

/// A handshake takes a millisecond; ten thousand agents at once are through in seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that shook hands and wait for the server to take them.
const READY_MAX: usize = 64;
/// Without file descriptors there is nothing to do but to wait for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of one agent: two, and what a broken network leaves behind for seconds.
const AGENT_PLACES: usize = 16;
/// Connections of one operator: scripts that watch and ask beside each other.
const OPERATOR_PLACES: usize = 64;
/// Connections of one address to the port where nodes join.
const JOINING_PLACES: usize = 32;

/// How a port is guarded.
pub(crate) enum Guard {
    /// Plain text; the listener has a loopback address.
    Local,
    /// Members of the fleet only.
    Mutual(ServerTls),
    /// Nodes that have no certificate yet.
    Joining(ServerTls),
}

/// A listener with its rules.
struct Door {
    guard: Guard,
    refusals: Arc<Refusals>,
    half_open: Arc<Crowd>,
    places: Arc<crowd::Places>,
}

/// Connections that came through the door, until the stream is dropped.
pub(crate) fn open(
    listener: TcpListener,
    guard: Guard,
    refusals: Arc<Refusals>,
) -> ReceiverStream<std::io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(READY_MAX);
    let (half_open, places) = (Arc::default(), Arc::default());
    let door = Arc::new(Door { guard, refusals, half_open, places });
    tokio::spawn(accept(door, listener, ready));
    ReceiverStream::new(stream)
}

async fn accept(
    door: Arc<Door>,
    listener: TcpListener,
    ready: mpsc::Sender<std::io::Result<Connection>>,
) {
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (ticket, sent_away) = door.half_open.enter(from.ip());
        if sent_away {
            door.refusals.note(Reason::TooMany, &from.ip(), &"the oldest half-open one goes");
        }
        let (door, ready) = (door.clone(), ready.clone());
        tokio::spawn(async move {
            if let Some(connection) = door.admit(stream, ticket).await {
                let _ = ready.send(Ok(connection)).await;
            }
        });
    }
}

impl Door {
    async fn admit(&self, stream: TcpStream, mut ticket: Ticket) -> Option<Connection> {
        let from = stream.peer_addr().ok()?;
        let _ = stream.set_nodelay(true);
        let tls = match &self.guard {
            Guard::Local => {
                let refusals = self.refusals.clone();
                return Some(Connection::plain(stream, from, ticket, refusals));
            }
            Guard::Mutual(tls) | Guard::Joining(tls) => tls,
        };
        let (config, changed) = tls.config();
        match changed {
            Some(Ok(())) => tracing::info!("renewed certificate files are in use"),
            Some(Err(error)) => tracing::warn!(%error, "changed certificate files are not used"),
            None => {}
        }
        let shaken = tokio::select! {
            () = ticket.sent_away() => return None,
            shaken = tokio::time::timeout(
                HANDSHAKE_TIMEOUT,
                TlsAcceptor::from(config).accept(stream),
            ) => shaken,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                if let Some(reason) = reason_of(&error) {
                    self.refusals.note(reason, &from, &error);
                }
                return None;
            }
            Err(_) => {
                self.refusals.note(Reason::TooSlow, &from, &"no handshake in time");
                return None;
            }
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let peer = match (&self.guard, shown.map(Identity::of)) {
            (Guard::Mutual(_), Some(Ok(identity))) => Peer::Known(identity),
            (Guard::Mutual(_), Some(Err(what))) => {
                self.refusals.note(Reason::WrongRole, &from, &what);
                return None;
            }
            (Guard::Mutual(_), None) => {
                self.refusals.note(Reason::NoCertificate, &from, &"no certificate");
                return None;
            }
            (Guard::Joining(_), _) => Peer::Joining,
            (Guard::Local, _) => Peer::Local,
        };
        let Some(place) = self.place(&peer, from) else {
            self.refusals.note(Reason::TooMany, &from, &"too many connections are open");
            return None;
        };
        Some(Connection::tls(stream, (from, peer), (ticket, place), self.refusals.clone()))
    }

    fn place(&self, peer: &Peer, from: std::net::SocketAddr) -> Option<Place> {
        let (key, most) = match peer {
            Peer::Known(identity) => {
                let most = match identity.role {
                    Role::Agent => AGENT_PLACES,
                    Role::Operator | Role::Coordinator => OPERATOR_PLACES,
                };
                (identity.to_string(), most)
            }
            Peer::Joining | Peer::Local => (from.ip().to_string(), JOINING_PLACES),
        };
        self.places.take(key, most)
    }
}

/// What a failed handshake is counted as; nothing for a caller that hung up.
fn reason_of(error: &std::io::Error) -> Option<Reason> {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        let hung_up = matches!(
            error.kind(),
            std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::BrokenPipe
        );
        return (!hung_up).then_some(Reason::NotTls);
    };
    Some(match tls {
        TlsError::NoCertificatesPresented => Reason::NoCertificate,
        TlsError::InvalidCertificate(error) => match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Reason::Expired,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Reason::WrongRole
            }
            _ => Reason::OtherAuthority,
        },
        TlsError::AlertReceived(_) => Reason::RefusedUs,
        _ => Reason::NotTls,
    })
}
