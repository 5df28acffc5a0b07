//! Why a verb ended without a verdict, and the exit code that says so.

use std::fmt;

/// A failure for a person to read, with the exit code for a script.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub words: String,
}

/// Usage or invalid input.
const USAGE: u8 = 2;
/// Infrastructure: sockets, disks, a coordinator that is not there.
const INFRASTRUCTURE: u8 = 4;

impl Failure {
    /// Something the operator typed or wrote is wrong.
    pub fn usage(words: impl fmt::Display) -> Self {
        Self { code: USAGE, words: words.to_string() }
    }

    /// Something that should work does not.
    pub fn infrastructure(words: impl fmt::Display) -> Self {
        Self { code: INFRASTRUCTURE, words: words.to_string() }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            tonic::Code::InvalidArgument | tonic::Code::NotFound => Self::usage(status.message()),
            tonic::Code::Unavailable | tonic::Code::Unknown => Self::infrastructure(format!(
                "the coordinator does not answer: {}",
                status.message()
            )),
            _ => Self::infrastructure(status.message()),
        }
    }
}

impl From<coordinator::store::StoreError> for Failure {
    fn from(error: coordinator::store::StoreError) -> Self {
        match error {
            coordinator::store::StoreError::NotARun { .. } => Self::usage(error),
            other => Self::infrastructure(other),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
