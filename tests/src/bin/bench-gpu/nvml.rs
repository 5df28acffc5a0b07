//! What NVML says of the card beside the load: watts, joules, limits, fields by number. A
//! table of its own, so that it does not prove the agent's by the agent's.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::time::{Duration, Instant};

use agent::clock::monotonic_ns;
use anyhow::{Context, bail, ensure};
use libloading::Library;
use nvml_wrapper_sys::bindings::nvmlFieldValue_t;
use serde_json::{Value, json};

const VARIABLE: &str = "LOADBANK_NVML_LIBRARY";
/// Looks at power while a load runs.
const LOOK: Duration = Duration::from_millis(100);
/// Of the enforced limit: what counts as reaching it.
const REACHED: f64 = 0.97;
/// Counters and flags whose numbers moved with driver 580.82.
const PROBED: [u32; 8] = [74, 251, 252, 253, 254, 269, 270, 271];

/// The card behind NVML.
pub(crate) struct Nvml {
    library: Library,
    device: *mut c_void,
}

impl Nvml {
    /// The card of a UUID.
    pub(crate) fn open(uuid: &str) -> anyhow::Result<Self> {
        let path = std::env::var_os(VARIABLE).unwrap_or_else(|| "libnvidia-ml.so.1".into());
        // SAFETY: the driver's own library, or the one that a test hands in.
        let library = unsafe { Library::new(path) }.context("no NVML")?;
        let mut nvml = Self { library, device: std::ptr::null_mut() };
        nvml.call("nvmlInit_v2", |init: unsafe extern "C" fn() -> c_uint| {
            // SAFETY: takes nothing.
            unsafe { init() }
        })?;
        let mut count: c_uint = 0;
        type Count = unsafe extern "C" fn(*mut c_uint) -> c_uint;
        nvml.call("nvmlDeviceGetCount_v2", |count_of: Count| {
            // SAFETY: writes one number.
            unsafe { count_of(&raw mut count) }
        })?;
        for index in 0..count {
            nvml.device = nvml.at(index)?;
            if nvml.uuid()? == uuid {
                return Ok(nvml);
            }
        }
        bail!("NVML knows no card {uuid}")
    }

    fn call<F: Copy>(&self, name: &str, call: impl FnOnce(F) -> c_uint) -> anyhow::Result<()> {
        // SAFETY: each caller gives the type that nvml.h has for the name.
        let function = unsafe { self.library.get::<F>(name.as_bytes()) };
        let status = call(*function.with_context(|| format!("NVML has no {name}"))?);
        ensure!(status == 0, "{name} answered {status}");
        Ok(())
    }

    fn at(&self, index: c_uint) -> anyhow::Result<*mut c_void> {
        type At = unsafe extern "C" fn(c_uint, *mut *mut c_void) -> c_uint;
        let mut device = std::ptr::null_mut();
        // SAFETY: writes one handle.
        self.call("nvmlDeviceGetHandleByIndex_v2", |at: At| unsafe { at(index, &raw mut device) })?;
        Ok(device)
    }

    fn uuid(&self) -> anyhow::Result<String> {
        type Text = unsafe extern "C" fn(*mut c_void, *mut c_char, c_uint) -> c_uint;
        let mut text = [0_u8; 96];
        self.call("nvmlDeviceGetUUID", |of: Text| {
            // SAFETY: writes at most 96 bytes, the last of them a zero.
            unsafe { of(self.device, text.as_mut_ptr().cast(), 96) }
        })?;
        Ok(until_zero(&text))
    }

    pub(crate) fn driver(&self) -> anyhow::Result<String> {
        type Text = unsafe extern "C" fn(*mut c_char, c_uint) -> c_uint;
        let mut text = [0_u8; 96];
        self.call("nvmlSystemGetDriverVersion", |of: Text| {
            // SAFETY: as above.
            unsafe { of(text.as_mut_ptr().cast(), 96) }
        })?;
        Ok(until_zero(&text))
    }

    fn number<T: Default + Copy>(&self, name: &str) -> anyhow::Result<T> {
        let mut value = T::default();
        self.call(name, |of: unsafe extern "C" fn(*mut c_void, *mut T) -> c_uint| {
            // SAFETY: writes one number of the width that `T` has.
            unsafe { of(self.device, &raw mut value) }
        })?;
        Ok(value)
    }

    fn joules(&self) -> anyhow::Result<f64> {
        Ok(self.number::<c_ulonglong>("nvmlDeviceGetTotalEnergyConsumption")? as f64 / 1e3)
    }

    fn limit_w(&self) -> anyhow::Result<f64> {
        Ok(f64::from(self.number::<c_uint>("nvmlDeviceGetEnforcedPowerLimit")?) / 1e3)
    }

