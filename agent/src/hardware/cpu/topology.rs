//! What the kernel says about cores, nodes, caches and memory. Files that are not there
//! leave a sane default; nothing here fails.

use std::fs::read_to_string;

/// Last-level cache of machines that don't say.
const CACHE_DEFAULT: u64 = 32 << 20;
/// Memory available on machines that don't say.
const AVAILABLE_DEFAULT: u64 = 1 << 30;

/// The processor's model name.
pub(super) fn model() -> String {
    read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| cpuinfo_model(&text))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn cpuinfo_model(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The given cores by NUMA node, nodes in order; all in one where there are no nodes.
pub(super) fn by_node(cores: &[u32]) -> Vec<Vec<u32>> {
    let mut rest = cores.to_vec();
    rest.sort_unstable();
    rest.dedup();
    let mut groups = Vec::new();
    for node in read_list("/sys/devices/system/node/online") {
        let members = read_list(&format!("/sys/devices/system/node/node{node}/cpulist"));
        let (here, elsewhere) = rest.into_iter().partition(|core| members.contains(core));
        groups.push(here);
        rest = elsewhere;
    }
    groups.push(rest);
    groups.retain(|group: &Vec<u32>| !group.is_empty());
    groups
}

/// Bytes of the last-level cache of a core, and how many of `cores` share it.
pub(super) fn last_cache(core: u32, cores: &[u32]) -> (u64, u64) {
    let dir = |index: u32| format!("/sys/devices/system/cpu/cpu{core}/cache/index{index}");
    let size = |index: u32| {
        let text = read_to_string(format!("{}/size", dir(index))).ok()?;
        text.trim().strip_suffix('K')?.parse::<u64>().ok()
    };
    let Some((index, kib)) = (0..5).filter_map(|i| Some((i, size(i)?))).max_by_key(|(_, k)| *k)
    else {
        return (CACHE_DEFAULT, cores.len() as u64);
    };
    let sharers = read_list(&format!("{}/shared_cpu_list", dir(index)));
    let ours = cores.iter().filter(|core| sharers.contains(core)).count();
    (kib * 1024, ours.max(1) as u64)
}

/// Bytes of memory available now.
pub(super) fn available() -> u64 {
    let kib = read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    kib.map_or(AVAILABLE_DEFAULT, |kib| kib * 1024)
}

fn read_list(path: &str) -> Vec<u32> {
    read_to_string(path).map(|text| list(&text)).unwrap_or_default()
}

/// The kernel's list syntax: `0-3,8`.
fn list(text: &str) -> Vec<u32> {
    let span = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<u32>().ok()?..=to.trim().parse::<u32>().ok()?)
    };
    text.trim().split(',').filter_map(span).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(list("0-2,8\n"), [0, 1, 2, 8]);
        assert_eq!(list("\n"), [] as [u32; 0]);
    }

    #[test]
    fn every_core_is_in_exactly_one_group() {
        let groups = by_node(&[1, 0, 1, 4_000]);
        let mut all = groups.concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 4_000]);
    }

    #[test]
    fn the_model_is_after_the_colon() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(cpuinfo_model(text).as_deref(), Some("Some CPU @ 2 GHz"));
    }
}
