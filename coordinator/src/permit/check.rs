//! What a permit says to a plan: every clause that refuses it, with place and numbers. Pure.

use std::collections::BTreeMap;

use model::course::courses;
use model::permit::{DomainClause, Permit, Shape, WaveformClause};
use model::plan::{Phase, Plan};
use model::site::{DomainIx, Family, Site};

use super::ramps::TOLERANCE_KW_PER_S;
use super::swing::{Felt, swing};
use crate::budget::Asked;

/// A plan as a permit sees it.
pub(crate) struct Ask<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) site: Option<&'a Site>,
    /// Of each phase, the nodes that take part.
    pub(crate) members: &'a [Vec<String>],
    /// kW of each node at full level.
    pub(crate) draw_kw: &'a BTreeMap<String, f64>,
    /// kW that phases ask for by name instead.
    pub(crate) asked: &'a Asked,
    /// When it begins, and when the last of its heat is gone.
    pub(crate) now_ns: i64,
    pub(crate) end_ns: i64,
    /// Time over which a load comes down, in seconds.
    pub(crate) ramp_s: f64,
    /// Conditions that the operator affirms.
    pub(crate) affirmed: &'a [String],
}

/// Every clause that refuses the plan, a line each; empty when it is allowed.
pub(crate) fn refusals(permit: &Permit, ask: &Ask<'_>) -> Vec<String> {
    if ask.heating().next().is_none() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    lines.extend(site(permit, ask));
    lines.extend(window(permit, ask));
    lines.extend(conditions(permit, ask));
    lines.extend(total(permit, ask));
    for clause in &permit.domains {
        lines.extend(domain(permit, clause, ask));
    }
    for (at, phase, shape) in ask.heating() {
        lines.extend(waveform(permit, phase, shape, ask.kw(at, |_| true)));
    }
    lines
}

impl Ask<'_> {
    /// Phases that heat: position, phase and shape.
    fn heating(&self) -> impl Iterator<Item = (usize, &Phase, Shape)> {
        let phases = self.plan.phases.iter().enumerate();
        phases.filter_map(|(at, phase)| {
            Shape::of(phase).filter(|shape| shape.high > 0.0).map(|shape| (at, phase, shape))
        })
    }

    /// kW at full level of a phase's nodes that `wanted` picks.
    fn kw(&self, phase: usize, wanted: impl Fn(&str) -> bool) -> f64 {
        let members = self.members.get(phase).into_iter().flatten();
        members.filter(|node| wanted(node)).filter_map(|node| self.node_kw(phase, node)).sum()
    }

    /// kW of a node in a phase at level 1.
    fn node_kw(&self, phase: usize, node: &str) -> Option<f64> {
        self.asked.node_kw(phase, node).or_else(|| self.draw_kw.get(node).copied())
    }

    /// The heaviest phase of the nodes that `wanted` picks: kW and name.
    pub(super) fn peak(&self, wanted: impl Fn(&str) -> bool + Copy) -> (f64, &str) {
        let each = self
            .heating()
            .map(|(at, phase, shape)| (self.kw(at, wanted) * shape.high, phase.name.as_str()));
        each.reduce(|most, next| if next.0 > most.0 { next } else { most }).unwrap_or((0.0, ""))
    }
}

fn site(permit: &Permit, ask: &Ask<'_>) -> Option<String> {
    let clause = permit.site.as_ref()?;
    let at = permit.at(clause.line);
    match ask.site {
        None => Some(format!(
            "{at}: the permit is for site {}, and this run names none: give --site",
            clause.value
        )),
        Some(site) if site.name() != clause.value => {
            Some(format!("{at}: the permit is for site {}, not for {}", clause.value, site.name()))
        }
        Some(_) => None,
    }
}

fn window(permit: &Permit, ask: &Ask<'_>) -> Option<String> {
    if permit.windows.is_empty() {
        return None;
    }
    let Some(window) = permit.window_at(ask.now_ns) else {
        let windows: Vec<&str> = permit.windows.iter().map(|w| w.words.as_str()).collect();
        let at = permit.at(permit.windows[0].line);
        return Some(format!(
            "{at}: {} is outside of the permit's window {}",
            instant(ask.now_ns),
            windows.join(" and ")
        ));
    };
    (ask.end_ns > window.to_ns).then(|| {
        format!(
            "{}: the plan would heat until {}, and the window is {}",
            permit.at(window.line),
            instant(ask.end_ns),
            window.words
        )
    })
}

fn conditions(permit: &Permit, ask: &Ask<'_>) -> Vec<String> {
    let affirmed = |text: &str| ask.affirmed.iter().any(|said| said.trim() == text.trim());
    let open = permit.conditions.iter().filter(|condition| !affirmed(&condition.value));
    open.map(|condition| {
        let (at, text) = (permit.at(condition.line), &condition.value);
        format!("{at}: the condition {text:?} is not affirmed: look, and say --affirm {text:?}")
    })
    .collect()
}

fn total(permit: &Permit, ask: &Ask<'_>) -> Option<String> {
    let clause = permit.total_kw.as_ref()?;
    let (kw, phase) = ask.peak(|_| true);
    (kw > clause.value).then(|| {
        format!(
            "{}: {:.1} kW in all may be heated; phase {phase} asks for {kw:.1} kW",
            permit.at(clause.line),
            clause.value
        )
    })
}

