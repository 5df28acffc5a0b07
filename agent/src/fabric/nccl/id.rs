//! The unique id of a communicator, as it goes from rank 0 over the wire to all ranks.

use std::fmt;

/// `NCCL_UNIQUE_ID_BYTES`.
pub(super) const ID_BYTES: usize = 128;

/// `ncclUniqueId`: magic and address of a root thread in the process that made it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct UniqueId(pub [u8; ID_BYTES]);

impl UniqueId {
    /// The id of so many bytes from the wire.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for UniqueId {
    // It lets whoever has it into the communicator: not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UniqueId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_taken() {
        assert!(UniqueId::from_bytes(&[7; ID_BYTES]).is_some());
        assert_eq!(UniqueId::from_bytes(&[7; ID_BYTES - 1]), None);
        assert_eq!(UniqueId::from_bytes(&[]), None);
    }
}
