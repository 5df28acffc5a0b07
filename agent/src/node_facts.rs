//! What a node is: name, kernel boot, memory, cores.
//!
//! Read once at start from one-line kernel files below a root the caller gives. The boot
//! id is evidence: a new one after a node went missing means that it lost power.

use std::fs;
use std::io;
use std::path::Path;

use model::reading::{Absence, Reading};

/// More logical CPUs than Linux can be built for (NR_CPUS on x86 is at most 8192): a core
/// list beyond it is a typing error, not a machine.
pub const CORES_MAX: u32 = 8_192;

const BYTES_PER_KIB: u64 = 1_024;

/// What a node says about itself. Every field is a value or a reason why not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeFacts {
    pub host_name: Reading<String>,
    /// Changes at every boot of the kernel.
    pub boot_id: Reading<String>,
    pub kernel: Reading<String>,
    pub cpu_model: Reading<String>,
    pub memory_bytes: Reading<u64>,
    /// Logical cores that this process may run on, in the kernel's numbering.
    pub cores: Reading<Vec<u32>>,
}

/// A core list that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreListError {
    #[error("`{0}` is not a core number or a range such as 0-7")]
    NotACore(String),
    #[error("the range `{0}` runs backwards")]
    Backwards(String),
    #[error("core {0} is beyond the {CORES_MAX} that Linux can have")]
    TooHigh(u32),
    #[error("the core list is empty")]
    Empty,
}

impl NodeFacts {
    /// Reads the facts below `root` (`/` on a real machine).
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let text = |path: &str| reading(fs::read_to_string(root.join(path)));
        let line = |path: &str| text(path).map(|text| text.trim().to_owned());
        Self {
            host_name: line("proc/sys/kernel/hostname"),
            boot_id: line("proc/sys/kernel/random/boot_id"),
            kernel: line("proc/sys/kernel/osrelease"),
            cpu_model: found(text("proc/cpuinfo"), |all| {
                keyed(all, "model name").map(str::to_owned)
            }),
            memory_bytes: found(text("proc/meminfo"), |all| {
                let kib: u64 = keyed(all, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
                kib.checked_mul(BYTES_PER_KIB)
            }),
            cores: found(text("proc/self/status"), |all| {
                parse_core_list(keyed(all, "Cpus_allowed_list")?).ok()
            }),
        }
    }
}

/// Parses `0-3,8` as the kernel and `--cores` write it: ascending, each core once.
///
/// # Errors
/// Says which part is no core, runs backwards or lies beyond [`CORES_MAX`].
pub fn parse_core_list(list: &str) -> Result<Vec<u32>, CoreListError> {
    let mut cores = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            text.trim().parse::<u32>().map_err(|_| CoreListError::NotACore(part.to_owned()))
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(CoreListError::Backwards(part.to_owned()));
        }
        if last >= CORES_MAX {
            return Err(CoreListError::TooHigh(last));
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    if cores.is_empty() { Err(CoreListError::Empty) } else { Ok(cores) }
}

fn reading(read: io::Result<String>) -> Reading<String> {
    match read {
        Ok(text) => Reading::Value(text),
        Err(error) => Reading::Absent(match error.kind() {
            io::ErrorKind::NotFound => Absence::NotPresent,
            io::ErrorKind::PermissionDenied => Absence::NotPermitted,
            _ => Absence::Failed,
        }),
    }
}

/// What `pick` finds in a text; a text without it failed.
fn found<T>(text: Reading<String>, pick: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    match text {
        Reading::Value(text) => {
            pick(&text).map_or(Reading::Absent(Absence::Failed), Reading::Value)
        }
        Reading::Absent(why) => Reading::Absent(why),
    }
}

/// The value of the first `key : value` line.
fn keyed<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_a_fake_node() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/sys/kernel/hostname", "gpu007\n");
        put("proc/sys/kernel/random/boot_id", "b0b0\n");
        put("proc/cpuinfo", "processor\t: 0\nmodel name\t: EPYC\n");
        put("proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
        put("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-1,4\n");
        let facts = NodeFacts::read(dir.path());
        assert_eq!(facts.host_name, Reading::Value("gpu007".to_owned()));
        assert_eq!(facts.boot_id, Reading::Value("b0b0".to_owned()));
        assert_eq!(facts.kernel, Reading::Absent(Absence::NotPresent));
        assert_eq!(facts.cpu_model, Reading::Value("EPYC".to_owned()));
        assert_eq!(facts.memory_bytes, Reading::Value(2_097_152));
        assert_eq!(facts.cores, Reading::Value(vec![0, 1, 4]));
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let facts = NodeFacts::read(Path::new("/"));
        assert!(facts.cores.value().is_some_and(|cores| !cores.is_empty()));
        assert!(facts.memory_bytes.value().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn core_lists() {
        let wrong = |part: &str| CoreListError::NotACore(part.to_owned());
        let cases = [
            ("0", Ok(vec![0])),
            ("8, 0-2", Ok(vec![0, 1, 2, 8])),
            ("1-3,2-4", Ok(vec![1, 2, 3, 4])),
            ("", Err(CoreListError::Empty)),
            ("a", Err(wrong("a"))),
            ("1-", Err(wrong("1-"))),
            ("3-1", Err(CoreListError::Backwards("3-1".to_owned()))),
            ("0-4294967295", Err(CoreListError::TooHigh(4_294_967_295))),
        ];
        for (list, expected) in cases {
            assert_eq!(parse_core_list(list), expected, "{list}");
        }
    }
}
