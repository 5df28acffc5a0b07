//! A GPU's worker process beside a driver that does as it is told: time, results, failures.
//! No GPU takes part, so that nothing here says how fast or hot one would be.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::Duration;

use agent::clock::monotonic_ns;
use model::load::{Kernel, Waveform};
use proto::v1;
use proto::v1::worker_command::Kind as Command;
use proto::v1::worker_report::Kind as Report;
use system_tests::Bank;
use system_tests::gpu::{AHEAD_NS, GpuWorker};

const FULL: Waveform = Waveform::Hold { level: 1.0 };
const SECOND: u64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn busy_share(worker: &GpuWorker) -> f64 {
    let (busy, whole) = worker.windows().iter().fold((0, 0), |(busy, whole), window| {
        (busy + window.cores[0].busy_ns, whole + window.to_ns - window.from_ns)
    });
    busy as f64 / whole as f64
}

#[test]
fn a_load_starts_at_its_instant_keeps_the_gpu_busy_and_every_block_is_compared() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=2", 1);
    let start_ns = worker.load(Kernel::Bf16, FULL, 2 * SECOND);
    worker.until_idle(PATIENCE);
    let started = worker.started().unwrap();
    assert_eq!(started.intended_ns, start_ns);
    assert!(started.actual_ns.abs_diff(start_ns) < 20_000_000, "{started:?} {start_ns}");
    let windows = worker.windows();
    assert!(windows.len() >= 2, "{windows:?}");
    for window in &windows {
        let counted = &window.cores[0];
        assert_eq!(counted.blocks, counted.verified, "{window:?}");
        assert_eq!(counted.mismatches, 0, "{window:?}");
    }
    assert!(windows.iter().map(|window| window.cores[0].blocks).sum::<u64>() > 16 * 500);
    let share = busy_share(&worker);
    assert!((0.85..1.05).contains(&share), "{share}");
    assert_eq!(worker.mismatches(), Vec::<&v1::WorkerMismatch>::new());
    assert!(worker.said.iter().any(|report| matches!(report, Report::Checksum(_))));
}

#[test]
fn half_a_level_is_half_the_time() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    worker.load(Kernel::FmaF32, Waveform::Hold { level: 0.5 }, 3 * SECOND);
    worker.until_idle(PATIENCE);
    let share = busy_share(&worker);
    assert!((share - 0.5).abs() < 0.05, "{share}");
}

#[test]
fn a_drop_ends_what_is_in_flight_at_once() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1 launch_us=5000", 0);
    let start_ns = worker.load(Kernel::Int8, FULL, 60 * SECOND);
    let second = |report: &Report| matches!(report, Report::Window(_));
    worker.listen(PATIENCE, second).unwrap();
    assert!(monotonic_ns() > start_ns + SECOND);
    let told_ns = monotonic_ns();
    worker.tell(Command::Drop(v1::WorkerDrop {}));
    let idle_ns = worker.until_idle(PATIENCE);
    assert!(idle_ns - told_ns < 100_000_000, "{} ns", idle_ns - told_ns);
    // What was cut short is no result, and nothing wrong.
    assert_eq!(worker.mismatches(), Vec::<&v1::WorkerMismatch>::new());
    let last = worker.windows().last().copied().cloned().unwrap();
    assert_eq!(last.cores[0].blocks, last.cores[0].verified);
}

#[test]
fn an_order_takes_over_from_another_without_a_gap() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    let first_ns = monotonic_ns() + AHEAD_NS;
    let second_ns = first_ns + 3 * SECOND / 2;
    worker.load_at(Kernel::Bf16, FULL, first_ns, 30 * SECOND, None);
    worker.load_at(Kernel::FmaF64, FULL, second_ns, SECOND, None);
    worker.until_idle(PATIENCE);
    let starts: Vec<&v1::WorkerStarted> = worker
        .said
        .iter()
        .filter_map(|report| match report {
            Report::Started(started) => Some(started),
            _ => None,
        })
        .collect();
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[1].intended_ns, second_ns);
    assert!(starts[1].actual_ns.abs_diff(second_ns) < 20_000_000, "{starts:?}");
    let share = busy_share(&worker);
    assert!(share > 0.85, "{share}");
}

#[test]
fn an_injected_flip_is_named_once_with_its_tile_and_marked() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    let inject = v1::Injection { core: 7, after_blocks: 20, ..v1::Injection::default() };
    let start_ns = monotonic_ns() + AHEAD_NS;
    worker.load_at(Kernel::Bf16, FULL, start_ns, SECOND, Some(inject));
    worker.until_idle(PATIENCE);
    let wrong = worker.mismatches();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!((wrong[0].core, wrong[0].injected), (7, true));
    assert!(wrong[0].detail.contains("tile 7 on SM 7: hash"), "{}", wrong[0].detail);
    let counted: u64 = worker.windows().iter().map(|window| window.cores[0].injected).sum();
    assert_eq!(counted, 1);
}

