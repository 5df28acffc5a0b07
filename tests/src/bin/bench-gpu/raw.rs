//! Launches of our kernels without the load around them: what checking costs, and whether
//! each kind of injected fault is found.

use std::time::{Duration, Instant};

use agent::hardware::cuda::driver::{
    Context, DeviceMemory, Driver, Event, Function, GpuFacts, HostMemory, Module, Stream,
};
use agent::hardware::cuda::image::{self, Fill, Inject, KernelShape, Launch, NO_TILE, SLICE_BYTES};
use anyhow::{Context as _, bail, ensure};
use model::load::Kernel;
use serde_json::{Value, json};

/// Operands of the load's own size.
const OPERAND_BYTES: usize = 1024 * SLICE_BYTES as usize;
/// The ring of flaws: its header, and room for so many.
const RING_BYTES: usize = 8;
const FLAWS: usize = 64;
const FLAW_BYTES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(20);
/// Length of a launch that is aimed at, as the load's.
const AIM_NS: u64 = 1_600_000;
/// Launches of one measurement of cost, and how often with and without in turn.
const LAUNCHES: u32 = 200;
const TURNS: u32 = 4;
/// The tile that is spoilt.
const TILE: u32 = 3;

/// One kernel of the baseline image, and its memory.
pub(crate) struct Raw {
    context: Context,
    stream: Stream,
    function: Function,
    fill: Function,
    shape: KernelShape,
    tiles: u32,
    operands: DeviceMemory,
    results: DeviceMemory,
    golden: DeviceMemory,
    landing: HostMemory,
    blank: HostMemory,
    stop: HostMemory,
    began: Event,
    ended: Event,
    _module: Module,
}

/// The GPU of a UUID, its driver opened in this process.
pub(crate) fn open_gpu(uuid: &str) -> anyhow::Result<(Context, GpuFacts)> {
    let driver = Driver::open(&agent::hardware::cuda::library())?;
    let found = driver.gpus()?.into_iter().find(|gpu| gpu.uuid == uuid);
    let gpu = found.with_context(|| format!("no GPU {uuid}"))?;
    Ok((Context::new(&driver, &gpu)?, gpu))
}

impl Raw {
    pub(crate) fn open(uuid: &str, kernel: Kernel) -> anyhow::Result<Self> {
        let (context, gpu) = open_gpu(uuid)?;
        let module = context.load(image::BASE.ptx)?;
        let shape = image::shape(kernel, &image::BASE).context("no such kernel")?;
        let tiles = (gpu.multiprocessors * shape.tiles_per_sm).max(1);
        let bytes = result_bytes(tiles);
        let blank = context.host_memory(bytes)?;
        blank.write(4, &(FLAWS as u32).to_le_bytes());
        let raw = Self {
            stream: context.stream()?,
            function: module.function(shape.entry, shape.shared_bytes)?,
            fill: module.function(image::fill_shape().entry, 0)?,
            shape,
            tiles,
            operands: context.device_memory(OPERAND_BYTES)?,
            results: context.device_memory(bytes)?,
            golden: context.device_memory(8 * tiles as usize)?,
            landing: context.host_memory(bytes)?,
            blank,
            stop: context.host_memory(64)?,
            began: context.timed_event()?,
            ended: context.timed_event()?,
            _module: module,
            context,
        };
        raw.fill()?;
        Ok(raw)
    }

    fn hashes_at(&self) -> usize {
        RING_BYTES + FLAWS * FLAW_BYTES
    }

    fn launch(&self, iterations: u32) -> Launch {
        let base = self.results.address;
        let stamps = self.hashes_at() + 8 * self.tiles as usize;
        Launch {
            operands: self.operands.address,
            operand_bytes: OPERAND_BYTES as u64,
            hashes: base + self.hashes_at() as u64,
            flaws: base,
            stamps: base + stamps as u64,
            stop: self.stop.address,
            iterations,
            tiles: self.tiles,
            seed: 2026,
            inject_tile: NO_TILE,
            ..Launch::default()
        }
    }

    fn send(
        &self,
        function: Function,
        threads: u32,
        shared: u32,
        launch: &Launch,
    ) -> anyhow::Result<()> {
        let grid = (self.tiles, threads, shared);
        // SAFETY: `Launch` is the parameter of every kernel of our images; all of its memory
        // lives as long as `self`, and every sequence of launches ends with a wait.
        unsafe { self.context.launch(&self.stream, function, grid, launch)? };
        Ok(())
    }

    fn run(&self, launch: &Launch) -> anyhow::Result<()> {
        self.send(self.function, self.shape.block_threads, self.shape.shared_bytes, launch)
    }

    fn fill(&self) -> anyhow::Result<()> {
        for fill in self.shape.fills.iter().filter(|fill| **fill != Fill::Stream) {
            let launch = Launch { pass: *fill as u32, ..self.launch(1) };
            self.send(self.fill, image::fill_shape().block_threads, 0, &launch)?;
        }
        self.timed(|| Ok(())).map(drop)
    }

