//! From a run's file to its report: journal -> facts, batches -> digest, `analysis` judges.

use std::collections::BTreeMap;
use std::path::Path;

use analysis::{Digest, Evidence};
use model::facts::{
    LossReason, MarkFact, MixFact, NodeFacts, NodeLoss, RunEnd, RunFacts, StartFact, TimeFact,
};
use model::plan::Plan;
use model::site::Site;
use model::{NodeName, Report, RunId};
use proto::convert::records_from_batch;

use crate::export::Clocks;
use crate::store::{ExpandedPhase, JournalEntry, Planned, RunFile, StoreError};

/// Why a run could not be judged.
pub type EvidenceError = StoreError;

/// The beginning of a run's journal.
pub(crate) struct Created {
    pub(crate) run: String,
    pub(crate) plan_toml: String,
    pub(crate) site_name: Option<String>,
    pub(crate) site_toml: Option<String>,
    pub(crate) nodes: Vec<Planned>,
    pub(crate) inject: Vec<String>,
    pub(crate) on: String,
    pub(crate) allow_unrated: bool,
    /// What the plan's experiments became when the run was admitted.
    expanded: Vec<ExpandedPhase>,
}

impl Created {
    pub(crate) fn find(journal: &[(i64, JournalEntry)]) -> Option<Self> {
        let expanded = journal.iter().find_map(|(_, entry)| match entry {
            JournalEntry::Expanded { phases } => Some(phases.clone()),
            _ => None,
        });
        let expanded = expanded.unwrap_or_default();
        journal.iter().find_map(|(_, entry)| match entry.clone() {
            JournalEntry::Created {
                run,
                plan_name: _,
                plan_toml,
                site_name,
                site_toml,
                nodes,
                inject,
                on,
                allow_unrated,
            } => Some(Self {
                run,
                plan_toml,
                site_name,
                site_toml,
                nodes,
                inject,
                on,
                allow_unrated,
                expanded: expanded.clone(),
            }),
            _ => None,
        })
    }

    /// Plan and site as they were submitted; experiments as they were admitted, or not at all.
    pub(crate) fn documents(&self) -> Result<(Plan, Option<Site>), String> {
        let site = self.site_toml.as_deref().unwrap_or_default();
        let (plan, site) =
            parse_documents(("plan.toml", &self.plan_toml), ("site.toml", site), &self.on)?;
        if ExpandedPhase::all(&plan) != self.expanded {
            let why = "this version makes other phases of the plan's experiments than the one \
                       that ran them: judge or resume the run with that version";
            return Err(why.to_owned());
        }
        Ok((plan, site))
    }
}

/// Parses a plan and, when its text is not empty, a site. `on` overrides every selector.
///
/// # Errors
/// Every problem of both documents, a line each, with file, line and mend.
pub fn parse_documents(
    (plan_file, plan_toml): (&str, &str),
    (site_file, site_toml): (&str, &str),
    on: &str,
) -> Result<(Plan, Option<Site>), String> {
    let lines = |errors: formats::DocumentErrors| errors.to_string();
    let mut plan = formats::plan::parse(plan_file, plan_toml).map_err(lines)?;
    let site = match site_toml {
        "" => None,
        text => Some(formats::site::parse(site_file, text).map_err(lines)?),
    };
    if !on.is_empty() {
        let selector = formats::plan::parse_selector(on)
            .map_err(|(what, mend)| format!("--on {on}: {what}; {mend}"))?;
        for phase in &mut plan.phases {
            phase.on = selector.clone();
        }
        for experiment in &mut plan.experiments {
            experiment.on = selector.clone();
        }
    }
    let plan = plan.expanded(site.as_ref()).map_err(|why| format!("{plan_file}: {why}"))?;
    Ok((plan, site))
}

/// What a run's file holds, folded: all that the judge looks at.
pub struct RunEvidence {
    pub plan: Plan,
    pub site: Option<Site>,
    pub evidence: Evidence,
}

impl RunEvidence {
    /// Judges it by the built-in policy.
    #[must_use]
    pub fn judge(&self) -> Report {
        let policy = formats::policy::builtin();
        let (plan, site) = (&self.plan, self.site.as_ref());
        analysis::judge(&analysis::Terms { plan, site, policy: &policy }, &self.evidence)
    }
}

