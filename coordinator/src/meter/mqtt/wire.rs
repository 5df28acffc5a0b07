//! MQTT 3.1.1 as far as a listener needs it: pure.
//!
//! Only what asks to listen can be written here. There is no PUBLISH to send: whatever else is
//! wrong, nothing of ours can act on the plant.

/// Largest packet that is taken in: a value is a hundred bytes, metadata a thousand.
pub(super) const PACKET_BYTES_MAX: usize = 256 << 10;

/// What a broker sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    /// Zero: come in.
    ConnAck {
        code: u8,
    },
    SubAck {
        codes: Vec<u8>,
    },
    Publish(Message),
    /// That it heard that we are there.
    PingResp,
}

/// Something published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Kept by the broker from before: no sign of life.
    pub(super) retained: bool,
    /// To be acknowledged under this number.
    pub(super) id: Option<u16>,
}

/// Why bytes are no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error("a packet of {0} bytes")]
    TooLong(usize),
    #[error("no MQTT: {0}")]
    Malformed(&'static str),
}

/// Asks to come in, with a fresh session.
pub(super) fn connect(client: &str, login: Option<(&str, &str)>, keep_alive_s: u16) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    // Protocol level of 3.1.1.
    body.push(4);
    // Clean session; user and password.
    body.push(if login.is_some() { 0b1100_0010 } else { 0b0000_0010 });
    body.extend(keep_alive_s.to_be_bytes());
    text(&mut body, client);
    if let Some((user, password)) = login {
        text(&mut body, user);
        text(&mut body, password);
    }
    packet(0x10, &body)
}

/// Asks for a filter's messages, each at least once.
pub(super) fn subscribe(id: u16, filter: &str) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    text(&mut body, filter);
    body.push(1);
    packet(0x82, &body)
}

/// Says that a message has come.
pub(super) fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// Says that we are still there.
pub(super) fn ping() -> Vec<u8> {
    packet(0xC0, &[])
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A text with its length, cut where the length can't say it.
fn text(body: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    body.extend((bytes.len() as u16).to_be_bytes());
    body.extend_from_slice(bytes);
}

/// The packet at the beginning of what came, and how many bytes it took; `None` until it is
/// whole.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Packet, usize)>, WireError> {
    // Everything else is for those who publish: we don't.
    if !bytes.first().is_none_or(|first| matches!(first >> 4, 2 | 3 | 9 | 13)) {
        return Err(WireError::Malformed("a packet that no listener is sent"));
    }
    let Some((length, head)) = length(bytes)? else { return Ok(None) };
    if length > PACKET_BYTES_MAX {
        return Err(WireError::TooLong(length));
    }
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    let packet = match bytes[0] >> 4 {
        2 => Packet::ConnAck { code: *body.get(1).ok_or(WireError::Malformed("a short CONNACK"))? },
        9 => Packet::SubAck {
            codes: body.get(2..).ok_or(WireError::Malformed("a short SUBACK"))?.to_vec(),
        },
        3 => Packet::Publish(message(bytes[0], body)?),
        _ => Packet::PingResp,
    };
    Ok(Some((packet, head + length)))
}

/// The remaining length, and at which byte the rest begins.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    let mut length = 0;
    for at in 0..4 {
        let Some(byte) = bytes.get(1 + at) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, 2 + at)));
        }
    }
    Err(WireError::Malformed("a length of more than four bytes"))
}

fn message(first: u8, body: &[u8]) -> Result<Message, WireError> {
    let short = WireError::Malformed("a short PUBLISH");
    let (size, rest) = body.split_first_chunk::<2>().ok_or(short.clone())?;
    let size = usize::from(u16::from_be_bytes(*size));
    let (topic, rest) = rest.split_at_checked(size).ok_or(short.clone())?;
    let topic =
        std::str::from_utf8(topic).map_err(|_| WireError::Malformed("a topic of no text"))?;
    let (id, payload) = match first >> 1 & 3 {
        0 => (None, rest),
        1 => {
            let (id, payload) = rest.split_first_chunk::<2>().ok_or(short)?;
            (Some(u16::from_be_bytes(*id)), payload)
        }
        _ => return Err(WireError::Malformed("a message of a service that was not asked for")),
    };
    let retained = first & 1 == 1;
    Ok(Message { topic: topic.to_owned(), payload: payload.to_vec(), retained, id })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn asking_to_come_in_is_as_the_standard_says() {
        // OASIS MQTT 3.1.1, 3.1: header, "MQTT", level, flags, keep alive, client, user, password.
        let expected = b"\x10\x14\x00\x04MQTT\x04\xC2\x00\x1E\x00\x02lb\x00\x01u\x00\x01p";
        let bytes = connect("lb", Some(("u", "p")), 30);
        assert_eq!(bytes[2..], expected[2..]);
        assert_eq!(usize::from(bytes[1]), bytes.len() - 2);
        assert_eq!(subscribe(7, "a/#"), b"\x82\x08\x00\x07\x00\x03a/#\x01");
        assert_eq!((puback(258), ping()), (b"\x40\x02\x01\x02".to_vec(), b"\xC0\x00".to_vec()));
    }

    #[test]
    fn a_message_comes_whole_or_not_at_all() {
        let bytes = b"\x33\x08\x00\x01t\x00\x09{}x-rest";
        for end in 0..10 {
            assert_eq!(decode(&bytes[..end]), Ok(None), "{end}");
        }
        let (packet, taken) = decode(bytes).unwrap().unwrap();
        let message = Message {
            topic: "t".to_owned(),
            payload: b"{}x".to_vec(),
            retained: true,
            id: Some(9),
        };
        assert_eq!((packet, taken), (Packet::Publish(message), 10));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_there() {
        let header = [0x30, 0xFF, 0xFF, 0x7F];
        assert_eq!(decode(&header), Err(WireError::TooLong(2_097_151)));
        assert!(decode(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01]).is_err());
    }

    proptest! {
        #[test]
        fn bytes_of_anybody_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, taken))) = decode(&bytes) {
                prop_assert!(taken <= bytes.len() && taken > 0);
            }
        }
    }
}