fn domain(permit: &Permit, clause: &DomainClause, ask: &Ask<'_>) -> Vec<String> {
    let Some(site) = ask.site else { return Vec::new() };
    let picked = site.domain_ixs().filter(|domain| {
        let domain = site.domain(*domain);
        matches!(domain.kind.family(), Family::Power | Family::Cooling)
            && clause.pick.picks(domain.kind, &domain.id)
    });
    picked.flat_map(|domain| limits(permit, clause, ask, site, domain)).collect()
}

/// What one clause says to one domain. With feeds A and B each is counted with the whole
/// load of its nodes: either must be able to carry it.
fn limits(
    permit: &Permit,
    clause: &DomainClause,
    ask: &Ask<'_>,
    site: &Site,
    domain: DomainIx,
) -> Vec<String> {
    let within = |node: &str| {
        site.node_ix(node).is_some_and(|node| site.members(domain).binary_search(&node).is_ok())
    };
    let (kw, phase) = ask.peak(within);
    if kw <= 0.0 {
        return Vec::new();
    }
    let named = format!("{} {}", site.domain(domain).kind.word(), site.domain(domain).id);
    let at = permit.at(clause.line);
    let mut lines = Vec::new();
    if let Some(most) = clause.most_kw.filter(|most| kw > *most) {
        lines.push(format!(
            "{at}: {named} may be given {most:.1} kW; phase {phase} asks for {kw:.1} kW"
        ));
    }
    if clause.kw_per_s_up.is_none() && clause.kw_per_s_down.is_none() {
        return lines;
    }
    // Loads that end or are stopped come down as slowly as the clause asks (`budget::Descent`).
    let down_s = clause.kw_per_s_down.map_or(ask.ramp_s, |most| ask.ramp_s.max(kw / most));
    let swing = swing(&felt(ask, within), down_s);
    let rates = [("up", clause.kw_per_s_up, swing.up), ("down", clause.kw_per_s_down, swing.down)];
    for (way, most, (asked, phase)) in rates {
        if let Some(most) = most.filter(|most| asked > *most + TOLERANCE_KW_PER_S) {
            lines.push(format!(
                "{at}: {named} may go {way} by {most:.1} kW/s; phase {phase} asks for {asked:.1} kW/s \
                 (a change of level counts as one second, a stop as {down_s:.0} s)"
            ));
        }
    }
    lines
}

/// What a domain feels of every phase. Groups that can't be made were refused before.
pub(super) fn felt<'a>(ask: &'a Ask<'_>, within: impl Fn(&str) -> bool) -> Vec<Felt<'a>> {
    let phases = ask.plan.phases.iter().zip(ask.members).enumerate();
    phases
        .map(|(at, (phase, members))| {
            let mut nodes = BTreeMap::new();
            for course in courses(phase, ask.site, members).unwrap_or_default() {
                let picked = members.iter().filter(|node| course.nodes.contains(node));
                for node in picked.filter(|node| within(node)) {
                    let Some(kw) = ask.node_kw(at, node) else { continue };
                    nodes.insert(node.as_str(), (course.waveform, kw));
                }
            }
            Felt { phase: &phase.name, seconds: phase.seconds, nodes }
        })
        .collect()
}

fn waveform(permit: &Permit, phase: &Phase, shape: Shape, full_kw: f64) -> Option<String> {
    let clauses = permit.waveforms.as_ref()?;
    let word = phase.kind.word();
    let same: Vec<&WaveformClause> = clauses.iter().filter(|clause| clause.kind == word).collect();
    let problems: Vec<String> =
        same.iter().filter_map(|clause| unfit(permit, clause, phase, shape, full_kw)).collect();
    if same.is_empty() {
        let allowed: Vec<&str> = clauses.iter().map(|clause| clause.kind.as_str()).collect();
        let (at, allowed) = (permit.at(0), allowed.join(", "));
        return Some(format!(
            "{at}: no [[waveform]] allows the {word} of phase {}; allowed: {allowed}",
            phase.name
        ));
    }
    // One clause that fits is enough; the first that does not is told.
    if problems.len() == same.len() { problems.into_iter().next() } else { None }
}

/// Why a clause does not allow a phase of its kind.
fn unfit(
    permit: &Permit,
    clause: &WaveformClause,
    phase: &Phase,
    shape: Shape,
    full_kw: f64,
) -> Option<String> {
    let (at, word, name) = (permit.at(clause.line), &clause.kind, &phase.name);
    let told = |what: String| Some(format!("{at}: a {word} {what} (phase {name})"));
    let (least, most) = (clause.hz_least.unwrap_or(0.0), clause.hz_most.unwrap_or(f64::INFINITY));
    if let Some(hz) = shape.hz.filter(|hz| !(least..=most).contains(hz)) {
        return told(format!("may have {least} to {most} Hz, not {hz:.3} Hz"));
    }
    let percent = (shape.high - shape.low) * 100.0;
    if let Some(most) = clause.amplitude_percent_most.filter(|most| percent > *most + 1e-9) {
        return told(format!("may go up and down by {most} %, not by {percent:.1} %"));
    }
    let kw = full_kw * (shape.high - shape.low);
    if let Some(most) = clause.amplitude_kw_most.filter(|most| kw > *most) {
        return told(format!("may go up and down by {most:.1} kW, not by {kw:.1} kW"));
    }
    None
}

fn instant(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| ns.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests;
