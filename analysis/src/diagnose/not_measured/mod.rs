//! What was not measured, each with its reason, and which requirement it leaves unmet.
//!
//! One list serves twice: all of it stands in the report, and what a requirement of the
//! plan needed makes the verdict INCONCLUSIVE. So nothing can be missing quietly.

mod attendance;
mod building;
mod drills;
mod fabric;
mod impossible;
mod load;
mod node;
mod sensors;
mod stops;
mod tables;

use model::facts::Source;
use model::plan::Requirement;
use model::report::NotMeasured;

use crate::case::Case;

/// Something without a value.
pub(crate) struct Gap {
    pub(crate) line: NotMeasured,
    pub(crate) concerns: Concern,
}

/// Whom a gap concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concern {
    /// A run with this gap shows nothing, whatever the plan requires.
    Everybody,
    /// Plans that require this.
    Requiring(Requirement),
    /// Nobody yet: told, so that nobody believes it was looked at.
    Nobody,
}

impl Gap {
    pub(crate) fn new(what: &str, why: impl Into<String>, concerns: Concern) -> Self {
        let requirement = match concerns {
            Concern::Requiring(requirement) => Some(requirement),
            Concern::Everybody | Concern::Nobody => None,
        };
        let (what, why) = (what.to_owned(), why.into());
        Self { line: NotMeasured { what, why, requirement, needed: false }, concerns }
    }

    /// A gap that concerns nobody yet.
    pub(crate) fn told(what: &str, why: impl Into<String>) -> Self {
        Self::new(what, why, Concern::Nobody)
    }

    /// The report's line.
    pub(crate) fn told_of(self, case: &Case) -> NotMeasured {
        let needed = self.matters(case);
        NotMeasured { needed, ..self.line }
    }

    /// Whether it keeps this plan from READY.
    pub(crate) fn matters(&self, case: &Case) -> bool {
        match self.concerns {
            Concern::Everybody => true,
            Concern::Requiring(requirement) => case.requires(requirement),
            Concern::Nobody => false,
        }
    }
}

/// Every gap of a case, in the order of their names.
pub(crate) fn gaps(case: &Case) -> Vec<Gap> {
    let mut gaps = match case.facts.source {
        Source::Agents => of_agents(case),
        Source::Tables | Source::Rehearsal => tables::tables(case),
    };
    gaps.extend(impossible::impossible(case));
    gaps.extend(crate::measured::power::not_held(case));
    gaps.extend(building::building(case));
    gaps.extend(building::meters(case));
    gaps.extend(building::meter_clocks(case));
    gaps.extend(crate::experiments::wiring::gaps(case));
    gaps.extend(fabric::pair_tables(case));
    gaps.sort_by(|a, b| a.line.cmp(&b.line));
    gaps
}

/// What agents of ours should have said.
fn of_agents(case: &Case) -> Vec<Gap> {
    let mut gaps = attendance::attendance(case);
    gaps.extend(load::compute(case));
    gaps.extend(load::refused_devices(case));
    gaps.extend(load::rates(case));
    gaps.extend(load::load_seconds(case));
    gaps.extend(attendance::lost_records(case));
    gaps.extend(attendance::clocks(case));
    gaps.extend(stops::stops(case));
    gaps.extend(sensors::sensors(case));
    gaps.extend(node::node(case));
    gaps.extend(fabric::data_plane(case));
    gaps.extend(fabric::collectives(case));
    gaps.extend(building::never_here(case));
    gaps.extend(drills::unmarked(case));
    gaps.extend(super::vote::without_partner(case));
    gaps
}
