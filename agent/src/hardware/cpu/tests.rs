//! The port's promises, on this machine's first core. Times are asserted only where a busy
//! machine can't break them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use model::load::{Kernel, Waveform};

use super::super::{CoreWindow, Injection, LoadOrder};
use super::clock::now_ns;
use super::*;

const MS: u64 = 1_000_000;
/// No test waits longer for a report.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bank {
    tell: Option<Sender<LoadCommand>>,
    reports: Receiver<LoadReport>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bank {
    fn open() -> Self {
        let (tell, commands) = channel();
        let (say, reports) = channel();
        let thread = thread::spawn(move || {
            let mut hardware = CpuHardware::new(&[0], Box::new(|_| Sensed::default()));
            // Touching all of a large cache's worth would be most of a test's time.
            hardware.buffer_bytes_max = 8 << 20;
            hardware.run(0, commands, say);
        });
        Self { tell: Some(tell), reports, thread: Some(thread) }
    }

    fn tell(&self, command: LoadCommand) {
        self.tell.as_ref().unwrap().send(command).unwrap();
    }

    fn begin(&self, order: LoadOrder) {
        self.tell(LoadCommand::Begin(order));
    }

    /// Reports until idle, that one included.
    fn until_idle(&self) -> Vec<LoadReport> {
        let mut seen = Vec::new();
        while !matches!(seen.last(), Some(LoadReport::Idle { .. })) {
            seen.push(self.reports.recv_timeout(PATIENCE).unwrap());
        }
        seen
    }

    fn until_started(&self) -> u64 {
        loop {
            if let LoadReport::Started { actual_ns, .. } =
                self.reports.recv_timeout(PATIENCE).unwrap()
            {
                return actual_ns;
            }
        }
    }

    /// Closes the commands; what was still said.
    fn close(mut self) -> Vec<LoadReport> {
        self.tell = None;
        self.thread.take().unwrap().join().unwrap();
        self.reports.iter().collect()
    }
}

fn order(kernel: Kernel, waveform: Waveform, start_ns: u64, ms: u64) -> LoadOrder {
    LoadOrder {
        kernel,
        waveform,
        start_ns,
        end_ns: start_ns + ms * MS,
        drift_ppb: 0,
        inject: None,
        power_scale: None,
    }
}

fn hold(kernel: Kernel, level: f64, ms: u64) -> LoadOrder {
    order(kernel, Waveform::Hold { level }, now_ns() + 30 * MS, ms)
}

/// The windows: kernel, span, level and the one core's counters.
fn windows(reports: &[LoadReport]) -> Vec<(Kernel, u64, u64, f64, CoreWindow)> {
    let one = |report: &LoadReport| match report {
        LoadReport::Window { kernel, from_ns, to_ns, level, cores } => {
            Some((*kernel, *from_ns, *to_ns, *level, cores[0].clone()))
        }
        _ => None,
    };
    reports.iter().filter_map(one).collect()
}

fn busy_share(reports: &[LoadReport]) -> f64 {
    let (busy, span) =
        windows(reports).iter().fold((0, 0), |(busy, span), (_, from, to, _, core)| {
            (busy + core.busy_ns, span + to - from)
        });
    busy as f64 / span as f64
}

#[test]
fn one_device_for_each_node_with_the_cores_given() {
    let hardware = CpuHardware::new(&[0], Box::new(|_| Sensed::default()));
    let devices = hardware.devices();
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].index, devices[0].kind.as_str()), (0, "cpu"));
    assert_eq!(devices[0].cores, [0]);
    assert!(!devices[0].model.is_empty());
    assert_eq!(hardware.sense(0), Sensed::default());
}

#[test]
fn every_kernel_is_right_and_counts_its_work() {
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.runs_on_cpu()) {
        let bank = Bank::open();
        let given = hold(kernel, 1.0, 150);
        bank.begin(given.clone());
        let seen = bank.until_idle();
        assert!(seen.iter().any(|r| matches!(r, LoadReport::Started { intended_ns, actual_ns }
            if *intended_ns == given.start_ns && actual_ns >= intended_ns)));
        assert!(!seen.iter().any(|r| matches!(r, LoadReport::Mismatch { .. })));
        let windows = windows(&seen);
        assert_eq!(windows.last().unwrap().2, given.end_ns);
        for (seen, _, _, level, core) in windows {
            assert_eq!((seen, level), (kernel, 1.0));
            assert!(core.blocks > 0 && core.verified == core.blocks && core.mismatches == 0);
            assert_eq!(core.flops > 0, kernel != Kernel::Stream);
            assert_eq!(core.bytes > 0, matches!(kernel, Kernel::Stream | Kernel::Mix));
        }
        bank.close();
    }
}

/// Tries for a share: the busy share is counted in wall time, so a core that another test
/// takes away falsifies it. A load that does not follow its waveform fails them all.
const SHARE_TRIES: usize = 6;

