//! GPUs behind a scripted NVML: the agent's own path from the library to the finding, on
//! machines without a GPU. No phase here heats: what GPUs say is heard at idle as well.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use formats::SampleReader;
use model::SampleRow;
use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, wait_until};

const SOON: Duration = Duration::from_secs(30);
const SCRIPT: &str = "gpus.txt";
/// Samples are due every 100 ms; two cores shared with a build may be late by this much.
const GAP_MOST_S: f64 = 1.5;

fn idle(seconds: u32) -> String {
    format!(
        "schema = 1\nname = \"idle\"\nrequires = [\"power\", \"temperature\"]\n\n\
         [[phase]]\nname = \"idle\"\nkind = \"idle\"\nseconds = {seconds}\n"
    )
}

/// A coordinator and one node of eight scripted GPUs.
fn bank(script: &str) -> Bank {
    let mut bank = Bank::new();
    let _ = bank.write(SCRIPT, script);
    bank.serve();
    bank.gpu_agent("n1", SCRIPT);
    bank.wait_for_agents(1);
    bank
}

/// A run during which the script changes after two seconds.
fn run_with_change(bank: &Bank, seconds: u32, script: &str) -> (Value, Vec<SampleRow>) {
    let (mut run, watch, id) = bank.begin(&idle(seconds));
    watch.wait_for_phase("idle", 2.0);
    let _ = bank.write(SCRIPT, script);
    let report = run.finish(RUN_PATIENCE).json();
    (report, samples(&bank.run_folder(&id)))
}

fn samples(folder: &Path) -> Vec<SampleRow> {
    let batches = SampleReader::open(&folder.join("samples.parquet")).unwrap();
    batches.flat_map(Result::unwrap).collect()
}

fn findings<'a>(report: &'a Value, kind: &str, device: &str) -> Vec<&'a Value> {
    let all = report["findings"].as_array().unwrap().iter();
    all.filter(|f| f["kind"] == kind && f["suspect"]["id"] == device).collect()
}

fn measured(report: &Value, what: &str, device: &str) -> Option<f64> {
    let mut lines = report["measured"].as_array().unwrap().iter();
    let line = lines.find(|line| line["what"] == what && line["where"]["id"] == device)?;
    line["value"].as_f64()
}

#[test]
fn a_brake_ends_the_run_and_is_a_short_of_power_with_its_seconds() {
    let bank = bank("");
    let agents = bank.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    let (report, rows) = run_with_change(&bank, 20, "gpu 3 brake\n");
    assert_eq!(report["verdict"], "ABORTED", "{report}");
    let found = findings(&report, "power_short", "n1/3");
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0]["standing"], "confirmed");
    let evidence = found[0]["evidence"].to_string();
    assert!(evidence.contains("external power brake held the clock down"), "{evidence}");
    assert!(evidence.contains("the guard: device 3 dropped"), "{evidence}");
    assert!(findings(&report, "device_error", "n1/3").is_empty(), "told once: {report}");
    let seconds = measured(&report, "throttle_power_brake_seconds", "n1/3");
    assert!(seconds.is_some_and(|seconds| seconds > 1.5), "{seconds:?}");
    assert_eq!(measured(&report, "throttle_power_brake_seconds", "n1/2"), Some(0.0));
    assert_eq!(measured(&report, "power_limit_w", "n1/3"), Some(700.0));
    let mean = measured(&report, "power_mean_w", "n1/2").unwrap();
    assert!((mean - 600.0).abs() < 12.0, "by the counter of joules: {mean} W");
    let braked = |row: &&SampleRow| row.clock_event_reasons.is_some_and(|mask| mask & 0x80 != 0);
    let devices: Vec<u32> = rows.iter().filter(braked).map(|row| row.device).collect();
    assert!(!devices.is_empty() && devices.iter().all(|device| *device == 3));
    assert!(rows.iter().any(|row| row.power_brake_s > Some(1.5) && row.energy_j.is_some()));
}

#[test]
fn a_hang_is_our_blindness_an_xid_is_the_gpus_and_the_other_six_are_sampled_on_time() {
    let bank = bank("");
    let (report, rows) =
        run_with_change(&bank, 20, "gpu 5 hang\ngpu 2 xid 79\ngpu 2 lost\ngpu 6 xid 13\n");
    assert_eq!(report["verdict"], "NOT_READY", "the rest goes on: {report}");
    assert_eq!(report["run"]["state"], "finished", "{report}");
    let error = findings(&report, "device_error", "n1/2");
    assert_eq!(error.len(), 1, "{report}");
    let evidence = error[0]["evidence"].to_string();
    assert!(evidence.contains("Xid 79: GPU fell off the bus"), "{evidence}");
    for device in ["n1/5", "n1/6"] {
        assert!(findings(&report, "device_error", device).is_empty(), "{device}: {report}");
    }
    let instrument = findings(&report, "instrument", "n1");
    let told = instrument.iter().any(|finding| {
        finding["evidence"].to_string().contains("device 5 dropped: reading the sensors hung")
    });
    assert!(told, "{report}");
    assert!(rows.iter().any(|row| row.device == 2 && row.xid == Some(79)));
    assert_gaps(&rows, &[5]);
}

/// Every device but these has a temperature all the time.
fn assert_gaps(rows: &[SampleRow], but: &[u32]) {
    let mut times: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.phase.is_some() && row.clock_mhz.is_some()) {
        times.entry(row.device).or_default().push(row.time_ns);
    }
    // The lost one has no value after its loss.
    for device in [0, 1, 3, 4, 6, 7].into_iter().filter(|device| !but.contains(device)) {
        let times = times.get_mut(&device).unwrap();
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9);
        let longest = gaps.fold(0.0, f64::max);
        let span = (times[times.len() - 1] - times[0]) as f64 / 1e9;
        assert!(longest < GAP_MOST_S && span > 18.0, "GPU {device}: {longest} s of {span} s");
    }
}

