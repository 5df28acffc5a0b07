//! Measures the CPU load against a bare FMA loop on the same cores, in interleaved rounds.
//!
//! The bare loop is written here, apart from the agent's kernels: pinned threads, registers
//! only, no checking, no clock inside: the ceiling. Ours runs through the port with
//! everything on. Prints GFLOP/s for each round, as text or (`--json`) as one line of JSON
//! `{"name","round","value"}` a figure. Names with `_cpu` count per second of processor time
//! instead of per second, times the threads: what the rate would be if nothing else ran.
//!
//! `bench-cpu [--json] [--threads N] [--rounds N] [--first-round N] [--seconds S]`

use std::sync::Barrier;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use agent::hardware::cpu::CpuHardware;
use agent::hardware::{Hardware, LoadCommand, LoadOrder, LoadReport, Sensed};
use model::load::{Kernel, Waveform};

/// Reports come at least once a second.
const PATIENCE: Duration = Duration::from_secs(30);

struct Options {
    json: bool,
    threads: u32,
    rounds: u32,
    first_round: u32,
    seconds: f64,
}

fn options() -> anyhow::Result<Options> {
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let mut options =
        Options { json: false, threads: cores, rounds: 9, first_round: 1, seconds: 1.0 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| anyhow::anyhow!("{word} needs a value"));
        match word.as_str() {
            "--json" => options.json = true,
            "--threads" => options.threads = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--first-round" => options.first_round = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            other => anyhow::bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    let cores: Vec<u32> = (0..options.threads).collect();
    let bank = Bank::open(&cores);
    bank.measure(Kernel::Mix, 0.2)?; // touches the memory, wakes the clocks
    for round in options.first_round..options.first_round + options.rounds {
        let say = |name: &str, value: f64| {
            if options.json {
                println!(r#"{{"name":"{name}","round":{round},"value":{value:.3}}}"#);
            } else {
                println!("round {round:>2}  {name:<12} {value:>9.2}");
            }
        };
        for (kernel, bare) in [(Kernel::FmaF64, "bare_fp64"), (Kernel::FmaF32, "bare_fp32")] {
            // Either goes first in turn: what the clock does over a round favours neither.
            let measure_bare = || {
                let seen = bare_rates(&cores, kernel, options.seconds);
                say(bare, seen.gflops);
                say(&format!("{bare}_cpu"), seen.gflops_cpu);
            };
            if round % 2 == 0 {
                measure_bare();
            }
            let seen = bank.measure(kernel, options.seconds)?;
            say(&format!("ours_{}", kernel.word()), seen.gflops);
            say(&format!("ours_{}_cpu", kernel.word()), seen.gflops_cpu);
            if round % 2 == 1 {
                measure_bare();
            }
        }
        let mix = bank.measure(Kernel::Mix, options.seconds)?;
        say("ours_mix", mix.gflops);
        say("ours_mix_cpu", mix.gflops_cpu);
        say("ours_mix_gbps", mix.gbytes);
        say("ours_stream_gbps", bank.measure(Kernel::Stream, options.seconds)?.gbytes);
    }
    Ok(())
}

/// Rates over the time that the order ran, all cores together.
struct Rates {
    gflops: f64,
    /// Per second of processor time, times the cores.
    gflops_cpu: f64,
    gbytes: f64,
}

/// The agent's CPU load behind its port.
struct Bank {
    cores: f64,
    tell: Sender<LoadCommand>,
    reports: Receiver<LoadReport>,
}

impl Bank {
    fn open(cores: &[u32]) -> Self {
        let (tell, commands) = channel();
        let (say, reports) = channel();
        let hardware = CpuHardware::new(cores, Box::new(|_| Sensed::default()));
        eprintln!("{} with {}", hardware.devices()[0].model, CpuHardware::instructions());
        thread::spawn(move || hardware.run(0, commands, say));
        Self { cores: cores.len() as f64, tell, reports }
    }

    fn measure(&self, kernel: Kernel, seconds: f64) -> anyhow::Result<Rates> {
        let cpu_ns = clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID);
        let start_ns = clock_ns(libc::CLOCK_MONOTONIC) + 20_000_000;
        let end_ns = start_ns + (seconds * 1e9) as u64;
        let waveform = Waveform::Hold { level: 1.0 };
        let order = LoadOrder {
            kernel,
            waveform,
            start_ns,
            end_ns,
            drift_ppb: 0,
            inject: None,
            power_scale: None,
        };
        self.tell.send(LoadCommand::Begin(order))?;
        let (mut flops, mut bytes) = (0, 0);
        loop {
            match self.reports.recv_timeout(PATIENCE)? {
                LoadReport::Window { cores, .. } => {
                    flops += cores.iter().map(|core| core.flops).sum::<u64>();
                    bytes += cores.iter().map(|core| core.bytes).sum::<u64>();
                }
                LoadReport::Mismatch { detail, .. } => anyhow::bail!("mismatch: {detail}"),
                LoadReport::Started { .. } => {}
                LoadReport::Idle { .. } => break,
                // A GPU says these.
                LoadReport::Checksum { .. }
                | LoadReport::Failed { .. }
                | LoadReport::Gauges { .. }
                | LoadReport::Note { .. } => {}
            }
        }
        let ns = seconds * 1e9;
        let cpu = (clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) as f64;
        let flops = flops as f64;
        Ok(Rates {
            gflops: flops / ns,
            gflops_cpu: self.cores * flops / cpu,
            gbytes: bytes as f64 / ns,
        })
    }
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a valid place to write to.
    unsafe { libc::clock_gettime(clock, &raw mut at) };
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// The ceiling: every core in a bare loop for about `seconds`, all together.
fn bare_rates(cores: &[u32], kernel: Kernel, seconds: f64) -> Rates {
    let barrier = Barrier::new(cores.len());
    let mut rates = Rates { gflops: 0.0, gflops_cpu: 0.0, gbytes: 0.0 };
    thread::scope(|scope| {
        let start = |core| {
            let barrier = &barrier;
            scope.spawn(move || bare_core(core, kernel, seconds, barrier))
        };
        let threads: Vec<_> = cores.iter().copied().map(start).collect();
        for (gflops, gflops_cpu) in threads.into_iter().filter_map(|thread| thread.join().ok()) {
            rates.gflops += gflops;
            rates.gflops_cpu += gflops_cpu;
        }
    });
    rates
}

/// GFLOP/s of one core, by the wall and by its own processor time.
fn bare_core(core: u32, kernel: Kernel, seconds: f64, barrier: &Barrier) -> (f64, f64) {
    pin(core);
    barrier.wait();
    let (began, cpu_ns) = (Instant::now(), clock_ns(libc::CLOCK_THREAD_CPUTIME_ID));
    let mut flops = 0.0;
    while began.elapsed().as_secs_f64() < seconds {
        flops += bare_flops(kernel);
    }
    let cpu = (clock_ns(libc::CLOCK_THREAD_CPUTIME_ID) - cpu_ns) as f64;
    (flops / began.elapsed().as_secs_f64() / 1e9, flops / cpu)
}

fn pin(core: u32) {
    // SAFETY: an all-zero set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid set, and CPU_SET checks the core against its size.
    unsafe { libc::CPU_SET(core as usize, &mut set) };
    // SAFETY: `set` is valid and its size is given.
    let rc = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    assert_eq!(rc, 0, "can't pin to core {core}");
}

/// Steps of one call: a few milliseconds, so that the clock outside costs nothing.
const BARE_STEPS: u32 = 1_000_000;

#[cfg(target_arch = "x86_64")]
fn bare_flops(kernel: Kernel) -> f64 {
    let steps = f64::from(BARE_STEPS);
    // SAFETY: each call stands behind the check for the instructions that it uses.
    unsafe {
        match (kernel, is_x86_feature_detected!("avx512f")) {
            (Kernel::FmaF64, true) => bare::f64_avx512(BARE_STEPS),
            (_, true) => bare::f32_avx512(BARE_STEPS),
            (kernel, false) => {
                assert!(is_x86_feature_detected!("fma"), "no bare loop for this machine");
                match kernel {
                    Kernel::FmaF64 => bare::f64_avx2(BARE_STEPS),
                    _ => bare::f32_avx2(BARE_STEPS),
                }
            }
        }
    }
    let lanes = bare::bytes() / if kernel == Kernel::FmaF64 { 8.0 } else { 4.0 };
    2.0 * lanes * steps
}

#[cfg(not(target_arch = "x86_64"))]
fn bare_flops(_: Kernel) -> f64 {
    f64::NAN
}

#[cfg(target_arch = "x86_64")]
mod bare {
    //! `x <- x * a + b` on independent registers, nothing else.

    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Two pipes times a latency of four, doubled.
    const WIDE: usize = 16;
    /// As many as sixteen registers leave beside two constants and some air.
    const NARROW: usize = 12;

    /// Bytes of all accumulators of the widest loop here.
    pub(super) fn bytes() -> f64 {
        if is_x86_feature_detected!("avx512f") { (WIDE * 64) as f64 } else { (NARROW * 32) as f64 }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn f64_avx512(steps: u32) {
        let (a, b) = (_mm512_set1_pd(black_box(-0.7310)), _mm512_set1_pd(black_box(0.4159)));
        let mut x: [_; WIDE] = std::array::from_fn(|i| _mm512_set1_pd(0.1 * i as f64 - 0.8));
        for _ in 0..steps {
            for x in &mut x {
                *x = _mm512_fmadd_pd(*x, a, b);
            }
        }
        black_box(x);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn f32_avx512(steps: u32) {
        let (a, b) = (_mm512_set1_ps(black_box(-0.7310)), _mm512_set1_ps(black_box(0.4159)));
        let mut x: [_; WIDE] = std::array::from_fn(|i| _mm512_set1_ps(0.1 * i as f32 - 0.8));
        for _ in 0..steps {
            for x in &mut x {
                *x = _mm512_fmadd_ps(*x, a, b);
            }
        }
        black_box(x);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn f64_avx2(steps: u32) {
        let (a, b) = (_mm256_set1_pd(black_box(-0.7310)), _mm256_set1_pd(black_box(0.4159)));
        let mut x: [_; NARROW] = std::array::from_fn(|i| _mm256_set1_pd(0.1 * i as f64 - 0.8));
        for _ in 0..steps {
            for x in &mut x {
                *x = _mm256_fmadd_pd(*x, a, b);
            }
        }
        black_box(x);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn f32_avx2(steps: u32) {
        let (a, b) = (_mm256_set1_ps(black_box(-0.7310)), _mm256_set1_ps(black_box(0.4159)));
        let mut x: [_; NARROW] = std::array::from_fn(|i| _mm256_set1_ps(0.1 * i as f32 - 0.8));
        for _ in 0..steps {
            for x in &mut x {
                *x = _mm256_fmadd_ps(*x, a, b);
            }
        }
        black_box(x);
    }
}
