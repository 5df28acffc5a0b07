//! A stand-in for `libnvidia-ml.so.1`: what an agent calls, answered by a script.
//!
//! Loaded by the agent's own path through its option `--nvml-library`, so that everything but
//! the driver is real. The script's words: `script.rs`. What it does not have is missing,
//! as functions are in old drivers.

mod fields;
mod node;
mod script;

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};
use std::time::{Duration, Instant};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlFieldValue_t, nvmlMarginTemperature_t,
    nvmlPciInfo_t, nvmlProcessInfo_t, nvmlReturn_t,
};

use fields::Value;
use node::Node;

const SUCCESS: nvmlReturn_t = 0;
const INVALID_ARGUMENT: nvmlReturn_t = 2;
const NOT_SUPPORTED: nvmlReturn_t = 3;
const TIMEOUT: nvmlReturn_t = 10;
const GPU_IS_LOST: nvmlReturn_t = 15;
/// An event set needs no memory: there is one.
const SET: usize = 0x5e7;
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(20);

/// The number of a device: its handle is one more, so that none is null.
fn index(device: nvmlDevice_t) -> u32 {
    (device as usize).wrapping_sub(1) as u32
}

/// Answers of a device: blocks where it hangs, refuses where it is lost.
fn answer<T>(
    device: nvmlDevice_t,
    to: *mut T,
    of: impl FnOnce(&Node, u32) -> Result<T, nvmlReturn_t>,
) -> nvmlReturn_t {
    let gpu = index(device);
    Node::hang(gpu);
    let node = Node::now();
    if node.script.says(gpu, "lost") {
        return GPU_IS_LOST;
    }
    match of(&node, gpu) {
        Ok(value) => {
            // SAFETY: the caller hands a place for one value, as NVML's header asks.
            unsafe { to.write(value) };
            SUCCESS
        }
        Err(code) => code,
    }
}

/// Writes a text with its zero.
fn write_text(to: *mut c_char, length: c_uint, text: &str) -> nvmlReturn_t {
    if text.len() as c_uint >= length {
        return INVALID_ARGUMENT;
    }
    for (at, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: the caller's buffer holds `length` bytes, more than the text.
        unsafe { to.add(at).write(byte as c_char) };
    }
    SUCCESS
}

/// Exports functions of NVML whose last argument takes one answer.
macro_rules! answers {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $out:ty = $of:expr;)*) => {$(
        /// As in nvml.h.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(device: nvmlDevice_t, $($argument: $kind,)* to: *mut $out) -> nvmlReturn_t {
            answer(device, to, $of($($argument),*))
        }
    )*};
}

type Of<T> = Box<dyn FnOnce(&Node, u32) -> Result<T, nvmlReturn_t>>;

fn of<T>(f: impl FnOnce(&Node, u32) -> T + 'static) -> Of<T> {
    Box::new(move |node, gpu| Ok(f(node, gpu)))
}

fn temperature(_sensor: c_uint) -> Of<c_uint> {
    Box::new(|node, gpu| match node.script.number(gpu, "error") {
        Some(code) => Err(code as nvmlReturn_t),
        None => Ok(node.script.number(gpu, "temperature").unwrap_or(55) as c_uint),
    })
}

fn clock(domain: c_uint) -> Of<c_uint> {
    of(move |node, gpu| if domain == 2 { 2_619 } else { node.clock_mhz(gpu) })
}

fn ecc(kind: c_uint, _counter: c_uint) -> Of<c_ulonglong> {
    of(move |node, gpu| {
        let uncorrected = node.script.number(gpu, "ecc").unwrap_or(0);
        if kind == 1 { uncorrected } else { 0 }
    })
}

fn nvlink(link: c_uint) -> Of<c_uint> {
    Box::new(move |node, gpu| {
        let down = node.script.number(gpu, "nvlinks_down").unwrap_or(0);
        if link < 18 { Ok(c_uint::from(u64::from(link) >= down)) } else { Err(NOT_SUPPORTED) }
    })
}

