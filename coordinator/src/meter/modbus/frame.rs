//! Bytes of Modbus over TCP: a request that reads registers, and its answer. Pure.
//!
//! Written by hand, and not taken from a crate, because a crate's client can write: here a
//! request has no form but the reading of registers.

use formats::sources::Function;

/// Most registers in one request, by the protocol.
pub(super) const REGISTERS_MAX: u16 = 125;
/// Transaction, protocol, length and unit.
pub(super) const HEAD_BYTES: usize = 7;
/// Longest body that a length can announce: unit, function, count and 250 bytes.
const LENGTH_MAX: u16 = 253;
/// In the function of an answer that is an exception.
const EXCEPTION: u8 = 0x80;

/// Neighbouring registers of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) unit_id: u8,
    pub(super) function: Function,
    pub(super) first: u16,
    /// 1 to [`REGISTERS_MAX`].
    pub(super) count: u16,
}

/// Begin of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) transaction: u16,
    pub(super) unit_id: u8,
    /// Bytes that follow.
    pub(super) body_bytes: usize,
}

/// What a device says to a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Registers(Vec<u16>),
    Exception(u8),
}

/// The bytes that ask for a span.
pub(super) fn request(transaction: u16, span: &Span) -> [u8; 12] {
    let [t0, t1] = transaction.to_be_bytes();
    let [a0, a1] = span.first.to_be_bytes();
    let [c0, c1] = span.count.to_be_bytes();
    // Protocol 0; six bytes follow the length.
    [t0, t1, 0, 0, 0, 6, span.unit_id, span.function.code(), a0, a1, c0, c1]
}

/// Reads an answer's head; `None` when it is no Modbus.
pub(super) fn head(bytes: [u8; HEAD_BYTES]) -> Option<Head> {
    let [t0, t1, p0, p1, l0, l1, unit_id] = bytes;
    let length = u16::from_be_bytes([l0, l1]);
    // Unit, function and one byte more are the least.
    let fits = [p0, p1] == [0, 0] && (3..=LENGTH_MAX).contains(&length);
    let transaction = u16::from_be_bytes([t0, t1]);
    fits.then(|| Head { transaction, unit_id, body_bytes: usize::from(length) - 1 })
}

/// Reads the body of an answer to a span; `None` when it answers something else.
pub(super) fn answer(body: &[u8], span: &Span) -> Option<Answer> {
    let (function, rest) = body.split_first()?;
    if *function == span.function.code() | EXCEPTION {
        return match rest {
            [code] => Some(Answer::Exception(*code)),
            _ => None,
        };
    }
    let (bytes, registers) = rest.split_first()?;
    let right = *function == span.function.code()
        && usize::from(*bytes) == registers.len()
        && registers.len() == usize::from(span.count) * 2;
    let words = registers.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    right.then(|| Answer::Registers(words.collect()))
}

/// What an exception means, by the protocol's table.
pub(super) fn exception_words(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal address",
        3 => "illegal value",
        4 => "device failure",
        5 => "acknowledged, not yet done",
        6 => "device busy",
        8 => "memory parity error",
        10 => "the gateway has no path to it",
        11 => "the gateway got no answer from it",
        _ => "an exception of its own",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPAN: Span = Span { unit_id: 7, function: Function::Input, first: 0x0102, count: 2 };

    #[test]
    fn a_request_is_the_twelve_bytes_of_the_protocol() {
        let bytes = request(0xabcd, &SPAN);
        assert_eq!(bytes, [0xab, 0xcd, 0, 0, 0, 6, 7, 4, 1, 2, 0, 2]);
        // Whatever is asked for, the function reads.
        for function in [Function::Holding, Function::Input] {
            assert!([3, 4].contains(&request(1, &Span { function, ..SPAN })[7]));
        }
    }

    #[test]
    fn an_answer_has_as_many_registers_as_were_asked_for() {
        let right = [4, 4, 0x12, 0x34, 0xff, 0xff];
        assert_eq!(answer(&right, &SPAN), Some(Answer::Registers(vec![0x1234, 0xffff])));
        assert_eq!(answer(&[0x84, 2], &SPAN), Some(Answer::Exception(2)));
        let others: [&[u8]; 7] = [
            &[],
            &[4],
            &[3, 4, 0, 0, 0, 0],
            &[4, 4, 0, 0],
            &[4, 2, 0, 0],
            &[4, 6, 0, 0, 0, 0, 0, 0],
            &[0x84, 2, 2],
        ];
        for other in others {
            assert_eq!(answer(other, &SPAN), None, "{other:?}");
        }
    }

    #[test]
    fn a_head_that_is_no_modbus_is_refused() {
        let right = Head { transaction: 258, unit_id: 9, body_bytes: 6 };
        assert_eq!(head([1, 2, 0, 0, 0, 7, 9]), Some(right));
        assert_eq!(head(*b"HTTP/1."), None);
        assert_eq!(head([1, 2, 0, 0, 0, 2, 9]), None);
        assert_eq!(head([1, 2, 0, 0, 0xff, 0xff, 9]), None);
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused_or_bounded(
            first in any::<[u8; HEAD_BYTES]>(),
            body in prop::collection::vec(any::<u8>(), 0..300),
            count in 1..=REGISTERS_MAX,
        ) {
            if let Some(head) = head(first) {
                prop_assert!((2..256).contains(&head.body_bytes));
            }
            let span = Span { count, ..SPAN };
            if let Some(Answer::Registers(words)) = answer(&body, &span) {
                prop_assert_eq!(words.len(), usize::from(count));
            }
        }

        #[test]
        fn what_was_framed_is_read_back(words in prop::collection::vec(any::<u16>(), 1..=125)) {
            let span = Span { count: words.len() as u16, ..SPAN };
            let mut body = vec![4, words.len() as u8 * 2];
            body.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            prop_assert_eq!(answer(&body, &span), Some(Answer::Registers(words)));
        }
    }
}
