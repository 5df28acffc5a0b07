//! Interlocks: which reading of the building or of a device ends heat, and how.
//!
//! `machine` decides (pure), `follow` brings the meters in. What a trip does is the hall's.

mod follow;
mod machine;
mod reading;
mod scope;
mod series;

pub(crate) use follow::follow;
pub(crate) use machine::{Interlocks, Trip};
pub(crate) use reading::{Heard, Source, Value, is_trusted, of_meter, of_status};
