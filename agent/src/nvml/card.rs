//! One card through NVML's plain C functions: every call that may answer with a number that
//! nobody has a name for yet is read as a number.

use std::ffi::c_ulonglong;
use std::mem::zeroed;
use std::sync::Arc;

use model::reading::Reading;
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlMarginTemperature_v1_t, nvmlPciInfo_t, nvmlProcessInfo_t,
};

use super::library::{Library, text};
use super::status::Status;

/// More compute processes than share one GPU.
const PROCESSES_MAX: usize = 64;
/// NVLinks of one GPU (nvml.h, NVML_NVLINK_MAX_LINKS).
const NVLINKS_MAX: u32 = 18;
/// `nvmlMarginTemperature_v1`: the size of the struct and its version 1 in the top byte.
const MARGIN_V1: u32 = size_of::<nvmlMarginTemperature_v1_t>() as u32 | 1 << 24;

/// Clock domains and sensors (nvml.h).
const TEMPERATURE_GPU: u32 = 0;
pub(super) const CLOCK_SM: u32 = 1;
pub(super) const CLOCK_MEMORY: u32 = 2;
/// Memory errors and counters (nvml.h).
pub(super) const CORRECTED: u32 = 0;
pub(super) const UNCORRECTED: u32 = 1;
const VOLATILE: u32 = 0;

/// A handle. The library is thread-safe, and a handle stays valid while it is loaded.
#[derive(Clone)]
pub(super) struct Card {
    pub(super) library: Arc<Library>,
    pub(super) handle: nvmlDevice_t,
}

// SAFETY: the handle is a number to the library, which says of itself that it is thread-safe.
unsafe impl Send for Card {}

/// One answer to a question by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) value: Reading<f64>,
    /// The same where it is a whole number, without rounding.
    pub(super) whole: Reading<u64>,
    /// NVML's own time of it, in microseconds; 0 where it says none.
    pub(super) at_us: i64,
    pub(super) status: Status,
}

/// A call with one result, which is only read after success.
macro_rules! ask {
    ($card:expr, $function:ident, $start:expr $(, $before:expr)*) => {{
        let mut answer = $start;
        let status = match &$card.library.lib().$function {
            // SAFETY: the handle came from this library, which writes one answer.
            Ok(function) => Status(unsafe { function($card.handle $(, $before)*, &raw mut answer) }),
            Err(_) => Status::NO_FUNCTION,
        };
        (status, answer)
    }};
}

impl Card {
    /// The card at a position in the library's order, that of the PCI bus.
    pub(super) fn at(library: &Arc<Library>, index: u32) -> Result<Self, Status> {
        let mut handle = std::ptr::null_mut();
        match &library.lib().nvmlDeviceGetHandleByIndex_v2 {
            // SAFETY: writes one handle.
            Ok(function) => Status(unsafe { function(index, &raw mut handle) }).check()?,
            Err(_) => return Err(Status::NO_FUNCTION),
        }
        Ok(Self { library: library.clone(), handle })
    }

    pub(super) fn uuid(&self) -> Result<String, Status> {
        text(|buffer, length| match &self.library.lib().nvmlDeviceGetUUID {
            // SAFETY: the buffer holds `length` bytes, and the library writes no more.
            Ok(function) => Status(unsafe { function(self.handle, buffer, length) }),
            Err(_) => Status::NO_FUNCTION,
        })
    }

    pub(super) fn name(&self) -> Result<String, Status> {
        text(|buffer, length| match &self.library.lib().nvmlDeviceGetName {
            // SAFETY: the buffer holds `length` bytes, and the library writes no more.
            Ok(function) => Status(unsafe { function(self.handle, buffer, length) }),
            Err(_) => Status::NO_FUNCTION,
        })
    }

