//! Which instructions this machine has. Owns the proof that a SIMD path may be called.

/// The widest vector path that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// 512-bit fused multiply-add (AVX-512F).
    Avx512,
    /// 256-bit fused multiply-add (AVX2 and FMA).
    Avx2,
    /// `f64::mul_add`: whatever the compiler's baseline gives, same bits.
    Portable,
}

/// A path that this machine was seen to have. Only detection makes one, so a kernel may
/// take its existence as the proof that calling the path is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Isa(Path);

impl Isa {
    /// Every path of this machine, widest first.
    pub(super) fn available() -> Vec<Self> {
        [Path::Avx512, Path::Avx2, Path::Portable]
            .into_iter()
            .filter(|path| present(*path))
            .map(Self)
            .collect()
    }

    /// The widest path of this machine.
    pub(super) fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self(Path::Portable))
    }

    pub(super) fn path(self) -> Path {
        self.0
    }

    /// The word in logs and benchmarks.
    pub(super) fn word(self) -> &'static str {
        match self.0 {
            Path::Avx512 => "avx512f",
            Path::Avx2 => "avx2+fma",
            Path::Portable => "portable",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn present(path: Path) -> bool {
    match path {
        Path::Avx512 => is_x86_feature_detected!("avx512f"),
        Path::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        Path::Portable => true,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn present(path: Path) -> bool {
    path == Path::Portable
}
