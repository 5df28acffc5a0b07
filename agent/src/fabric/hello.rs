//! The hello: the first 64 bytes of every connection, before which nobody is believed.

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 64;
/// What an accepted dialer reads back.
pub const WELCOME: [u8; 8] = *b"LBWELCME";
/// Bytes of a run token.
pub const TOKEN_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"LBFABRIC";
/// Version of everything that follows a hello.
const VERSION: u16 = 1;

/// The secret that the coordinator hands to all nodes of a run.
#[derive(Clone)]
pub struct Token(pub [u8; TOKEN_BYTES]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Token {
    /// Compares without telling by its time where the first difference is.
    #[must_use]
    fn matches(&self, other: &[u8]) -> bool {
        if other.len() != TOKEN_BYTES {
            return false;
        }
        let difference =
            self.0.iter().zip(other).fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        std::hint::black_box(difference) == 0
    }
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
    /// The bytes on the wire.
    #[must_use]
    pub fn encode(self, token: &Token) -> [u8; HELLO_BYTES] {
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
        bytes[32..].copy_from_slice(&token.0);
        bytes
    }

    /// Reads a hello; `None` for a stranger, without saying which part was wrong.
    #[must_use]
    pub fn decode(bytes: &[u8; HELLO_BYTES], token: &Token) -> Option<Self> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let known = token.matches(&bytes[32..]);
        let ours = bytes[0..8] == MAGIC
            && bytes[8..10] == VERSION.to_le_bytes()
            && bytes[28..32] == [0; 4];
        let purpose = match u16::from_le_bytes([bytes[10], bytes[11]]) {
            1 => Purpose::Ring,
            2 => Purpose::Bulk { round: word(20), stream: word(24) },
            3 => Purpose::Probe,
            _ => return None,
        };
        (known && ours).then_some(Self { epoch: word(12), rank: word(16), purpose })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: Token = Token([7; TOKEN_BYTES]);

    proptest! {
        #[test]
        fn a_hello_is_read_back(epoch: u32, rank: u32, round: u32, stream: u32, kind in 0..3) {
            let purpose = match kind {
                0 => Purpose::Ring,
                1 => Purpose::Bulk { round, stream },
                _ => Purpose::Probe,
            };
            let hello = Hello { epoch, rank, purpose };
            prop_assert_eq!(Hello::decode(&hello.encode(&TOKEN), &TOKEN), Some(hello));
        }

        #[test]
        fn one_wrong_bit_before_the_numbers_or_in_the_token_is_refused(bit in 0usize..(12 + 36) * 8) {
            let hello = Hello { epoch: 1, rank: 2, purpose: Purpose::Bulk { round: 0, stream: 0 } };
            let mut bytes = hello.encode(&TOKEN);
            let byte = if bit / 8 < 12 { bit / 8 } else { 28 + bit / 8 - 12 };
            bytes[byte] ^= 1 << (bit % 8);
            let decoded = Hello::decode(&bytes, &TOKEN);
            // A flipped kind may be another kind, but never this connection.
            prop_assert!(decoded.is_none_or(|other| other != hello && byte == 10));
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        assert!(!format!("{TOKEN:?}").contains('7'));
    }
}
