//! One TCP socket: how it is opened, tuned, and what the kernel says about it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use model::reading::{Absence, Reading};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::error::FabricError;
use super::hello::Purpose;

/// Streams that a pair may use at most; also the distance between two peers' source ports.
pub const STREAMS_MAX: u32 = 64;

/// Bytes of the send and of the receive buffer of a ring's sockets. Left to itself the kernel
/// grows them to several MiB: then a rank runs that far ahead, and what it wrote has left the
/// cache before its successor reads it. One segment of the ring in each buffer did best with
/// 4 ranks on one machine (`tests/bench/peers.sh`). Between machines it would bound a ring to
/// a buffer a round trip (20 Gbit/s at 100 us): there the kernel's own tuning stays.
pub const RING_BUFFER_BYTES: u32 = 256 << 10;

/// How every socket of a run is tuned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Congestion control asked for; the kernel's default when `None` or not allowed.
    pub congestion: Option<String>,
    /// Bytes of the send and of the receive buffer; 0: the kernel tunes them. `None`: what is
    /// best for the purpose, [`RING_BUFFER_BYTES`] for a ring on one machine and the kernel's
    /// for the rest.
    pub buffer_bytes: Option<u32>,
    /// First source port of bulk streams; ephemeral ports when `None`.
    pub source_port_base: Option<u16>,
}

impl Tuning {
    /// The tuning of a connection with this peer for this purpose.
    #[must_use]
    pub fn of(&self, purpose: Purpose, peer: IpAddr) -> Self {
        let is_near = purpose == Purpose::Ring && peer.is_loopback();
        let best = is_near.then_some(RING_BUFFER_BYTES);
        Self { buffer_bytes: self.buffer_bytes.or(best), ..self.clone() }
    }
}

/// Asks for a congestion control; what is really used is read back by [`congestion_of`].
/// `EPERM` (not allowed for this user) and `ENOENT` (not in this kernel) are no failure.
pub fn tune(socket: SockRef<'_>, tuning: &Tuning) -> io::Result<()> {
    if let Some(name) = &tuning.congestion
        && let Err(error) = socket.set_tcp_congestion(name.as_bytes())
    {
        let refused = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOENT));
        if !refused {
            return Err(error);
        }
    }
    if let Some(bytes) = tuning.buffer_bytes.filter(|bytes| *bytes > 0) {
        socket.set_send_buffer_size(bytes as usize)?;
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    socket.set_tcp_nodelay(true)
}

/// Connects from a fixed source port where one is asked for and free.
pub fn connect(
    target: SocketAddr,
    source: SocketAddr,
    tuning: &Tuning,
    timeout: Duration,
) -> Result<TcpStream, FabricError> {
    match connect_from(target, source, tuning, timeout) {
        // Taken, or its tuple still lingers in the kernel: any port is better than none.
        Err(error)
            if source.port() != 0
                && matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                ) =>
        {
            let anywhere = SocketAddr::new(source.ip(), 0);
            connect_from(target, anywhere, tuning, timeout)
        }
        other => other,
    }
    .map_err(FabricError::io("connect"))
}

fn connect_from(
    target: SocketAddr,
    source: SocketAddr,
    tuning: &Tuning,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    tune(SockRef::from(&socket), tuning)?;
    if !source.ip().is_unspecified() || source.port() != 0 {
        socket.bind(&source.into())?;
    }
    socket.connect_timeout(&target.into(), timeout)?;
    Ok(socket.into())
}

/// How far the ports of a pair move on from slot to slot: odd, so that all of them get their
/// turn, and far from a power of two, so that a simple hash mixes them.
const PORT_STRIDE: u32 = 3_853;

/// The source port of a stream to a peer in a slot; 0 (any) without a base. Another slot is
/// another port, and so another path: a pair that always took the same would say nothing of
/// the other uplinks.
#[must_use]
pub fn source_port(tuning: &Tuning, peer: u32, stream: u32, slot: u32) -> u16 {
    let Some(base) = tuning.source_port_base else { return 0 };
    let room = u32::from(u16::MAX - base) + 1;
    let moved = slot.wrapping_mul(PORT_STRIDE);
    let offset = peer.wrapping_mul(STREAMS_MAX).wrapping_add(stream).wrapping_add(moved) % room;
    base.wrapping_add(offset as u16)
}

