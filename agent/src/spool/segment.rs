//! A segment: one file with batches of one stream, and where in it they lie.
//!
//! ```text
//! "LBSPOOL1" header_len:u32 header_crc:u32 header frame frame frame ...
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::id::{AgentInstance, RunId};
use prost::Message;

use super::StreamKey;
use super::disk::{Disk, sync_dir};
use super::frame::{self, Frame};

const MAGIC: &[u8; 8] = b"LBSPOOL1";
const HEAD_BYTES: usize = 16;
const SUFFIX: &str = "seg";

/// What a segment says about itself. Fields are added, never reused.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    run: String,
    #[prost(string, tag = "2")]
    instance: String,
    /// The kernel's boot id when it was written.
    #[prost(string, tag = "3")]
    boot_id: String,
    #[prost(uint64, tag = "4")]
    first_seq: u64,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) stream: StreamKey,
    pub(super) boot_id: String,
    pub(super) first_seq: u64,
    /// In ascending `seq`; a hole is damage.
    pub(super) frames: Vec<Frame>,
    pub(super) bytes: u64,
}

/// A segment found at start.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) segment: Segment,
    /// Bytes behind the last good frame.
    pub(super) torn_bytes: u64,
}

/// The open end of a segment.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) number: u64,
    file: File,
    bytes: u64,
    /// Of them safe from loss of power.
    pub(super) synced_bytes: u64,
}

impl Segment {
    /// The last batch in it; the one before its first where it is empty.
    pub(super) fn last_seq(&self) -> u64 {
        self.frames.last().map_or(self.first_seq.saturating_sub(1), |frame| frame.seq)
    }

    /// Makes a segment, its name already durable.
    pub(super) fn create(
        disk: &Disk,
        dir: &Path,
        number: u64,
        stream: &StreamKey,
        boot_id: &str,
        first_seq: u64,
    ) -> io::Result<(Self, Writer)> {
        let path = dir.join(format!("{number:016}.{SUFFIX}"));
        let header = encode_header(stream, boot_id, first_seq);
        // With append, a truncated file goes on at its new end.
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        let written = disk.write_all(&mut file, &header).and_then(|()| sync_dir(dir));
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let segment = Self {
            path,
            stream: stream.clone(),
            boot_id: boot_id.to_owned(),
            first_seq,
            frames: Vec::new(),
            bytes: header.len() as u64,
        };
        let writer = Writer { number, file, bytes: segment.bytes, synced_bytes: 0 };
        Ok((segment, writer))
    }

    /// Reads a segment whole; `None` where it does not say whose it is.
    pub(super) fn load(path: &Path) -> io::Result<Option<Loaded>> {
        let bytes = fs::read(path)?;
        let Some((header, begin)) = decode_header(&bytes) else { return Ok(None) };
        let scan = frame::scan(&bytes, begin);
        let segment = Self {
            path: path.to_owned(),
            stream: StreamKey { run: RunId(header.run), instance: AgentInstance(header.instance) },
            boot_id: header.boot_id,
            first_seq: header.first_seq,
            frames: scan.frames,
            bytes: bytes.len() as u64,
        };
        let torn_bytes = (bytes.len() - scan.good_end) as u64;
        Ok(Some(Loaded { segment, torn_bytes }))
    }

    /// Cuts bytes off the end of the file.
    pub(super) fn cut(&mut self, torn_bytes: u64) -> io::Result<()> {
        let good_end = self.bytes - torn_bytes;
        OpenOptions::new().write(true).open(&self.path)?.set_len(good_end)?;
        self.bytes = good_end;
        Ok(())
    }

    /// Appends a batch. Where that fails the file is as it was, or the writer must go.
    pub(super) fn append(
        &mut self,
        disk: &Disk,
        writer: &mut Writer,
        (seq, records, payload_len): (u64, u32, u32),
        frame: &[u8],
    ) -> Result<(), Failed> {
        if let Err(error) = disk.write_all(&mut writer.file, frame) {
            let whole = writer.file.set_len(self.bytes).is_ok();
            return Err(Failed { error, whole });
        }
        let offset = self.bytes as u32;
        self.frames.push(Frame { seq, records, offset, payload_len });
        self.bytes += frame.len() as u64;
        writer.bytes = self.bytes;
        Ok(())
    }

    /// The payload of one of its frames; `None` where it is damaged by now.
    pub(super) fn read(file: &File, frame: &Frame) -> Option<Vec<u8>> {
        let mut bytes = vec![0; frame.total_bytes()];
        file.read_exact_at(&mut bytes, u64::from(frame.offset)).ok()?;
        frame::payload(&bytes).map(<[u8]>::to_vec)
    }
}

/// A write that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: io::Error,
    /// Whether the file ends with its last good frame.
    pub(super) whole: bool,
}

impl Writer {
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.synced_bytes < self.bytes {
            self.file.sync_data()?;
            self.synced_bytes = self.bytes;
        }
        Ok(())
    }
}

/// Bytes that a segment of this stream needs before its first batch.
pub(super) fn header_bytes(stream: &StreamKey, boot_id: &str) -> usize {
    encode_header(stream, boot_id, u64::MAX).len()
}

/// The number in a segment's name.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    let is_segment = path.extension().is_some_and(|suffix| suffix == SUFFIX);
    is_segment.then_some(path.file_stem()?.to_str()?.parse().ok()?)
}

fn encode_header(stream: &StreamKey, boot_id: &str, first_seq: u64) -> Vec<u8> {
    let header = Header {
        run: stream.run.0.clone(),
        instance: stream.instance.0.clone(),
        boot_id: boot_id.to_owned(),
        first_seq,
    }
    .encode_to_vec();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    bytes.extend(header);
    bytes
}

fn decode_header(bytes: &[u8]) -> Option<(Header, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let end = HEAD_BYTES.checked_add(word(8)? as usize)?;
    let header = bytes.get(HEAD_BYTES..end)?;
    (crc32fast::hash(header) == word(12)?).then_some(())?;
    Some((Header::decode(header).ok()?, end))
}
