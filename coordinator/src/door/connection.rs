//! A connection on its way to the services, with the one who is at its other end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use proto::tls::Identity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::crowd::{Place, Ticket};
use super::refusals::{Reason, Refusals};

/// First bytes of every HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Time for them. What comes after is watched by HTTP/2's keep-alive.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Plain text on this machine: nobody is told apart.
    Local,
    /// Whom the certificate names.
    Known(Identity),
    /// A node that has no certificate yet.
    Joining,
}

/// A connection that came through the door.
pub(crate) struct Connection {
    stream: Stream,
    from: SocketAddr,
    peer: Peer,
    /// Until the first bytes of HTTP/2 were read.
    opening: Option<Opening>,
    _place: Option<Place>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

struct Opening {
    ticket: Ticket,
    deadline: Pin<Box<Sleep>>,
    seen: usize,
    refusals: Arc<Refusals>,
}

impl Opening {
    fn new(ticket: Ticket, refusals: Arc<Refusals>) -> Self {
        let deadline = Box::pin(tokio::time::sleep(PREFACE_TIMEOUT));
        Self { ticket, deadline, seen: 0, refusals }
    }
}

impl Connection {
    pub(super) fn plain(
        stream: TcpStream,
        from: SocketAddr,
        ticket: Ticket,
        refusals: Arc<Refusals>,
    ) -> Self {
        let opening = Some(Opening::new(ticket, refusals));
        Self { stream: Stream::Plain(stream), from, peer: Peer::Local, opening, _place: None }
    }

    pub(super) fn tls(
        stream: TlsStream<TcpStream>,
        (from, peer): (SocketAddr, Peer),
        (ticket, place): (Ticket, Place),
        refusals: Arc<Refusals>,
    ) -> Self {
        let opening = Some(Opening::new(ticket, refusals));
        Self { stream: Stream::Tls(Box::new(stream)), from, peer, opening, _place: Some(place) }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Opening {
    /// Whether this caller's time is over.
    fn poll_over(&mut self, cx: &mut Context<'_>, from: SocketAddr) -> Option<io::Error> {
        if self.ticket.poll_sent_away(cx) {
            return Some(io::ErrorKind::ConnectionAborted.into());
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.refusals.note(Reason::TooSlow, &from, &"no HTTP/2 in time");
            return Some(io::ErrorKind::TimedOut.into());
        }
        None
    }

    /// Whether bytes are what an HTTP/2 connection begins with; `true` once they all were.
    fn take(&mut self, bytes: &[u8], from: SocketAddr) -> io::Result<bool> {
        let expected = &PREFACE[self.seen..];
        let compared = expected.len().min(bytes.len());
        if expected[..compared] != bytes[..compared] {
            self.refusals.note(Reason::NotHttp2, &from, &"not the first words of HTTP/2");
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.seen += compared;
        Ok(self.seen == PREFACE.len())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(opening) = &mut this.opening
            && let Some(error) = opening.poll_over(cx, this.from)
        {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        };
        if let (Some(opening), Poll::Ready(Ok(()))) = (&mut this.opening, &read)
            && opening.take(&buffer.filled()[before..], this.from)?
        {
            this.opening = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
