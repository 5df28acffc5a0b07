//! Status codes of the driver: plain integers, since new ones arrive with failing hardware.

use std::fmt;

/// What a driver call answered (`CUresult`). Never a Rust enum: a code that this program
/// does not know is told as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Status(pub i32);

impl Status {
    pub const SUCCESS: Self = Self(0);
    pub const OUT_OF_MEMORY: Self = Self(2);
    pub const NO_DEVICE: Self = Self(100);
    pub const DEVICE_UNAVAILABLE: Self = Self(46);
    pub const NO_BINARY_FOR_GPU: Self = Self(209);
    pub const INVALID_PTX: Self = Self(218);
    pub const UNSUPPORTED_PTX_VERSION: Self = Self(222);
    pub const NOT_READY: Self = Self(600);
    pub const SYSTEM_DRIVER_MISMATCH: Self = Self(803);
    /// Of our own, beside the driver's: a call or a launch did not come back in time.
    pub const DEADLINE: Self = Self(-1);

    /// Whether the driver or the image is what does not fit, and not the device.
    #[must_use]
    pub fn is_unfit_image(self) -> bool {
        [Self::NO_BINARY_FOR_GPU, Self::INVALID_PTX, Self::UNSUPPORTED_PTX_VERSION].contains(&self)
    }
}

/// A driver call that failed: which, with what, and its name if the driver gave one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaError {
    pub call: &'static str,
    pub status: Status,
    /// `CUDA_ERROR_...`; empty where the driver has no name for the number.
    pub name: String,
    /// What the driver says beyond the number, such as the JIT's log; often empty.
    pub detail: String,
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.status.0;
        match self.name.as_str() {
            "" => write!(f, "{}: error {code}, which this driver has no name for", self.call)?,
            name => write!(f, "{}: error {code} {name}", self.call)?,
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for CudaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_told_by_its_number() {
        let error = |status, name: &str| CudaError {
            call: "cuInit",
            status: Status(status),
            name: name.to_owned(),
            detail: String::new(),
        };
        assert_eq!(
            error(12345, "").to_string(),
            "cuInit: error 12345, which this driver has no name for"
        );
        assert_eq!(
            error(719, "CUDA_ERROR_LAUNCH_FAILED").to_string(),
            "cuInit: error 719 CUDA_ERROR_LAUNCH_FAILED"
        );
    }
}