/// What the script says of a link, or what a sound one has.
fn link(word: &'static str, sound: c_uint) -> Of<c_uint> {
    of(move |node, gpu| node.script.number(gpu, word).map_or(sound, |number| number as c_uint))
}

fn margin() -> Of<nvmlMarginTemperature_t> {
    of(|_, _| nvmlMarginTemperature_t { version: 0, marginTemperature: 30 })
}

fn pci() -> Of<nvmlPciInfo_t> {
    of(|_, gpu| nvmlPciInfo_t {
        busIdLegacy: [0; 16],
        domain: 0,
        bus: gpu + 1,
        device: 0,
        pciDeviceId: 0,
        pciSubSystemId: 0,
        busId: [0; 32],
    })
}

answers! {
    nvmlDeviceGetTemperature(sensor: c_uint) -> c_uint = temperature;
    nvmlDeviceGetClockInfo(domain: c_uint) -> c_uint = clock;
    nvmlDeviceGetTotalEccErrors(kind: c_uint, counter: c_uint) -> c_ulonglong = ecc;
    nvmlDeviceGetNvLinkState(link: c_uint) -> c_uint = nvlink;
    nvmlDeviceGetMarginTemperature() -> nvmlMarginTemperature_t = margin;
    nvmlDeviceGetPciInfo_v3() -> nvmlPciInfo_t = pci;
    nvmlDeviceGetPowerUsage() -> c_uint = || of(Node::power_mw);
    nvmlDeviceGetEnforcedPowerLimit() -> c_uint =
        || of(|node, gpu| node.script.number(gpu, "limit").unwrap_or(700) as c_uint * 1_000);
    nvmlDeviceGetTotalEnergyConsumption() -> c_ulonglong =
        || of(|node, gpu| node.counted(gpu).millijoules as c_ulonglong);
    nvmlDeviceGetCurrentClocksEventReasons() -> c_ulonglong = || of(Node::mask);
    nvmlDeviceGetPcieReplayCounter() -> c_uint = || link("replays", 0);
    nvmlDeviceGetCurrPcieLinkGeneration() -> c_uint = || link("generation", 5);
    nvmlDeviceGetMaxPcieLinkGeneration() -> c_uint = || of(|_, _| 5);
    nvmlDeviceGetCurrPcieLinkWidth() -> c_uint = || link("lanes", 16);
    nvmlDeviceGetMaxPcieLinkWidth() -> c_uint = || of(|_, _| 16);
}

/// As in nvml.h.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    drop(Node::now());
    SUCCESS
}

/// As in nvml.h.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    SUCCESS
}

/// As in nvml.h.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> nvmlReturn_t {
    write_text(to, length, &Node::now().script.driver)
}

/// As in nvml.h.
///
/// # Safety
/// `to` takes one number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> nvmlReturn_t {
    // SAFETY: the caller's promise.
    unsafe { to.write(Node::now().script.gpus) };
    SUCCESS
}

/// As in nvml.h.
///
/// # Safety
/// `to` takes one handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    to: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    if index >= Node::now().script.gpus {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise.
    unsafe { to.write((index as usize + 1) as nvmlDevice_t) };
    SUCCESS
}

/// As in nvml.h.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUUID(
    device: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    Node::hang(index(device));
    write_text(to, length, &format!("GPU-00000000-0000-0000-0000-{:012x}", index(device)))
}

/// As in nvml.h.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetName(
    _device: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    write_text(to, length, "NVIDIA H200 (scripted)")
}