    /// PCI domain, bus and device.
    pub(super) fn place(&self) -> Result<(u32, u32, u32), Status> {
        // SAFETY: numbers and bytes, for which zero is a value.
        let start: nvmlPciInfo_t = unsafe { zeroed() };
        let (status, pci) = ask!(self, nvmlDeviceGetPciInfo_v3, start);
        status.check().map(|()| (pci.domain, pci.bus, pci.device))
    }

    /// CUDA's compute capability.
    pub(super) fn capability(&self) -> Result<(i32, i32), Status> {
        let (mut major, mut minor) = (0, 0);
        match &self.library.lib().nvmlDeviceGetCudaComputeCapability {
            Ok(function) => {
                // SAFETY: the handle is the library's own, which writes two numbers.
                Status(unsafe { function(self.handle, &raw mut major, &raw mut minor) }).check()?;
            }
            Err(_) => return Err(Status::NO_FUNCTION),
        }
        Ok((major, minor))
    }

    /// Whether the card is cut into instances.
    pub(super) fn is_partitioned(&self) -> bool {
        let (mut current, mut pending) = (0, 0);
        let status = match &self.library.lib().nvmlDeviceGetMigMode {
            Ok(function) => {
                // SAFETY: the handle is the library's own, which writes two numbers.
                Status(unsafe { function(self.handle, &raw mut current, &raw mut pending) })
            }
            Err(_) => Status::NO_FUNCTION,
        };
        status == Status::SUCCESS && current == 1
    }

    /// Processes that compute on the card.
    pub(super) fn processes(&self) -> Result<Vec<u32>, Status> {
        // SAFETY: numbers, for which zero is a value.
        let mut found: [nvmlProcessInfo_t; PROCESSES_MAX] = unsafe { zeroed() };
        let mut count = PROCESSES_MAX as u32;
        let status = match &self.library.lib().nvmlDeviceGetComputeRunningProcesses_v3 {
            Ok(function) => {
                // SAFETY: the library writes at most `count` entries.
                Status(unsafe { function(self.handle, &raw mut count, found.as_mut_ptr()) })
            }
            Err(_) => Status::NO_FUNCTION,
        };
        if status != Status::INSUFFICIENT_SIZE {
            status.check()?;
        }
        Ok(found.iter().take(count as usize).map(|process| process.pid).collect())
    }

    pub(super) fn temperature(&self) -> (Status, u32) {
        ask!(self, nvmlDeviceGetTemperature, 0, TEMPERATURE_GPU)
    }

    pub(super) fn clock(&self, domain: u32) -> Reading<f64> {
        let (status, mhz) = ask!(self, nvmlDeviceGetClockInfo, 0, domain);
        status.reading(f64::from(mhz))
    }

    /// Milliwatts: a mean or an instant, by architecture.
    pub(super) fn power_usage(&self) -> Reading<f64> {
        let (status, milliwatts) = ask!(self, nvmlDeviceGetPowerUsage, 0);
        status.reading(f64::from(milliwatts))
    }

    /// Milliwatts.
    pub(super) fn enforced_limit(&self) -> Reading<f64> {
        let (status, milliwatts) = ask!(self, nvmlDeviceGetEnforcedPowerLimit, 0);
        status.reading(f64::from(milliwatts))
    }

    /// Millijoules.
    pub(super) fn energy(&self) -> Reading<u64> {
        let (status, count) = ask!(self, nvmlDeviceGetTotalEnergyConsumption, 0 as c_ulonglong);
        status.reading(count)
    }

    /// The raw mask: what no version has a name for yet is kept.
    pub(super) fn reasons(&self) -> Reading<u64> {
        let (status, mask) = ask!(self, nvmlDeviceGetCurrentClocksEventReasons, 0 as c_ulonglong);
        if status != Status::NO_FUNCTION {
            return status.reading(mask);
        }
        // Its name before driver 535.
        let (status, mask) = ask!(self, nvmlDeviceGetCurrentClocksThrottleReasons, 0);
        status.reading(mask)
    }

