//! An opened GPU: context, images, streams, memory. Owns what lives as long as the worker.

use std::path::Path;
use std::time::Duration;

use model::load::Kernel;

use super::Failure;
use super::driver::{
    Context, DeviceMemory, Driver, Function, GpuFacts, HostMemory, Module, Stream,
};
use super::image::{self, CHUNK_BYTES, Fill, Image, KernelShape, SLICE_BYTES};
use super::self_test::{self, Tester, Trial};
use super::watchdog::Watchdog;

/// Driver start and context: seconds on a large machine, a minute on one that just booted.
const OPEN_TIME: Duration = Duration::from_secs(60);
/// The driver compiles an image once and keeps it in its cache.
const COMPILE_TIME: Duration = Duration::from_secs(60);
/// A pool of operands: a thousand slices, and as large as the second cache of an H100, so that
/// operands come from there and from memory.
const OPERAND_BYTES: u64 = 1024 * SLICE_BYTES;
/// Never taken of the device's memory: the driver, its display and other contexts need some.
const RESERVE_BYTES: u64 = 512 << 20;
/// Region that streaming kernels walk through: many times every second cache.
const STREAM_BYTES: u64 = 4 << 30;
/// Least of it: what one launch of a large GPU walks through at once.
const STREAM_BYTES_LEAST: u64 = 512 << 20;
/// `off` passes the image for Hopper over, whatever its self-test would say.
const HOPPER_VARIABLE: &str = "LOADBANK_HOPPER_IMAGE";
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
    /// Operands by what they are filled with.
    pools: Vec<(Fill, DeviceMemory)>,
    /// What `lb_fill` has filled.
    pub(super) filled: Vec<Fill>,
    /// What streaming kernels walk through.
    buffer: DeviceMemory,
    /// Nearly all of the rest, once memory patterns are asked for: they leave nothing as it was.
    patterned: Option<DeviceMemory>,
    /// What a person should know: images that did not fit.
    pub(super) notes: Vec<String>,
}

impl Rig {
    pub(super) fn open(
        library: &Path,
        uuid: &str,
        tester: Option<&Tester>,
        dog: &Watchdog,
    ) -> Result<Self, Failure> {
        dog.expect("starting the driver", OPEN_TIME);
        let driver = Driver::open(library)?;
        let version = driver.version()?;
        let found = driver.gpus()?.into_iter().find(|gpu| gpu.uuid == uuid);
        let gpu =
            found.ok_or_else(|| Failure::refused(format!("no GPU {uuid} is here any more")))?;
        if let Some(why) = unfit(&gpu) {
            return Err(Failure::refused(why));
        }
        // Beside us: it takes as long as our own start.
        let trial = trial(&gpu, tester);
        let context = Context::new(&driver, &gpu)?;
        dog.expect("compiling the kernels", COMPILE_TIME + self_test::PATIENCE);
        let (images, notes) = load_images(&context, &gpu, trial)?;
        dog.expect("taking memory", OPEN_TIME);
        let (free, _) = context.memory_info()?;
        let buffer = whole_chunks(STREAM_BYTES.min(free.saturating_sub(RESERVE_BYTES)));
        if buffer < STREAM_BYTES_LEAST {
            return Err(Failure::refused(out_of_memory(free)));
        }
        Ok(Self {
            driver: driver_version(version),
            images,
            compute: context.stream()?,
            copies: context.stream()?,
            stop: context.host_memory(64)?,
            pools: Vec::new(),
            filled: Vec::new(),
            patterned: None,
            buffer: context.device_memory(buffer as usize)?,
            notes,
            gpu,
            context,
        })
    }

    /// The kernel in the best image that has it.
    pub(super) fn kernel(&self, kernel: Kernel) -> Result<Found, Failure> {
        self.find(|image| image::shape(kernel, image))
    }

    pub(super) fn fill_kernel(&self) -> Result<Found, Failure> {
        self.find(|_| Some(image::fill_shape()))
    }

