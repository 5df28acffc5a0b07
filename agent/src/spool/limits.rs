//! What the spool may use, and how durable it is.

use std::time::Duration;

use super::error::SpoolError;

/// Eight GPUs at ten samples a second make some 2 MB a minute: two hours without a
/// coordinator, and small beside any node's disk.
pub const BYTES_MAX_DEFAULT: u64 = 256 << 20;

/// Space is given back, and given up, a segment at a time.
pub const SEGMENT_BYTES_DEFAULT: u32 = 4 << 20;

/// Below this the header is most of a segment.
pub(super) const SEGMENT_BYTES_MIN: u32 = 1 << 10;

/// A segment is read whole when the agent starts.
pub(super) const SEGMENT_BYTES_MAX: u32 = 64 << 20;

/// Hourly runs for seven years; each costs some hundred bytes of memory.
pub const RUNS_MAX: usize = 65_536;

/// Runs written to at once: one, and during a change of runs two. More close the oldest.
pub(super) const WRITERS_MAX: usize = 4;

/// Acks and loss notes, before the ledger is written anew.
pub(super) const LEDGER_BYTES_MAX: u64 = 1 << 20;

/// Loss notes. Losses that touch share one, so that this many means years of trouble; the
/// oldest goes first, and its gap stays visible in the stream.
pub(super) const NOTES_MAX: usize = 4_096;

/// When appended batches become safe from loss of power. A killed process loses none of
/// them either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before `append` returns: for runs in which power loss is the event under test.
    EveryAppend,
    /// At most so long after, given that the caller heeds [`super::Spool::next_sync`].
    Within(Duration),
}

/// A tenth of what a coordinator waits for, and ten flushes a second at most.
pub const DURABLE_WITHIN_DEFAULT: Duration = Duration::from_millis(100);

/// The spool's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All segments together. The oldest is given up first.
    pub bytes_max: u64,
    /// One segment; also the bound of one batch, less some hundred bytes.
    pub segment_bytes: u32,
    pub durability: Durability,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX_DEFAULT,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            durability: Durability::Within(DURABLE_WITHIN_DEFAULT),
        }
    }
}

/// A bound that holds fewer segments gives up too much of it at once.
const SEGMENTS_LEAST: u64 = 8;

impl Limits {
    /// A bound on all segments together, with segments that fit it.
    #[must_use]
    pub fn within(bytes_max: u64) -> Self {
        let share = u32::try_from(bytes_max / SEGMENTS_LEAST).unwrap_or(u32::MAX);
        let segment_bytes = share.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_DEFAULT);
        Self { bytes_max, segment_bytes, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), SpoolError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(SpoolError::Limits("a segment has 1 KiB to 64 MiB"));
        }
        if self.bytes_max < 2 * u64::from(self.segment_bytes) {
            return Err(SpoolError::Limits("bytes_max must hold at least two segments"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bound_that_holds_two_small_segments_is_taken() {
        for bytes_max in [2 << 10, 16 << 10, 8 << 20, BYTES_MAX_DEFAULT, u64::MAX] {
            assert!(Limits::within(bytes_max).check().is_ok(), "{bytes_max}");
        }
        assert!(Limits::within(1 << 10).check().is_err());
        assert_eq!(Limits::within(BYTES_MAX_DEFAULT), Limits::default());
    }
}
