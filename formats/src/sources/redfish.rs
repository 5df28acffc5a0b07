//! PSUs, PDUs and CDUs over Redfish.

use std::path::Path;
use std::time::Duration;

use super::dial::{self, Login, Trust};
use super::{DEADLINE_S, EVERY_LEAST_S, EVERY_MOST_S, Target, only, target};
use crate::document::Table;

/// Share of the deadline that a round's questions may take: the one that is on its way then
/// needs the rest.
const ROUND_SHARE: f64 = 0.6;

/// Keys of `kind = "redfish"`.
#[derive(Debug, Clone, PartialEq)]
pub struct RedfishSource {
    pub trust: Trust,
    pub login: Login,
    /// Whether every sensor of a chassis is looked at too: hundreds, on many BMCs.
    pub sensors: bool,
    /// After this a round ends with what it has, and the next goes on.
    pub round: Duration,
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<RedfishSource> {
    let own: Vec<&str> = dial::KEYS.into_iter().chain(["sensors"]).collect();
    only(table, &own);
    let trust = dial::trust(table, folder);
    let targets = target::read(table, "https://10.0.0.5", &[]);
    for (target, inner) in &targets {
        dial::check_url(inner, &target.address, trust.as_ref());
    }
    // What is no number is told where every source's deadline is read.
    let deadline = table.real("deadline_seconds").unwrap_or(DEADLINE_S);
    let deadline = if deadline.is_finite() { deadline } else { DEADLINE_S };
    let round = deadline.clamp(EVERY_LEAST_S, EVERY_MOST_S) * ROUND_SHARE;
    Some(RedfishSource {
        login: dial::login(table, folder),
        trust: trust?,
        sensors: table.flag("sensors").unwrap_or(false),
        round: Duration::from_secs_f64(round),
        targets: targets.into_iter().map(|(target, _)| target).collect(),
    })
}
