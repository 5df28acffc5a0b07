//! The driver's devices: identity and attributes.

use std::ffi::{CStr, c_char, c_int};

use super::table::{Device, Uuid};
use super::{CudaError, Driver};

/// Numbers of attributes (`CUdevice_attribute` of cuda.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Attribute(i32);

impl Attribute {
    /// Peak clock in kHz.
    pub const CLOCK_RATE: Self = Self(13);
    pub const MULTIPROCESSORS: Self = Self(16);
    pub const COMPUTE_MODE: Self = Self(20);
    /// Bytes of the second cache.
    pub const L2_BYTES: Self = Self(38);
    pub const MAJOR: Self = Self(75);
    pub const MINOR: Self = Self(76);
}

/// Compute mode `prohibited`: no context can be made on the device.
const COMPUTE_PROHIBITED: i32 = 2;

/// What a GPU is. Asked without a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// The driver's number of it in this process; means nothing elsewhere.
    pub(super) ordinal: Device,
    /// `GPU-8-4-4-4-12`.
    pub uuid: String,
    pub name: String,
    /// `0000:17:00.0`, lower case.
    pub pci: String,
    pub major: u32,
    pub minor: u32,
    pub multiprocessors: u32,
    pub clock_khz: u32,
    pub l2_bytes: u64,
    pub memory_bytes: u64,
    /// This is a slice of a GPU (MIG), not a GPU.
    pub is_mig: bool,
    /// The operator forbids compute on it.
    pub is_prohibited: bool,
}

impl Driver {
    /// Every device that this process may see, in the driver's order.
    ///
    /// # Errors
    /// What the driver says.
    pub fn gpus(&self) -> Result<Vec<GpuFacts>, CudaError> {
        let mut count: c_int = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceGetCount", unsafe { (self.table.device_count)(&raw mut count) })?;
        (0..count).map(|ordinal| self.gpu(ordinal)).collect()
    }

    fn gpu(&self, number: c_int) -> Result<GpuFacts, CudaError> {
        let mut ordinal: Device = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceGet", unsafe { (self.table.device)(&raw mut ordinal, number) })?;
        let attribute = |attribute| self.attribute(ordinal, attribute);
        let unsigned = |which| attribute(which).map(|value: i32| value.max(0) as u32);
        let (physical, instance) = (self.uuid(ordinal, false)?, self.uuid(ordinal, true)?);
        let name = self.text("cuDeviceGetName", |place, len| {
            // SAFETY: `place` has `len` bytes; the driver ends what it writes with a zero.
            unsafe { (self.table.device_name)(place, len, ordinal) }
        })?;
        let pci = self.text("cuDeviceGetPCIBusId", |place, len| {
            // SAFETY: as above.
            unsafe { (self.table.device_pci)(place, len, ordinal) }
        })?;
        let mut memory: usize = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceTotalMem", unsafe {
            (self.table.device_memory)(&raw mut memory, ordinal)
        })?;
        Ok(GpuFacts {
            ordinal,
            uuid: uuid_text(physical),
            is_mig: physical != instance || name.contains(" MIG "),
            name,
            pci: pci.to_lowercase(),
            major: unsigned(Attribute::MAJOR)?,
            minor: unsigned(Attribute::MINOR)?,
            multiprocessors: unsigned(Attribute::MULTIPROCESSORS)?,
            clock_khz: unsigned(Attribute::CLOCK_RATE)?,
            l2_bytes: u64::from(unsigned(Attribute::L2_BYTES)?),
            memory_bytes: memory as u64,
            is_prohibited: attribute(Attribute::COMPUTE_MODE)? == COMPUTE_PROHIBITED,
        })
    }

    fn attribute(&self, device: Device, attribute: Attribute) -> Result<i32, CudaError> {
        let mut value: c_int = 0;
        // SAFETY: the pointer is valid for the call; a number that the driver does not know
        // is an error of the call.
        self.check("cuDeviceGetAttribute", unsafe {
            (self.table.device_attribute)(&raw mut value, attribute.0, device)
        })?;
        Ok(value)
    }

    fn uuid(&self, device: Device, of_instance: bool) -> Result<Uuid, CudaError> {
        let mut uuid = Uuid::default();
        let ask = if of_instance { self.table.device_uuid_v2 } else { self.table.device_uuid };
        // SAFETY: the pointer is valid for the call and 16 bytes wide.
        self.check("cuDeviceGetUuid", unsafe { ask(&raw mut uuid, device) })?;
        Ok(uuid)
    }

    fn text(
        &self,
        call: &'static str,
        ask: impl Fn(*mut c_char, c_int) -> i32,
    ) -> Result<String, CudaError> {
        let mut text = [0 as c_char; 256];
        self.check(call, ask(text.as_mut_ptr(), text.len() as c_int - 1))?;
        // SAFETY: the last byte stays zero whatever the driver wrote.
        Ok(unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
    }
}

/// As NVML writes it: `GPU-8-4-4-4-12`.
fn uuid_text(Uuid(bytes): Uuid) -> String {
    let hex = |range: std::ops::Range<usize>| -> String {
        bytes[range].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    format!("GPU-{}-{}-{}-{}-{}", hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_nvml_writes_it() {
        let bytes: [u8; 16] = std::array::from_fn(|i| i as u8 * 0x11);
        assert_eq!(uuid_text(Uuid(bytes)), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }
}
