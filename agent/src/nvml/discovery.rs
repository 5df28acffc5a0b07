//! Which GPUs this node has: a thread a card, so that a sick one can't hide the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::reading::{Absence, Reading};

use super::card::Card;
use super::kernel_log::{KernelLog, Place};
use super::library::Library;
use super::sensors::GpuSensors;
use super::status::Status;
use super::watch::{XidSet, XidWatch};
use super::xid_doubles::{Source, XidDoubles};
use crate::hardware::{Device, Sensed};
use crate::node_facts::parse_core_list;

/// A driver that loads its cards for the first time takes some seconds each.
const OPEN_PATIENCE: Duration = Duration::from_secs(30);
/// A card that says nothing of itself for so long is sick.
const CARD_PATIENCE: Duration = Duration::from_secs(10);
/// More than any node has.
const CARDS_MAX: u32 = 64;
/// What is said of a card whose Xids NVML does not tell.
const NO_EVENTS: &str = "xid by NVML's events";
/// The lowest compute capability that our images run on.
const CAPABILITY_LEAST: (i32, i32) = (8, 0);

/// One GPU.
pub(crate) struct Gpu {
    pub(crate) device: Device,
    /// Why it is not to be loaded, as far as its start told.
    pub(crate) refusal: Option<String>,
    pub(crate) sensors: GpuSensors,
    handle: usize,
    place: Option<Place>,
    /// What it does not have.
    lacks: Vec<(&'static str, Absence)>,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Gpus {
    pub(crate) gpus: Vec<Gpu>,
    /// What is not measured, in words with the kind of reason.
    pub(crate) missing: Vec<(String, Absence)>,
    watch: Option<XidWatch>,
    log: Option<KernelLog>,
}

impl Gpus {
    /// Begins to wait for Xids, of NVML and of the kernel's log; what both tell is told once.
    ///
    /// # Errors
    /// When a thread can't be made.
    pub(crate) fn watch_xids(
        &mut self,
        hear: impl Fn(u32, u64, u64) + Clone + Send + 'static,
    ) -> std::io::Result<()> {
        let doubles = Arc::new(Mutex::new(XidDoubles::default()));
        let from = |source| {
            let (doubles, hear) = (doubles.clone(), hear.clone());
            move |device, at_ns, code| {
                let mut doubles = doubles.lock().unwrap_or_else(PoisonError::into_inner);
                if doubles.is_new(source, device, code, at_ns) {
                    hear(device, at_ns, code);
                }
            }
        };
        if let Some(watch) = self.watch.take() {
            watch.start(from(Source::Events))?;
        }
        let Some(log) = self.log.take() else { return Ok(()) };
        let places = self.gpus.iter().filter_map(|gpu| Some((gpu.place?, gpu.device.index)));
        log.start(places.collect(), from(Source::KernelLog))
    }
}

/// Looks for GPUs by the library of this path, or of its usual name. `root` holds `sys`;
/// host threads of a GPU may use some of `cores`.
pub(crate) fn discover(library: Option<&Path>, root: &Path, cores: &[u32]) -> Gpus {
    let mut found = Gpus::default();
    let path = library.map(Path::to_owned);
    let opened = within("nvml", move || Library::open(path.as_deref()));
    let library = match opened.recv_timeout(OPEN_PATIENCE) {
        Ok(Ok(library)) => library,
        Ok(Err(why)) => {
            found.missing.push((why, Absence::NotPresent));
            return found;
        }
        Err(_) => {
            let why = format!("NVML did not start in {} s", OPEN_PATIENCE.as_secs());
            found.missing.push((why, Absence::TimedOut));
            return found;
        }
    };
    if library.numbering.is_none() {
        let why = format!("throttle counters: driver version `{}` has no number", library.driver);
        found.missing.push((why, Absence::Failed));
    }
    match KernelLog::open(root) {
        Ok(log) => found.log = Some(log),
        Err(why) => found.missing.push(("xids of the kernel's log".to_owned(), why)),
    }
    look_at_cards(&library, root, cores, &mut found);
    found
}

fn look_at_cards(library: &Arc<Library>, root: &Path, cores: &[u32], found: &mut Gpus) {
    let count = match library.count() {
        Ok(count) => count.min(CARDS_MAX),
        Err(status) => {
            found.missing.push((format!("GPUs: {status}"), status.absence()));
            return;
        }
    };
    let xids = XidSet::new(library);
    let log_seen_ns = found.log.as_ref().map(KernelLog::seen_ns);
    let looks: Vec<(u32, Receiver<Result<Gpu, String>>)> = (0..count)
        .map(|index| {
            let (library, xids) = (library.clone(), xids.as_ref().ok().cloned());
            let (root, cores) = (root.to_owned(), cores.to_vec());
            let log = log_seen_ns.clone();
            let look = move || look_at(&library, (xids.as_ref(), log), index, &root, &cores);
            (index, within(&format!("gpu-{index}"), look))
        })
        .collect();
    let deadline = Instant::now() + CARD_PATIENCE;
    for (index, look) in looks {
        match look.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(gpu)) => found.gpus.push(gpu),
            Ok(Err(why)) => {
                found.missing.push((format!("GPU {index}: {why}"), Absence::Failed));
            }
            Err(_) => {
                let why = format!("GPU {index}: no answer in {} s", CARD_PATIENCE.as_secs());
                found.missing.push((why, Absence::TimedOut));
            }
        }
    }
    found.missing.extend(lacks(&found.gpus));
    watch(xids, found);
}

