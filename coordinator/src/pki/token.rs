//! Join tokens, kept beside the authority: a file each, named by the hash of its secret and
//! renamed when it is used. A rename succeeds once, across crashes and processes.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use proto::tls::{JoinToken, SECRET_BYTES, check_name, hex};
use ring::rand::SecureRandom;

use super::authority::{Authority, PkiError, make_private_dir, write_private};

const FOLDER: &str = "tokens";

/// Why a token was not taken. None says more than a stranger may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the authority knows no such token")]
    Unknown,
    #[error("the token was used before: a token works once")]
    Used,
    #[error("the token has expired")]
    Expired,
    #[error("the token is for another node")]
    OtherNode,
    #[error("the authority's folder can't be written")]
    Folder,
}

/// Proof that a token was taken, and for whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Redeemed {
    pub node: String,
}

impl Authority {
    /// Makes a token for one node.
    ///
    /// # Errors
    /// When the name is none or the folder can't be written.
    pub fn token(&self, node: &str, lasts_s: u64) -> Result<JoinToken, PkiError> {
        check_name(node).map_err(PkiError::Name)?;
        let mut secret = [0; SECRET_BYTES];
        ring::rand::SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| PkiError::Request("the system gives no random bytes".to_owned()))?;
        let expires_s = now_s().saturating_add(lasts_s);
        let token =
            JoinToken { authority: self.fingerprint()?, secret, expires_s, node: node.to_owned() };
        make_private_dir(&self.dir.join(FOLDER))?;
        write_private(&self.place(&secret, "open"), &format!("{expires_s}\n{node}\n"))?;
        Ok(token)
    }

    /// Takes a token, for this node and this once.
    ///
    /// # Errors
    /// When it is not to be taken.
    pub fn redeem(&self, secret: &[u8], node: &str) -> Result<Redeemed, TokenError> {
        self.redeem_at(secret, node, now_s())
    }

    pub(super) fn redeem_at(
        &self,
        secret: &[u8],
        node: &str,
        now_s: u64,
    ) -> Result<Redeemed, TokenError> {
        let (open, used) = (self.place(secret, "open"), self.place(secret, "used"));
        if used.exists() {
            return Err(TokenError::Used);
        }
        let text = std::fs::read_to_string(&open).map_err(|_| TokenError::Unknown)?;
        let (expires, owner) = text.trim_end().split_once('\n').ok_or(TokenError::Unknown)?;
        let expires_s: u64 = expires.parse().map_err(|_| TokenError::Unknown)?;
        if owner != node {
            return Err(TokenError::OtherNode);
        }
        if now_s >= expires_s {
            return Err(TokenError::Expired);
        }
        std::fs::rename(&open, &used).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => TokenError::Used,
            _ => TokenError::Folder,
        })?;
        Ok(Redeemed { node: node.to_owned() })
    }

    fn place(&self, secret: &[u8], state: &str) -> PathBuf {
        let hash = ring::digest::digest(&ring::digest::SHA256, secret);
        self.dir.join(FOLDER).join(format!("{}.{state}", hex(hash.as_ref())))
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_once_for_its_node_and_in_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::init(&folder.path().join("pki"), "hall").unwrap();
        let token = authority.token("n1", 3600).unwrap();
        let at = |secret: &[u8], node, now_s| authority.redeem_at(secret, node, now_s);
        let before = token.expires_s - 1;
        assert_eq!(at(&[0; 32], "n1", before), Err(TokenError::Unknown));
        assert_eq!(at(&token.secret, "n2", before), Err(TokenError::OtherNode));
        assert_eq!(at(&token.secret, "n1", token.expires_s), Err(TokenError::Expired));
        assert_eq!(at(&token.secret, "n1", before), Ok(Redeemed { node: "n1".to_owned() }));
        assert_eq!(at(&token.secret, "n1", before), Err(TokenError::Used));
        // Another process with the same folder knows it too.
        let again = Authority::open(&folder.path().join("pki")).unwrap();
        assert_eq!(again.redeem_at(&token.secret, "n1", before), Err(TokenError::Used));
    }

    #[test]
    fn of_many_who_try_at_once_one_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::init(&folder.path().join("pki"), "hall").unwrap();
        let token = authority.token("n1", 3600).unwrap();
        let taken: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| usize::from(authority.redeem(&token.secret, "n1").is_ok())))
                .collect();
            tries.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1);
    }
}
