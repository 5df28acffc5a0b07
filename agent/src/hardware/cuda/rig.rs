//! An opened GPU: context, images, streams, memory. Owns what lives as long as the worker.

use std::path::Path;
use std::time::Duration;

use model::load::Kernel;

use super::Failure;
use super::driver::{
    Context, DeviceMemory, Driver, Function, GpuFacts, HostMemory, Module, Stream,
};
use super::image::{self, Image, KernelShape};
use super::watchdog::Watchdog;

/// Driver start and context: seconds on a large machine, a minute on one that just booted.
const OPEN_TIME: Duration = Duration::from_secs(60);
/// The driver compiles an image once and keeps it in its cache.
const COMPILE_TIME: Duration = Duration::from_secs(60);
/// Operands: larger than any second cache of today would hold twice, small beside the rest.
const OPERAND_BYTES: u64 = 64 << 20;
/// Never taken of the device's memory: the driver, its display and other contexts need some.
const RESERVE_BYTES: u64 = 512 << 20;
/// Region that streaming kernels walk through: many times every second cache.
const STREAM_BYTES: u64 = 4 << 30;
/// Seed of operands: one for all GPUs, or nothing could be compared.
pub(super) const SEED: u32 = 0x10AD_BA4C;

/// The GPU of this worker.
pub(super) struct Rig {
    pub(super) gpu: GpuFacts,
    /// The driver's version as its module tells it, or CUDA's number.
    pub(super) driver: String,
    pub(super) context: Context,
    images: Vec<(&'static Image, Module)>,
    pub(super) compute: Stream,
    /// Results leave beside the kernels, not between them.
    pub(super) copies: Stream,
    /// One word that running kernels look at.
    pub(super) stop: HostMemory,
    pub(super) operands: DeviceMemory,
    pub(super) operands_filled: bool,
    pub(super) buffer: DeviceMemory,
    /// What a person should know: images that did not fit.
    pub(super) notes: Vec<String>,
}

impl Rig {
    pub(super) fn open(library: &Path, uuid: &str, dog: &Watchdog) -> Result<Self, Failure> {
        dog.expect("starting the driver", OPEN_TIME);
        let driver = Driver::open(library)?;
        let version = driver.version()?;
        let found = driver.gpus()?.into_iter().find(|gpu| gpu.uuid == uuid);
        let gpu =
            found.ok_or_else(|| Failure::refused(format!("no GPU {uuid} is here any more")))?;
        if let Some(why) = unfit(&gpu) {
            return Err(Failure::refused(why));
        }
        let context = Context::new(&driver, &gpu)?;
        dog.expect("compiling the kernels", COMPILE_TIME);
        let (images, notes) = load_images(&context, &gpu)?;
        dog.expect("taking memory", OPEN_TIME);
        let operands = context.device_memory(OPERAND_BYTES as usize)?;
        let (free, _) = context.memory_info()?;
        let buffer = STREAM_BYTES.min(free.saturating_sub(RESERVE_BYTES)) & !0xFFFF;
        if buffer < gpu.l2_bytes {
            let (free, reserve) = (free >> 20, RESERVE_BYTES >> 20);
            return Err(Failure::refused(format!(
                "out of memory: {free} MiB are free, {reserve} MiB of them are left alone; \
                 another process holds the rest"
            )));
        }
        Ok(Self {
            driver: driver_version(version),
            images,
            compute: context.stream()?,
            copies: context.stream()?,
            stop: context.host_memory(64)?,
            operands,
            operands_filled: false,
            buffer: context.device_memory(buffer as usize)?,
            notes,
            gpu,
            context,
        })
    }

    /// The kernel in the best image that has it.
    pub(super) fn kernel(
        &self,
        kernel: Kernel,
    ) -> Result<(&'static Image, KernelShape, Function), Failure> {
        self.find(|image| image::shape(kernel, image))
    }

    pub(super) fn fill_kernel(&self) -> Result<(&'static Image, KernelShape, Function), Failure> {
        self.find(image::fill_shape)
    }

    fn find(
        &self,
        shape: impl Fn(&Image) -> KernelShape,
    ) -> Result<(&'static Image, KernelShape, Function), Failure> {
        let mut why = Failure::refused("no image has this kernel");
        for (image, module) in &self.images {
            let shape = shape(image);
            match module.function(shape.entry, shape.shared_bytes) {
                Ok(function) => return Ok((image, shape, function)),
                Err(error) => why = Failure { refused: true, ..Failure::from(error) },
            }
        }
        Err(why)
    }

    /// Bytes of the buffer that a kernel walks through.
    pub(super) fn buffer_bytes(&self, kernel: Kernel) -> u64 {
        let all = self.buffer.bytes as u64;
        match kernel {
            // Half of it, so that it stays there beside operands and results.
            Kernel::L2 => (self.gpu.l2_bytes / 2).min(all) & !0xFFFF,
            _ => all,
        }
    }
}

/// Why this GPU takes no load from us, if so.
fn unfit(gpu: &GpuFacts) -> Option<String> {
    if gpu.is_mig {
        return Some(format!(
            "{} is cut into slices (MIG): it can't be loaded as a whole",
            gpu.name
        ));
    }
    if gpu.is_prohibited {
        return Some(format!("{}: its compute mode forbids every context", gpu.name));
    }
    let GpuFacts { name, major, minor, .. } = gpu;
    let why = format!("{name}: no kernel for compute capability {major}.{minor}; 8.0 is the least");
    image::images_for(*major, *minor).is_empty().then_some(why)
}

/// Images that the driver took, and what a person should know of the others.
type Loaded = (Vec<(&'static Image, Module)>, Vec<String>);

/// Every image that the driver takes. One that it does not is passed over and told.
fn load_images(context: &Context, gpu: &GpuFacts) -> Result<Loaded, Failure> {
    let (mut images, mut notes, mut last) = (Vec::new(), Vec::new(), None);
    for image in image::images_for(gpu.major, gpu.minor) {
        match context.load(image.ptx) {
            Ok(module) => images.push((image, module)),
            Err(error) if error.status.is_unfit_image() => {
                notes.push(format!(
                    "image {} ({}) is passed over: {error}",
                    image.name, image.target
                ));
                last = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match last {
        Some(error) if images.is_empty() => {
            let text = format!("the driver is too old for every kernel image: {error}");
            Err(Failure { code: error.status.0, text, refused: true })
        }
        _ => Ok((images, notes)),
    }
}

/// Two builds of one CUDA version may compile differently: the module's version tells more.
fn driver_version(cuda: i32) -> String {
    let module = std::fs::read_to_string("/sys/module/nvidia/version").unwrap_or_default();
    match module.trim() {
        "" => format!("CUDA {}.{}", cuda / 1000, cuda % 1000 / 10),
        version => version.to_owned(),
    }
}
