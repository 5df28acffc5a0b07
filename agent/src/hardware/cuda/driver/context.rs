//! A device's primary context: modules, launches, streams, events.

use std::ffi::{CString, c_int, c_uint, c_void};

use super::table::{DeviceAddress, Handle};
use super::{CudaError, DeviceMemory, Driver, GpuFacts, HostMemory, Status};

/// `CU_STREAM_NON_BLOCKING`: does not wait for the default stream, which we don't use.
const NON_BLOCKING: c_uint = 1;
/// `CU_EVENT_DISABLE_TIMING`: kernels stamp their own times.
const NO_TIMING: c_uint = 2;
/// `CU_JIT_ERROR_LOG_BUFFER` and `..._SIZE_BYTES`.
const JIT_ERROR_LOG: [c_int; 2] = [5, 6];
/// A JIT's complaint is cut here.
const JIT_LOG_BYTES: usize = 8192;
/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
const MAX_DYNAMIC_SHARED: c_int = 8;
/// Dynamic shared memory that every kernel gets unasked.
const SHARED_UNASKED: u32 = 48 * 1024;

/// The primary context of one device, current on the thread that made it. It is not
/// released: a worker's process ends with its context.
pub struct Context {
    pub(super) driver: Driver,
}

/// A loaded image.
pub struct Module {
    driver: Driver,
    handle: Handle,
}

/// A kernel of an image.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    handle: Handle,
}

/// Work that is done in order.
pub struct Stream {
    handle: Handle,
}

/// A place in a stream that can be asked whether it was passed.
pub struct Event {
    handle: Handle,
}