#[test]
fn what_a_card_lacks_or_hides_is_told_and_never_taken_for_sound() {
    let bank = bank(
        "numbering old\ngpu 0 capability 7 5\ngpu 1 mig\ngpu 2 remap_failed\n\
         gpu 3 requested 700\ngpu 3 limit 600\ngpu 4 process 4242\ngpu 5 sw_thermal\n\
         gpu 6 error 9991\ngpu 7 lacks 186\ngpu 7 lacks 185\ngpu 7 lacks 82\n",
    );
    let (mut run, _watch, id) = bank.begin(&idle(8));
    let report = run.finish(RUN_PATIENCE).json();
    let not_measured = report["not_measured"].to_string();
    for why in [
        "device 0 is not loaded: compute capability 7.5: the kernels need 8.0",
        "device 1 is not loaded: MIG is on",
        "device 4 is not loaded: in use by another process (pid 4242)",
    ] {
        assert!(not_measured.contains(why), "{why}: {not_measured}");
    }
    assert_eq!(findings(&report, "memory_error", "n1/2").len(), 1, "{report}");
    let capped = findings(&report, "power_short", "n1/3");
    assert_eq!(capped.len(), 1, "{report}");
    assert_eq!(capped[0]["standing"], "watch");
    let instrument = findings(&report, "instrument", "n1");
    let told = instrument.iter().any(|finding| {
        finding["evidence"].to_string().contains("device 5: sw_thermal_s: it stood still")
    });
    assert!(told, "a flag under the counter's number is found out: {report}");
    assert_eq!(measured(&report, "temp_c_p99", "n1/6"), None, "an error is no temperature");
    let power = measured(&report, "power_w_p50", "n1/7").unwrap();
    assert!((power - 600.0).abs() < 1.0, "without the fields the old call answers: {power}");
    let rows = samples(&bank.run_folder(&id));
    assert!(rows.iter().filter(|row| row.device == 7).all(|row| row.mem_temp_c.is_none()));
    assert!(rows.iter().any(|row| row.device == 0 && row.power_w.is_some()), "still sampled");
}

#[test]
fn a_card_that_hangs_from_the_start_hides_no_other_and_an_old_driver_loads_none() {
    let mut bank = Bank::new();
    let _ = bank.write(SCRIPT, "driver 470.57.02\ngpus 3\ngpu 1 hang\n");
    bank.serve();
    bank.gpu_agent("n1", SCRIPT);
    bank.wait_for_agents(1);
    let said = wait_until("the agent's words", SOON, || {
        let said = bank.agent_process("n1").stderr();
        said.contains("GPU 1: no answer in 10 s").then_some(said)
    });
    assert_eq!(said.matches("driver 470.57.02 is too old").count(), 2, "{said}");
    assert!(!said.contains("GPU 0: no answer") && !said.contains("GPU 2: no answer"), "{said}");
}

#[test]
fn without_a_library_the_agent_starts_and_says_what_it_found() {
    let mut bank = Bank::with_agents(1);
    let said = bank.agent_process("n1").stderr();
    assert!(said.contains("no NVIDIA driver"), "{said}");
    assert!(said.contains("GPUs are not measured"), "{said}");
}

/// A fake NVML numbers its buses from 1: GPU 2 is `0000:03:00`.
const IN_THE_LOG: &str = "3,1234,98765,-;NVRM: Xid (PCI:0000:03:00): 79, pid='<unknown>', \
                          name=<unknown>, GPU has fallen off the bus.\n";

#[test]
fn an_xid_of_the_kernels_log_alone_is_the_gpus_and_one_that_both_tell_is_one() {
    let mut bank = Bank::new();
    let _ = bank.write(SCRIPT, "");
    std::fs::create_dir(bank.folder().join("dev")).unwrap();
    let log = bank.write("dev/kmsg", "3,1,1,-;NVRM: Xid (PCI:0000:05:00): 48, of long ago\n");
    bank.serve();
    let root = bank.folder().display().to_string();
    bank.gpu_agent_with("n1", SCRIPT, &["--sensor-root", &root]);
    bank.wait_for_agents(1);
    let (mut run, watch, id) = bank.begin(&idle(10));
    watch.wait_for_phase("idle", 2.0);
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    std::io::Write::write_all(&mut file, IN_THE_LOG.as_bytes()).unwrap();
    // Both tell this one, of GPU 6; it accuses nobody.
    let both = "3,1235,98799,-;NVRM: Xid (PCI:0000:07:00): 13, pid=7\n";
    std::io::Write::write_all(&mut file, both.as_bytes()).unwrap();
    let _ = bank.write(SCRIPT, "gpu 6 xid 13\n");
    let report = run.finish(RUN_PATIENCE).json();
    let error = findings(&report, "device_error", "n1/2");
    assert_eq!(error.len(), 1, "{report}");
    assert!(error[0]["evidence"].to_string().contains("Xid 79: GPU fell off the bus"), "{report}");
    let rows = samples(&bank.run_folder(&id));
    let told = |device, xid| {
        rows.iter().filter(|row| row.device == device && row.xid == Some(xid)).count()
    };
    assert_eq!((told(2, 79), told(6, 13), told(4, 48)), (1, 1, 0));
}