    fn sm_mhz(&self) -> Option<u32> {
        type Clock = unsafe extern "C" fn(*mut c_void, c_uint, *mut c_uint) -> c_uint;
        let mut mhz = 0;
        // SAFETY: writes one number; 1 is the clock of the multiprocessors.
        let told = self.call("nvmlDeviceGetClockInfo", |clock: Clock| unsafe {
            clock(self.device, 1, &raw mut mhz)
        });
        told.ok().map(|()| mhz)
    }

    /// The instant's power (field 186), or what the old call says.
    fn watts(&self) -> anyhow::Result<f64> {
        match self.field(186) {
            Some(milliwatts) => Ok(milliwatts as f64 / 1e3),
            None => Ok(f64::from(self.number::<c_uint>("nvmlDeviceGetPowerUsage")?) / 1e3),
        }
    }

    /// A field by its number, as an unsigned number of its own width.
    fn field(&self, number: u32) -> Option<u64> {
        type Fields = unsafe extern "C" fn(*mut c_void, c_int, *mut nvmlFieldValue_t) -> c_uint;
        // SAFETY: plain numbers and a union of numbers, for which zeros are valid.
        let mut field: nvmlFieldValue_t = unsafe { std::mem::zeroed() };
        field.fieldId = number;
        self.call("nvmlDeviceGetFieldValues", |of: Fields| {
            // SAFETY: one field, which the library fills.
            unsafe { of(self.device, 1, &raw mut field) }
        })
        .ok()?;
        if field.nvmlReturn != 0 {
            return None;
        }
        // SAFETY: the library says which member it wrote; all are numbers of the union.
        let value = unsafe {
            match field.valueType {
                1 => u64::from(field.value.uiVal),
                2 | 3 => field.value.ullVal,
                5 => u64::from(field.value.siVal as u32),
                _ => return None,
            }
        };
        Some(value)
    }

    /// Fields whose meaning the driver's version decides, as they are now.
    pub(crate) fn probed(&self) -> Vec<(u32, Option<u64>)> {
        PROBED.map(|number| (number, self.field(number))).to_vec()
    }

    /// Watches the card from an instant of CLOCK_MONOTONIC on, for so long.
    pub(crate) fn watch(&self, start_ns: u64, seconds: f64) -> anyhow::Result<Value> {
        let wait_ns = start_ns.saturating_sub(monotonic_ns());
        std::thread::sleep(Duration::from_nanos(wait_ns));
        let (begun, limit_w) = (Instant::now(), self.limit_w()?);
        let since = || begun.elapsed().as_secs_f64();
        let (mut looks, mut half) = (Vec::new(), None);
        while since() < seconds {
            looks.push((since(), self.watts()?));
            if half.is_none() && since() >= seconds / 2.0 {
                half = Some((since(), self.joules()?));
            }
            std::thread::sleep(LOOK);
        }
        let (half_s, half_j) = half.context("too short to be measured")?;
        let mean_w = (self.joules()? - half_j) / (since() - half_s);
        Ok(summary(&looks, seconds / 2.0, mean_w, limit_w, self.sm_mhz()))
    }
}

fn until_zero(text: &[u8]) -> String {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}

/// Seconds to the limit, the steady half's mean by joules and its tenth percentile.
fn summary(
    looks: &[(f64, f64)],
    steady_s: f64,
    mean_w: f64,
    limit_w: f64,
    sm_mhz: Option<u32>,
) -> Value {
    let reached_s = looks.iter().find(|(_, watts)| *watts >= REACHED * limit_w).map(|(at, _)| *at);
    let mut steady: Vec<f64> =
        looks.iter().filter(|(at, _)| *at >= steady_s).map(|(_, watts)| *watts).collect();
    steady.sort_by(f64::total_cmp);
    json!({
        "mean_w": mean_w, "limit_w": limit_w, "ratio": mean_w / limit_w,
        "p10_w": steady.get(steady.len() / 10), "reached_after_s": reached_s,
        "sm_mhz_at_end": sm_mhz,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_reached_when_it_is_and_held_by_its_tenth_percentile() {
        let looks: Vec<(f64, f64)> =
            (0..100).map(|i| (f64::from(i) / 10.0, f64::from(i.min(50)) * 14.0)).collect();
        let told = summary(&looks, 5.0, 699.0, 700.0, None);
        assert_eq!(told["reached_after_s"], 4.9);
        assert_eq!((&told["p10_w"], &told["sm_mhz_at_end"]), (&json!(700.0), &Value::Null));
        let never = summary(&looks, 5.0, 699.0, 1000.0, None);
        assert_eq!(never["reached_after_s"], Value::Null);
    }
}