    /// Nanoseconds of what `work` sends, by the GPU's events.
    fn timed(&self, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<u64> {
        self.context.record(&self.began, &self.stream)?;
        work()?;
        self.context.record(&self.ended, &self.stream)?;
        let since = Instant::now();
        while !self.context.is_done(&self.ended)? {
            ensure!(since.elapsed() < PATIENCE, "a launch did not end in {PATIENCE:?}");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(self.context.elapsed_ns(&self.began, &self.ended)?)
    }

    /// Iterations of a launch of about [`AIM_NS`].
    fn iterations(&self) -> anyhow::Result<u32> {
        let mut iterations = 1;
        loop {
            let ns = self.timed(|| self.run(&self.launch(iterations)))?;
            if ns >= AIM_NS / 2 || iterations >= 1 << 14 {
                return Ok(iterations);
            }
            iterations *= 2;
        }
    }

    /// Takes the results of a launch as the right ones; what it left.
    fn learn(&self, launch: &Launch) -> anyhow::Result<()> {
        self.results_of(launch)?;
        let hashes = self.landing.read(self.hashes_at(), 8 * self.tiles as usize);
        ensure!(hashes.chunks_exact(8).all(|hash| hash != [0; 8]), "a tile left no result");
        let staging = self.context.host_memory(hashes.len())?;
        staging.write(0, &hashes);
        self.context.copy_in(&self.stream, &staging, &self.golden, hashes.len())?;
        self.timed(|| Ok(())).map(drop)
    }

    /// Runs a launch on blank results, and brings them.
    fn results_of(&self, launch: &Launch) -> anyhow::Result<()> {
        let bytes = result_bytes(self.tiles);
        self.timed(|| {
            self.context.copy_in(&self.stream, &self.blank, &self.results, bytes)?;
            self.run(launch)?;
            Ok(self.context.copy_out(&self.stream, &self.results, &self.landing)?)
        })
        .map(drop)
    }

    /// What comparing each tile with the first launch's result costs, in percent of the time.
    pub(crate) fn cost_of_checking(&self) -> anyhow::Result<Value> {
        let launch = self.launch(self.iterations()?);
        self.learn(&launch)?;
        let (mut plain_ns, mut compared_ns) = (0, 0);
        for _ in 0..TURNS {
            for (golden, ns) in [(0, &mut plain_ns), (self.golden.address, &mut compared_ns)] {
                let launch = Launch { golden, ..launch };
                *ns += self.timed(|| (0..LAUNCHES).try_for_each(|_| self.run(&launch)))?;
            }
        }
        let percent = 100.0 * (compared_ns as f64 / plain_ns as f64 - 1.0);
        let each_ms = plain_ns as f64 / f64::from(TURNS * LAUNCHES) / 1e6;
        Ok(json!({"percent": percent, "launch_ms": each_ms, "launches": TURNS * LAUNCHES}))
    }

    /// Whether a spoilt tile is found, and no other is called spoilt.
    pub(crate) fn finds(&self, inject: Inject) -> anyhow::Result<Value> {
        let launch = self.launch(self.iterations()?);
        self.learn(&launch)?;
        let golden = self.golden.address;
        let spoilt = Launch { golden, inject_tile: TILE, inject_kind: inject as u32, ..launch };
        self.results_of(&spoilt)?;
        let (flaws, tiles) = self.flaws()?;
        // What lies in memory stays wrong until it is filled again.
        self.fill()?;
        self.results_of(&Launch { golden, ..launch })?;
        let (after, _) = self.flaws()?;
        // A wrong word may lie in a slice that several tiles read.
        let named = tiles.contains(&TILE);
        Ok(json!({"found": named, "flaws": flaws, "tiles": tiles, "flaws_without": after}))
    }

    /// How many flaws the last results tell, and of which tiles.
    fn flaws(&self) -> anyhow::Result<(u32, Vec<u32>)> {
        let half = |at: usize| -> anyhow::Result<u32> {
            let Ok(bytes) = <[u8; 4]>::try_from(self.landing.read(at, 4)) else { bail!("short") };
            Ok(u32::from_le_bytes(bytes))
        };
        let count = half(0)?;
        let told = (count as usize).min(FLAWS);
        let tile = |index: usize| half(RING_BYTES + index * FLAW_BYTES + 24);
        let mut tiles: Vec<u32> = (0..told).map(tile).collect::<anyhow::Result<_>>()?;
        tiles.sort_unstable();
        tiles.dedup();
        Ok((count, tiles))
    }
}

fn result_bytes(tiles: u32) -> usize {
    RING_BYTES + FLAWS * FLAW_BYTES + (8 + 16) * tiles as usize
}
