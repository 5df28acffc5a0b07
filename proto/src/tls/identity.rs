//! Who somebody is: a role and a name, as the certificate's URI `loadbank://ROLE/NAME` says.

use rustls::pki_types::CertificateDer;

/// Longest name: no host name is longer.
const NAME_BYTES_MAX: usize = 253;
const SCHEME: &str = "loadbank://";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Serves one node: sessions and uploads of that node only.
    Agent,
    /// Commands runs.
    Operator,
    /// Leads the fleet: the only one whom agents and operators call.
    Coordinator,
}

impl Role {
    const ALL: [Self; 3] = [Self::Agent, Self::Operator, Self::Coordinator];

    /// Its word in certificates, folders and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Coordinator => "coordinator",
        }
    }
}

/// A role and a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    pub role: Role,
    pub name: String,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.role.word(), self.name)
    }
}

impl Identity {
    /// The URI in the certificate's subject alternative names.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.role.word(), self.name)
    }

    /// Reads such a URI; nothing for any other.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let (word, name) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
        check_name(name).ok()?;
        Some(Self { role, name: name.to_owned() })
    }

    /// Whom a certificate names. One that names two is believed in neither.
    ///
    /// # Errors
    /// A sentence about what the certificate lacks.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|error| format!("not a certificate: {error}"))?;
        let named: Vec<&str> =
            parsed.valid_uri_names().filter(|uri| uri.starts_with(SCHEME)).collect();
        match named.as_slice() {
            [one] => Self::parse(one).ok_or_else(|| format!("{one} names no role and name")),
            [] => Err("the certificate names no role of loadbank".to_owned()),
            _ => Err("the certificate names more than one role".to_owned()),
        }
    }
}

/// Whether something may be the name of a node, an operator or a coordinator.
///
/// # Errors
/// A sentence with what is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with(['.', '-']);
    if fits && name.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no name: 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes, underlines \
         and colons, not beginning with a dot or a dash"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_identity_is_read_back(at in 0usize..3, name in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,40}") {
            let identity = Identity { role: Role::ALL[at], name };
            prop_assert_eq!(Identity::parse(&identity.uri()), Some(identity));
        }

        #[test]
        fn any_text_is_an_identity_that_writes_itself_so_or_none(text in ".{0,60}") {
            let uri = format!("{SCHEME}{text}");
            prop_assert!(Identity::parse(&uri).is_none_or(|identity| identity.uri() == uri));
        }

        #[test]
        fn any_bytes_are_no_certificate(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Identity::of(&CertificateDer::from(bytes)).is_err());
        }
    }

    #[test]
    fn names_that_leave_their_place_are_refused() {
        for name in ["", "..", "a/b", "a b", "-a", "a\n", "\u{e4}", &"a".repeat(254)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
