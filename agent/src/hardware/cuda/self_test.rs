//! The self-test of an image that few GPUs have run: in a short process of its own, so that a
//! kernel that hangs or spoils the context costs nobody anything.
//!
//! The kernel for Hopper multiplies operands whose sums are exact, and every tile must be what
//! the CPU worked out; then full-mantissa operands twice, which must give the same bits, all of
//! them finite. What fails, hangs or ends otherwise is not used: the baseline image is.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::load::Kernel;

use super::Failure;
use super::driver::{Context, DeviceMemory, Driver, Event, Function, HostMemory, Module, Stream};
use super::image::{self, Fill, Launch, SLICE_BYTES, reference};
use super::rig::SEED;
use super::slot::{Layout, Outcome};

/// From the process' start to its answer: a driver that starts, two images that it compiles
/// for the first time, and launches of milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// One launch of the test.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);
/// Operands: [`reference::bf16_integers_hopper`] says why sixteen slices are enough.
const OPERAND_BYTES: u64 = 16 * SLICE_BYTES;
/// Iterations whose sums the CPU knows.
const EXACT_ITERATIONS: u32 = 1;
/// Iterations on full-mantissa operands: some hundred microseconds.
const LONG_ITERATIONS: u32 = 16;

/// How the testing process is started: this very program, with these arguments before
/// `--self-test --gpu=UUID`.
#[derive(Debug, Clone)]
pub struct Tester {
    pub program: PathBuf,
    pub before: Vec<OsString>,
}

/// A test that is under way.
pub(super) struct Trial {
    child: Child,
    since: Instant,
}

impl Tester {
    /// Starts the test of a GPU. The process dies with the calling thread.
    pub(super) fn start(&self, uuid: &str) -> Result<Trial, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.before).arg("--self-test").arg(format!("--gpu={uuid}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and touches nothing of this process.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            });
        }
        let child = command.spawn().map_err(|error| format!("can't start: {error}"))?;
        Ok(Trial { child, since: Instant::now() })
    }
}