/// As in nvml.h.
///
/// # Safety
/// `major` and `minor` take a number each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: nvmlDevice_t,
    major: *mut c_int,
    minor: *mut c_int,
) -> nvmlReturn_t {
    let node = Node::now();
    let said = node.script.facts_of(index(device), "capability").next().map(<[u64]>::to_vec);
    let capability = said.unwrap_or_else(|| vec![9, 0]);
    let part = |at: usize| capability.get(at).copied().unwrap_or(0) as c_int;
    // SAFETY: the caller's promise.
    unsafe {
        major.write(part(0));
        minor.write(part(1));
    }
    SUCCESS
}

/// As in nvml.h.
///
/// # Safety
/// `current` and `pending` take a number each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> nvmlReturn_t {
    let on = c_uint::from(Node::now().script.says(index(device), "mig"));
    // SAFETY: the caller's promise.
    unsafe {
        current.write(on);
        pending.write(on);
    }
    SUCCESS
}

/// As in nvml.h.
///
/// # Safety
/// `infos` takes as many entries as `count` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    Node::hang(index(device));
    let node = Node::now();
    let pids: Vec<u64> =
        node.script.facts_of(index(device), "process").flatten().copied().collect();
    // SAFETY: the caller's promise.
    let room = unsafe { count.read() } as usize;
    for (at, pid) in pids.iter().take(room).enumerate() {
        let process = nvmlProcessInfo_t {
            pid: *pid as c_uint,
            usedGpuMemory: 1 << 30,
            gpuInstanceId: c_uint::MAX,
            computeInstanceId: c_uint::MAX,
        };
        // SAFETY: the caller's promise: `at` is below the room.
        unsafe { infos.add(at).write(process) };
    }
    // SAFETY: the caller's promise.
    unsafe { count.write(pids.len().min(room) as c_uint) };
    SUCCESS
}

/// As in nvml.h.
///
/// # Safety
/// `values` holds `count` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> nvmlReturn_t {
    let gpu = index(device);
    Node::hang(gpu);
    let node = Node::now();
    if node.script.says(gpu, "lost") {
        return GPU_IS_LOST;
    }
    // SAFETY: the caller's promise.
    let values = unsafe { std::slice::from_raw_parts_mut(values, count.max(0) as usize) };
    for entry in values {
        entry.timestamp = node.sensor_us();
        entry.nvmlReturn = SUCCESS;
        match fields::value(&node, gpu, entry.fieldId) {
            Some(Value::Unsigned(value)) => (entry.valueType, entry.value.uiVal) = (1, value),
            Some(Value::Long(value)) => (entry.valueType, entry.value.ullVal) = (3, value),
            Some(Value::Signed(value)) => (entry.valueType, entry.value.siVal) = (5, value),
            None => entry.nvmlReturn = NOT_SUPPORTED,
        }
    }
    SUCCESS
}

/// As in nvml.h.
///
/// # Safety
/// `to` takes one handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(to: *mut nvmlEventSet_t) -> nvmlReturn_t {
    // SAFETY: the caller's promise.
    unsafe { to.write(SET as nvmlEventSet_t) };
    SUCCESS
}

/// As in nvml.h.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceRegisterEvents(
    device: nvmlDevice_t,
    _types: c_ulonglong,
    _set: nvmlEventSet_t,
) -> nvmlReturn_t {
    Node::hang(index(device));
    SUCCESS
}

/// As in nvml.h.
///
/// # Safety
/// `data` takes one event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(
    _set: nvmlEventSet_t,
    data: *mut nvmlEventData_t,
    timeout_ms: c_uint,
) -> nvmlReturn_t {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
    while Instant::now() < deadline {
        let next = Node::now().next_xid();
        if let Some((gpu, code)) = next {
            let event = nvmlEventData_t {
                device: (gpu as usize + 1) as nvmlDevice_t,
                eventType: 8,
                eventData: code,
                gpuInstanceId: c_uint::MAX,
                computeInstanceId: c_uint::MAX,
            };
            // SAFETY: the caller's promise.
            unsafe { data.write(event) };
            return SUCCESS;
        }
        std::thread::sleep(LOOK);
    }
    TIMEOUT
}
