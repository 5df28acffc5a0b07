//! Reports: a judged run, written down. One form per file; none of them judges.

pub mod compare;
pub mod csv;
pub mod dossier;
pub mod hlog;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod review;
pub mod text;
mod words;
mod xml;
