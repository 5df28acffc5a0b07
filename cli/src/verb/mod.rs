//! One verb a file.

pub mod agents;
pub mod analyze;
pub mod compare;
pub mod local;
pub mod manual;
pub mod mark;
pub mod meters;
pub mod pki;
pub mod rehearse;
pub mod release;
pub mod report;
pub mod resume;
pub mod review;
pub mod run;
pub mod runs;
pub mod serve;
pub mod site;
pub mod stop;
pub mod sweep;
pub mod watch;
