//! The documents and tables that people hand us or take away.
//!
//! Documents: [`plan`], [`site`], [`policy`], [`permit`], [`interlocks`] and [`sources`] are TOML; every problem of one names its
//! file, its line and how to mend it. Tables: [`samples`], [`pairs`] and [`meters`] are
//! CSV or Parquet, read and written in batches, so that a table larger than memory works.
//!
//! Records of a building ([`inventory`]) become a first site file, or are held against one.
//!
//! Refuses judging, and being linked by the agent: the columnar libraries stay off the nodes.

mod document;
mod document_error;
pub mod hostlist;
mod instant;
pub mod interlocks;
pub mod inventory;
pub mod meters;
mod nearest;
pub mod pairs;
pub mod permit;
pub mod plan;
pub mod policy;
pub mod samples;
pub mod site;
pub mod sources;
mod table;
mod table_error;

pub use document::DOCUMENT_BYTES_MAX;
pub use document_error::{DocumentError, DocumentErrors};
pub use meters::{MeterFollower, MeterReader, MeterRow, MeterWriter};
pub use nearest::{meant_column, nearest};
pub use pairs::{PairReader, PairRow, PairWriter};
pub use samples::{SampleChunks, SampleFacts, SampleReader, SampleRow, SampleWriter};
pub use table::{BATCH_ROWS, Column, Followed, Row, TableFollower, TableReader, TableWriter};
pub use table_error::{TableError, TablePlace};
