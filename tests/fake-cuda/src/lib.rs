//! A `libcuda.so.1` for tests: what the agent calls, done on the CPU, with the errors that a
//! script asks for. Device addresses are addresses of this process.

#![allow(non_snake_case, reason = "the driver's own names")]

mod draw;
/// The agent's own table of kernels and its CPU references, without the agent around them.
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the agent uses the rest")]
#[path = "../../../agent/src/hardware/cuda/image/mod.rs"]
mod image;
mod kernel;
mod script;
mod stream;

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use image::Launch;
use kernel::Entry;
use script::{Place, script};
use stream::{Event, HostFunction, STICKY, Stream};

const SUCCESS: i32 = 0;
const INVALID_VALUE: i32 = 1;
const OUT_OF_MEMORY: i32 = 2;
const INVALID_DEVICE: i32 = 101;
const NOT_FOUND: i32 = 500;
const NOT_READY: i32 = 600;
/// Multiprocessors of a fake GPU: few, since a CPU writes their results.
const MULTIPROCESSORS: c_int = 16;
const MEMORY_BYTES: usize = 8 << 30;
/// Free memory of a GPU that another process holds.
const CROWDED_BYTES: usize = 100 << 20;
/// Larger allocations are reserved and never touched. Copies of the load are that large.
const TOUCHED_BYTES_MAX: usize = 32 << 20;

/// Results of launches are smaller: a bad link spoils copies of the load only, in this byte.
const LINK_BYTES: usize = 8 << 20;
const BAD_BYTE: u64 = (3 << 20) + 40;

type Handle = *mut c_void;

/// The GPU whose context was taken; launches count on it.
static CURRENT: AtomicI32 = AtomicI32::new(-1);
static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// CLOCK_MONOTONIC in nanoseconds.
fn monotonic_ns() -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a valid place to write to; CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut at) };
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

fn put<T>(place: *mut T, value: T) -> i32 {
    if place.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: the caller gives a place for one `T`, as cuda.h demands.
    unsafe { place.write(value) };
    SUCCESS
}