/// The congestion control that the socket really uses.
#[must_use]
pub fn congestion_of(stream: &TcpStream) -> String {
    SockRef::from(stream).tcp_congestion().map_or_else(
        |_| "unknown".to_owned(),
        |name| String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned(),
    )
}

/// Segments sent again over the life of the socket (`tcpi_total_retrans`).
#[must_use]
pub fn retransmits_of(stream: &TcpStream) -> Reading<u64> {
    // SAFETY: tcp_info is plain integers, for which all zeros is a valid value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to `info`.
    let status = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    if status == 0 {
        Reading::Value(u64::from(info.tcpi_total_retrans))
    } else {
        Reading::Absent(Absence::Failed)
    }
}

/// Closes at once with a reset, so that the tuple is free for the next round: both sides
/// have said all they had to say.
pub fn close_at_once(stream: TcpStream) {
    // When it can't be set the tuple lingers, and the next round takes another port.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair(tuning: &Tuning, source: SocketAddr) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let ours = connect(target, source, tuning, Duration::from_secs(2)).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn an_unknown_congestion_control_falls_back_and_the_real_one_is_read() {
        let tuning = Tuning { congestion: Some("no-such-thing".into()), ..Tuning::default() };
        let (ours, _theirs) = pair(&tuning, "127.0.0.1:0".parse().unwrap());
        let used = congestion_of(&ours);
        assert!(!used.is_empty() && used != "no-such-thing" && used != "unknown", "{used}");
    }

    #[test]
    fn a_ring_on_one_machine_has_small_buffers_unless_somebody_says_otherwise() {
        let near: IpAddr = "127.0.0.1".parse().unwrap();
        let sizes = |asked: Option<u32>, purpose: Purpose| {
            let tuning = Tuning { buffer_bytes: asked, ..Tuning::default() }.of(purpose, near);
            let (ours, _theirs) = pair(&tuning, "127.0.0.1:0".parse().unwrap());
            SockRef::from(&ours).send_buffer_size().unwrap()
        };
        let kernels = sizes(Some(0), Purpose::Ring);
        assert_eq!(kernels, sizes(None, Purpose::Probe));
        // The kernel doubles what it is asked for, to have room for its own books.
        assert_eq!(sizes(None, Purpose::Ring), 2 * RING_BUFFER_BYTES as usize);
        assert_eq!(sizes(Some(64 << 10), Purpose::Ring), 128 << 10);
        let far = Tuning::default().of(Purpose::Ring, "192.0.2.1".parse().unwrap());
        assert_eq!(far.buffer_bytes, None);
    }

    #[test]
    fn a_taken_source_port_falls_back() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = taken.local_addr().unwrap();
        let (ours, _theirs) = pair(&Tuning::default(), source);
        assert_ne!(ours.local_addr().unwrap().port(), source.port());
    }

    #[test]
    fn source_ports_differ_by_stream_and_peer_and_stay_above_the_base() {
        let tuning = Tuning { source_port_base: Some(40_000), ..Tuning::default() };
        assert_eq!(source_port(&tuning, 0, 3, 0), 40_003);
        assert_eq!(source_port(&tuning, 2, 1, 0), 40_129);
        assert_ne!(source_port(&tuning, 2, 1, 26), 40_129);
        assert!((0..5_000).all(|peer| source_port(&tuning, peer, 7, peer) >= 40_000));
        assert_eq!(source_port(&Tuning::default(), 2, 1, 5), 0);
    }

    #[test]
    fn a_quiet_connection_retransmitted_nothing() {
        let (ours, _theirs) = pair(&Tuning::default(), "127.0.0.1:0".parse().unwrap());
        assert_eq!(retransmits_of(&ours), Reading::Value(0));
    }
}
