//! A wall clock that steps: with `LD_PRELOAD` this `clock_gettime` is found before libc's.
//!
//! CLOCK_REALTIME is moved by the number of seconds that the file named in
//! `LOADBANK_FAKE_CLOCK` holds at that instant; every other clock is the kernel's. Rust's
//! standard library asks for the time in this way and no other; `gettimeofday` and `time`
//! are not moved.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::OnceLock;

/// The file with the offset in seconds, as decimal text.
const VARIABLE: &str = "LOADBANK_FAKE_CLOCK";

type ClockGettime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;

thread_local! {
    /// Whether this thread is reading the offset: what is called meanwhile gets true time.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// The libc's own, which reads most clocks without a call of the kernel.
fn next() -> Option<ClockGettime> {
    static NEXT: OnceLock<Option<ClockGettime>> = OnceLock::new();
    *NEXT.get_or_init(|| {
        // SAFETY: the name is a C string; RTLD_NEXT asks for the definition after ours.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"clock_gettime".as_ptr()) };
        // SAFETY: libc's symbol of this name has this signature; null becomes None.
        unsafe { std::mem::transmute::<*mut libc::c_void, Option<ClockGettime>>(found) }
    })
}

/// Seconds by which the wall clock is off; zero where nobody says.
fn offset_s() -> i64 {
    READING.with(|reading| {
        if reading.replace(true) {
            return 0;
        }
        let text = std::env::var_os(VARIABLE).and_then(|path| std::fs::read_to_string(path).ok());
        reading.set(false);
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    })
}

/// As POSIX has it, with CLOCK_REALTIME moved.
///
/// # Safety
/// `time` points to a timespec that may be written, as for libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    let Some(next) = next() else { return -1 };
    // SAFETY: the caller's promise is the one that libc's asks for.
    let done = unsafe { next(clock, time) };
    if done == 0 && clock == libc::CLOCK_REALTIME {
        let offset_s = offset_s();
        // SAFETY: libc has just written there.
        unsafe { (*time).tv_sec += offset_s };
    }
    done
}
