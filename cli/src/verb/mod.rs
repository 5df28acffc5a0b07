//! One verb a file.

pub mod agents;
pub mod local;
pub mod report;
pub mod resume;
pub mod run;
pub mod runs;
pub mod serve;
pub mod site;
pub mod stop;
pub mod watch;