impl Context {
    /// Retains the device's primary context and makes it current here.
    ///
    /// # Errors
    /// What the driver says: unavailable where the compute mode or another process forbids.
    pub fn new(driver: &Driver, gpu: &GpuFacts) -> Result<Self, CudaError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call; the ordinal came from cuDeviceGet.
        driver.check("cuDevicePrimaryCtxRetain", unsafe {
            (driver.table.context_retain)(&raw mut handle, gpu.ordinal)
        })?;
        // SAFETY: the context was just retained.
        driver.check("cuCtxSetCurrent", unsafe { (driver.table.context_set)(handle) })?;
        Ok(Self { driver: driver.clone() })
    }

    /// Loads PTX; the driver compiles it for the device.
    ///
    /// # Errors
    /// What the driver says, with the compiler's log.
    pub fn load(&self, ptx: &str) -> Result<Module, CudaError> {
        let text = CString::new(ptx)
            .map_err(|_| self.driver.error("cuModuleLoadDataEx", Status::INVALID_PTX.0))?;
        let mut log = vec![0_u8; JIT_LOG_BYTES];
        let mut options = JIT_ERROR_LOG;
        let mut values: [Handle; 2] =
            [log.as_mut_ptr().cast(), std::ptr::without_provenance_mut(JIT_LOG_BYTES - 1)];
        let mut handle = std::ptr::null_mut();
        // SAFETY: the text ends with a zero; two options with their two values, the log
        // larger by one than it is said to be; all of it outlives the call.
        let status = unsafe {
            (self.driver.table.module_load)(
                &raw mut handle,
                text.as_ptr().cast_mut().cast(),
                options.len() as c_uint,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        self.driver.check("cuModuleLoadDataEx", status).map_err(|error| {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
            let detail = String::from_utf8_lossy(&log[..end]).trim().to_owned();
            CudaError { detail, ..error }
        })?;
        Ok(Module { driver: self.driver.clone(), handle })
    }

    /// # Errors
    /// What the driver says.
    pub fn stream(&self) -> Result<Stream, CudaError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        self.driver.check("cuStreamCreate", unsafe {
            (self.driver.table.stream)(&raw mut handle, NON_BLOCKING)
        })?;
        Ok(Stream { handle })
    }

    /// # Errors
    /// What the driver says.
    pub fn event(&self) -> Result<Event, CudaError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        self.driver.check("cuEventCreate", unsafe {
            (self.driver.table.event)(&raw mut handle, NO_TIMING)
        })?;
        Ok(Event { handle })
    }

    /// An event that keeps its time, for [`Self::elapsed_ns`].
    ///
    /// # Errors
    /// What the driver says.
    pub fn timed_event(&self) -> Result<Event, CudaError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (self.driver.table.event)(&raw mut handle, 0) };
        self.driver.check("cuEventCreate", status)?;
        Ok(Event { handle })
    }

    /// Nanoseconds between two timed events that were both passed.
    ///
    /// # Errors
    /// What the driver says.
    pub fn elapsed_ns(&self, from: &Event, to: &Event) -> Result<u64, CudaError> {
        let mut ms = 0_f32;
        // SAFETY: the pointer is valid for the call, both handles are live.
        self.driver.check("cuEventElapsedTime", unsafe {
            (self.driver.table.event_elapsed)(&raw mut ms, from.handle, to.handle)
        })?;
        Ok((f64::from(ms) * 1e6).max(0.0) as u64)
    }

    /// Puts the event behind everything that is in the stream now.
    ///
    /// # Errors
    /// What the driver says.
    pub fn record(&self, event: &Event, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: both handles are live: they are never destroyed before the process ends.
        self.driver.check("cuEventRecord", unsafe {
            (self.driver.table.event_record)(event.handle, stream.handle)
        })
    }

    /// What follows in the stream waits for the event.
    ///
    /// # Errors
    /// What the driver says.
    pub fn wait_for(&self, stream: &Stream, event: &Event) -> Result<(), CudaError> {
        // SAFETY: both handles are live.
        self.driver.check("cuStreamWaitEvent", unsafe {
            (self.driver.table.stream_wait)(stream.handle, event.handle, 0)
        })
    }

    /// Whether the event was passed. Does not wait.
    ///
    /// # Errors
    /// The error of whatever came before the event, sticky ones included.
    pub fn is_done(&self, event: &Event) -> Result<bool, CudaError> {
        // SAFETY: the handle is live.
        let status = unsafe { (self.driver.table.event_query)(event.handle) };
        if status == Status::NOT_READY.0 {
            return Ok(false);
        }
        self.driver.check("cuEventQuery", status).map(|()| true)
    }

    /// Launches a kernel with one parameter, taken by value.
    ///
    /// # Errors
    /// What the driver says. What the kernel does wrong shows at its event.
    ///
    /// # Safety
    /// `P` must be the kernel's parameter, and what its addresses name must live until the
    /// launch is done.
    pub unsafe fn launch<P: Copy>(
        &self,
        stream: &Stream,
        function: Function,
        (blocks, threads, shared): (u32, u32, u32),
        parameter: &P,
    ) -> Result<(), CudaError> {
        let mut parameters: [Handle; 1] = [std::ptr::from_ref(parameter).cast_mut().cast()];
        // SAFETY: the driver copies the parameter during the call; the rest is the caller's.
        let status = unsafe {
            (self.driver.table.launch)(
                function.handle,
                blocks,
                1,
                1,
                threads,
                1,
                1,
                shared,
                stream.handle,
                parameters.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        self.driver.check("cuLaunchKernel", status)
    }

    /// Copies the whole of `from` to the beginning of `to`, in the stream's order.
    ///
    /// # Errors
    /// What the driver says.
    pub fn copy_out(
        &self,
        stream: &Stream,
        from: &DeviceMemory,
        to: &HostMemory,
    ) -> Result<(), CudaError> {
        assert!(from.bytes <= to.bytes, "inside the memory");
        // SAFETY: both allocations live until their owner saw the stream pass.
        self.driver.check("cuMemcpyDtoHAsync", unsafe {
            (self.driver.table.copy_to_host)(
                to.place().cast::<c_void>(),
                from.address,
                from.bytes,
                stream.handle,
            )
        })
    }

    /// Copies `bytes` of `from` to an address on the device, in the stream's order.
    ///
    /// # Errors
    /// What the driver says.
    pub fn copy_in(
        &self,
        stream: &Stream,
        from: &HostMemory,
        to: &DeviceMemory,
        bytes: usize,
    ) -> Result<(), CudaError> {
        assert!(bytes <= from.bytes && bytes <= to.bytes, "inside the memory");
        let address: DeviceAddress = to.address;
        // SAFETY: as in `copy_out`.
        self.driver.check("cuMemcpyHtoDAsync", unsafe {
            (self.driver.table.copy_to_device)(
                address,
                from.place().cast::<c_void>(),
                bytes,
                stream.handle,
            )
        })
    }
}

impl Context {
    /// Copies the beginning of `from` to a place in device memory, in the stream's order.
    ///
    /// # Errors
    /// What the driver says.
    pub fn copy_piece_in(
        &self,
        stream: &Stream,
        from: &HostMemory,
        (to, offset): (&DeviceMemory, usize),
        bytes: usize,
    ) -> Result<(), CudaError> {
        assert!(bytes <= from.bytes && offset + bytes <= to.bytes, "inside the memory");
        // SAFETY: as in `copy_out`.
        self.driver.check("cuMemcpyHtoDAsync", unsafe {
            (self.driver.table.copy_to_device)(
                to.address + offset as u64,
                from.place().cast::<c_void>(),
                bytes,
                stream.handle,
            )
        })
    }

    /// Copies from a place in device memory to the beginning of `to`, in the stream's order.
    ///
    /// # Errors
    /// What the driver says.
    pub fn copy_piece_out(
        &self,
        stream: &Stream,
        (from, offset): (&DeviceMemory, usize),
        to: &HostMemory,
        bytes: usize,
    ) -> Result<(), CudaError> {
        assert!(bytes <= to.bytes && offset + bytes <= from.bytes, "inside the memory");
        // SAFETY: as in `copy_out`.
        self.driver.check("cuMemcpyDtoHAsync", unsafe {
            (self.driver.table.copy_to_host)(
                to.place().cast::<c_void>(),
                from.address + offset as u64,
                bytes,
                stream.handle,
            )
        })
    }
}

impl Stream {
    /// What other libraries of the same process know the stream by.
    #[must_use]
    pub fn raw(&self) -> *mut c_void {
        self.handle
    }
}

impl Module {
    /// A kernel by its entry, allowed as much dynamic shared memory as it needs.
    ///
    /// # Errors
    /// What the driver says: not found, or more shared memory than there is.
    pub fn function(&self, entry: &str, shared_bytes: u32) -> Result<Function, CudaError> {
        let name = CString::new(entry).unwrap_or_default();
        let mut handle = std::ptr::null_mut();
        let table = &self.driver.table;
        // SAFETY: the module is loaded and never unloaded; the name ends with a zero.
        let status =
            unsafe { (table.module_function)(&raw mut handle, self.handle, name.as_ptr()) };
        self.driver.check("cuModuleGetFunction", status)?;
        if shared_bytes > SHARED_UNASKED {
            // SAFETY: the function was just found.
            let status =
                unsafe { (table.function_set)(handle, MAX_DYNAMIC_SHARED, shared_bytes as c_int) };
            self.driver.check("cuFuncSetAttribute", status)?;
        }
        Ok(Function { handle })
    }
}
