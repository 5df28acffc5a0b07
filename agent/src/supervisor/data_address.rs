//! Where peers reach this node's data plane.

use std::net::IpAddr;

use proto::dial::Dialer;

/// An address that was asked for, or else the one that the coordinator sees: a network that
/// carries the session is one that the building has; which other one should carry the load
/// only a person knows.
#[derive(Debug, Clone)]
pub(crate) struct DataAddress {
    pub(crate) asked: Option<IpAddr>,
    pub(crate) dialer: Dialer,
}

impl DataAddress {
    /// The address now: orders come over a connection, so there is one.
    ///
    /// # Errors
    /// When there never was a connection.
    pub(super) fn now(&self) -> Result<IpAddr, &'static str> {
        self.asked
            .or_else(|| self.dialer.local_address())
            .ok_or("no address for the data plane is known: give --data-address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::dial::Security;

    #[test]
    fn what_was_asked_for_comes_first_and_nothing_is_guessed() {
        let dialer = Dialer::new("127.0.0.1:1", Security::InsecureLoopback);
        let asked = Some([10, 0, 0, 7].into());
        let unknown = DataAddress { asked: None, dialer: dialer.clone() };
        assert_eq!(DataAddress { asked, dialer }.now().ok(), asked);
        assert!(unknown.now().is_err());
    }
}
