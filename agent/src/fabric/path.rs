//! The way of one five-tuple: connects with a rising time to live, so that each router on the
//! way says its address before the connection comes about.
//!
//! A switch chooses among equal paths by the five-tuple, so only the connection's own tuple
//! tells its own way (007, NSDI 2018: reference/fabric.md). The last attempt is the
//! connection that carries the transfer: nobody at the other end is disturbed, and no right
//! to raw sockets is needed, because Linux hands ICMP errors to the socket that they are
//! about (`IP_RECVERR`, ip(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::libc::sock_extended_err;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::socket::{Tuning, tune};

/// Routers asked at most: a fabric of three tiers has five.
const HOPS_MAX: u32 = 8;
/// A router that says nothing for so long, in milliseconds, is one that says nothing: many
/// limit such answers.
const HOP_WAIT_MS: u16 = 60;
/// Time to live of a connection that is in use.
const TTL: u32 = 64;

/// Addresses of the routers between two nodes, in order; empty where there are none.
pub type Hops = Vec<IpAddr>;

/// Connects and tells the way; `None` where it could not be learned: then nothing is
/// connected, and whoever calls connects as usual.
#[must_use]
pub fn connect(
    target: SocketAddr,
    source: SocketAddr,
    tuning: &Tuning,
) -> Option<(TcpStream, Hops)> {
    if !target.is_ipv4() || target.ip().is_loopback() {
        return None;
    }
    let (mut source, mut hops) = (source, Hops::new());
    for ttl in 1..=HOPS_MAX {
        let socket = dial(target, source, tuning, ttl).ok()?;
        // All attempts are of one tuple: the port that the kernel chose for the first.
        source = socket.local_addr().ok()?.as_socket()?;
        match outcome(&socket).ok()? {
            Step::There => {
                ready(&socket).ok()?;
                return Some((socket.into(), hops));
            }
            Step::Router(address) => hops.push(address.into()),
            Step::Silence => return None,
        }
    }
    None
}

fn dial(target: SocketAddr, source: SocketAddr, tuning: &Tuning, ttl: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    tune(SockRef::from(&socket), tuning)?;
    socket.bind(&source.into())?;
    socket.set_ttl_v4(ttl)?;
    hear_icmp(&socket, true)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn hear_icmp(socket: &Socket, hear: bool) -> io::Result<()> {
    let on = libc::c_int::from(hear);
    // SAFETY: the descriptor is open, and the kernel reads the four bytes of `on`.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_RECVERR,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    There,
    Router(Ipv4Addr),
    Silence,
}

fn outcome(socket: &Socket) -> io::Result<Step> {
    let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut waiting, PollTimeout::from(HOP_WAIT_MS))? == 0 {
        return Ok(Step::Silence);
    }
    // The router's word lies in the error queue; the error itself says "no route".
    if let Some(router) = offender(socket) {
        return Ok(Step::Router(router));
    }
    match socket.take_error()? {
        None => Ok(Step::There),
        Some(error) => Err(error),
    }
}

/// Who said that the time to live was over.
fn offender(socket: &Socket) -> Option<Ipv4Addr> {
    let mut space = cmsg_space!(sock_extended_err, libc::sockaddr_in);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut [], Some(&mut space), flags).ok()?;
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, Some(from))
            if error.ee_origin == libc::SO_EE_ORIGIN_ICMP && error.ee_type == TIME_EXCEEDED =>
        {
            Some(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)))
        }
        _ => None,
    })
}

/// ICMP's type for a packet that lived too short (RFC 792).
const TIME_EXCEEDED: u8 = 11;

/// Makes a usual connection of it.
fn ready(socket: &Socket) -> io::Result<()> {
    hear_icmp(socket, false)?;
    socket.set_ttl_v4(TTL)?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))
}