#[test]
fn the_busy_share_follows_the_waveform() {
    let cases = [
        (Waveform::Hold { level: 0.0 }, 0.0),
        (Waveform::Hold { level: 0.03 }, 0.03),
        (Waveform::Hold { level: 0.5 }, 0.5),
        (Waveform::Ramp { from: 0.0, to: 1.0, over_ns: 1_200 * MS }, 0.5),
        (Waveform::Square { low: 0.1, high: 0.9, period_ns: 100 * MS }, 0.5),
        (Waveform::Square { low: 0.2, high: 0.6, period_ns: 3 * MS }, 0.4),
    ];
    for (waveform, share) in cases {
        let mut seen = Vec::new();
        let follows = (0..SHARE_TRIES).any(|_| {
            let got = share_of(waveform, share);
            seen.push(got);
            got > share - 0.1 && got < share + 0.15
        });
        assert!(follows, "{waveform:?}: {seen:?}");
    }
}

/// Runs a waveform whose mean is `share` and returns the busy share.
fn share_of(waveform: Waveform, share: f64) -> f64 {
    let bank = Bank::open();
    bank.begin(order(Kernel::FmaF64, waveform, now_ns() + 30 * MS, 1_200));
    let seen = bank.until_idle();
    let windows = windows(&seen);
    assert_eq!(windows.len(), 2, "one a second and one at the end");
    let mean: f64 = windows.iter().map(|w| w.3 * (w.2 - w.1) as f64).sum();
    assert!((mean / 1.2e9 - share).abs() < 0.1, "{waveform:?}: level {}", mean / 1.2e9);
    bank.close();
    busy_share(&seen)
}

#[test]
fn an_injection_is_caught_once_and_marked() {
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.runs_on_cpu()) {
        let bank = Bank::open();
        let injection = Injection { core: 0, after_blocks: 5, always: false };
        bank.begin(LoadOrder { inject: Some(injection), ..hold(kernel, 1.0, 200) });
        let seen = bank.until_idle();
        let caught: Vec<_> =
            seen.iter().filter(|r| matches!(r, LoadReport::Mismatch { .. })).collect();
        assert!(
            matches!(caught[..], [LoadReport::Mismatch { core: 0, injected: true, .. }]),
            "{caught:?}"
        );
        let counts =
            windows(&seen).iter().fold((0, 0), |(a, b), w| (a + w.4.mismatches, b + w.4.injected));
        assert_eq!(counts, (1, 1));
        bank.close();
    }
}

#[test]
fn an_injection_on_another_core_does_nothing() {
    let bank = Bank::open();
    let injection = Injection { core: 77, after_blocks: 0, always: false };
    bank.begin(LoadOrder { inject: Some(injection), ..hold(Kernel::FmaF32, 1.0, 50) });
    let seen = bank.until_idle();
    assert!(!seen.iter().any(|r| matches!(r, LoadReport::Mismatch { .. })));
}

#[test]
fn orders_take_over_at_their_own_start() {
    let bank = Bank::open();
    let start = now_ns() + 50 * MS;
    let first = order(Kernel::FmaF64, Waveform::Hold { level: 1.0 }, start, 10_000);
    let second = order(Kernel::Stream, Waveform::Hold { level: 0.4 }, start + 150 * MS, 200);
    bank.begin(second.clone());
    bank.begin(first);
    let windows = windows(&bank.until_idle());
    let spans: Vec<_> = windows.iter().map(|w| (w.0, w.1, w.2)).collect();
    assert_eq!(
        spans,
        [
            (Kernel::FmaF64, start, second.start_ns),
            (Kernel::Stream, second.start_ns, second.end_ns),
        ]
    );
    bank.close();
}

#[test]
fn a_ramp_falls_to_zero_and_then_idles() {
    let bank = Bank::open();
    bank.begin(hold(Kernel::FmaF64, 1.0, 60_000));
    bank.until_started();
    bank.tell(LoadCommand::Ramp { over_ns: 600 * MS });
    let asked = now_ns();
    let seen = bank.until_idle();
    let Some(LoadReport::Idle { at_ns }) = seen.last() else { panic!() };
    assert!(*at_ns + 5 * MS >= asked + 595 * MS, "too soon");
    let share = busy_share(&seen);
    assert!(share > 0.4 && share < 0.8, "{share}");
    bank.close();
}

#[test]
fn a_drop_ends_all_and_the_bank_can_begin_again() {
    let bank = Bank::open();
    bank.begin(hold(Kernel::Mix, 1.0, 60_000));
    bank.begin(LoadOrder { start_ns: now_ns() + 30_000 * MS, ..hold(Kernel::FmaF64, 1.0, 60_000) });
    bank.until_started();
    bank.tell(LoadCommand::Drop);
    let seen = bank.until_idle();
    assert_eq!(windows(&seen).len(), 1);
    bank.begin(hold(Kernel::FmaF64, 1.0, 20));
    assert!(windows(&bank.until_idle())[0].4.blocks > 0);
    bank.close();
}

#[test]
fn closing_the_commands_drops_the_load_and_returns() {
    let bank = Bank::open();
    bank.begin(hold(Kernel::FmaF64, 1.0, 600_000));
    bank.until_started();
    let seen = bank.close();
    assert_eq!(windows(&seen).len(), 1);
    assert!(matches!(seen.last(), Some(LoadReport::Idle { .. })));
}

#[test]
fn a_bank_that_nobody_listens_to_stops() {
    let mut bank = Bank::open();
    bank.begin(hold(Kernel::FmaF64, 1.0, 600_000));
    bank.until_started();
    let (_, nobody) = channel();
    bank.reports = nobody;
    bank.thread.take().unwrap().join().unwrap();
}
