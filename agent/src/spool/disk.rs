//! The few calls that touch the disk, in one place so that a test can fill it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The disk below the spool.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    /// Bytes that may still be written before the disk is full.
    #[cfg(test)]
    pub(super) space: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl Disk {
    pub(super) fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(space) = &self.space {
            use std::sync::atomic::Ordering::SeqCst;
            let left = space.load(SeqCst);
            let fits = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            space.store(left - fits as u64, SeqCst);
            file.write_all(&bytes[..fits])?;
            return match fits == bytes.len() {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            };
        }
        file.write_all(bytes)
    }
}

/// Makes names in a directory (new, renamed, removed files) durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
