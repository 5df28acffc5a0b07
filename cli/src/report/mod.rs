//! Reports: a judged run, written down. One form per file; none of them judges.

pub mod compare;
pub mod json;
pub mod review;
pub mod text;