#[test]
fn a_flip_of_the_gpus_own_is_found_and_not_called_injected() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1 flip=0@60", 0);
    worker.load(Kernel::Stream, FULL, SECOND);
    worker.until_idle(PATIENCE);
    let wrong = worker.mismatches();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!((wrong[0].core, wrong[0].injected), (5, false));
}

#[test]
fn what_fools_the_comparison_with_itself_does_not_fool_the_cpu() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    // Tile 0 is one that the CPU computes.
    let inject = v1::Injection { core: 0, always: true, ..v1::Injection::default() };
    worker.load_at(Kernel::Int8, FULL, monotonic_ns() + AHEAD_NS, SECOND, Some(inject));
    worker.until_idle(PATIENCE);
    let wrong = worker.mismatches();
    assert!(!wrong.is_empty());
    for mismatch in wrong {
        assert!(mismatch.detail.contains("the CPU computed"), "{}", mismatch.detail);
        assert_eq!((mismatch.core, mismatch.injected), (0, true));
    }
}

/// Loads until the worker fails; its last words.
fn failure(script: &str) -> v1::WorkerFailed {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start(script, 0);
    worker.load(Kernel::Bf16, FULL, 30 * SECOND);
    let failed = |report: &Report| matches!(report, Report::Failed(_));
    worker.listen(PATIENCE, failed).unwrap_or_else(|| panic!("{:?}", worker.said));
    let failure = worker.failure().cloned().unwrap();
    assert_eq!(worker.listen(PATIENCE, |_| false), None);
    assert!(worker.ended, "the process ends by itself");
    failure
}

#[test]
fn an_error_that_sticks_is_told_with_number_and_name() {
    let failed = failure("gpus=1 fail=0@80:719");
    assert_eq!((failed.code, failed.refused), (719, false));
    assert!(failed.text.contains("719 CUDA_ERROR_LAUNCH_FAILED"), "{}", failed.text);
}

#[test]
fn a_code_that_nobody_knows_is_told_by_its_number() {
    let failed = failure("gpus=1 fail=0@80:12345");
    assert_eq!((failed.code, failed.refused), (12345, false));
    assert!(failed.text.contains("error 12345"), "{}", failed.text);
}

#[test]
fn a_launch_that_hangs_is_told() {
    let failed = failure("gpus=1 hang=0@80");
    assert_eq!((failed.code, failed.refused), (-1, false));
    assert!(failed.text.contains("did not come back"), "{}", failed.text);
}

#[test]
fn a_driver_call_that_does_not_return_is_told_by_the_watchdog() {
    let failed = failure("gpus=1 block=0@80");
    assert_eq!((failed.code, failed.refused), (-1, false));
    assert!(failed.text.contains("the driver did not come back"), "{}", failed.text);
}

#[test]
fn what_does_not_fit_is_refused_and_says_nothing_bad_of_the_gpu() {
    for (script, word) in [
        ("gpus=1 full=0", "out of memory"),
        ("gpus=1 mig=0", "MIG"),
        ("gpus=1 cc=7.5", "compute capability 7.5"),
        ("gpus=1 ptx=222", "too old"),
        ("gpus=1 init=12345", "error 12345"),
        ("gpus=0", "no GPU"),
    ] {
        let failed = failure(script);
        assert!(failed.refused, "{script}: {failed:?}");
        assert!(failed.text.contains(word), "{script}: {failed:?}");
    }
}

#[test]
fn copies_go_both_ways_and_each_way_has_its_rate() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    let start_ns = worker.load(Kernel::Copy, FULL, 2 * SECOND);
    worker.until_idle(PATIENCE);
    assert!(worker.started().unwrap().actual_ns >= start_ns);
    let windows = worker.windows();
    let carried: u64 = windows.iter().map(|window| window.cores[0].bytes).sum();
    let compared: u64 = windows.iter().map(|window| window.cores[0].verified).sum();
    // A round is 32 MiB each way, and one piece of it is compared.
    assert!(compared > 4 && carried == compared * (64 << 20), "{carried} {compared}");
    assert_eq!(worker.mismatches(), Vec::<&v1::WorkerMismatch>::new());
    let gauges = worker.said.iter().filter_map(|report| match report {
        Report::Gauges(said) => Some(said.gauges.clone()),
        _ => None,
    });
    let gauges: Vec<v1::WorkerGauge> = gauges.flatten().collect();
    for way in ["copy_to_device_gb_per_s", "copy_from_device_gb_per_s"] {
        assert!(gauges.iter().any(|gauge| gauge.name == way && gauge.value > 0.0), "{gauges:?}");
    }
}

