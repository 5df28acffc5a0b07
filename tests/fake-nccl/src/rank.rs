//! One rank of a communicator.

use std::ffi::c_void;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::hub::{self, Operation};
use crate::script::Script;
use crate::{IN_PROGRESS, REMOTE_ERROR, SUCCESS};

/// What the functions of the library know of a communicator.
pub(crate) struct Rank {
    pub(crate) world: u32,
    state: AtomicI32,
    operations: AtomicU64,
    script: Script,
    stream: Mutex<Option<TcpStream>>,
    /// To shut it down while somebody waits at it.
    handle: Mutex<Option<TcpStream>>,
}

/// A place in device memory: with the fake driver, the process's own.
#[derive(Clone, Copy)]
pub(crate) struct Place(pub(crate) *mut c_void);

// SAFETY: plain memory that the caller of the library keeps alive until its stream is idle.
unsafe impl Send for Place {}

impl Rank {
    /// Begins to join, behind the caller's back.
    pub(crate) fn join(port: u16, rank: u32, world: u32) -> Arc<Self> {
        let seat = Arc::new(Self {
            world,
            state: AtomicI32::new(IN_PROGRESS),
            operations: AtomicU64::new(0),
            script: Script::of_environment(rank),
            stream: Mutex::new(None),
            handle: Mutex::new(None),
        });
        let joins = seat.clone();
        std::thread::spawn(move || {
            if joins.script.away {
                return;
            }
            match hub::join(port, rank, world) {
                Ok(stream) => {
                    *lock(&joins.handle) = stream.try_clone().ok();
                    *lock(&joins.stream) = Some(stream);
                    joins.state.store(SUCCESS, Ordering::SeqCst);
                }
                Err(_) => joins.state.store(REMOTE_ERROR, Ordering::SeqCst),
            }
        });
        seat
    }

    pub(crate) fn state(&self) -> i32 {
        self.state.load(Ordering::SeqCst)
    }

    /// Takes part in an operation, on the stream's thread; the result goes to `to`.
    pub(crate) fn take_part(&self, operation: &Operation, to: &[(Place, usize)]) {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let at = |place: Option<u64>| place == Some(number);
        std::thread::sleep(self.script.late);
        if at(self.script.hang_at) {
            loop {
                std::thread::sleep(Duration::from_secs(3_600));
            }
        }
        let mut stream = lock(&self.stream);
        let result = stream.as_mut().map(|stream| hub::take_part(stream, operation));
        let Some(Ok(mut result)) = result.filter(|_| !at(self.script.fail_at)) else {
            self.state.store(REMOTE_ERROR, Ordering::SeqCst);
            return;
        };
        if at(self.script.wrong_at) {
            let middle = result.len() / 2;
            result[middle] ^= 1;
        }
        let mut rest = result.as_slice();
        for (place, bytes) in to {
            let (part, after) = rest.split_at((*bytes).min(rest.len()));
            // SAFETY: the caller gave a buffer of so many bytes and keeps it.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), place.0.cast(), part.len()) };
            rest = after;
        }
    }

    /// Ends whatever waits.
    pub(crate) fn abort(&self) {
        if let Some(stream) = lock(&self.handle).take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