fn text(place: *mut c_char, len: c_int, text: &str) -> i32 {
    let bytes: Vec<u8> = text.bytes().take(len as usize - 1).chain([0]).collect();
    // SAFETY: the caller gives `len` bytes.
    unsafe { place.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    SUCCESS
}

/// The error that sticks, or what `act` answers.
fn unless_sick(act: impl FnOnce() -> i32) -> i32 {
    match STICKY.load(Ordering::Acquire) {
        SUCCESS => act(),
        sick => sick,
    }
}

/// What lies behind a handle that we gave; never freed before the process ends.
fn behind<'a, T>(handle: Handle) -> &'a T {
    // SAFETY: every handle of a kind is a leaked box of its type.
    unsafe { &*handle.cast::<T>() }
}

fn leak<T>(value: T) -> Handle {
    Box::into_raw(Box::new(value)).cast()
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(_flags: c_uint) -> i32 {
    script().init
}

#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: *mut c_int) -> i32 {
    put(version, 12040)
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(code: i32, name: *mut *const c_char) -> i32 {
    let known: &'static CStr = match code {
        2 => c"CUDA_ERROR_OUT_OF_MEMORY",
        100 => c"CUDA_ERROR_NO_DEVICE",
        222 => c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        700 => c"CUDA_ERROR_ILLEGAL_ADDRESS",
        719 => c"CUDA_ERROR_LAUNCH_FAILED",
        _ => return INVALID_VALUE,
    };
    put(name, known.as_ptr())
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(count: *mut c_int) -> i32 {
    put(count, script().gpus)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> i32 {
    let here = (0..script().gpus).contains(&ordinal);
    if here { put(device, ordinal) } else { INVALID_DEVICE }
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetName(name: *mut c_char, len: c_int, device: c_int) -> i32 {
    let slice = if script().mig == Some(device) { " MIG 1g.10gb" } else { "" };
    text(name, len, &format!("Fake H100{slice}"))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) -> i32 {
    let filling = if script().plain { 0 } else { 0xFA };
    let mut bytes = [filling; 16];
    (bytes[0], bytes[15]) = (script().id, device as u8);
    put(uuid, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> i32 {
    if script().mig == Some(device) {
        return put(uuid, [0xFB; 16]);
    }
    cuDeviceGetUuid(uuid, device)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _device: c_int) -> i32 {
    let (major, minor) = script().capability;
    let told = match attribute {
        13 => 1_980_000,
        16 => MULTIPROCESSORS,
        20 => 0,
        38 => 50 << 20,
        75 => major,
        76 => minor,
        _ => return INVALID_VALUE,
    };
    put(value, told)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetPCIBusId(place: *mut c_char, len: c_int, device: c_int) -> i32 {
    // Against the driver's own order: whoever sorts must look.
    text(place, len, &format!("0000:{:02X}:00.0", 0xF0 - device))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: c_int) -> i32 {
    put(bytes, MEMORY_BYTES)
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int) -> i32 {
    CURRENT.store(device, Ordering::Release);
    put(context, leak(device))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(_context: Handle) -> i32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> i32 {
    let crowded = script().full == Some(CURRENT.load(Ordering::Acquire));
    put(total, MEMORY_BYTES);
    put(free, if crowded { CROWDED_BYTES } else { MEMORY_BYTES - (600 << 20) })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> i32 {
    take(bytes).map_or(OUT_OF_MEMORY, |place| put(address, place as u64))
}

/// Zeroed memory; of a large piece only the address space.
fn take(bytes: usize) -> Option<*mut c_void> {
    let touched = bytes <= TOUCHED_BYTES_MAX;
    map(bytes, if touched { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE })
}

fn map(bytes: usize, access: c_int) -> Option<*mut c_void> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping, wherever the kernel likes.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), bytes.max(1), access, flags, -1, 0) };
    (place != libc::MAP_FAILED).then_some(place)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(_address: u64) -> i32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostAlloc(place: *mut Handle, bytes: usize, _flags: c_uint) -> i32 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    map(bytes, access).map_or(OUT_OF_MEMORY, |taken| put(place, taken))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeHost(_place: Handle) -> i32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostGetDevicePointer_v2(
    address: *mut u64,
    place: Handle,
    _flags: c_uint,
) -> i32 {
    put(address, place as u64)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: Handle, bytes: usize, stream: Handle) -> i32 {
    unless_sick(|| {
        behind::<Stream>(stream).copy(to, from as u64, bytes);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(to: Handle, from: u64, bytes: usize, stream: Handle) -> i32 {
    unless_sick(|| {
        behind::<Stream>(stream).copy(to as u64, from, bytes);
        if script().bad_link == Some(CURRENT.load(Ordering::Acquire)) && bytes >= LINK_BYTES {
            behind::<Stream>(stream).flip(to as u64 + BAD_BYTE);
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    _image: *const c_void,
    _options: c_uint,
    _keys: *mut c_int,
    _values: *mut Handle,
) -> i32 {
    match script().ptx {
        SUCCESS => put(module, leak(0_u8)),
        code => code,
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    _module: Handle,
    name: *const c_char,
) -> i32 {
    // SAFETY: a string that ends with a zero, as cuda.h demands.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    Entry::from_name(&name).map_or(NOT_FOUND, |entry| put(function, leak(entry)))
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(_function: Handle, _attribute: c_int, _value: c_int) -> i32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    function: Handle,
    _grid_x: c_uint,
    _grid_y: c_uint,
    _grid_z: c_uint,
    _block_x: c_uint,
    _block_y: c_uint,
    _block_z: c_uint,
    _shared: c_uint,
    stream: Handle,
    parameters: *mut Handle,
    _extra: *mut Handle,
) -> i32 {
    let gpu = CURRENT.load(Ordering::Acquire);
    let place = Place { gpu, launch: LAUNCHES.fetch_add(1, Ordering::AcqRel) + 1 };
    if script().block == Some(place) {
        loop {
            std::thread::park();
        }
    }
    // SAFETY: our kernels have one parameter, a `Launch`.
    let launch = unsafe { (*parameters).cast::<Launch>().read() };
    unless_sick(|| {
        behind::<Stream>(stream).launch(place, *behind::<Entry>(function), launch);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(stream: *mut Handle, _flags: c_uint) -> i32 {
    put(stream, leak(Stream::start()))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) -> i32 {
    unless_sick(|| {
        behind::<Stream>(stream).wait(behind::<Arc<Event>>(event).clone());
        SUCCESS
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(event: *mut Handle, _flags: c_uint) -> i32 {
    put(event, leak(Arc::new(Event::default())))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> i32 {
    unless_sick(|| {
        behind::<Stream>(stream).record(behind::<Arc<Event>>(event).clone());
        SUCCESS
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, from: Handle, to: Handle) -> i32 {
    let later = behind::<Arc<Event>>(to);
    let between = behind::<Arc<Event>>(from).milliseconds_to(later);
    unless_sick(|| between.map_or(NOT_READY, |between| put(milliseconds, between)))
}

/// For the fake NCCL, whose operations run in the order of a stream.
#[unsafe(no_mangle)]
extern "C" fn cuLaunchHostFunc(stream: Handle, function: HostFunction, data: Handle) -> i32 {
    unless_sick(|| {
        behind::<Stream>(stream).call(function, data);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> i32 {
    let event = behind::<Arc<Event>>(event);
    unless_sick(|| if event.is_passed() { SUCCESS } else { NOT_READY })
}
