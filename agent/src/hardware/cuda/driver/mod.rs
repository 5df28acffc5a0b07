//! Our own thin layer over `libcuda.so.1`: what a worker needs of it, and no more.
//!
//! Statuses are integers, a missing library or symbol is an error, nothing here waits for
//! the GPU: completion is asked for (`is_done`), never blocked on. What may block inside the
//! driver all the same is watched from outside ([`super::watchdog`]).

mod context;
mod device;
mod memory;
mod status;
mod table;

use std::ffi::{CStr, c_int};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use context::{Context, Event, Function, Module, Stream};
pub use device::{Attribute, GpuFacts};
pub use memory::{DeviceMemory, HostMemory};
pub use status::{CudaError, Status};
use table::Table;

/// Where the driver's library lies unless somebody says otherwise: the loader knows.
pub const LIBRARY: &str = "libcuda.so.1";

/// The library can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("no NVIDIA driver: {} can't be loaded ({why})", .path.display())]
    Library { path: PathBuf, why: String },
    #[error("the NVIDIA driver is too old: it has no {0}")]
    Symbol(&'static str),
    #[error("the NVIDIA driver does not start: {0}")]
    Init(CudaError),
}

/// The driver, initialised. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    table: Arc<Table>,
}

impl Driver {
    /// Loads and initialises the driver. Must not happen in the supervisor's process: what
    /// hangs or crashes in there must cost one worker.
    ///
    /// # Errors
    /// When there is no driver, it lacks a function, or it finds nothing to drive.
    pub fn open(library: &Path) -> Result<Self, OpenError> {
        let driver = Self { table: Arc::new(Table::open(library)?) };
        // SAFETY: cuInit takes flags that must be 0, and may be called at any time.
        let status = unsafe { (driver.table.init)(0) };
        driver.check("cuInit", status).map_err(OpenError::Init)?;
        Ok(driver)
    }

    /// Version of CUDA that the driver serves: 12040 is 12.4.
    ///
    /// # Errors
    /// What the driver says.
    pub fn version(&self) -> Result<i32, CudaError> {
        let mut version: c_int = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDriverGetVersion", unsafe { (self.table.driver_version)(&raw mut version) })?;
        Ok(version)
    }

    /// An error for a status that is not success.
    fn check(&self, call: &'static str, status: i32) -> Result<(), CudaError> {
        if status == Status::SUCCESS.0 { Ok(()) } else { Err(self.error(call, status)) }
    }

    #[cold]
    fn error(&self, call: &'static str, status: i32) -> CudaError {
        let mut name = std::ptr::null();
        // SAFETY: the pointer is valid for the call; the function takes any number.
        let told = unsafe { (self.table.error_name)(status, &raw mut name) };
        let name = if told != Status::SUCCESS.0 || name.is_null() {
            String::new()
        } else {
            // SAFETY: on success the driver gives a string constant of its own.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        };
        CudaError { call, status: Status(status), name, detail: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_told_and_nothing_panics() {
        let error = Driver::open(Path::new("/nowhere/libcuda.so.1")).err().unwrap();
        assert!(error.to_string().starts_with("no NVIDIA driver: /nowhere/libcuda.so.1"));
    }

    #[test]
    fn a_library_without_our_functions_is_told_by_the_first_that_is_missing() {
        // libc is there and is no driver.
        let error = Driver::open(Path::new("libc.so.6")).err().unwrap();
        assert_eq!(error, OpenError::Symbol("cuInit"));
    }
}
