//! What a kernel is told and what it tells: the layouts of `agent/kernels/launch.cuh`.

/// No tile spoils its work.
pub const NO_TILE: u32 = u32::MAX;
/// The flaw is of a whole tile, not of one of its threads.
pub const NO_PLACE: u32 = u32::MAX;

/// The one parameter of every kernel, by value. Device addresses; 0 = none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Launch {
    /// Operand pool of the tensor kernels: whole slices of [`super::SLICE_BYTES`].
    pub operands: u64,
    pub operand_bytes: u64,
    /// Region of `lb_stream`, `lb_l2`, `lb_mix` and `lb_memory`: whole chunks of
    /// [`super::CHUNK_BYTES`], at least one a tile.
    pub buffer: u64,
    pub buffer_bytes: u64,
    /// `u64[tiles]`: what each tile's hash must be; 0 = do not compare.
    pub golden: u64,
    /// `u64[tiles]`: each tile's hash, unwritten where the tile was stopped.
    pub hashes: u64,
    /// `u32` count, `u32` capacity, `Flaw[capacity]`. The count goes on beyond the capacity.
    pub flaws: u64,
    /// `u64[2 * tiles]`: the GPU's nanoseconds at each tile's begin and end.
    pub stamps: u64,
    /// A `u32` of the host, mapped: not 0 = leave after this iteration.
    pub stop: u64,
    /// Iterations of each tile.
    pub iterations: u32,
    /// Blocks of the grid.
    pub tiles: u32,
    pub seed: u32,
    /// `lb_mix`: of the iterations, per mille of the tensor warps; the rest stream.
    pub share: u32,
    /// The tile that spoils its own work, [`NO_TILE`] for none.
    pub inject_tile: u32,
    /// An [`Inject`] as a number.
    pub inject_kind: u32,
    pub inject_iteration: u32,
    /// `lb_fill`: a [`Fill`] as a number. `lb_memory`: the pass. `lb_stream`, `lb_l2`: where
    /// the walk begins, in launches of as many iterations (0 = at the first chunk).
    pub pass: u32,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            operands: 0,
            operand_bytes: 0,
            buffer: 0,
            buffer_bytes: 0,
            golden: 0,
            hashes: 0,
            flaws: 0,
            stamps: 0,
            stop: 0,
            iterations: 0,
            tiles: 0,
            seed: 0,
            share: 0,
            inject_tile: NO_TILE,
            inject_kind: Inject::Nothing as u32,
            inject_iteration: 0,
            pass: 0,
        }
    }
}

/// What `lb_fill` fills with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Fill {
    /// The operand pool with bf16 numbers: signed, of mean 0, full mantissa.
    Bf16 = 0,
    /// The operand pool with bf16 numbers -4 ..= 4, whose sums are exact: the self-test.
    Integers = 1,
    /// The operand pool with fair bytes.
    Bytes = 2,
    /// The buffer with what the streaming kernels expect to find.
    Stream = 3,
}

/// How a tile spoils its own work, to prove that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Inject {
    Nothing = 0,
    /// One bit of one accumulator (of `lb_memory`: as `Word`).
    Flip = 1,
    /// A NaN in one accumulator; integers have none: as `Flip`.
    NotANumber = 2,
    /// One bit of one operand or one word of the buffer. What lies in device memory stays
    /// wrong until it is filled again; the FMA kernels have none: as `Flip`.
    Word = 3,
}

/// One thing that a kernel found wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Flaw {
    pub expected: u64,
    pub got: u64,
    /// The GPU's own nanoseconds.
    pub at_ns: u64,
    pub tile: u32,
    /// The streaming multiprocessor that ran the tile.
    pub sm: u32,
    /// Warp * 32 + lane; [`NO_PLACE`] of a hash; of a word its number within the tile.
    pub warp_lane: u32,
    /// A [`FlawKind`] as a number.
    pub kind: u32,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlawKind {
    /// A tile's hash is not the golden one.
    Hash,
    /// A word of memory is not what was written there.
    Word,
    /// An accumulator is NaN or infinite.
    NotFinite,
}

impl Flaw {
    /// The kind, where the number is one.
    #[must_use]
    pub fn kind(&self) -> Option<FlawKind> {
        [FlawKind::Hash, FlawKind::Word, FlawKind::NotFinite].get(self.kind as usize).copied()
    }

    /// Of a wrong word: how many bytes into the buffer it lies, in a launch of `tiles`.
    #[must_use]
    pub fn word_offset(&self, tiles: u32) -> Option<u64> {
        let word = u64::from(self.warp_lane);
        let words = super::CHUNK_BYTES / 8;
        let chunk = u64::from(self.tile) + word / words * u64::from(tiles);
        (self.kind() == Some(FlawKind::Word)).then_some((chunk * words + word % words) * 8)
    }
}

const _: () = assert!(size_of::<Launch>() == 104 && align_of::<Launch>() == 8);
const _: () = assert!(size_of::<Flaw>() == 40 && align_of::<Flaw>() == 8);
