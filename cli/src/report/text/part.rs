//! A finding about something that nodes share: what is blamed, how sure that is, how far
//! it stands from its siblings, who shows it, what else it may be, and who must act.

use model::finding::{Finding, FindingKind, Standing};

use super::findings::{name, told};
use super::line::{Page, number};
use crate::report::words;

/// Whether a finding is about more than one node.
pub(super) fn is_shared(finding: &Finding) -> bool {
    matches!(
        finding.kind,
        FindingKind::WeakPower
            | FindingKind::WeakCooling
            | FindingKind::SlowUplink
            | FindingKind::NetworkIsland
            | FindingKind::FlakyLink
            | FindingKind::FleetShift
    )
}

pub(super) fn write(page: &mut Page, finding: &Finding) {
    told(page, "in short", &in_short(finding));
    told(page, "standing", standing(finding.standing));
    if let Some(effect) = effect(finding) {
        told(page, "effect", &effect);
    }
    if let Some(members) = members(finding) {
        told(page, "shown by", &members);
    }
    if let Some(chance) = words::chance(finding) {
        told(page, "chance", &chance);
    }
}

fn in_short(finding: &Finding) -> String {
    let perhaps = if finding.standing == Standing::Watch { "perhaps " } else { "" };
    let who = match finding.suspect.kind.as_str() {
        "fleet" => "the whole fleet".to_owned(),
        _ => name(&finding.suspect),
    };
    let claim = match finding.suspect.kind.as_str() {
        "cut" if finding.kind == FindingKind::WeakCooling => {
            "passes heat on: load at its first end warms idle nodes at its second"
        }
        _ => claim(finding.kind),
    };
    format!("{perhaps}{who} {claim}")
}

/// What the kind says of its suspect.
fn claim(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::WeakPower => "gives its nodes less power than like nodes get elsewhere",
        FindingKind::WeakCooling => "carries off less heat than its siblings do at like power",
        FindingKind::SlowUplink => "carries less traffic than its siblings",
        FindingKind::FlakyLink => "carries less traffic at times, and its share at others",
        FindingKind::NetworkIsland => "is slower to cross than the network on either side",
        FindingKind::FleetShift => "moved at once: no part stands out, so none is blamed",
        _ => "stands out",
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Confirmed => "confirmed: something is wrong here",
        Standing::Watch => "watch: it stands out, and may be nothing; does not decide the verdict",
    }
}

fn effect(finding: &Finding) -> Option<String> {
    let effect = finding.effect.as_ref()?;
    let share = effect.relative.map(|share| format!("{:+.1} %", share * 100.0));
    let amount =
        effect.absolute.map(|by| format!("{}{} {}", sign(by), number(by.abs()), effect.unit));
    let size = match (share, amount) {
        (Some(share), Some(amount)) => format!("{amount} ({share})"),
        (share, amount) => share.or(amount)?,
    };
    let against = match finding.kind {
        FindingKind::FleetShift => "against the baseline",
        FindingKind::SlowUplink | FindingKind::FlakyLink | FindingKind::NetworkIsland => {
            "against its siblings"
        }
        _ => "against like nodes elsewhere",
    };
    Some(format!("{} {size} {against}", effect.metric))
}

fn sign(by: f64) -> &'static str {
    if by < 0.0 { "-" } else { "+" }
}

fn members(finding: &Finding) -> Option<String> {
    let members = finding.members?;
    let what = match finding.suspect.kind.as_str() {
        "cut" if finding.kind == FindingKind::WeakCooling => "idle nodes",
        "link" | "cut" => "paths that carried transfers",
        _ => "reporting nodes",
    };
    let mut words = format!("{} of {} {what}", members.hit, members.reporting);
    let silent = members.total.saturating_sub(members.reporting);
    if silent > 0 {
        words += &format!("; {silent} of {} say nothing", members.total);
    }
    Some(words)
}

/// Whose work it is.
pub(super) fn hands(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::WeakPower => "electrical",
        FindingKind::WeakCooling => "mechanical (cooling)",
        FindingKind::SlowUplink | FindingKind::NetworkIsland | FindingKind::FlakyLink => "network",
        FindingKind::FleetShift => "whoever changed software, firmware or supply for all",
        _ => "facility",
    }
}
