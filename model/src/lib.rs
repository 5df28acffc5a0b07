//! The ground floor: the words of loadbank, and nothing that acts.
//!
//! Owns units, ids, the site graph, plan, records, latency histogram, collective
//! formulas, finding and verdict. Refuses I/O, clocks, async and logging: every
//! function here is a pure function of its arguments.

pub mod collective;
pub mod course;
pub mod coverage;
pub mod experiment;
pub mod facts;
pub mod finding;
pub mod gauge;
pub mod histogram;
pub mod id;
pub mod interlock;
pub mod load;
pub mod lot;
pub mod permit;
pub mod plan;
pub mod policy;
pub mod reading;
pub mod record;
pub mod report;
pub mod rounds;
pub mod sample_columns;
pub mod site;
pub mod table;
pub mod target;
pub mod waveform;
pub mod xid;

pub use facts::{RunFacts, Source};
pub use finding::{Blame, Finding, FindingKind, Severity, Standing, Verdict};
pub use gauge::Gauge;
pub use histogram::LatencyHistogram;
pub use id::{AgentInstance, DeviceId, NodeName, RunId};
pub use load::Kernel;
pub use plan::{Phase, PhaseKind, Plan, Requirement};
pub use policy::Policy;
pub use reading::{Absence, Reading};
pub use record::{Record, Records};
pub use report::Report;
pub use sample_columns::{Metric, SampleColumns};
pub use site::Site;
pub use table::{MeterRow, PairRow, SampleRow};
pub use waveform::Waveform;
pub use xid::Xid;