#[test]
fn a_bit_that_a_link_turns_is_found_with_its_place() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1 bad_link=0", 0);
    worker.load(Kernel::Copy, FULL, 4 * SECOND);
    let wrong = |report: &Report| matches!(report, Report::Mismatch(_));
    worker.listen(PATIENCE, wrong).unwrap();
    let wrong = worker.mismatches();
    assert_eq!((wrong[0].kernel.as_str(), wrong[0].core, wrong[0].injected), ("copy", 3, false));
    assert!(wrong[0].detail.contains("word at byte 3145768 came back as"), "{}", wrong[0].detail);
}

#[test]
fn a_bit_turned_on_purpose_is_found_in_copies_and_marked() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    let inject = v1::Injection { core: 0, after_blocks: 1, ..v1::Injection::default() };
    let start_ns = monotonic_ns() + AHEAD_NS;
    worker.load_at(Kernel::Copy, FULL, start_ns, 4 * SECOND, Some(inject));
    worker.until_idle(PATIENCE);
    let wrong = worker.mismatches();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].injected && wrong[0].detail.contains("(bits 0x10)"), "{wrong:?}");
}

#[test]
fn copies_hand_over_to_a_kernel_and_a_drop_ends_them() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    let first_ns = monotonic_ns() + AHEAD_NS;
    let second_ns = first_ns + SECOND;
    worker.load_at(Kernel::Copy, FULL, first_ns, 30 * SECOND, None);
    worker.load_at(Kernel::FmaF32, FULL, second_ns, 30 * SECOND, None);
    let fp32 =
        |report: &Report| matches!(report, Report::Window(window) if window.kernel == "fp32");
    worker.listen(PATIENCE, fp32).unwrap();
    worker.load_at(Kernel::Copy, FULL, monotonic_ns(), 30 * SECOND, None);
    let copy =
        |report: &Report| matches!(report, Report::Window(window) if window.kernel == "copy");
    worker.listen(PATIENCE, copy).unwrap();
    let told_ns = monotonic_ns();
    worker.tell(Command::Drop(v1::WorkerDrop {}));
    let idle_ns = worker.until_idle(PATIENCE);
    assert!(idle_ns - told_ns < 400_000_000, "{} ns", idle_ns - told_ns);
    assert_eq!(worker.mismatches(), Vec::<&v1::WorkerMismatch>::new());
}

/// What the worker said of its images.
fn notes(worker: &GpuWorker) -> String {
    let note = |report: &Report| match report {
        Report::Note(note) => Some(note.text.clone()),
        _ => None,
    };
    worker.said.iter().filter_map(note).collect::<Vec<_>>().join("\n")
}

fn key(worker: &GpuWorker) -> String {
    let key = |report: &Report| match report {
        Report::Checksum(checksum) => Some(checksum.key.clone()),
        _ => None,
    };
    worker.said.iter().find_map(key).unwrap_or_default()
}

#[test]
fn the_image_for_hopper_is_used_once_it_passed_its_self_test() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1 cc=9.0", 0);
    worker.load_at(Kernel::Bf16, FULL, monotonic_ns() + 4 * SECOND, SECOND, None);
    worker.until_idle(PATIENCE);
    let said = notes(&worker);
    assert!(said.contains("image hopper passed its self-test on this GPU"), "{said}");
    assert!(said.contains("kernel bf16 is lb_bf16_sm90a of image hopper (compute_90a)"), "{said}");
    assert!(key(&worker).starts_with("bf16 hopper seed"), "{}", key(&worker));
}

#[test]
fn an_image_that_computes_something_else_is_passed_over_and_the_baseline_heats() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1 cc=9.0 hopper=wrong", 0);
    worker.load_at(Kernel::Bf16, FULL, monotonic_ns() + 4 * SECOND, SECOND, None);
    worker.until_idle(PATIENCE);
    let said = notes(&worker);
    let words = "image hopper is passed over: its self-test failed: 1 of 16 tiles are not what";
    assert!(said.contains(words), "{said}");
    assert!(key(&worker).starts_with("bf16 base seed"), "{}", key(&worker));
    assert_eq!(worker.mismatches(), Vec::<&v1::WorkerMismatch>::new());
}

#[test]
fn an_image_that_hangs_is_passed_over_and_the_baseline_heats() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1 cc=9.0 hopper=hangs", 0);
    worker.load_at(Kernel::Bf16, FULL, monotonic_ns() + 6 * SECOND, SECOND, None);
    worker.until_idle(2 * PATIENCE);
    let said = notes(&worker);
    assert!(said.contains("its self-test failed: a launch did not end in 2 s"), "{said}");
    assert!(key(&worker).starts_with("bf16 base seed"), "{}", key(&worker));
}

#[test]
fn other_cards_have_no_such_image_and_nothing_is_said_of_it() {
    let _turn = Bank::new();
    let mut worker = GpuWorker::start("gpus=1", 0);
    worker.load(Kernel::Bf16, FULL, SECOND);
    worker.until_idle(PATIENCE);
    assert!(!notes(&worker).contains("hopper"), "{}", notes(&worker));
}
