//! NVIDIA's management library: found at run time, or told why not.

use std::ffi::{CStr, OsStr, c_char};
use std::path::Path;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper_sys::bindings::NvmlLib;

use super::fields::{Numbering, version};
use super::status::Status;

/// The name under which every driver installs it.
const NAME: &str = "libnvidia-ml.so.1";
/// The kernels' images are of CUDA 12.0, which began with this driver (its release notes).
pub(super) const DRIVER_MAJOR_LEAST: u32 = 525;
/// NVML's longest texts (nvml.h: 80 for a version, 96 for a UUID or a name).
const TEXT_MAX: usize = 96;

/// The loaded library. Never unloaded: a sick card may hold a thread inside it for ever.
pub(super) struct Library {
    nvml: Nvml,
    pub(super) driver: String,
    /// `None` where the driver's version can't be read.
    pub(super) numbering: Option<Numbering>,
}

impl Library {
    /// Loads and initialises the library.
    ///
    /// # Errors
    /// What a person should read.
    pub(super) fn open(path: Option<&Path>) -> Result<Arc<Self>, String> {
        let name = path.map_or(OsStr::new(NAME), Path::as_os_str);
        let nvml = Nvml::builder().lib_path(name).init().map_err(|error| words(name, &error))?;
        let driver = text(|buffer, length| match &nvml.lib().nvmlSystemGetDriverVersion {
            // SAFETY: the buffer holds `length` bytes, and the library writes no more.
            Ok(function) => Status(unsafe { function(buffer, length) }),
            Err(_) => Status::NO_FUNCTION,
        });
        let driver = driver.unwrap_or_default();
        let numbering = Numbering::of(&driver);
        Ok(Arc::new(Self { nvml, driver, numbering }))
    }

    /// The library's functions; each may be missing.
    pub(super) fn lib(&self) -> &NvmlLib {
        self.nvml.lib()
    }

    /// How many GPUs there are.
    pub(super) fn count(&self) -> Result<u32, Status> {
        let mut count = 0;
        match &self.lib().nvmlDeviceGetCount_v2 {
            // SAFETY: writes one number.
            Ok(function) => Status(unsafe { function(&raw mut count) }).check()?,
            Err(_) => return Err(Status::NO_FUNCTION),
        }
        Ok(count)
    }

    /// Why no GPU of this driver can be loaded, if so.
    pub(super) fn too_old(&self) -> Option<String> {
        let (major, _) = version(&self.driver)?;
        (major < DRIVER_MAJOR_LEAST).then(|| {
            format!("driver {} is too old: loads need {DRIVER_MAJOR_LEAST} or later", self.driver)
        })
    }
}

/// A text that a function writes into a buffer.
pub(super) fn text(write: impl FnOnce(*mut c_char, u32) -> Status) -> Result<String, Status> {
    let mut buffer = [0 as c_char; TEXT_MAX];
    // The last byte stays zero whatever is written.
    write(buffer.as_mut_ptr(), TEXT_MAX as u32 - 1).check()?;
    // SAFETY: the buffer ends with a zero, and lives until the text is copied.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    Ok(text.to_string_lossy().into_owned())
}

fn words(name: &OsStr, error: &NvmlError) -> String {
    let name = name.to_string_lossy();
    match error {
        NvmlError::LibloadingError(_) => {
            format!("no NVIDIA driver ({name} can't be loaded): GPUs are not measured")
        }
        NvmlError::FailedToLoadSymbol(_) => {
            format!("{name} is no NVML, or of a driver too old for it: GPUs are not measured")
        }
        NvmlError::DriverNotLoaded => {
            "NVIDIA's library is here and its driver is not loaded: GPUs are not measured"
                .to_owned()
        }
        other => format!("NVML does not start ({other}): GPUs are not measured"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_library_is_told_so() {
        let none = Path::new("/nonexistent/libnvidia-ml.so.1");
        let why = Library::open(Some(none)).err().unwrap();
        assert!(why.starts_with("no NVIDIA driver"), "{why}");
    }

    #[test]
    fn a_library_without_nvmls_functions_is_told_so() {
        let why = Library::open(Some(Path::new("libc.so.6"))).err().unwrap();
        assert!(why.contains("too old"), "{why}");
    }
}