impl Trial {
    /// Waits for the answer, no longer than [`PATIENCE`] from the start; why not, if not.
    pub(super) fn verdict(mut self) -> Result<(), String> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    let said = self.said();
                    return Err(if said.is_empty() {
                        format!("ended with {status}")
                    } else {
                        said
                    });
                }
                Ok(None) if self.since.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                Ok(None) => return Err(format!("did not end in {} s", PATIENCE.as_secs())),
                Err(error) => return Err(format!("can't be waited for: {error}")),
            }
        }
    }

    /// What a process that is over wrote: a line at most.
    fn said(&mut self) -> String {
        let mut text = String::new();
        if let Some(out) = self.child.stdout.take() {
            let _ = out.take(4096).read_to_string(&mut text);
        }
        text.trim().to_owned()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the test in this process.
///
/// # Errors
/// Why the image is not to be used on this GPU.
pub fn run(library: &Path, uuid: &str) -> Result<(), String> {
    let bench = Bench::open(library, uuid).map_err(|failure| failure.text)?;
    let exact = bench.products(Fill::Integers, EXACT_ITERATIONS)?;
    let expected = reference::bf16_integers_hopper(&bench.launch(EXACT_ITERATIONS));
    let wrong = exact.hashes.iter().zip(&expected).filter(|(got, expected)| got != expected);
    let wrong = wrong.count();
    if wrong > 0 || exact.hashes.len() != expected.len() {
        let tiles = expected.len();
        return Err(format!("{wrong} of {tiles} tiles are not what the CPU worked out"));
    }
    let first = bench.products(Fill::Bf16, LONG_ITERATIONS)?;
    let again = bench.products(Fill::Bf16, LONG_ITERATIONS)?;
    if first.hashes != again.hashes {
        return Err("the same launch twice gave two results".to_owned());
    }
    let flaws = first.flaws.len() + again.flaws.len();
    if flaws > 0 { Err(format!("{flaws} results are NaN or infinite")) } else { Ok(()) }
}

/// A GPU with no more than the test needs.
struct Bench {
    context: Context,
    stream: Stream,
    fill: Function,
    kernel: Function,
    /// Blocks, threads and shared bytes of the kernel.
    grid: (u32, u32, u32),
    fill_threads: u32,
    tiles: u32,
    layout: Layout,
    operands: DeviceMemory,
    results: DeviceMemory,
    blank: HostMemory,
    landing: HostMemory,
    stop: HostMemory,
    done: Event,
    _modules: [Module; 2],
}

impl Bench {
    fn open(library: &Path, uuid: &str) -> Result<Self, Failure> {
        let driver = Driver::open(library)?;
        let found = driver.gpus()?.into_iter().find(|gpu| gpu.uuid == uuid);
        let gpu = found.ok_or_else(|| Failure::refused(format!("no GPU {uuid} is here")))?;
        let context = Context::new(&driver, &gpu)?;
        let (base, hopper) = (context.load(image::BASE.ptx)?, context.load(image::HOPPER.ptx)?);
        let shape = image::shape(Kernel::Bf16, &image::HOPPER)
            .ok_or_else(|| Failure::refused("the image has no kernel for bf16"))?;
        let fill_shape = image::fill_shape();
        let tiles = (gpu.multiprocessors * shape.tiles_per_sm).max(1);
        let layout = Layout::new(tiles);
        let blank = context.host_memory(layout.bytes())?;
        blank.write(0, &layout.blank());
        Ok(Self {
            stream: context.stream()?,
            fill: base.function(fill_shape.entry, fill_shape.shared_bytes)?,
            kernel: hopper.function(shape.entry, shape.shared_bytes)?,
            grid: (tiles, shape.block_threads, shape.shared_bytes),
            fill_threads: fill_shape.block_threads,
            tiles,
            layout,
            operands: context.device_memory(OPERAND_BYTES as usize)?,
            results: context.device_memory(layout.bytes())?,
            blank,
            landing: context.host_memory(layout.bytes())?,
            stop: context.host_memory(64)?,
            done: context.event()?,
            _modules: [base, hopper],
            context,
        })
    }

    /// A launch of so many iterations on the whole of the operands.
    fn launch(&self, iterations: u32) -> Launch {
        let at = |offset: usize| self.results.address + offset as u64;
        Launch {
            operands: self.operands.address,
            operand_bytes: OPERAND_BYTES,
            hashes: at(self.layout.hashes()),
            flaws: at(self.layout.flaws()),
            stamps: at(self.layout.stamps()),
            stop: self.stop.address,
            iterations,
            tiles: self.tiles,
            seed: SEED,
            ..Launch::default()
        }
    }

    /// Fills the operands, multiplies them and brings the results.
    fn products(&self, fill: Fill, iterations: u32) -> Result<Outcome, String> {
        let said = |error: super::driver::CudaError| error.to_string();
        let launch = Launch { pass: fill as u32, ..self.launch(1) };
        let grid = (self.tiles, self.fill_threads, 0);
        self.blank_results().map_err(said)?;
        // SAFETY: `Launch` is the parameter of every kernel of our images; operands, results
        // and stop word live as long as `self`, and `finish` waits for the launch.
        unsafe { self.context.launch(&self.stream, self.fill, grid, &launch) }.map_err(said)?;
        self.finish()?;
        self.blank_results().map_err(said)?;
        let launch = self.launch(iterations);
        // SAFETY: as above.
        unsafe { self.context.launch(&self.stream, self.kernel, self.grid, &launch) }
            .map_err(said)?;
        let (results, landing) = (&self.results, &self.landing);
        self.context.copy_out(&self.stream, results, landing).map_err(said)?;
        self.finish()?;
        let outcome = self.layout.read(&self.landing.read(0, self.layout.bytes()));
        match outcome.tiles_done() {
            done if done == u64::from(self.tiles) => Ok(outcome),
            done => Err(format!("{done} of {} tiles left a result", self.tiles)),
        }
    }

    fn blank_results(&self) -> Result<(), super::driver::CudaError> {
        self.context.copy_in(&self.stream, &self.blank, &self.results, self.layout.bytes())
    }

    /// Waits until the stream is empty.
    fn finish(&self) -> Result<(), String> {
        let said = |error: super::driver::CudaError| error.to_string();
        self.context.record(&self.done, &self.stream).map_err(said)?;
        let since = Instant::now();
        while !self.context.is_done(&self.done).map_err(said)? {
            if since.elapsed() > LAUNCH_PATIENCE {
                return Err(format!("a launch did not end in {} s", LAUNCH_PATIENCE.as_secs()));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}
