//! Length-delimited protobuf over a pipe.

use std::io::{self, Read, Write};

use prost::Message;

/// A frame larger than this is damage: a thousand times a usual report.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Writes one message: four bytes of length (little endian), then the message.
///
/// # Errors
/// When the pipe is closed or broken.
pub(super) fn write_frame(pipe: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let body = message.encode_to_vec();
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&body);
    pipe.write_all(&frame)
}

/// Reads one message; `None` when the pipe was closed between messages.
///
/// # Errors
/// When the pipe breaks inside a message or the bytes are no message.
pub(super) fn read_frame<M: Message + Default>(pipe: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match pipe.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame over the limit"));
    }
    let mut body = vec![0; length];
    pipe.read_exact(&mut body)?;
    M::decode(body.as_slice()).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1;

    #[test]
    fn frames_follow_each_other_and_the_end_is_clean() {
        let mut pipe = Vec::new();
        let first = v1::WorkerIdle { at_ns: 7 };
        write_frame(&mut pipe, &first).unwrap();
        write_frame(&mut pipe, &v1::WorkerIdle { at_ns: 8 }).unwrap();
        let mut reader = pipe.as_slice();
        assert_eq!(read_frame::<v1::WorkerIdle>(&mut reader).unwrap(), Some(first));
        assert!(read_frame::<v1::WorkerIdle>(&mut reader).unwrap().is_some());
        assert_eq!(read_frame::<v1::WorkerIdle>(&mut reader).unwrap(), None);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_read() {
        let mut reader = [0xff; 8].as_slice();
        assert!(read_frame::<v1::WorkerIdle>(&mut reader).is_err());
    }
}
