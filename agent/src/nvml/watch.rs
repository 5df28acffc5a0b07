//! Xids: waited for by one thread for all cards, so that none is missed while a card's
//! sampler hangs.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nvml_wrapper_sys::bindings::{nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError};

use super::card::Card;
use super::library::Library;
use super::status::Status;
use crate::clock::monotonic_ns;

/// One wait; the thread shows after each that it lives.
const WAIT_MS: u32 = 500;
/// After an error that is no time-out: the library may answer it at once, again and again.
const PAUSE: Duration = Duration::from_millis(500);
/// Without a wait that ended for so long nobody watches.
const WATCHED_NS: u64 = 5_000_000_000;

/// Whether Xids of a card are waited for.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// When the latest wait of the thread ended; 0 before the first.
    seen_ns: Arc<AtomicU64>,
    registered: bool,
    /// The same of the kernel's log, where it is followed.
    log_seen_ns: Option<Arc<AtomicU64>>,
}

impl Watched {
    /// With the kernel's log as a second source.
    pub(super) fn and_log(self, log_seen_ns: Option<Arc<AtomicU64>>) -> Self {
        Self { log_seen_ns, ..self }
    }

    /// Whether either source is heard.
    pub(super) fn is_alive(&self) -> bool {
        let events = self.registered && is_fresh(&self.seen_ns);
        events || self.log_seen_ns.as_deref().is_some_and(is_fresh)
    }
}

fn is_fresh(seen_ns: &AtomicU64) -> bool {
    let seen_ns = seen_ns.load(Ordering::Relaxed);
    seen_ns > 0 && monotonic_ns().saturating_sub(seen_ns) < WATCHED_NS
}

/// The event set. Cards register with it from threads of their own: a sick one may hang.
#[derive(Clone)]
pub(super) struct XidSet {
    library: Arc<Library>,
    set: nvmlEventSet_t,
    seen_ns: Arc<AtomicU64>,
}

// SAFETY: the set is a number to the library, which says of itself that it is thread-safe.
unsafe impl Send for XidSet {}

impl XidSet {
    pub(super) fn new(library: &Arc<Library>) -> Result<Self, Status> {
        let mut set = ptr::null_mut();
        match &library.lib().nvmlEventSetCreate {
            // SAFETY: writes one handle.
            Ok(function) => Status(unsafe { function(&raw mut set) }).check()?,
            Err(_) => return Err(Status::NO_FUNCTION),
        }
        Ok(Self { library: library.clone(), set, seen_ns: Arc::default() })
    }

    /// Adds a card.
    pub(super) fn register(&self, card: &Card) -> Result<Watched, Status> {
        match &self.library.lib().nvmlDeviceRegisterEvents {
            // SAFETY: card and set are of this library.
            Ok(function) => Status(unsafe {
                function(card.handle, nvmlEventTypeXidCriticalError.into(), self.set)
            })
            .check()?,
            Err(_) => return Err(Status::NO_FUNCTION),
        }
        Ok(Watched { seen_ns: self.seen_ns.clone(), registered: true, log_seen_ns: None })
    }
}

/// The wait, before its thread runs.
pub(super) struct XidWatch {
    pub(super) xids: XidSet,
    /// Device of each card by its handle.
    pub(super) devices: BTreeMap<usize, u32>,
}

impl XidWatch {
    /// Waits in a thread of its own until the process ends.
    ///
    /// # Errors
    /// When the thread can't be made.
    pub(super) fn start(
        self,
        hear: impl Fn(u32, u64, u64) + Send + 'static,
    ) -> std::io::Result<()> {
        std::thread::Builder::new().name("xids".into()).spawn(move || {
            loop {
                match self.wait() {
                    Ok(Some((device, code))) => hear(device, monotonic_ns(), code),
                    Ok(None) => {}
                    Err(status) => {
                        tracing::debug!(%status, "waiting for Xids");
                        std::thread::sleep(PAUSE);
                        continue;
                    }
                }
                self.xids.seen_ns.store(monotonic_ns(), Ordering::Relaxed);
            }
        })?;
        Ok(())
    }

    fn wait(&self) -> Result<Option<(u32, u64)>, Status> {
        let Ok(function) = &self.xids.library.lib().nvmlEventSetWait_v2 else {
            return Err(Status::NO_FUNCTION);
        };
        let mut data = nvmlEventData_t {
            device: ptr::null_mut(),
            eventType: 0,
            eventData: 0,
            gpuInstanceId: 0,
            computeInstanceId: 0,
        };
        // SAFETY: the set is of this library, which writes one event.
        match Status(unsafe { function(self.xids.set, &raw mut data, WAIT_MS) }) {
            Status::SUCCESS => {
                let device = self.devices.get(&(data.device as usize)).copied();
                Ok(device.map(|device| (device, data.eventData)))
            }
            Status::TIMEOUT => Ok(None),
            status => Err(status),
        }
    }
}
