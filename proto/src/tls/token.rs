//! The token with which a node joins once: it names the node, and the authority to believe.

use super::FINGERPRINT_BYTES;
use super::identity::check_name;

/// First word of a token, with the version of what follows.
const FIRST: &str = "lbjoin1";
/// Bytes of a token's secret.
pub const SECRET_BYTES: usize = 32;

/// A one-time permission to join, as a person carries it to the node.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the authority's certificate, which the joining node insists on.
    pub authority: [u8; FINGERPRINT_BYTES],
    pub secret: [u8; SECRET_BYTES],
    /// Seconds since 1970 at which it ends.
    pub expires_s: u64,
    pub node: String,
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinToken(for {})", self.node)
    }
}

impl JoinToken {
    /// The text to hand over. It is a secret.
    #[must_use]
    pub fn text(&self) -> String {
        let (authority, secret) = (hex(&self.authority), hex(&self.secret));
        format!("{FIRST}.{authority}.{secret}.{}.{}", self.expires_s, self.node)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// A sentence that does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let mut parts = text.trim().splitn(5, '.');
            (parts.next()? == FIRST).then_some(())?;
            let (authority, secret) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
            let number = parts.next()?;
            let expires_s: u64 = number.parse().ok()?;
            (expires_s.to_string() == number).then_some(())?;
            let node = parts.next()?.to_owned();
            check_name(&node).ok()?;
            Some(Self { authority, secret, expires_s, node })
        };
        read().ok_or_else(|| "not a join token: `loadbank pki token` prints one".to_owned())
    }
}

/// Bytes in hexadecimal, lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let known = |c: &u8| c.is_ascii_digit() || (b'a'..=b'f').contains(c);
    if digits.len() != 64 || !digits.iter().all(known) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_is_read_back(
            authority: [u8; 32], secret: [u8; 32], expires_s: u64,
            node in "[a-z0-9][a-z0-9.-]{0,30}",
        ) {
            let token = JoinToken { authority, secret, expires_s, node };
            prop_assert_eq!(JoinToken::parse(&token.text()), Ok(token));
        }

        #[test]
        fn any_text_is_a_token_that_writes_itself_so_or_none(text in "(lbjoin1\\.)?.{0,200}") {
            if let Ok(token) = JoinToken::parse(&text) {
                prop_assert_eq!(token.text(), text.trim());
            }
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let node = "n1".to_owned();
        let token = JoinToken { authority: [1; 32], secret: [0xab; 32], expires_s: 1, node };
        assert!(!format!("{token:?}").contains("ab"));
    }
}