/// Judges the run of a folder (or of a run file) from its records, anew.
///
/// # Errors
/// When the file is missing, damaged or newer than this version.
pub fn report_of(at: &Path) -> Result<Report, EvidenceError> {
    Ok(evidence_of(at)?.judge())
}

/// The evidence of a run's folder (or of a run file).
///
/// # Errors
/// When the file is missing, damaged or newer than this version.
pub fn evidence_of(at: &Path) -> Result<RunEvidence, EvidenceError> {
    let file = RunFile::open(at)?;
    let journal = file.journal()?;
    let damaged = |why: String| StoreError::Journal { file: file.path().to_owned(), id: 0, why };
    let created = Created::find(&journal).ok_or_else(|| damaged("it has no beginning".into()))?;
    let (plan, site) = created.documents().map_err(damaged)?;
    let facts = facts_of(&created, &journal, file.path().parent());
    let mut digest = Digest::new(&plan);
    file.for_each_batch(&created.run, |stored| {
        let damaged = |why: String| StoreError::Damaged {
            file: file.path().to_owned(),
            node: stored.batch.node.clone(),
            seq: stored.batch.seq,
            why,
        };
        digest.add(&records_from_batch(&stored.batch).map_err(|e| damaged(e.to_string()))?);
        Ok(())
    })?;
    Ok(RunEvidence { plan, site, evidence: digest.finish(facts) })
}

/// What the coordinator knows, as the judge takes it.
pub(crate) fn facts_of(
    created: &Created,
    journal: &[(i64, JournalEntry)],
    folder: Option<&Path>,
) -> RunFacts {
    let mut facts = RunFacts {
        run: RunId(created.run.clone()),
        site: created.site_name.clone(),
        simulated: false,
        injected: !created.inject.is_empty(),
        folder: folder.map(|folder| folder.display().to_string()),
        started_unix_ns: journal.first().map_or(0, |(time_ns, _)| *time_ns),
        nodes: created.nodes.iter().map(node_facts).collect(),
        ..RunFacts::default()
    };
    let mut phase = String::new();
    for (time_ns, entry) in journal {
        add_entry(&mut facts, &mut phase, *time_ns, entry, &created.nodes);
    }
    crate::restraint::add(&mut facts, journal);
    crate::stops::add(&mut facts, journal);
    crate::meter_gaps::add(&mut facts, journal);
    let clocks = Clocks::of(journal);
    for (node, facts) in &mut facts.nodes {
        facts.clock_unknown = facts.joined && !clocks.knows(&node.0);
    }
    facts
}

fn node_facts(planned: &Planned) -> (NodeName, NodeFacts) {
    let facts = NodeFacts {
        devices: planned.devices.iter().map(|d| (d.index, Some(d.model.clone()))).collect(),
        joined: !planned.instance.is_empty(),
        ..NodeFacts::default()
    };
    (NodeName(planned.node.clone()), facts)
}

