//! The same product by NVIDIA's cuBLAS, where this machine has it: the yardstick for ours, as
//! a rate and, in the manner of gpu-burn, as heat.

use std::ffi::{c_int, c_void};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent::hardware::cuda::driver::{Context, DeviceMemory, Event, Stream};
use anyhow::{Context as _, bail, ensure};
use libloading::Library;
use serde_json::{Value, json};

use crate::raw::open_gpu;

const VARIABLE: &str = "LOADBANK_CUBLAS_LIBRARY";
const NAMES: [&str; 3] = ["libcublas.so.13", "libcublas.so.12", "libcublas.so"];
/// Rows, columns and depth: 8192 is what gpu-burn and published tables take.
const SIZE: c_int = 8192;
const MATRIX_BYTES: usize = 2 * (SIZE as usize) * (SIZE as usize);
/// Pieces in which operands are brought up.
const PIECE_BYTES: usize = 16 << 20;
/// `CUDA_R_16BF`, `CUBLAS_COMPUTE_32F`, `CUBLAS_GEMM_DEFAULT`, `CUBLAS_OP_N`, `CUBLAS_OP_T`.
const BF16: c_int = 14;
const COMPUTE_F32: c_int = 68;
const DEFAULT: c_int = -1;
const OP_N: c_int = 0;
const OP_T: c_int = 1;
/// Products between two looks at the clock.
const BATCH: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(20);

type Handle = *mut c_void;
type Create = unsafe extern "C" fn(*mut Handle) -> c_int;
type SetStream = unsafe extern "C" fn(Handle, *mut c_void) -> c_int;
type Gemm = unsafe extern "C" fn(
    Handle,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    *const f32,
    u64,
    c_int,
    c_int,
    u64,
    c_int,
    c_int,
    *const f32,
    u64,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;

/// The library, a stream and three matrices.
pub(crate) struct Cublas {
    context: Context,
    stream: Stream,
    events: [Event; 2],
    gemm: Gemm,
    handle: Handle,
    matrices: [DeviceMemory; 3],
    _library: Library,
}

impl Cublas {
    pub(crate) fn open(uuid: &str) -> anyhow::Result<Self> {
        let library = load()?;
        let (context, _) = open_gpu(uuid)?;
        let stream = context.stream()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the types are those of cublas_v2.h (device pointers as addresses); the
        // library lives as long as the functions, in the same value.
        let gemm = unsafe {
            let create = *library.get::<Create>(b"cublasCreate_v2")?;
            let set_stream = *library.get::<SetStream>(b"cublasSetStream_v2")?;
            let status = create(&raw mut handle);
            ensure!(status == 0, "cublasCreate answered {status}");
            let status = set_stream(handle, stream.raw());
            ensure!(status == 0, "cublasSetStream answered {status}");
            *library.get::<Gemm>(b"cublasGemmEx")?
        };
        let matrix = || context.device_memory(MATRIX_BYTES);
        let matrices = [matrix()?, matrix()?, matrix()?];
        let events = [context.timed_event()?, context.timed_event()?];
        let cublas = Self { stream, events, gemm, handle, matrices, _library: library, context };
        cublas.fill()?;
        Ok(cublas)
    }

    /// Signed numbers of mean 0 with full mantissas, as our own operands, times 1/64.
    fn fill(&self) -> anyhow::Result<()> {
        let staging = self.context.host_memory(PIECE_BYTES)?;
        let mut state = 0x10AD_BA4C_u64;
        let words = (0..PIECE_BYTES / 2).flat_map(|_| bf16(&mut state).to_le_bytes());
        staging.write(0, &words.collect::<Vec<u8>>());
        for matrix in &self.matrices[..2] {
            for offset in (0..MATRIX_BYTES).step_by(PIECE_BYTES) {
                let to = (matrix, offset);
                self.context.copy_piece_in(&self.stream, &staging, to, PIECE_BYTES)?;
            }
        }
        self.wait()
    }

    fn wait(&self) -> anyhow::Result<()> {
        self.context.record(&self.events[1], &self.stream)?;
        let since = Instant::now();
        while !self.context.is_done(&self.events[1])? {
            ensure!(since.elapsed() < PATIENCE, "cuBLAS did not end in {PATIENCE:?}");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn product(&self) -> anyhow::Result<()> {
        let (one, zero) = (1_f32, 0_f32);
        let [a, b, c] = self.matrices.each_ref().map(|matrix| matrix.address);
        // SAFETY: three matrices of SIZE by SIZE bf16 numbers live as long as `self`.
        let status = unsafe {
            (self.gemm)(
                self.handle,
                OP_T,
                OP_N,
                SIZE,
                SIZE,
                SIZE,
                &raw const one,
                a,
                BF16,
                SIZE,
                b,
                BF16,
                SIZE,
                &raw const zero,
                c,
                BF16,
                SIZE,
                COMPUTE_F32,
                DEFAULT,
            )
        };
        ensure!(status == 0, "cublasGemmEx answered {status}");
        Ok(())
    }

    /// Products for so long, after one that warms up.
    pub(crate) fn run(&self, seconds: f64) -> anyhow::Result<Value> {
        self.product()?;
        self.wait()?;
        let begun = Instant::now();
        let (mut products, mut ns) = (0_u64, 0);
        while begun.elapsed().as_secs_f64() < seconds {
            self.context.record(&self.events[0], &self.stream)?;
            (0..BATCH).try_for_each(|_| self.product())?;
            self.wait()?;
            ns += self.context.elapsed_ns(&self.events[0], &self.events[1])?;
            products += u64::from(BATCH);
        }
        if ns == 0 {
            bail!("no product was timed");
        }
        let flops = 2.0 * f64::from(SIZE).powi(3) * products as f64;
        Ok(json!({"gflops": flops / ns as f64, "products": products, "size": SIZE}))
    }
}

/// The library that a variable names, or the loader's own.
fn load() -> anyhow::Result<Library> {
    let asked = std::env::var_os(VARIABLE).map(PathBuf::from);
    let names = match asked {
        Some(path) => vec![path],
        None => NAMES.map(PathBuf::from).to_vec(),
    };
    // SAFETY: NVIDIA's library as this machine's owner installed it, or told us.
    let opened = names.iter().find_map(|name| unsafe { Library::new(name) }.ok());
    opened.with_context(|| format!("no cuBLAS on this machine ({VARIABLE} names one)"))
}

/// A bf16 number: the sum of four uniform ones less their mean, cut to sixteen bits.
fn bf16(state: &mut u64) -> u16 {
    let mut uniform = || {
        // Numerical Recipes' constants of a 64-bit congruential generator.
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as f32 / 16_777_216.0
    };
    let sum = uniform() + uniform() + uniform() + uniform() - 2.0;
    ((sum / 64.0).to_bits() >> 16) as u16
}
