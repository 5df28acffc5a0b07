//! The hello: how two ends of a connection show each other that they know the run's token,
//! without ever sending it.
//!
//! The dialer says what it wants and a nonce; the door answers with a nonce of its own and a
//! proof over both; the dialer checks it and proves itself in the same way. A proof is an
//! HMAC-SHA-256 (RFC 2104) keyed with the token, over the whole hello, the door's nonce and
//! the word for whose proof it is: it fits no other connection, purpose or direction.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 64;
/// Bytes of a nonce, of each side.
pub const NONCE_BYTES: usize = 32;
/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;
/// Bytes of the door's answer: its nonce and its proof.
pub const ANSWER_BYTES: usize = NONCE_BYTES + PROOF_BYTES;
/// What a dialer reads back once it has proved itself.
pub const WELCOME: [u8; 8] = *b"LBWELCME";
/// Bytes of a run token.
pub const TOKEN_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"LBFABRIC";
/// Version of everything that a connection says.
const VERSION: u16 = 2;

/// The secret that the coordinator hands to all nodes of a run.
#[derive(Clone)]
pub struct Token(pub [u8; TOKEN_BYTES]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// Bytes that were never used before.
pub type Nonce = [u8; NONCE_BYTES];

/// A new nonce.
///
/// # Errors
/// When the system gives no random bytes.
pub fn nonce() -> std::io::Result<Nonce> {
    let mut bytes = [0; NONCE_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}

/// Whose proof it is: one can't be sent back as the other.
#[derive(Debug, Clone, Copy)]
enum Side {
    Door,
    Dialer,
}

impl Token {
    /// The door's answer to a hello: its nonce, and the proof that it knows the token.
    #[must_use]
    pub fn answer(&self, hello: &[u8; HELLO_BYTES], nonce: &Nonce) -> [u8; ANSWER_BYTES] {
        let mut bytes = [0; ANSWER_BYTES];
        bytes[..NONCE_BYTES].copy_from_slice(nonce);
        let proof = hmac::sign(&self.key(), &said(Side::Door, hello, nonce));
        bytes[NONCE_BYTES..].copy_from_slice(proof.as_ref());
        bytes
    }

    /// The dialer's proof, once the door's answer was right; nothing for a door that does
    /// not know the token.
    #[must_use]
    pub fn prove(
        &self,
        hello: &[u8; HELLO_BYTES],
        answer: &[u8; ANSWER_BYTES],
    ) -> Option<[u8; PROOF_BYTES]> {
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&answer[..NONCE_BYTES]);
        let door = said(Side::Door, hello, &nonce);
        hmac::verify(&self.key(), &door, &answer[NONCE_BYTES..]).ok()?;
        let mut proof = [0; PROOF_BYTES];
        proof.copy_from_slice(hmac::sign(&self.key(), &said(Side::Dialer, hello, &nonce)).as_ref());
        Some(proof)
    }

    /// Whether a dialer's proof is right for its hello and our nonce. Takes the same time
    /// wherever it is wrong.
    #[must_use]
    pub fn proves(&self, hello: &[u8; HELLO_BYTES], nonce: &Nonce, proof: &[u8]) -> bool {
        hmac::verify(&self.key(), &said(Side::Dialer, hello, nonce), proof).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

fn said(side: Side, hello: &[u8; HELLO_BYTES], nonce: &Nonce) -> Vec<u8> {
    let side: &[u8] = match side {
        Side::Door => b"door",
        Side::Dialer => b"dial",
    };
    [side, hello, nonce].concat()
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// From a rank to its successor in the ring.
    Ring,
    /// Stream `stream` of a bulk transfer in a round.
    Bulk { round: u32, stream: u32 },
    /// Round-trip probes of the dialer.
    Probe,
}

/// Who calls, for what. Equal on both sides, so it is also the key of a parked connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hello {
    /// The order that the connection belongs to.
    pub epoch: u32,
    /// The dialer's rank.
    pub rank: u32,
    pub purpose: Purpose,
}

impl Hello {
    /// The bytes on the wire, with the dialer's nonce.
    #[must_use]
    pub fn encode(self, nonce: &Nonce) -> [u8; HELLO_BYTES] {
        let (kind, round, stream): (u16, u32, u32) = match self.purpose {
            Purpose::Ring => (1, 0, 0),
            Purpose::Bulk { round, stream } => (2, round, stream),
            Purpose::Probe => (3, 0, 0),
        };
        let mut bytes = [0; HELLO_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&kind.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.rank.to_le_bytes());
        bytes[20..24].copy_from_slice(&round.to_le_bytes());
        bytes[24..28].copy_from_slice(&stream.to_le_bytes());
        bytes[32..].copy_from_slice(nonce);
        bytes
    }

    /// Reads a hello, which proves nothing yet; `None` for what is none.
    #[must_use]
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Option<Self> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let ours = bytes[0..8] == MAGIC
            && bytes[8..10] == VERSION.to_le_bytes()
            && bytes[28..32] == [0; 4];
        let purpose = match u16::from_le_bytes([bytes[10], bytes[11]]) {
            1 => Purpose::Ring,
            2 => Purpose::Bulk { round: word(20), stream: word(24) },
            3 => Purpose::Probe,
            _ => return None,
        };
        ours.then_some(Self { epoch: word(12), rank: word(16), purpose })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: Token = Token([7; TOKEN_BYTES]);
    const HELLO: Hello = Hello { epoch: 1, rank: 2, purpose: Purpose::Ring };

    proptest! {
        #[test]
        fn a_hello_is_read_back(
            epoch: u32, rank: u32, round: u32, stream: u32, kind in 0..3, nonce: [u8; 32],
        ) {
            let purpose = match kind {
                0 => Purpose::Ring,
                1 => Purpose::Bulk { round, stream },
                _ => Purpose::Probe,
            };
            let hello = Hello { epoch, rank, purpose };
            prop_assert_eq!(Hello::decode(&hello.encode(&nonce)), Some(hello));
        }

        #[test]
        fn who_knows_the_token_is_believed_and_one_wrong_bit_is_not(
            token: [u8; 32], ours: [u8; 32], theirs: [u8; 32], bit in 0usize..64 * 8,
        ) {
            let token = Token(token);
            let hello = HELLO.encode(&theirs);
            let answer = token.answer(&hello, &ours);
            let proof = token.prove(&hello, &answer).unwrap();
            prop_assert!(token.proves(&hello, &ours, &proof));
            let mut other = answer;
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(token.prove(&hello, &other), None);
            let mut wrong = proof;
            wrong[bit / 16] ^= 1 << (bit % 8);
            prop_assert!(!token.proves(&hello, &ours, &wrong));
            let mut another = hello;
            another[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!token.proves(&another, &ours, &proof));
        }

        #[test]
        fn any_bytes_are_a_hello_or_none(bytes in proptest::collection::vec(any::<u8>(), 64)) {
            let bytes: [u8; HELLO_BYTES] = bytes.try_into().unwrap();
            if let Some(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(Hello::decode(&hello.encode(&[0; 32])), Some(hello));
            }
        }
    }

    #[test]
    fn what_was_heard_on_one_connection_opens_no_other() {
        let hello = HELLO.encode(&[1; 32]);
        let proof = TOKEN.prove(&hello, &TOKEN.answer(&hello, &[2; 32])).unwrap();
        assert!(!TOKEN.proves(&hello, &[3; 32], &proof), "another nonce of the door");
        let answer = TOKEN.answer(&hello, &[2; 32]);
        assert!(!TOKEN.proves(&hello, &[2; 32], &answer[NONCE_BYTES..]), "the door's own proof");
    }

    #[test]
    fn the_token_is_on_no_wire_and_in_no_log() {
        let token = Token([0xa7; TOKEN_BYTES]);
        let hello = HELLO.encode(&[1; 32]);
        let answer = token.answer(&hello, &[2; 32]);
        let proof = token.prove(&hello, &answer).unwrap();
        let heard = [hello.as_slice(), &answer, &proof].concat();
        assert!(!heard.windows(4).any(|bytes| bytes == [0xa7; 4]));
        assert!(!format!("{token:?}").contains("167"));
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }
}