fn add_entry(
    facts: &mut RunFacts,
    phase: &mut String,
    time_ns: i64,
    entry: &JournalEntry,
    planned: &[Planned],
) {
    match entry {
        JournalEntry::PhaseStarts { name, start_ns, clocks, .. } => {
            phase.clone_from(name);
            facts.starts.extend(clocks.iter().map(|clock| StartFact {
                phase: name.clone(),
                node: NodeName(clock.node.clone()),
                commanded_unix_ns: *start_ns,
                offset_ns: -clock.offset_ns,
                claimed_error_ns: clock.error_ns,
            }));
        }
        JournalEntry::PhaseTime { name, skews_ns, error_ns } => facts.times.push(TimeFact {
            phase: name.clone(),
            skews_ns: skews_ns.clone(),
            claimed_error_ns: *error_ns,
        }),
        JournalEntry::PhaseCompleted { name, .. } => facts.phases_completed.push(name.clone()),
        JournalEntry::Lost { node, why, reason, .. } => {
            let reason = reason.unwrap_or_else(|| reason_of_words(why));
            let loss = node_loss(node, (reason, why), time_ns, phase, planned);
            with_node(&mut facts.nodes, node, |node| node.lost = Some(loss));
        }
        JournalEntry::Returned { node, boot_id, .. } => with_node(&mut facts.nodes, node, |node| {
            if let Some(lost) = &mut node.lost {
                lost.boot_id_after = Some(boot_id.clone());
                lost.returned = true;
            }
        }),
        JournalEntry::Closed { node, instance, last_seq } => {
            with_node(&mut facts.nodes, node, |node| {
                node.batches_made.insert(instance.clone(), *last_seq);
            });
        }
        JournalEntry::Warning { node, text } => {
            with_node(&mut facts.nodes, node, |node| node.busy.push(text.clone()));
        }
        JournalEntry::StopAsked { drop, .. } => facts.end = RunEnd::Stopped { now: *drop },
        JournalEntry::Suspended { .. } => facts.end = RunEnd::Suspended,
        JournalEntry::Resumed { .. } => begin_anew(facts),
        JournalEntry::Ended { how, why } => {
            facts.ended_unix_ns = Some(time_ns);
            facts.end = run_end(how, why, &facts.end);
        }
        JournalEntry::Mixed { model, per_mille, tried } => {
            let tried = tried.iter().map(|(share, watts)| (*share, watts.round() as u32));
            let (model, per_mille) = (model.clone(), *per_mille);
            facts.mixes.push(MixFact { model, per_mille, tried_w: tried.collect() });
        }
        JournalEntry::Swept(swept) => facts.baseline.clone_from(&swept.baseline),
        JournalEntry::Mark { who, text, phase } => facts.marks.push(MarkFact {
            at_unix_ns: time_ns,
            who: who.clone(),
            text: text.clone(),
            phase: phase.clone(),
            cut: false,
        }),
        // `restraint`, `stops` and `meter_gaps` read these.
        JournalEntry::Meter { .. } => {}
        JournalEntry::Permitted { .. }
        | JournalEntry::Released { .. }
        | JournalEntry::Capped { .. } => {}
        JournalEntry::Interlocks { .. }
        | JournalEntry::Interlock { .. }
        | JournalEntry::InterlockResumed { .. } => {}
        JournalEntry::Created { .. }
        | JournalEntry::Expanded { .. }
        | JournalEntry::LimitTripped { .. }
        | JournalEntry::Clock { .. } => {}
    }
}

/// A person resumed the run: the phase that was cut begins anew, and what was marked in it counts
/// no more.
fn begin_anew(facts: &mut RunFacts) {
    facts.end = RunEnd::Running;
    let completed = &facts.phases_completed;
    for mark in facts.marks.iter_mut().filter(|mark| !completed.contains(&mark.phase)) {
        mark.cut = true;
    }
}

fn run_end(how: &str, why: &str, before: &RunEnd) -> RunEnd {
    match (how, before) {
        ("finished", _) => RunEnd::Finished,
        ("aborted", _) => RunEnd::Aborted { why: why.to_owned() },
        ("stopped", RunEnd::Stopped { now }) => RunEnd::Stopped { now: *now },
        ("stopped", _) => RunEnd::Stopped { now: false },
        _ => RunEnd::Failed { why: why.to_owned() },
    }
}

/// Runs that were recorded before there were reasons have words only.
fn reason_of_words(why: &str) -> LossReason {
    match why {
        "its agent was started again" => LossReason::AgentRestarted,
        left if left.starts_with("its agent left") => LossReason::AgentLeft,
        "silent for longer than its lease" => LossReason::LeaseExpired,
        clock if clock.starts_with("its clock") => LossReason::ClockUnknown,
        _ => LossReason::NotReady,
    }
}

fn node_loss(
    node: &str,
    (reason, why): (LossReason, &str),
    at_ns: i64,
    phase: &str,
    planned: &[Planned],
) -> NodeLoss {
    let before = planned.iter().find(|p| p.node == node).map(|p| p.boot_id.clone());
    NodeLoss {
        at_unix_ns: at_ns,
        phase: phase.to_owned(),
        reason,
        why: why.to_owned(),
        boot_id_before: before.filter(|id| !id.is_empty()),
        boot_id_after: None,
        returned: false,
    }
}

