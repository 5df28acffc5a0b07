//! A GPU as a rank of a collective: memory, a stream, and marks in it that carry times.

use std::ffi::c_void;
use std::time::Duration;

use super::super::clock::now_ns;
use super::library::{NcclError, RawStream};
use crate::hardware::cuda::driver::{
    Context, CudaError, DeviceMemory, Driver, Event, GpuFacts, HostMemory, Stream,
};
use crate::hardware::cuda::library;

/// A copy between host and device goes in pieces of so many bytes, and each must be done in
/// the time below: a GPU that does not even copy is gone.
const PIECE_BYTES: usize = 32 << 20;
const COPY_DEADLINE_NS: u64 = 10_000_000_000;
const LOOK: Duration = Duration::from_micros(100);

/// The GPUs of this node, found but without a context on this thread.
pub(super) struct Gpus {
    driver: Driver,
    facts: Vec<GpuFacts>,
}

/// One GPU, its context current on the thread that opened it.
pub(super) struct Gpu {
    context: Context,
    stream: Stream,
    /// Page-locked, for the way of each piece.
    piece: HostMemory,
    copied: Event,
}

impl Gpus {
    /// Finds GPUs by UUID and makes their contexts, which takes seconds: before GO, not after.
    ///
    /// # Errors
    /// When there is no driver, or a GPU is gone.
    pub(super) fn find(uuids: &[String]) -> Result<Self, NcclError> {
        let driver =
            Driver::open(&library()).map_err(|error| NcclError::Nonsense(error.to_string()))?;
        let all = driver.gpus()?;
        let of = |uuid: &String| {
            let found = all.iter().find(|gpu| gpu.uuid == *uuid).cloned();
            found.ok_or_else(|| NcclError::Nonsense(format!("no GPU {uuid} on this node")))
        };
        let facts = uuids.iter().map(of).collect::<Result<Vec<_>, _>>()?;
        for gpu in &facts {
            Context::new(&driver, gpu)?;
        }
        Ok(Self { driver, facts })
    }

    /// Opens one for the calling thread.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn open(&self, index: usize) -> Result<Gpu, NcclError> {
        let gpu = self.facts.get(index).ok_or_else(|| {
            NcclError::Nonsense(format!("a rank without a GPU: there are {}", self.facts.len()))
        })?;
        let context = Context::new(&self.driver, gpu)?;
        let (stream, copied) = (context.stream()?, context.event()?);
        let piece = context.host_memory(PIECE_BYTES)?;
        Ok(Gpu { context, stream, piece, copied })
    }
}

/// Device memory of a rank.
pub(super) struct Buffer<'a> {
    gpu: &'a Gpu,
    memory: DeviceMemory,
}

/// Marks in the GPU's stream.
pub(super) struct Marks<'a> {
    gpu: &'a Gpu,
    events: Vec<Event>,
}

impl Gpu {
    /// Takes memory.
    ///
    /// # Errors
    /// When the device has not so much.
    pub(super) fn buffer(&self, bytes: usize) -> Result<Buffer<'_>, NcclError> {
        Ok(Buffer { gpu: self, memory: self.context.device_memory(bytes)? })
    }

    /// Makes so many marks.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn marks(&self, count: usize) -> Result<Marks<'_>, NcclError> {
        let events: Result<_, CudaError> = (0..count).map(|_| self.context.timed_event()).collect();
        Ok(Marks { gpu: self, events: events? })
    }

    /// Overwrites a buffer with what no result has: NaNs.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn clear(&self, buffer: &Buffer<'_>) -> Result<(), NcclError> {
        let bytes = buffer.memory.bytes;
        self.piece.write(0, &vec![0xff; bytes.min(PIECE_BYTES)]);
        for offset in (0..bytes).step_by(PIECE_BYTES) {
            let (to, length) = ((&buffer.memory, offset), PIECE_BYTES.min(bytes - offset));
            self.context.copy_piece_in(&self.stream, &self.piece, to, length)?;
        }
        self.settle("cuMemcpyHtoDAsync")
    }

    /// Waits until the stream is through, within bounds.
    fn settle(&self, call: &'static str) -> Result<(), NcclError> {
        self.context.record(&self.copied, &self.stream)?;
        let began_ns = now_ns();
        while !self.context.is_done(&self.copied)? {
            let waited_ns = now_ns().saturating_sub(began_ns);
            if waited_ns > COPY_DEADLINE_NS {
                return Err(NcclError::TimedOut { call, seconds: waited_ns as f64 / 1e9 });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Buffer<'_> {
    pub(super) fn address(&self) -> *const c_void {
        std::ptr::with_exposed_provenance(self.memory.address as usize)
    }

    /// Fills it from its beginning.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), NcclError> {
        for (at, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
            self.gpu.piece.write(0, piece);
            let to = (&self.memory, at * PIECE_BYTES);
            self.gpu.context.copy_piece_in(&self.gpu.stream, &self.gpu.piece, to, piece.len())?;
            self.gpu.settle("cuMemcpyHtoDAsync")?;
        }
        Ok(())
    }

    /// Reads it from its beginning.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn read(&self, bytes: &mut [u8]) -> Result<(), NcclError> {
        for (at, piece) in bytes.chunks_mut(PIECE_BYTES).enumerate() {
            let from = (&self.memory, at * PIECE_BYTES);
            let length = piece.len();
            self.gpu.context.copy_piece_out(&self.gpu.stream, from, &self.gpu.piece, length)?;
            self.gpu.settle("cuMemcpyDtoHAsync")?;
            piece.copy_from_slice(&self.gpu.piece.read(0, length));
        }
        Ok(())
    }
}

impl Marks<'_> {
    pub(super) fn stream(&self) -> RawStream {
        self.gpu.stream.raw()
    }

    /// Puts a mark behind all that is in the stream now.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn set(&self, at: usize) -> Result<(), NcclError> {
        Ok(self.gpu.context.record(&self.events[at], &self.gpu.stream)?)
    }

    /// Whether the stream has come to a mark. Does not wait.
    ///
    /// # Errors
    /// The error of whatever lies before it.
    pub(super) fn is_reached(&self, at: usize) -> Result<bool, NcclError> {
        Ok(self.gpu.context.is_done(&self.events[at])?)
    }

    /// Nanoseconds between two marks that were reached; resolution about half a microsecond.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn between_ns(&self, from: usize, to: usize) -> Result<u64, NcclError> {
        Ok(self.gpu.context.elapsed_ns(&self.events[from], &self.events[to])?)
    }
}
