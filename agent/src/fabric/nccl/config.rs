//! `ncclConfig_t`, the layout of 2.18. Later versions take the smaller size and fill in the
//! rest themselves, so that one layout serves them all.

use std::ffi::{c_char, c_int, c_uint};

/// `NCCL_API_MAGIC`.
const MAGIC: c_uint = 0xcafe_beef;
/// The version whose header has this layout.
const VERSION: c_uint = 21_801;
/// `NCCL_CONFIG_UNDEF_INT`: NCCL chooses.
const UNDEFINED: c_int = c_int::MIN;

/// How a communicator is made.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Config {
    size: usize,
    magic: c_uint,
    version: c_uint,
    blocking: c_int,
    cga_cluster_size: c_int,
    min_ctas: c_int,
    max_ctas: c_int,
    net_name: *const c_char,
    split_share: c_int,
}

impl Config {
    /// Calls return at once and are asked after: nothing of ours ever waits without end.
    pub(super) fn non_blocking() -> Self {
        Self {
            size: size_of::<Self>(),
            magic: MAGIC,
            version: VERSION,
            blocking: 0,
            cga_cluster_size: UNDEFINED,
            min_ctas: UNDEFINED,
            max_ctas: UNDEFINED,
            net_name: std::ptr::null(),
            split_share: UNDEFINED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_headers() {
        assert_eq!(size_of::<Config>(), 48);
        assert_eq!(std::mem::offset_of!(Config, blocking), 16);
        assert_eq!(std::mem::offset_of!(Config, net_name), 32);
        assert_eq!(std::mem::offset_of!(Config, split_share), 40);
    }
}