fn with_node(
    nodes: &mut BTreeMap<NodeName, NodeFacts>,
    node: &str,
    change: impl FnOnce(&mut NodeFacts),
) {
    if let Some(facts) = nodes.get_mut(&NodeName(node.to_owned())) {
        change(facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NodeClock;

    /// The line as the first release wrote it.
    fn old_line(why: &str) -> JournalEntry {
        let line =
            serde_json::json!({ "entry": "lost", "node": "n1", "instance": "i", "why": why });
        serde_json::from_value(line).unwrap()
    }

    fn facts_of_n1(entry: JournalEntry) -> NodeFacts {
        facts_from(vec![entry]).nodes[&NodeName("n1".to_owned())].clone()
    }

    fn facts_from(entries: Vec<JournalEntry>) -> RunFacts {
        let planned = Planned {
            node: "n1".to_owned(),
            instance: "i".to_owned(),
            boot_id: String::new(),
            devices: Vec::new(),
            missing: Vec::new(),
        };
        let created = Created {
            run: "r".to_owned(),
            expanded: Vec::new(),
            plan_toml: String::new(),
            site_name: None,
            site_toml: None,
            nodes: vec![planned],
            inject: Vec::new(),
            on: String::new(),
            allow_unrated: false,
        };
        let journal: Vec<_> = (1..).zip(entries).collect();
        facts_of(&created, &journal, None)
    }

    #[test]
    fn a_mark_of_an_attempt_that_was_cut_is_known_as_such() {
        let mark = |text: &str, phase: &str| JournalEntry::Mark {
            who: "jd".to_owned(),
            text: text.to_owned(),
            phase: phase.to_owned(),
        };
        let facts = facts_from(vec![
            mark("feed A open", "feed-a"),
            JournalEntry::PhaseCompleted { phase: 0, name: "feed-a".to_owned() },
            mark("feed B open", "feed-b"),
            JournalEntry::Suspended { phase: 1 },
            JournalEntry::Resumed { who: "jd".to_owned(), phase: 1 },
            mark("feed B open again", "feed-b"),
        ]);
        let cut: Vec<bool> = facts.marks.iter().map(|mark| mark.cut).collect();
        assert_eq!(cut, [false, true, false]);
    }

    fn reason_of(entry: JournalEntry) -> LossReason {
        facts_of_n1(entry).lost.unwrap().reason
    }

    #[test]
    fn a_node_without_any_estimate_of_its_clock_is_told() {
        let node = "n1".to_owned();
        let clock = NodeClock { node: node.clone(), at_ns: 1, offset_ns: 0, error_ns: 1 };
        assert!(!facts_of_n1(JournalEntry::Clock { clock: clock.clone() }).clock_unknown);
        let (phase, name, clocks) = (0, "p".to_owned(), vec![clock]);
        let start = JournalEntry::PhaseStarts { phase, name, start_ns: 1, clocks };
        assert!(!facts_of_n1(start).clock_unknown);
        let text = "busy".to_owned();
        assert!(facts_of_n1(JournalEntry::Warning { node, text }).clock_unknown);
    }

    #[test]
    fn a_journal_without_reasons_is_read_by_its_words() {
        let cases = [
            ("its agent was started again", LossReason::AgentRestarted),
            ("its agent left: stopped by a person", LossReason::AgentLeft),
            ("silent for longer than its lease", LossReason::LeaseExpired),
            ("its clock was not known in time: 2 of 3 exchanges", LossReason::ClockUnknown),
            ("the worker's port is taken", LossReason::NotReady),
        ];
        for (why, reason) in cases {
            assert_eq!(reason_of(old_line(why)), reason, "{why}");
        }
    }

    #[test]
    fn a_journal_with_a_reason_is_not_read_by_its_words() {
        let (node, instance) = ("n1".to_owned(), "i".to_owned());
        let why = "no agent's word decides".to_owned();
        let reason = Some(LossReason::NotReady);
        let entry = JournalEntry::Lost { node, instance, why, reason };
        let line = serde_json::to_string(&entry).unwrap();
        assert!(line.contains(r#""reason":"not_ready""#), "{line}");
        assert_eq!(reason_of(serde_json::from_str(&line).unwrap()), LossReason::NotReady);
    }
}
