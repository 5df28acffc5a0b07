//! This machine's monotonic clock, in nanoseconds.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

/// A sleeper wakes late by the timer's slack and the scheduler: what comes on time spins
/// for the last part.
pub(super) const SPIN_NS: u64 = 1_500_000;

/// CLOCK_MONOTONIC now. About 25 ns.
pub(super) fn now_ns() -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a valid place to write to; CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut at) };
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// Sleeps until an instant of CLOCK_MONOTONIC, or a little longer, or shorter on a signal.
pub(super) fn sleep_until(at_ns: u64) {
    let at = TimeSpec::from_duration(Duration::from_nanos(at_ns));
    // An interrupted sleep is a short one: every caller looks at the clock again.
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at);
}
