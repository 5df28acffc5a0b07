//! Who may read and who may stop: two rights. Pure.
//!
//! | port | read | stop |
//! |---|---|---|
//! | plain text on loopback | this machine's users, asking for a loopback name | who has the key |
//! | mutual TLS | every certificate of the fleet | an operator's, and the key besides |
//!
//! The key is made at the start. A browser never sends it by itself, as it sends cookies and
//! certificates, so no other page can press the button in somebody's name.

use std::net::IpAddr;

use proto::tls::Role;
use ring::rand::{SecureRandom, SystemRandom};

use crate::door::Peer;

/// The header that carries the key.
pub(super) const KEY_HEADER: &str = "x-loadbank-key";
const KEY_BYTES: usize = 16;

/// Lets the stop button through.
pub(super) struct Key(String);

/// Of a request, what rights depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) peer: &'a Peer,
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// 421: the page was asked for under a name that is not this machine's.
    ForeignHost,
    /// 401
    NoKey,
    /// 403, with the reason.
    Forbidden(&'static str),
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Compares hashes: how long that takes says nothing about the key.
    fn is(&self, said: &str) -> bool {
        let hash = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        hash(&self.0).as_ref() == hash(said).as_ref()
    }
}

/// Whether somebody may read.
///
/// # Errors
/// The refusal.
pub(super) fn may_read(asked: &Asked) -> Result<(), Refused> {
    match asked.peer {
        // A name that another site made point here (DNS rebinding) is no loopback name.
        Peer::Local if asked.host.is_some_and(is_loopback) => Ok(()),
        Peer::Local => Err(Refused::ForeignHost),
        Peer::Known(_) => Ok(()),
        Peer::Joining => Err(Refused::Forbidden("a certificate of the fleet is needed")),
    }
}

/// Whether somebody may be told the key: operators by certificate only.
///
/// # Errors
/// The refusal.
pub(super) fn may_have_key(asked: &Asked) -> Result<(), Refused> {
    may_read(asked)?;
    match asked.peer {
        Peer::Known(identity) if identity.role == Role::Operator => Ok(()),
        _ => Err(Refused::Forbidden("the right to stop is an operator's")),
    }
}

/// Whether somebody may stop; the name for the record.
///
/// # Errors
/// The refusal.
pub(super) fn may_stop(asked: &Asked, key: &Key) -> Result<String, Refused> {
    may_read(asked)?;
    let foreign = asked.origin.is_some_and(|origin| {
        let from = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
        from.is_none() || from != asked.host
    });
    if foreign {
        return Err(Refused::Forbidden("another site's page can't stop a run"));
    }
    let who = match asked.peer {
        Peer::Known(identity) if identity.role == Role::Operator => identity.name.clone(),
        Peer::Known(_) | Peer::Joining => {
            return Err(Refused::Forbidden("the right to stop is an operator's"));
        }
        Peer::Local => "somebody with the live page's key".to_owned(),
    };
    match asked.key {
        None => Err(Refused::NoKey),
        Some(said) if key.is(said) => Ok(who),
        Some(_) => Err(Refused::Forbidden("this is not the key of this coordinator's page")),
    }
}

/// `127.0.0.1:7735`, `localhost`, `[::1]:7735`.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use proto::tls::Identity;

    use super::*;

    fn known(role: Role) -> Peer {
        Peer::Known(Identity { role, name: "ada".to_owned() })
    }

    fn asked<'a>(peer: &'a Peer, key: Option<&'a str>) -> Asked<'a> {
        Asked { peer, host: Some("127.0.0.1:7735"), origin: None, key }
    }

    #[test]
    fn on_loopback_who_has_the_key_stops_and_others_read() {
        let key = Key::new().unwrap();
        let text = key.text().to_owned();
        assert!(may_read(&asked(&Peer::Local, None)).is_ok());
        assert_eq!(may_stop(&asked(&Peer::Local, None), &key), Err(Refused::NoKey));
        assert!(matches!(
            may_stop(&asked(&Peer::Local, Some("0")), &key),
            Err(Refused::Forbidden(_))
        ));
        assert!(may_stop(&asked(&Peer::Local, Some(&text)), &key).is_ok());
        assert!(may_have_key(&asked(&Peer::Local, Some(&text))).is_err(), "it is not handed out");
    }

    #[test]
    fn a_foreign_name_or_page_is_refused() {
        let key = Key::new().unwrap();
        let text = key.text().to_owned();
        let good = asked(&Peer::Local, Some(&text));
        let rebound = Asked { host: Some("evil.example:7735"), ..good };
        assert_eq!(may_read(&rebound), Err(Refused::ForeignHost));
        assert_eq!(may_read(&Asked { host: None, ..good }), Err(Refused::ForeignHost));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            let from = Asked { origin: Some(origin), ..good };
            assert!(matches!(may_stop(&from, &key), Err(Refused::Forbidden(_))), "{origin}");
        }
        let own = Asked { origin: Some("http://127.0.0.1:7735"), ..good };
        assert!(may_stop(&own, &key).is_ok());
    }

    #[test]
    fn over_tls_only_an_operator_stops_and_needs_the_key_too() {
        let key = Key::new().unwrap();
        let text = key.text().to_owned();
        let (agent, operator) = (known(Role::Agent), known(Role::Operator));
        assert!(may_read(&asked(&agent, None)).is_ok());
        assert!(may_have_key(&asked(&agent, None)).is_err());
        assert!(matches!(may_stop(&asked(&agent, Some(&text)), &key), Err(Refused::Forbidden(_))));
        assert!(may_have_key(&asked(&operator, None)).is_ok());
        assert_eq!(may_stop(&asked(&operator, None), &key), Err(Refused::NoKey));
        assert_eq!(may_stop(&asked(&operator, Some(&text)), &key), Ok("ada".to_owned()));
    }

    #[test]
    fn loopback_names() {
        for host in ["localhost", "localhost:1", "127.0.0.1:7735", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "10.0.0.1:80", "localhost.evil.example", "127.0.0.1.evil.example:80"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
