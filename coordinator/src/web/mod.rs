//! The live page, over HTTP/1.1 on a port of its own: see `docs/live.md`.
//!
//! Nothing here may delay the coordinator: everything is bounded in number and time, who reads
//! slowly misses states, and the hall is looked at twice a second however many look.

mod answer;
mod judged;
mod rights;
mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use judged::Latest;
use proto::tls::{Identity, ServerTls};
use rights::Key;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::door::{Guard, Peer};
use crate::hall::Hall;

/// Connections at a time, handshakes included.
const CONNECTIONS_MAX: usize = 256;
/// Pages that are open at a time.
const LISTENERS_MAX: usize = 64;
/// Distance of states.
const EVERY: Duration = Duration::from_millis(500);
/// A connection ends after this, and a page that is still open comes again by itself: so a
/// listener that does not read frees its place.
const CONNECTION_MAX: Duration = Duration::from_secs(90);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Without file descriptors there is nothing to do but to wait for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every answer needs.
struct Web {
    hall: Hall,
    key: Key,
    judged: Latest,
    /// The latest event, for all listeners.
    states: watch::Sender<Bytes>,
    listeners: Arc<Semaphore>,
}

impl Web {
    fn state(&self) -> Value {
        view::document(&self.hall.floor(), &self.judged.get())
    }

    fn is_watched(&self) -> bool {
        self.states.receiver_count() > 0
    }
}

/// Serves until the process ends; the key of the stop button.
pub(crate) fn open(
    hall: Hall,
    listener: TcpListener,
    guard: Guard,
) -> Result<String, ring::error::Unspecified> {
    let web = Arc::new(Web {
        hall: hall.clone(),
        key: Key::new()?,
        judged: Latest::default(),
        states: watch::Sender::new(Bytes::new()),
        listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
    });
    let (judging, key) = (web.clone(), web.key.text().to_owned());
    let latest = web.judged.clone();
    tokio::spawn(judged::keep(hall, latest, move || judging.is_watched()));
    tokio::spawn(publish(web.clone()));
    tokio::spawn(accept(web, listener, Arc::new(guard)));
    Ok(key)
}

/// Makes a state twice a second while anybody looks.
async fn publish(web: Arc<Web>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if web.is_watched() {
            let event = answer::event(&web.state().to_string());
            web.states.send_replace(Bytes::from(event));
        }
    }
}

async fn accept(web: Arc<Web>, listener: TcpListener, guard: Arc<Guard>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection to the live page can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Who comes when it is full is sent away, not kept waiting: a browser asks again.
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (web, guard) = (web.clone(), guard.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = tokio::time::timeout(CONNECTION_MAX, meet(web, &guard, stream)).await;
        });
    }
}

async fn meet(web: Arc<Web>, guard: &Guard, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    match guard {
        Guard::Local => serve(web, Peer::Local, stream).await,
        Guard::Mutual(tls) => {
            let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, shake(tls, stream)).await;
            if let Ok(Some((peer, stream))) = shaken {
                serve(web, peer, stream).await;
            }
        }
        // A port for nodes without certificates shows nobody anything.
        Guard::Joining(_) => {}
    }
}

/// Mutual TLS as on the other port, but for the protocol inside: browsers speak HTTP/1.1 here.
async fn shake(
    tls: &ServerTls,
    stream: TcpStream,
) -> Option<(Peer, tokio_rustls::server::TlsStream<TcpStream>)> {
    let mut config = rustls::ServerConfig::clone(&tls.config().0);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = match TlsAcceptor::from(Arc::new(config)).accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "no handshake on the live page");
            return None;
        }
    };
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    let identity = Identity::of(shown).ok()?;
    Some((Peer::Known(identity), stream))
}

async fn serve(web: Arc<Web>, peer: Peer, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| {
        let response = answer::answer(&web, &peer, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the live page ended");
    }
}
