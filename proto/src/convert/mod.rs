//! The one door between wire and model. Everything that enters is checked here.

mod load;
mod reading;
mod record;
mod sample;

pub use load::{kernel_from_word, load_from_wire, load_to_wire};
pub use reading::{absence_from_wire, absence_to_wire};
pub use record::{record_from_wire, record_to_wire, records_from_batch, records_to_bytes};

/// A message that arrived and does not make sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConvertError {
    #[error("a required part is missing: {0}")]
    Missing(&'static str),
    #[error("unknown {what} {word:?}")]
    Unknown { what: &'static str, word: String },
    #[error("not decodable: {0}")]
    Undecodable(String),
    #[error(transparent)]
    Histogram(#[from] model::histogram::HistogramError),
}