    fn find(&self, shape: impl Fn(&Image) -> Option<KernelShape>) -> Result<Found, Failure> {
        let mut why = Failure::refused("no image has this kernel");
        for (image, module) in &self.images {
            let Some(shape) = shape(image) else { continue };
            match module.function(shape.entry, shape.shared_bytes) {
                Ok(function) => return Ok((image, shape, function)),
                Err(error) => why = Failure { refused: true, ..Failure::from(error) },
            }
        }
        Err(why)
    }

    /// Takes the memory that a kernel works on, unless it is there.
    pub(super) fn take_memory(&mut self, kernel: Kernel, fills: &[Fill]) -> Result<(), Failure> {
        for fill in fills.iter().filter(|fill| **fill != Fill::Stream) {
            if !self.pools.iter().any(|(known, _)| known == fill) {
                let pool = self.context.device_memory(OPERAND_BYTES as usize)?;
                self.pools.push((*fill, pool));
            }
        }
        if kernel == Kernel::Memory && self.patterned.is_none() {
            let (free, _) = self.context.memory_info()?;
            let bytes = whole_chunks(free.saturating_sub(RESERVE_BYTES));
            if bytes < STREAM_BYTES_LEAST {
                return Err(Failure::refused(out_of_memory(free)));
            }
            self.patterned = Some(self.context.device_memory(bytes as usize)?);
        }
        Ok(())
    }

    /// Address and bytes of the operands that a kernel needs; nothing for those that need none.
    pub(super) fn operands(&self, fills: &[Fill]) -> (u64, u64) {
        let pool = self.pools.iter().find(|(known, _)| fills.contains(known));
        pool.map_or((0, 0), |(_, pool)| (pool.address, pool.bytes as u64))
    }

    /// Address and bytes of the region that a kernel walks through.
    pub(super) fn buffer(&self, kernel: Kernel) -> (u64, u64) {
        let region = match (kernel, &self.patterned) {
            (Kernel::Memory, Some(patterned)) => patterned,
            _ => &self.buffer,
        };
        let all = region.bytes as u64;
        let bytes = match kernel {
            // Half of it, so that it stays there beside operands and results.
            Kernel::L2 => whole_chunks(self.gpu.l2_bytes / 2).clamp(CHUNK_BYTES, all),
            _ => all,
        };
        (region.address, bytes)
    }
}

/// A kernel: where it lies, how it is launched, and itself.
pub(super) type Found = (&'static Image, KernelShape, Function);

fn whole_chunks(bytes: u64) -> u64 {
    bytes / CHUNK_BYTES * CHUNK_BYTES
}

fn out_of_memory(free: u64) -> String {
    let (free, reserve) = (free >> 20, RESERVE_BYTES >> 20);
    format!(
        "out of memory: {free} MiB are free, {reserve} MiB of them are left alone; another \
         process holds the rest"
    )
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

/// Starts the self-test of the image that needs one, where the GPU could run it.
fn trial(gpu: &GpuFacts, tester: Option<&Tester>) -> Result<Trial, String> {
    let wanted = image::images_for(gpu.major, gpu.minor).contains(&&image::HOPPER);
    if !wanted {
        return Err("has nothing to test on this GPU".to_owned());
    }
    if std::env::var_os(HOPPER_VARIABLE).is_some_and(|value| value == "off") {
        return Err(format!("is switched off by {HOPPER_VARIABLE}"));
    }
    tester.ok_or("can't run here")?.start(&gpu.uuid)
}

/// Images that the driver took, and what a person should know of the others.
type Loaded = (Vec<(&'static Image, Module)>, Vec<String>);

/// Every image that the driver takes. One that it does not is passed over and told.
fn load_images(
    context: &Context,
    gpu: &GpuFacts,
    mut trial: Result<Trial, String>,
) -> Result<Loaded, Failure> {
    let (mut images, mut notes, mut last) = (Vec::new(), Vec::new(), None);
    for image in image::images_for(gpu.major, gpu.minor) {
        if *image == image::HOPPER {
            let used = Err("is asked for once".to_owned());
            if let Err(why) = std::mem::replace(&mut trial, used).and_then(Trial::verdict) {
                notes.push(format!("image {} is passed over: its self-test {why}", image.name));
                continue;
            }
            notes.push(format!("image {} passed its self-test on this GPU", image.name));
        }
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
