//! What can go wrong on the data plane. Every failure names the step that failed.

use std::io;

/// A failure of one step on the data plane.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// The kernel said no.
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
    /// The other side is gone.
    #[error("{0}: the peer closed the connection")]
    Closed(&'static str),
    /// Nothing moved for as long as we are willing to wait.
    #[error("{step}: nothing happened for {waited_ms} ms")]
    TimedOut { step: &'static str, waited_ms: u64 },
    /// We were told to stop: no fault of anybody.
    #[error("stopped")]
    Stopped,
    /// The other side said something that makes no sense here, or the order does not.
    #[error("{0}")]
    Nonsense(String),
}

impl FabricError {
    /// Wraps an error of the kernel; for `map_err`.
    pub fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { step, source }
    }

    /// Whether the peer went away, which also happens when it was stopped before us.
    #[must_use]
    pub fn is_departure(&self) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
            ),
            _ => false,
        }
    }
}
