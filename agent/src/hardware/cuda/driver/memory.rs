//! Memory: the device's own, and the host's where the device sees it.

use std::ffi::c_uint;
use std::ptr::NonNull;

use super::table::DeviceAddress;
use super::{Context, CudaError, Driver};

/// `CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE`.
const HOST_MAPPED: c_uint = 0x02 | 0x01;

/// Bytes on the device. Freed when dropped.
pub struct DeviceMemory {
    driver: Driver,
    pub address: DeviceAddress,
    pub bytes: usize,
}

/// Page-locked zeroed bytes of the host with an address on the device. Freed when dropped.
pub struct HostMemory {
    driver: Driver,
    place: NonNull<u8>,
    /// What kernels know it by.
    pub address: DeviceAddress,
    pub bytes: usize,
}

impl Context {
    /// Free and total bytes of the device.
    ///
    /// # Errors
    /// What the driver says.
    pub fn memory_info(&self) -> Result<(u64, u64), CudaError> {
        let (mut free, mut total) = (0, 0);
        let ask = self.driver.table.memory_info;
        // SAFETY: both pointers are valid for the call.
        self.driver.check("cuMemGetInfo", unsafe { ask(&raw mut free, &raw mut total) })?;
        Ok((free as u64, total as u64))
    }

    /// Takes device memory; its content is anything.
    ///
    /// # Errors
    /// What the driver says: out of memory where another process holds it.
    pub fn device_memory(&self, bytes: usize) -> Result<DeviceMemory, CudaError> {
        let mut address = 0;
        // SAFETY: the pointer is valid for the call.
        self.driver.check("cuMemAlloc", unsafe {
            (self.driver.table.memory_take)(&raw mut address, bytes)
        })?;
        Ok(DeviceMemory { driver: self.driver.clone(), address, bytes })
    }

    /// Takes page-locked host memory that the device sees, zeroed.
    ///
    /// # Errors
    /// What the driver says.
    pub fn host_memory(&self, bytes: usize) -> Result<HostMemory, CudaError> {
        let (mut place, mut address) = (std::ptr::null_mut(), 0);
        let table = &self.driver.table;
        // SAFETY: the pointer is valid for the call.
        self.driver.check("cuMemHostAlloc", unsafe {
            (table.host_take)(&raw mut place, bytes, HOST_MAPPED)
        })?;
        let Some(place) = NonNull::new(place.cast::<u8>()) else {
            return Err(self.driver.error("cuMemHostAlloc", super::Status::OUT_OF_MEMORY.0));
        };
        // SAFETY: the driver gave `bytes` bytes here, and nobody else has them yet.
        unsafe { place.as_ptr().write_bytes(0, bytes) };
        let mut memory = HostMemory { driver: self.driver.clone(), place, address, bytes };
        // SAFETY: the place came from cuMemHostAlloc with the mapped flag.
        let status = unsafe { (table.host_address)(&raw mut address, place.as_ptr().cast(), 0) };
        self.driver.check("cuMemHostGetDevicePointer", status)?;
        memory.address = address;
        Ok(memory)
    }
}

impl HostMemory {
    /// Writes a word that a running kernel may read. `offset` is in bytes.
    pub fn write_u32(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.bytes, "inside the memory");
        // SAFETY: inside the allocation and aligned, which is page-aligned itself; volatile
        // since the device reads it at any time.
        unsafe { self.place.as_ptr().add(offset).cast::<u32>().write_volatile(value) };
    }

    /// A copy of some bytes. What the device still writes to may be torn: ask only for what
    /// an event said is done.
    #[must_use]
    pub fn read(&self, offset: usize, bytes: usize) -> Vec<u8> {
        assert!(offset + bytes <= self.bytes, "inside the memory");
        // SAFETY: inside the allocation, which was zeroed when it was made.
        unsafe { std::slice::from_raw_parts(self.place.as_ptr().add(offset), bytes) }.to_vec()
    }

    /// The first word of a part that differs from the same part of another memory: its place,
    /// ours and theirs. Both must be done with.
    #[must_use]
    pub fn first_difference(
        &self,
        other: &Self,
        offset: usize,
        bytes: usize,
    ) -> Option<(usize, u64, u64)> {
        let end = offset + bytes;
        assert!(end <= self.bytes && end <= other.bytes && offset.is_multiple_of(8), "inside both");
        // SAFETY: inside both allocations, which were zeroed when they were made and start on
        // a page; 8 divides the offset.
        let words = |memory: &Self| unsafe {
            std::slice::from_raw_parts(memory.place.as_ptr().add(offset).cast::<u64>(), bytes / 8)
        };
        let (ours, theirs) = (words(self), words(other));
        if ours == theirs {
            return None;
        }
        let at = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs)?;
        Some((offset + 8 * at, u64::from_le(ours[at]), u64::from_le(theirs[at])))
    }

    /// Copies bytes in; nothing on the device may read them meanwhile.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.bytes, "inside the memory");
        // SAFETY: inside the allocation; `bytes` can't overlap memory that the driver owns.
        unsafe {
            self.place.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    pub(super) fn place(&self) -> *mut u8 {
        self.place.as_ptr()
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        // SAFETY: the address came from cuMemAlloc and is freed once. After a sticky error
        // this fails, and the process ends soon anyway.
        let _ = unsafe { (self.driver.table.memory_free)(self.address) };
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: the place came from cuMemHostAlloc and is freed once.
        let _ = unsafe { (self.driver.table.host_free)(self.place.as_ptr().cast()) };
    }
}
