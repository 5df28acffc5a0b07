//! Channel settings that both ends must agree on; those of TLS are in [`crate::tls`].

use std::net::IpAddr;
use std::time::Duration;

/// A batch or message larger than this is refused: a thousand times a usual one.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What one call may have on the way unread, in bytes. An agent's session and its upload share a
/// connection: an upload that waits for the coordinator's disk fills its own window and leaves
/// the session, with its leases, the rest of the connection's.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// HTTP/2 keep-alive: a dead TCP peer is noticed within interval + timeout. A session's
/// end is only a hint; loss of a node is judged by its lease.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// See [`KEEPALIVE_INTERVAL`].
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection attempt may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Ranks after its own that an agent probes, and before its own that probe it: with more ranks
/// the rest are left out, in probes and in the orders for them. A list of all ten thousand to
/// each of ten thousand would be gigabytes.
pub const NEIGHBOURS_MAX: u32 = 32;

/// Port of the coordinator when nobody names one.
pub const DEFAULT_PORT: u16 = 7733;
/// Port on which nodes without a certificate join, when nobody names one.
pub const JOIN_PORT: u16 = 7734;

/// Plain text is for one machine only: without TLS an address must be a loopback address.
///
/// # Errors
/// A sentence with the mend.
pub fn check_plain_text(address: IpAddr, insecure_loopback: bool) -> Result<(), String> {
    match (address.is_loopback(), insecure_loopback) {
        (true, true) => Ok(()),
        (false, _) => Err(format!(
            "{address} is not a loopback address: plain text stays on 127.0.0.1 or [::1]; use --tls-dir DIR"
        )),
        (true, false) => {
            Err("plain text needs --insecure-loopback on both sides (and a loopback address)"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_loopback_and_must_be_asked_for() {
        let loopback: IpAddr = [127, 0, 0, 1].into();
        assert!(check_plain_text(loopback, true).is_ok());
        assert!(check_plain_text(loopback, false).is_err());
        assert!(check_plain_text([10, 0, 0, 1].into(), true).is_err());
    }
}
