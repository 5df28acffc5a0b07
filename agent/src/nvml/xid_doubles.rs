//! One Xid that two sources tell is one Xid. Pure.

use std::collections::BTreeMap;

/// So far apart two sources may tell the same.
const APART_NS: u64 = 5_000_000_000;

/// Who tells an Xid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Events,
    KernelLog,
}

/// What was told lately of one Xid of one device.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    by_source: [u32; 2],
    at_ns: u64,
}

/// Remembers what each source told.
#[derive(Debug, Default)]
pub(super) struct XidDoubles {
    told: BTreeMap<(u32, u64), Told>,
}

impl XidDoubles {
    /// Whether this is news: the other source has not told as many of the same.
    pub(super) fn is_new(&mut self, source: Source, device: u32, code: u64, at_ns: u64) -> bool {
        let told = self.told.entry((device, code)).or_default();
        if at_ns.saturating_sub(told.at_ns) > APART_NS {
            *told = Told::default();
        }
        told.at_ns = told.at_ns.max(at_ns);
        let (ours, other) = match source {
            Source::Events => (0, 1),
            Source::KernelLog => (1, 0),
        };
        told.by_source[ours] += 1;
        told.by_source[ours] > told.by_source[other]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_second_to_tell_an_xid_tells_nothing_new() {
        let mut doubles = XidDoubles::default();
        let mut tell =
            |source, device, code, at_s| doubles.is_new(source, device, code, at_s * SECOND);
        assert!(tell(Source::KernelLog, 0, 79, 10));
        assert!(!tell(Source::Events, 0, 79, 11));
        assert!(tell(Source::Events, 1, 79, 11), "another device");
        assert!(tell(Source::Events, 0, 48, 11), "another code");
        assert!(tell(Source::Events, 0, 79, 12), "a second one");
        assert!(!tell(Source::KernelLog, 0, 79, 12));
    }

    #[test]
    fn one_source_alone_tells_every_time_and_what_is_long_ago_is_another() {
        let mut doubles = XidDoubles::default();
        for at_s in [10, 11, 12, 30] {
            assert!(doubles.is_new(Source::KernelLog, 0, 13, at_s * SECOND), "{at_s}");
        }
        assert!(doubles.is_new(Source::Events, 0, 13, 60 * SECOND));
    }
}
