//! Xids in the kernel's log: the second source beside NVML's events, which stop where the
//! driver's own firmware does.
//!
//! A card that NVML gave up is still named in the log by its PCI address. The log is read from
//! its present end on: what is older belongs to an earlier run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::reading::Absence;

use crate::clock::monotonic_ns;

/// The kernel's log hands out a record a read, at most so long (`PRINTKRB_RECORD_MAX` is 8192
/// less the prefix in older kernels, 2048 in newer ones).
const RECORD_BYTES_MAX: usize = 8192;
/// Distance of looks at a log that has nothing new.
const LOOK: Duration = Duration::from_millis(100);
/// A line that never ends is no line of the kernel's.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// PCI domain, bus and device of a card.
pub(super) type Place = (u32, u32, u32);

/// An Xid as the driver writes it: `NVRM: Xid (PCI:0000:3b:00): 79, pid=...`.
pub(super) fn parse(line: &str) -> Option<(Place, u64)> {
    let (_, rest) = line.split_once("NVRM: Xid (")?;
    let (place, rest) = rest.split_once("):")?;
    let place = place.strip_prefix("PCI:").unwrap_or(place);
    let digits = rest.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    Some((parse_place(place)?, digits[..end].parse().ok()?))
}

/// `0000:3b:00`, with or without a function behind it.
fn parse_place(text: &str) -> Option<Place> {
    let mut parts = text.split(':');
    let domain = u32::from_str_radix(parts.next()?, 16).ok()?;
    let bus = u32::from_str_radix(parts.next()?, 16).ok()?;
    let device = parts.next()?.split('.').next()?;
    let device = u32::from_str_radix(device, 16).ok()?;
    parts.next().is_none().then_some((domain, bus, device))
}

/// The log, open at its end.
pub(super) struct KernelLog {
    file: File,
    /// When the latest look at it was over; 0 before the first.
    seen_ns: Arc<AtomicU64>,
}

impl KernelLog {
    /// Opens `dev/kmsg` below a root.
    ///
    /// # Errors
    /// Why it can't be followed, as the reason of what is not measured.
    pub(super) fn open(root: &Path) -> Result<Self, Absence> {
        let open = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
            let mut file = options.open(root.join("dev/kmsg"))?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Self { file, seen_ns: Arc::default() }),
            Err(error) => Err(match error.kind() {
                ErrorKind::NotFound => Absence::NotPresent,
                ErrorKind::PermissionDenied => Absence::NotPermitted,
                _ => Absence::Failed,
            }),
        }
    }

    pub(super) fn seen_ns(&self) -> Arc<AtomicU64> {
        self.seen_ns.clone()
    }

    /// Follows the log in a thread of its own until the process ends or the log does.
    ///
    /// # Errors
    /// When the thread can't be made.
    pub(super) fn start(
        mut self,
        devices: BTreeMap<Place, u32>,
        hear: impl Fn(u32, u64, u64) + Send + 'static,
    ) -> io::Result<()> {
        std::thread::Builder::new().name("kernel-log".into()).spawn(move || {
            let mut lines = Lines::default();
            loop {
                let news = match self.read(&mut lines) {
                    Ok(news) => news,
                    Err(error) => {
                        // Nobody follows it any more: the time of the last look says so.
                        tracing::warn!(%error, "the kernel's log can't be read any more");
                        return;
                    }
                };
                self.seen_ns.store(monotonic_ns(), Ordering::Relaxed);
                while let Some(line) = lines.next() {
                    let Some((place, code)) = parse(&line) else { continue };
                    let Some(device) = devices.get(&place) else { continue };
                    hear(*device, monotonic_ns(), code);
                }
                if !news {
                    std::thread::sleep(LOOK);
                }
            }
        })?;
        Ok(())
    }

    /// Takes in what is new; false where nothing is.
    fn read(&mut self, lines: &mut Lines) -> io::Result<bool> {
        let mut record = [0; RECORD_BYTES_MAX];
        match self.file.read(&mut record) {
            Ok(0) => Ok(false),
            Ok(bytes) => {
                lines.add(&record[..bytes]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            // Records were overwritten before we came: what follows is still to be read. An
            // interruption is none.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Whole lines out of what was read.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > LINE_BYTES_MAX && !self.bytes.contains(&b'\n') {
            self.bytes.clear();
        }
    }

    fn next(&mut self) -> Option<String> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_xid_is_read_as_the_driver_writes_it() {
        for (line, found) in [
            (
                "3,1234,98765,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, \
                 GPU has fallen off the bus.",
                Some(((0, 0x3b, 0), 79)),
            ),
            ("NVRM: Xid (PCI:0001:c1:1f): 31, pid=77", Some(((1, 0xc1, 0x1f), 31))),
            ("NVRM: Xid (0000:03:00.0): 13", Some(((0, 3, 0), 13))),
            ("NVRM: Xid (PCI:0000:3b:00): , pid=1", None),
            ("NVRM: Xid (PCI:nothing): 79,", None),
            ("NVRM: GPU 0000:3b:00.0: RmInitAdapter failed!", None),
            ("", None),
        ] {
            assert_eq!(parse(line), found, "{line}");
        }
    }

    #[test]
    fn lines_come_out_whole_however_they_are_read() {
        let mut lines = Lines::default();
        lines.add(b"NVRM: Xid (PCI:0000:3b:");
        assert_eq!(lines.next(), None);
        lines.add(b"00): 79, pid\nnext");
        assert_eq!(lines.next().and_then(|line| parse(&line)), Some(((0, 0x3b, 0), 79)));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn what_stood_in_the_log_before_is_not_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(KernelLog::open(dir.path()).err(), Some(Absence::NotPresent));
        std::fs::create_dir(dir.path().join("dev")).unwrap();
        let path = dir.path().join("dev/kmsg");
        std::fs::write(&path, "NVRM: Xid (PCI:0000:01:00): 13, old\n").unwrap();
        let log = KernelLog::open(dir.path()).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let devices = BTreeMap::from([((0, 1, 0), 4)]);
        log.start(devices, move |device, _, code| tell.send((device, code)).unwrap()).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(
            &mut file,
            b"NVRM: Xid (PCI:0000:02:00): 48, whose?\nNVRM: Xid (PCI:0000:01:00): 79, ours\n",
        )
        .unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok((4, 79)));
    }
}
