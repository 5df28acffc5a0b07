//! The functions of `libcuda.so.1` that we call, found by name when the library is opened.
//!
//! Only names that every driver since CUDA 11.4 exports: a newer alias would turn an older
//! driver away. A missing one is an error that names it.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::Path;

use libloading::Library;

use super::OpenError;

pub(super) type Device = c_int;
pub(super) type DeviceAddress = u64;
/// Opaque pointers of the driver: contexts, modules, functions, streams, events.
pub(super) type Handle = *mut c_void;

/// 16 bytes that name a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(super) struct Uuid(pub(super) [u8; 16]);

type Get<T> = unsafe extern "C" fn(*mut T) -> i32;
type Of<A, T> = unsafe extern "C" fn(*mut T, A) -> i32;
type Take<A> = unsafe extern "C" fn(A) -> i32;
type Grid = c_uint;

/// The table. Every function answers a `CUresult`, taken as the integer that it is.
pub(super) struct Table {
    pub(super) init: Take<c_uint>,
    pub(super) driver_version: Get<c_int>,
    pub(super) error_name: unsafe extern "C" fn(i32, *mut *const c_char) -> i32,
    pub(super) device_count: Get<c_int>,
    pub(super) device: Of<c_int, Device>,
    pub(super) device_name: unsafe extern "C" fn(*mut c_char, c_int, Device) -> i32,
    pub(super) device_uuid: Of<Device, Uuid>,
    /// Names the MIG instance where there is one, the device otherwise.
    pub(super) device_uuid_v2: Of<Device, Uuid>,
    pub(super) device_attribute: unsafe extern "C" fn(*mut c_int, c_int, Device) -> i32,
    pub(super) device_pci: unsafe extern "C" fn(*mut c_char, c_int, Device) -> i32,
    pub(super) device_memory: Of<Device, usize>,
    pub(super) context_retain: Of<Device, Handle>,
    pub(super) context_set: Take<Handle>,
    pub(super) memory_info: unsafe extern "C" fn(*mut usize, *mut usize) -> i32,
    pub(super) memory_take: Of<usize, DeviceAddress>,
    pub(super) memory_free: Take<DeviceAddress>,
    pub(super) host_take: unsafe extern "C" fn(*mut Handle, usize, c_uint) -> i32,
    pub(super) host_free: Take<Handle>,
    pub(super) host_address: unsafe extern "C" fn(*mut DeviceAddress, Handle, c_uint) -> i32,
    pub(super) copy_to_device: unsafe extern "C" fn(DeviceAddress, Handle, usize, Handle) -> i32,
    pub(super) copy_to_host: unsafe extern "C" fn(Handle, DeviceAddress, usize, Handle) -> i32,
    pub(super) module_load:
        unsafe extern "C" fn(*mut Handle, Handle, c_uint, *mut c_int, *mut Handle) -> i32,
    pub(super) module_function: unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> i32,
    pub(super) function_set: unsafe extern "C" fn(Handle, c_int, c_int) -> i32,
    pub(super) launch: unsafe extern "C" fn(
        Handle,
        Grid,
        Grid,
        Grid,
        Grid,
        Grid,
        Grid,
        c_uint,
        Handle,
        *mut Handle,
        *mut Handle,
    ) -> i32,
    pub(super) stream: Of<c_uint, Handle>,
    pub(super) stream_wait: unsafe extern "C" fn(Handle, Handle, c_uint) -> i32,
    pub(super) event: Of<c_uint, Handle>,
    pub(super) event_record: unsafe extern "C" fn(Handle, Handle) -> i32,
    pub(super) event_query: Take<Handle>,
    pub(super) event_elapsed: unsafe extern "C" fn(*mut f32, Handle, Handle) -> i32,
    /// Keeps the code behind the pointers above mapped; dropped last.
    _library: Library,
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        // SAFETY: loading runs the library's initialisers; it is the driver that the machine's
        // owner installed, or the one that this agent was told to load.
        let library = unsafe { Library::new(path) }.map_err(|error| OpenError::Library {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        // SAFETY: each field's type is that of the function in cuda.h whose name stands there;
        // the pointers live as long as `_library`, in the same value.
        unsafe {
            Ok(Self {
                init: find(&library, "cuInit")?,
                driver_version: find(&library, "cuDriverGetVersion")?,
                error_name: find(&library, "cuGetErrorName")?,
                device_count: find(&library, "cuDeviceGetCount")?,
                device: find(&library, "cuDeviceGet")?,
                device_name: find(&library, "cuDeviceGetName")?,
                device_uuid: find(&library, "cuDeviceGetUuid")?,
                device_uuid_v2: find(&library, "cuDeviceGetUuid_v2")?,
                device_attribute: find(&library, "cuDeviceGetAttribute")?,
                device_pci: find(&library, "cuDeviceGetPCIBusId")?,
                device_memory: find(&library, "cuDeviceTotalMem_v2")?,
                context_retain: find(&library, "cuDevicePrimaryCtxRetain")?,
                context_set: find(&library, "cuCtxSetCurrent")?,
                memory_info: find(&library, "cuMemGetInfo_v2")?,
                memory_take: find(&library, "cuMemAlloc_v2")?,
                memory_free: find(&library, "cuMemFree_v2")?,
                host_take: find(&library, "cuMemHostAlloc")?,
                host_free: find(&library, "cuMemFreeHost")?,
                host_address: find(&library, "cuMemHostGetDevicePointer_v2")?,
                copy_to_device: find(&library, "cuMemcpyHtoDAsync_v2")?,
                copy_to_host: find(&library, "cuMemcpyDtoHAsync_v2")?,
                module_load: find(&library, "cuModuleLoadDataEx")?,
                module_function: find(&library, "cuModuleGetFunction")?,
                function_set: find(&library, "cuFuncSetAttribute")?,
                launch: find(&library, "cuLaunchKernel")?,
                stream: find(&library, "cuStreamCreate")?,
                stream_wait: find(&library, "cuStreamWaitEvent")?,
                event: find(&library, "cuEventCreate")?,
                event_record: find(&library, "cuEventRecord")?,
                event_query: find(&library, "cuEventQuery")?,
                event_elapsed: find(&library, "cuEventElapsedTime")?,
                _library: library,
            })
        }
    }
}

/// # Safety
/// `T` must be the type of the function of that name.
unsafe fn find<T: Copy>(library: &Library, name: &'static str) -> Result<T, OpenError> {
    let symbol = CString::new(name).map_err(|_| OpenError::Symbol(name))?;
    // SAFETY: as this function demands of its caller.
    let found = unsafe { library.get::<T>(symbol.as_bytes_with_nul()) };
    found.map(|symbol| *symbol).map_err(|_| OpenError::Symbol(name))
}