/// One card. Its device keeps the card's number even where another is sick.
fn look_at(
    library: &Arc<Library>,
    (xids, log_seen_ns): (Option<&XidSet>, Option<Arc<AtomicU64>>),
    index: u32,
    root: &Path,
    cores: &[u32],
) -> Result<Gpu, String> {
    let opened = |status: Status| format!("can't be opened: {status}");
    let card = Card::at(library, index).map_err(opened)?;
    let uuid = card.uuid().map_err(opened)?;
    let device = Device {
        index,
        kind: "cuda".to_owned(),
        model: card.name().unwrap_or_else(|_| "unknown GPU".to_owned()),
        cores: near_cores(&card, root, cores),
        uuid: Some(uuid),
        power_limit_mw: card.enforced_limit().value().map(|milliwatts| milliwatts as u64),
    };
    let watched = xids.and_then(|xids| xids.register(&card).ok());
    let refusal = refusal(&card);
    let handle = card.handle as usize;
    let place = card.place().ok();
    let is_watched = watched.is_some();
    // Without its address no line of the log is its own.
    let log_seen_ns = log_seen_ns.filter(|_| place.is_some());
    let mut sensors = GpuSensors::new(card, watched.unwrap_or_default().and_log(log_seen_ns));
    let mut lacks = absences(&sensors.read());
    sensors.begin_anew();
    if !is_watched {
        lacks.push((NO_EVENTS, Absence::Failed));
    }
    Ok(Gpu { device, refusal, sensors, handle, place, lacks })
}

