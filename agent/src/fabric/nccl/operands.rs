//! What each operation sends, what it must bring back, and how large both are.
//!
//! Elements are small whole numbers as 32-bit floats: sums of up to 65,000 ranks are exact in
//! any order, so that every element of a result is known in advance.

use model::collective::CollectiveOp;

use super::communicator::Seat;
use super::library::NcclError;

/// Values repeat after so many elements: a prime, so that no part of a buffer looks like its
/// neighbour.
const PERIOD: u64 = 251;
/// Sums stay below 2^24 up to here.
const RANKS_MAX: u32 = 65_536;
/// Bytes of an element.
const ELEMENT: u64 = 4;

/// The sizes of one rank's buffers, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) sent: usize,
    pub(super) received: usize,
    /// What one rank contributes or gets of a scattered buffer.
    pub(super) part: usize,
    /// What really moves, in the sense of [`CollectiveOp`]: the plan's bytes less what does
    /// not divide by the ranks.
    pub(super) bytes: u64,
}

impl Sizes {
    /// The sizes of an operation over so many bytes.
    ///
    /// # Errors
    /// When there is less than an element for each rank, or more ranks than sums allow.
    pub(super) fn of(op: CollectiveOp, bytes: u64, seat: Seat) -> Result<Self, NcclError> {
        let nonsense = || {
            let ranks = seat.world_size;
            NcclError::Nonsense(format!("{} of {bytes} bytes by {ranks} ranks", op.word()))
        };
        if seat.rank >= seat.world_size || seat.world_size > RANKS_MAX {
            return Err(nonsense());
        }
        let all = usize::try_from(bytes / ELEMENT).map_err(|_| nonsense())?;
        let part = all / seat.world_size as usize;
        let whole = part * seat.world_size as usize;
        let (sent, received) = match op {
            CollectiveOp::AllReduce | CollectiveOp::SendReceive => (all, all),
            CollectiveOp::AllGather => (part, whole),
            CollectiveOp::ReduceScatter => (whole, part),
            CollectiveOp::AllToAll => (whole, whole),
        };
        if sent == 0 || received == 0 {
            return Err(nonsense());
        }
        Ok(Self { sent, received, part, bytes: sent.max(received) as u64 * ELEMENT })
    }
}

/// Element `at` of what a rank sends.
pub(super) fn value(rank: u32, at: usize) -> f32 {
    ((at as u64 + u64::from(rank) * 17) % PERIOD) as f32
}

/// Element `at` of what a rank must have received.
pub(super) fn expected(op: CollectiveOp, seat: Seat, sizes: Sizes, at: usize) -> f32 {
    let Seat { rank, world_size } = seat;
    match op {
        CollectiveOp::AllReduce => sum(world_size, at),
        CollectiveOp::ReduceScatter => sum(world_size, rank as usize * sizes.part + at),
        CollectiveOp::AllGather => value((at / sizes.part) as u32, at % sizes.part),
        CollectiveOp::AllToAll => {
            value((at / sizes.part) as u32, rank as usize * sizes.part + at % sizes.part)
        }
        CollectiveOp::SendReceive => value((rank + world_size - 1) % world_size, at),
    }
}

fn sum(world_size: u32, at: usize) -> f32 {
    (0..world_size).map(|rank| value(rank, at)).sum()
}

/// Elements of a result that are not what they must be; a NaN is wrong like any other. A
/// period of expectations serves the whole buffer.
pub(super) fn wrong(op: CollectiveOp, seat: Seat, sizes: Sizes, got: &[f32]) -> u64 {
    let exact = |at: usize| expected(op, seat, sizes, at);
    let reduces = matches!(op, CollectiveOp::AllReduce | CollectiveOp::ReduceScatter);
    let table: Vec<f32> = if reduces { (0..PERIOD as usize).map(exact).collect() } else { vec![] };
    let right = |at: usize, got: f32| {
        let must = if reduces { table[at % PERIOD as usize] } else { exact(at) };
        got.to_bits() == must.to_bits()
    };
    got.iter().enumerate().filter(|(at, got)| !right(*at, **got)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a library would bring, by the definition of each operation.
    fn result(op: CollectiveOp, seat: Seat, sizes: Sizes) -> Vec<f32> {
        let ranks = seat.world_size;
        let sent = |rank: u32| (0..sizes.sent).map(move |at| value(rank, at));
        match op {
            CollectiveOp::AllReduce => reduced(ranks, sizes.sent),
            CollectiveOp::ReduceScatter => {
                let from = seat.rank as usize * sizes.part;
                reduced(ranks, sizes.sent)[from..from + sizes.part].to_vec()
            }
            CollectiveOp::AllGather => (0..ranks).flat_map(sent).collect(),
            CollectiveOp::AllToAll => (0..ranks)
                .flat_map(|rank| sent(rank).skip(seat.rank as usize * sizes.part).take(sizes.part))
                .collect(),
            CollectiveOp::SendReceive => sent((seat.rank + ranks - 1) % ranks).collect(),
        }
    }

    fn reduced(ranks: u32, elements: usize) -> Vec<f32> {
        (0..elements).map(|at| (0..ranks).map(|rank| value(rank, at)).sum()).collect()
    }

    proptest! {
        #[test]
        fn what_is_expected_is_what_the_definitions_say(
            world_size in 1u32..9,
            rank in 0u32..9,
            elements in 9u64..600,
            op in 0usize..5,
            flip in any::<prop::sample::Index>(),
        ) {
            let seat = Seat { rank: rank % world_size, world_size };
            let op = CollectiveOp::ALL[op];
            let sizes = Sizes::of(op, elements * 4, seat).unwrap();
            let mut got = result(op, seat, sizes);
            prop_assert_eq!(got.len(), sizes.received);
            prop_assert_eq!(wrong(op, seat, sizes, &got), 0);
            let at = flip.index(got.len());
            got[at] = f32::from_bits(got[at].to_bits() ^ 1);
            prop_assert_eq!(wrong(op, seat, sizes, &got), 1);
            got[at] = f32::NAN;
            prop_assert_eq!(wrong(op, seat, sizes, &got), 1);
        }
    }

    #[test]
    fn sizes_are_the_definitions_of_nccl_tests() {
        let seat = Seat { rank: 1, world_size: 4 };
        let sizes = |op| Sizes::of(op, 4_000, seat).unwrap();
        let gathered = sizes(CollectiveOp::AllGather);
        assert_eq!((gathered.sent, gathered.received, gathered.bytes), (250, 1_000, 4_000));
        assert_eq!(sizes(CollectiveOp::ReduceScatter).received, 250);
        let odd = Sizes::of(CollectiveOp::AllToAll, 4_004, seat).unwrap();
        assert_eq!(odd.bytes, 4_000);
    }

    #[test]
    fn too_little_for_all_ranks_is_nonsense() {
        let seat = Seat { rank: 0, world_size: 8 };
        assert!(Sizes::of(CollectiveOp::AllGather, 16, seat).is_err());
        assert!(Sizes::of(CollectiveOp::AllReduce, 16, Seat { rank: 8, world_size: 8 }).is_err());
    }
}
