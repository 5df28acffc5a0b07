//! What the `loadbank` binary is made of, apart from its verbs.

pub mod report;