/// What a first look did not see. "Not yet" is no lack.
fn absences(sensed: &Sensed) -> Vec<(&'static str, Absence)> {
    let Some(gpu) = &sensed.gpu else { return Vec::new() };
    let sample = &gpu.sample;
    let readings = [
        ("power_w", sensed.power_w),
        ("temp_c", sensed.temp_c),
        ("clock_mhz", sensed.clock_mhz),
        ("mem_temp_c", sample.mem_temp_c),
        ("margin_c", sample.margin_c),
        ("power_limit_w", sample.power_limit_w),
        ("energy_j", sample.energy_j),
        ("sw_power_cap_s", sample.sw_power_cap_s),
        ("sw_thermal_s", sample.sw_thermal_s),
        ("hw_thermal_s", sample.hw_thermal_s),
        ("power_brake_s", sample.power_brake_s),
        ("clock_event_reasons", sample.clock_event_reasons.map(|mask| mask as f64)),
        ("ecc_uncorrected", sample.ecc_uncorrected.map(|count| count as f64)),
    ];
    let gauges = gpu.health.iter().map(|(gauge, reading)| (gauge.word(), *reading));
    let all = readings.into_iter().chain(gauges);
    let lack = |(what, reading): (&'static str, Reading<f64>)| Some((what, reading.absence()?));
    all.filter_map(lack).filter(|(_, why)| *why != Absence::NotYet).collect()
}

/// Why a card can't be loaded, whatever happens on it.
fn refusal(card: &Card) -> Option<String> {
    if let Some(why) = card.library.too_old() {
        return Some(why);
    }
    if card.is_partitioned() {
        return Some("MIG is on: it is cut into instances that others may hold".to_owned());
    }
    match card.capability() {
        Ok(capability) if capability >= CAPABILITY_LEAST => None,
        Ok((major, minor)) => {
            let (least_major, least_minor) = CAPABILITY_LEAST;
            Some(format!(
                "compute capability {major}.{minor}: the kernels need {least_major}.{least_minor}"
            ))
        }
        Err(status) => Some(format!("its architecture is not known: {status}")),
    }
}

/// The cores of the card's NUMA node that we may use; all where the kernel does not say.
fn near_cores(card: &Card, root: &Path, cores: &[u32]) -> Vec<u32> {
    let near = card.place().ok().and_then(|place| numa_cores(root, place));
    let Some(near) = near else { return cores.to_vec() };
    let ours: Vec<u32> = cores.iter().copied().filter(|core| near.contains(core)).collect();
    if ours.is_empty() { cores.to_vec() } else { ours }
}

fn numa_cores(root: &Path, (domain, bus, device): (u32, u32, u32)) -> Option<BTreeSet<u32>> {
    let pci: PathBuf =
        root.join(format!("sys/bus/pci/devices/{domain:04x}:{bus:02x}:{device:02x}.0/numa_node"));
    let node: u32 = std::fs::read_to_string(pci).ok()?.trim().parse().ok()?;
    let list = root.join(format!("sys/devices/system/node/node{node}/cpulist"));
    let cores = parse_core_list(std::fs::read_to_string(list).ok()?.trim()).ok()?;
    Some(cores.into_iter().collect())
}

/// What cards don't have, each with its reason, said once for all cards that lack it.
fn lacks(gpus: &[Gpu]) -> Vec<(String, Absence)> {
    let mut missing: BTreeMap<(&str, Absence), Vec<String>> = BTreeMap::new();
    for gpu in gpus {
        for lack in &gpu.lacks {
            missing.entry(*lack).or_default().push(gpu.device.index.to_string());
        }
    }
    let line = |((what, why), gpus): ((&str, Absence), Vec<String>)| {
        (format!("{what} of GPU {}", gpus.join(", ")), why)
    };
    missing.into_iter().map(line).collect()
}

fn watch(xids: Result<XidSet, Status>, found: &mut Gpus) {
    match xids {
        Ok(xids) => {
            let is_watched = |gpu: &&Gpu| gpu.lacks.iter().all(|(what, _)| *what != NO_EVENTS);
            let watched = found.gpus.iter().filter(is_watched);
            let devices = watched.map(|gpu| (gpu.handle, gpu.device.index)).collect();
            found.watch = Some(XidWatch { xids, devices });
        }
        Err(status) => found.missing.push((format!("xid: {status}"), status.absence())),
    }
}

/// Runs what may hang in a thread of its own. One that never answers is left behind.
fn within<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (send, answer) = channel();
    let run = move || {
        let _ = send.send(work());
    };
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
        tracing::warn!(%error, "a GPU is not looked at");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpus_cores_are_those_of_its_numa_node() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n");
        put("sys/devices/system/node/node1/cpulist", "4-5\n");
        put("sys/bus/pci/devices/0001:01:00.0/numa_node", "-1\n");
        let near = |place| numa_cores(dir.path(), place).map(Vec::from_iter);
        assert_eq!(near((0, 0x3b, 0)), Some(vec![4, 5]));
        assert_eq!(near((1, 1, 0)), None, "the kernel does not know");
        assert_eq!(near((0, 9, 0)), None);
    }

    #[test]
    fn a_machine_without_a_driver_says_so() {
        let none = Path::new("/nonexistent/libnvidia-ml.so.1");
        let found = discover(Some(none), Path::new("/"), &[0]);
        assert!(found.gpus.is_empty());
        let (what, why) = &found.missing[0];
        assert!(what.contains("no NVIDIA driver"), "{what}");
        assert_eq!(*why, Absence::NotPresent);
    }
}