    pub(super) fn ecc(&self, kind: u32) -> Reading<u64> {
        let (status, count) = ask!(self, nvmlDeviceGetTotalEccErrors, 0, kind, VOLATILE);
        status.reading(count)
    }

    /// Kelvin to the nearest slowdown.
    pub(super) fn margin(&self) -> Reading<f64> {
        let start = nvmlMarginTemperature_v1_t { version: MARGIN_V1, marginTemperature: 0 };
        let (status, margin) = ask!(self, nvmlDeviceGetMarginTemperature, start);
        status.reading(f64::from(margin.marginTemperature))
    }

    pub(super) fn pcie_replays(&self) -> Reading<f64> {
        let (status, count) = ask!(self, nvmlDeviceGetPcieReplayCounter, 0);
        status.reading(f64::from(count))
    }

    /// Generation now and at most, lanes now and at most.
    pub(super) fn pcie_link(&self) -> [Reading<f64>; 4] {
        [
            ask!(self, nvmlDeviceGetCurrPcieLinkGeneration, 0),
            ask!(self, nvmlDeviceGetMaxPcieLinkGeneration, 0),
            ask!(self, nvmlDeviceGetCurrPcieLinkWidth, 0),
            ask!(self, nvmlDeviceGetMaxPcieLinkWidth, 0),
        ]
        .map(|(status, value)| status.reading(f64::from(value)))
    }

    /// NVLinks that are up, and that are down; a link that is not there answers an error.
    pub(super) fn nvlinks(&self) -> (Reading<f64>, Reading<f64>) {
        let states: Vec<(Status, u32)> =
            (0..NVLINKS_MAX).map(|link| ask!(self, nvmlDeviceGetNvLinkState, 0, link)).collect();
        let here = || states.iter().filter(|(status, _)| *status == Status::SUCCESS);
        if here().next().is_none() {
            let status = states.first().map_or(Status::NO_FUNCTION, |(status, _)| *status);
            return (status.reading(0.0), status.reading(0.0));
        }
        let up = here().filter(|(_, active)| *active == 1).count();
        (Reading::Value(up as f64), Reading::Value((here().count() - up) as f64))
    }

    /// Several fields at once, answered in their order. Numbers are the driver's own.
    pub(super) fn fields<const N: usize>(&self, numbers: [u32; N]) -> [Field; N] {
        let mut values = numbers.map(|number| {
            // SAFETY: numbers and a union of numbers, for which zero is a value.
            let mut value: nvmlFieldValue_t = unsafe { zeroed() };
            value.fieldId = number;
            value
        });
        let status = match &self.library.lib().nvmlDeviceGetFieldValues {
            // SAFETY: the library writes exactly as many entries as it is told there are.
            Ok(function) => Status(unsafe { function(self.handle, N as i32, values.as_mut_ptr()) }),
            Err(_) => Status::NO_FUNCTION,
        };
        values.map(|value| field(status, &value))
    }
}

fn field(whole: Status, value: &nvmlFieldValue_t) -> Field {
    let status = whole.check().err().unwrap_or(Status(value.nvmlReturn));
    // SAFETY: every member is a plain number of at most eight bytes, all of which were zero
    // before the library wrote one of them.
    let (real, count) = unsafe {
        match value.valueType {
            0 => (value.value.dVal, value.value.dVal as u64),
            1 => (f64::from(value.value.uiVal), u64::from(value.value.uiVal)),
            2 | 3 => (value.value.ullVal as f64, value.value.ullVal),
            4 => (value.value.sllVal as f64, value.value.sllVal.max(0) as u64),
            5 => (f64::from(value.value.siVal), value.value.siVal.max(0) as u64),
            6 => (f64::from(value.value.usVal), u64::from(value.value.usVal)),
            _ => (f64::NAN, 0),
        }
    };
    let failed = Status(999);
    let status = if real.is_finite() { status } else { status.check().err().unwrap_or(failed) };
    Field {
        value: status.reading(real),
        whole: status.reading(count),
        at_us: value.timestamp,
        status,
    }
}
