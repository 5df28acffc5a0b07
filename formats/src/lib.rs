//! The documents and tables that people hand us or take away.
//!
//! Documents: [`plan`], [`site`] and [`policy`] are TOML; every problem of one names its
//! file, its line and how to mend it. Tables: [`samples`], [`pairs`] and [`meters`] are
//! CSV or Parquet, read and written in batches, so that a table larger than memory works.
//!
//! Refuses judging, and being linked by the agent: the columnar libraries stay off the nodes.

mod document;
mod document_error;
mod hostlist;
mod nearest;
pub mod plan;
pub mod policy;
pub mod site;

pub use document::DOCUMENT_BYTES_MAX;
pub use document_error::{DocumentError, DocumentErrors};
