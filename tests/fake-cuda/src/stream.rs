//! Streams: a thread each, that does what it is given in order.

use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::image::Launch;
use crate::kernel::{self, Entry};
use crate::script::Place;

/// The error that every call answers with from now on; 0 while the GPU is well.
pub(crate) static STICKY: AtomicI32 = AtomicI32::new(0);

/// An event: how often it was recorded, and how many of those records were passed.
#[derive(Default)]
pub(crate) struct Event {
    recorded: AtomicU64,
    passed: Mutex<u64>,
    /// When it was passed last.
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Event {
    pub(crate) fn is_passed(&self) -> bool {
        let passed = *self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed >= self.recorded.load(Ordering::Acquire)
    }

    /// Milliseconds from one event to another; `None` until both were passed.
    pub(crate) fn milliseconds_to(&self, later: &Self) -> Option<f32> {
        let at = |event: &Self| *event.at.lock().unwrap_or_else(PoisonError::into_inner);
        Some(at(later)?.saturating_duration_since(at(self)?).as_secs_f32() * 1e3)
    }

    fn pass(&self, record: u64) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        *passed = record.max(*passed);
        self.changed.notify_all();
    }

    fn wait(&self, record: u64) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        while *passed < record {
            passed = self.changed.wait(passed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One thing to do.
enum Work {
    Launch { place: Place, entry: Entry, launch: Box<Launch> },
    Copy { to: u64, from: u64, bytes: usize },
    Flip { at: u64 },
    Record(Arc<Event>, u64),
    Wait(Arc<Event>, u64),
    Call(HostFunction, u64),
}

/// `CUhostFn`.
pub(crate) type HostFunction = unsafe extern "C" fn(*mut c_void);

/// A stream.
pub(crate) struct Stream {
    give: Sender<Work>,
}

impl Stream {
    pub(crate) fn start() -> Self {
        let (give, taken) = channel();
        std::thread::spawn(move || taken.into_iter().for_each(run));
        Self { give }
    }

    pub(crate) fn launch(&self, place: Place, entry: Entry, launch: Launch) {
        self.push(Work::Launch { place, entry, launch: Box::new(launch) });
    }

    pub(crate) fn copy(&self, to: u64, from: u64, bytes: usize) {
        self.push(Work::Copy { to, from, bytes });
    }

    /// Turns one bit of what was copied before.
    pub(crate) fn flip(&self, at: u64) {
        self.push(Work::Flip { at });
    }

    pub(crate) fn record(&self, event: Arc<Event>) {
        let record = event.recorded.fetch_add(1, Ordering::AcqRel) + 1;
        self.push(Work::Record(event, record));
    }

    pub(crate) fn wait(&self, event: Arc<Event>) {
        let record = event.recorded.load(Ordering::Acquire);
        self.push(Work::Wait(event, record));
    }

    /// Calls a function of the host when the stream comes to it.
    pub(crate) fn call(&self, function: HostFunction, data: *mut c_void) {
        self.push(Work::Call(function, data.expose_provenance() as u64));
    }

    fn push(&self, work: Work) {
        // The thread ends with the process only.
        let _ = self.give.send(work);
    }
}

fn run(work: Work) {
    match work {
        Work::Launch { place, entry, launch } => {
            // SAFETY: the caller of cuLaunchKernel answers for the addresses, as on a GPU.
            if let Err(code) = unsafe { kernel::run(place, entry, &launch) } {
                STICKY.store(code, Ordering::Release);
            }
        }
        Work::Copy { to, from, bytes } => {
            // SAFETY: as above; device and host memory are both this process' memory.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        }
        Work::Flip { at } => {
            // SAFETY: a byte of what the copy before it wrote.
            unsafe { *(at as *mut u8) ^= 0x04 };
        }
        Work::Record(event, record) => event.pass(record),
        Work::Wait(event, record) => event.wait(record),
        Work::Call(function, data) => {
            // SAFETY: the caller of cuLaunchHostFunc answers for both.
            unsafe { function(std::ptr::with_exposed_provenance_mut(data as usize)) };
        }
    }
}
