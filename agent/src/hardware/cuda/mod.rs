//! A GPU as a load, with nothing but NVIDIA's driver.
//!
//! From the inside out: [`driver`] is our table of the driver's functions; [`image`] holds the
//! kernels; `rig` is an opened GPU with its memory and streams, `prepared` one kernel made
//! ready (length of a launch, right results), `flight` a launch on its way; `pace`,
//! `edges` and `timeline` are the pure parts of time; `run` serves a programme of orders with all of them
//! and `watchdog` ends the process when the driver does not come back; `self_test` tries an image in
//! a process of its own before it is used. All of it lives in a
//! worker process; [`discover`] asks for the GPUs in another that ends at once.

mod checksum;
mod copies;
pub mod discover;
pub mod driver;
mod edges;
mod flight;
pub mod image;
mod pace;
mod prepared;
mod rig;
mod run;
pub mod self_test;
mod shift;
mod slot;
mod timeline;
mod watchdog;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};

use super::{LoadCommand, LoadReport};
use crate::clock::monotonic_ns;
use driver::{CudaError, OpenError, Status};
use rig::Rig;
use self_test::Tester;
use watchdog::Watchdog;

/// The library that the environment asks for, or the one that the loader knows.
#[must_use]
pub fn library() -> PathBuf {
    std::env::var_os(LIBRARY_VARIABLE).map_or_else(|| driver::LIBRARY.into(), PathBuf::from)
}

/// Tests: a library to load in the driver's place. Workers inherit it.
pub const LIBRARY_VARIABLE: &str = "LOADBANK_CUDA_LIBRARY";

/// Why a GPU gives no load, or no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The driver's number; negative for our own reasons.
    code: i32,
    text: String,
    /// It was never loaded: something about it or around it does not fit. Says nothing bad
    /// about the hardware.
    refused: bool,
}

impl Failure {
    fn refused(text: impl Into<String>) -> Self {
        Self { code: 0, text: text.into(), refused: true }
    }

    fn late(text: String) -> Self {
        Self { code: Status::DEADLINE.0, text, refused: false }
    }
}

impl From<CudaError> for Failure {
    /// Memory that somebody else holds and a device that is set aside are no faults of it.
    fn from(error: CudaError) -> Self {
        let around = [Status::OUT_OF_MEMORY, Status::DEVICE_UNAVAILABLE, Status::NO_DEVICE];
        let refused = around.contains(&error.status) || error.status.is_unfit_image();
        Self { code: error.status.0, text: error.to_string(), refused }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Init(error) => error.status.0,
            OpenError::Library { .. } | OpenError::Symbol(_) => 0,
        };
        Self { code, text: error.to_string(), refused: true }
    }
}

/// Runs orders on the GPU with this UUID until `commands` closes or the GPU fails, which is
/// reported. In a worker process only; it must end when this returns. Without a `tester`
/// images that want a test first are passed over.
pub fn run(
    library: &Path,
    uuid: &str,
    tester: Option<&Tester>,
    commands: &Receiver<LoadCommand>,
    reports: &Sender<LoadReport>,
) {
    let dog = Watchdog::start(reports.clone());
    let outcome = Rig::open(library, uuid, tester, &dog)
        .and_then(|rig| run::run(rig, commands, reports, &dog));
    dog.end();
    if let Err(Failure { code, text, refused }) = outcome {
        tracing::error!(code, uuid, "{text}");
        let _ = reports.send(LoadReport::Failed { at_ns: monotonic_ns(), code, text, refused });
    }
}
