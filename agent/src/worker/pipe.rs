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
    use proptest::prelude::*;
    use proto::v1;

    proptest! {
        #[test]
        fn any_bytes_on_the_pipe_end_or_fail_and_are_read_no_further_than_they_go(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            lengths in prop::collection::vec(0u32..64, 0..8),
        ) {
            // Noise alone dies of its first length; noise in frames reaches the decoder.
            let framed: Vec<u8> = lengths
                .iter()
                .flat_map(|length| {
                    let body = bytes.iter().cycle().take(*length as usize).copied();
                    let body: Vec<u8> = body.collect();
                    [(body.len() as u32).to_le_bytes().to_vec(), body].concat()
                })
                .collect();
            for mut reader in [bytes.as_slice(), framed.as_slice()] {
                let most = reader.len() / 4 + 1;
                let frames = (0..=most)
                    .map_while(|_| read_frame::<v1::WorkerCommand>(&mut reader).ok().flatten())
                    .count();
                prop_assert!(frames <= most, "frames out of nothing");
            }
        }

        #[test]
        fn a_command_with_a_wrong_byte_is_another_command_or_an_error(
            at in 0usize..64, flip in 1u8..,
        ) {
            let listen = v1::WorkerListen {
                address: "127.0.0.1:9000".into(),
                source_port_base: 10_240,
                data_token: vec![7; 32],
                congestion: "cubic".into(),
            };
            let kind = Some(v1::worker_command::Kind::Listen(listen));
            let command = v1::WorkerCommand { kind };
            let mut pipe = Vec::new();
            write_frame(&mut pipe, &command).unwrap();
            let at = at % pipe.len();
            pipe[at] ^= flip;
            let read = read_frame::<v1::WorkerCommand>(&mut pipe.as_slice());
            prop_assert!(read.map_or(true, |read| read != Some(command)));
        }
    }

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
