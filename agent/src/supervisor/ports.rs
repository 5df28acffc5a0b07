//! Ports of a node's data plane, from its name: the same in every run, so that an ECMP
//! fabric sends the same transfer over the same path again, and agents that share a host
//! rarely want the same ones. One that is taken falls back, and what was used is recorded.

/// Where data planes listen.
const LISTEN_FIRST: u16 = 9_000;
/// How many.
const LISTEN_COUNT: u16 = 1_000;
/// Source ports of bulk streams begin here, below what Linux hands out by itself (32768).
const SOURCE_FIRST: u16 = 10_240;
/// Distance of two nodes' source ports: four peers of 64 streams without overlap on one
/// host; on hosts of their own nodes never meet.
const SOURCE_STEP: u16 = 256;
/// How many nodes' worth.
const SOURCE_COUNT: u16 = 80;

/// Port to listen on, and first source port of bulk streams.
pub(super) fn data_ports(node: &str) -> (u16, u16) {
    let hash = fnv1a(node);
    let pick = |count: u16, shift: u32| ((hash >> shift) % u64::from(count)) as u16;
    let listen = LISTEN_FIRST + pick(LISTEN_COUNT, 0);
    (listen, SOURCE_FIRST + SOURCE_STEP * pick(SOURCE_COUNT, 20))
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): small, and the same everywhere and always.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn ports_stay_below_what_the_kernel_hands_out() {
        for node in 0..1_000 {
            let (listen, source) = data_ports(&format!("gpu{node:03}"));
            assert!((9_000..10_000).contains(&listen), "{listen}");
            assert!((10_240..32_768 - 256).contains(&source), "{source}");
        }
        assert_ne!(data_ports("local-0"), data_ports("local-1"));
    }
}
