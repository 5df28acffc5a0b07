//! A phase's waveforms, worked out before it begins: which nodes move together, and how.
//!
//! The plan leaves nothing to decide at run time: admission, permits, review and rehearsal
//! all ask here.

use std::collections::BTreeMap;

use crate::plan::{By, Phase, PhaseKind, Training};
use crate::site::Site;
use crate::waveform::Waveform;

/// Nodes that follow one waveform.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The domain or the node that makes the group; empty where all nodes are one.
    pub group: String,
    /// In name order.
    pub nodes: Vec<String>,
    pub waveform: Waveform,
}

/// The courses of a phase over the nodes that take part, in the order in which they begin;
/// none for a phase without heat.
///
/// # Errors
/// When the groups can't be made, or don't fit into the phase, with the mend.
pub fn courses(
    phase: &Phase,
    site: Option<&Site>,
    members: &[String],
) -> Result<Vec<Course>, String> {
    let groups = match by(phase) {
        _ if phase.load.is_none() || members.is_empty() => return Ok(Vec::new()),
        None => vec![(String::new(), members.to_vec())],
        Some(by) => groups(by, phase, site, members)?,
    };
    if let Some(why) = misfit(phase, groups.len()) {
        return Err(format!("phase {}: {why}", phase.name));
    }
    let count = groups.len();
    let each = groups.into_iter().enumerate();
    Ok(each
        .filter_map(|(at, (group, nodes))| {
            Some(Course { group, nodes, waveform: waveform(phase, at, count)? })
        })
        .collect())
}

fn by(phase: &Phase) -> Option<By> {
    match phase.kind {
        PhaseKind::Staircase { by, .. } => by,
        PhaseKind::Stagger { by, .. } => Some(by),
        _ => None,
    }
}

/// Groups in the site's order, each with its nodes. A node on two domains of the kind (feeds
/// A and B) goes with the one that the site names first.
fn groups(
    by: By,
    phase: &Phase,
    site: Option<&Site>,
    members: &[String],
) -> Result<Vec<(String, Vec<String>)>, String> {
    let By::Domain(kind) = by else {
        return Ok(members.iter().map(|node| (node.clone(), vec![node.clone()])).collect());
    };
    let (name, word) = (&phase.name, kind.word());
    let Some(site) = site else {
        return Err(format!(
            "phase {name}: by = \"{word}\" needs a site: give --site, or by = \"node\""
        ));
    };
    let mut groups = BTreeMap::<_, Vec<String>>::new();
    for node in members {
        let known = site.node_ix(node);
        let domain = known.and_then(|ix| {
            let of_kind = |at: &&_| site.domain(**at).kind == kind;
            site.ancestors(ix).iter().filter(of_kind).min().copied()
        });
        let Some(domain) = domain else {
            return Err(format!(
                "phase {name}: by = \"{word}\", and node {node} hangs on no {word}"
            ));
        };
        groups.entry(domain).or_default().push(node.clone());
    }
    Ok(groups.into_iter().map(|(at, nodes)| (site.domain(at).id.clone(), nodes)).collect())
}

/// Why so many groups don't fit into a phase.
fn misfit(phase: &Phase, groups: usize) -> Option<String> {
    let seconds = phase.seconds;
    match phase.kind {
        PhaseKind::Staircase { by: Some(_), steps: None, step_seconds: Some(step), .. } => {
            let asked = step * groups as f64;
            (asked > seconds).then(|| {
                format!(
                    "{groups} steps of {step} s take {asked} s: lengthen the phase, or give steps"
                )
            })
        }
        PhaseKind::Stagger { by, delay_seconds, ramp_seconds, .. } => {
            let way = delay_seconds * groups.saturating_sub(1) as f64 + ramp_seconds;
            (2.0 * way > seconds).then(|| {
                let (by, asked) = (by.word(), 2.0 * way);
                format!(
                    "{groups} groups by {by} take {way} s up and as long down, and the phase has \
                     {seconds} s: give it at least {asked} s, or a shorter delay_seconds"
                )
            })
        }
        _ => None,
    }
}

/// The waveform of a group of a phase; `None` for a phase without heat.
#[must_use]
pub fn waveform(phase: &Phase, group: usize, groups: usize) -> Option<Waveform> {
    let percent = phase.load?.percent;
    let share = |percent: f64| percent / 100.0;
    Some(match phase.kind {
        PhaseKind::Ramp { from_percent, to_percent } => Waveform::Ramp {
            from: share(from_percent),
            to: share(to_percent),
            over_ns: ns(phase.seconds),
        },
        PhaseKind::Step { low_percent, high_percent, up_at_seconds, down_at_seconds } => {
            Waveform::Pulse {
                low: share(low_percent),
                high: share(high_percent),
                up_ns: ns(up_at_seconds),
                down_ns: ns(down_at_seconds),
                over_ns: 0,
            }
        }
        PhaseKind::Square { low_percent, high_percent, period_seconds } => Waveform::Square {
            low: share(low_percent),
            high: share(high_percent),
            period_ns: ns(period_seconds),
        },
        PhaseKind::Sine { low_percent, high_percent, period_seconds } => Waveform::Sine {
            low: share(low_percent),
            high: share(high_percent),
            period_ns: ns(period_seconds),
        },
        PhaseKind::Staircase { low_percent, high_percent, by, steps, step_seconds } => {
            let (low, high) = (share(low_percent), share(high_percent));
            // Without `by` a plan names the steps; groups make one each unless it does.
            let steps = steps.unwrap_or(groups as u32).max(1);
            let step_s = step_seconds.unwrap_or(phase.seconds / f64::from(steps));
            let first = (group * steps as usize / groups.max(1)) as f64;
            match by {
                None => Waveform::Stairs { low, high, steps, step_ns: ns(step_s) },
                Some(_) => {
                    let (up_ns, down_ns) = (ns(first * step_s), u64::MAX);
                    Waveform::Pulse { low, high, up_ns, down_ns, over_ns: 0 }
                }
            }
        }
        PhaseKind::Stagger { low_percent, high_percent, delay_seconds, ramp_seconds, .. } => {
            let behind = groups.saturating_sub(group + 1) as f64 * delay_seconds;
            Waveform::Pulse {
                low: share(low_percent),
                high: share(high_percent),
                up_ns: ns(group as f64 * delay_seconds),
                down_ns: ns(phase.seconds - ramp_seconds - behind),
                over_ns: ns(ramp_seconds),
            }
        }
        PhaseKind::Training(training) => of_training(training),
        PhaseKind::Hold
        | PhaseKind::Idle
        | PhaseKind::Collective
        | PhaseKind::Pairs
        | PhaseKind::Rtt => Waveform::Hold { level: share(percent) },
    })
}

fn of_training(training: Training) -> Waveform {
    Waveform::Training {
        compute: training.compute_percent / 100.0,
        reduce: training.reduce_percent / 100.0,
        checkpoint: training.checkpoint_percent / 100.0,
        compute_ns: ns(training.compute_seconds),
        reduce_ns: ns(training.reduce_seconds),
        every_ns: ns(training.checkpoint_every_seconds),
        checkpoint_ns: ns(training.checkpoint_seconds),
    }
}

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9).round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Kernel;
    use crate::plan::{PhaseLoad, Selector};
    use crate::site::{Domain, DomainKind, Node, SiteDraft};

    const S: u64 = 1_000_000_000;

    fn phase(kind: PhaseKind, seconds: f64) -> Phase {
        let load = Some(PhaseLoad::of(Kernel::Mix, 100.0));
        Phase { name: "p".into(), kind, seconds, on: Selector::All, load, traffic: None, act: None }
    }

    fn site() -> Site {
        let mut draft = SiteDraft { name: "s".into(), ..SiteDraft::default() };
        for id in ["r2", "r1"] {
            draft.domains.push(Domain::new(DomainKind::Rack, id));
        }
        for (node, rack) in [("a", "r1"), ("b", "r2"), ("c", "r1")] {
            draft.nodes.push(Node::new(node, &[rack]));
        }
        Site::new(draft).unwrap()
    }

    fn members() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    fn staircase(steps: Option<u32>, by: Option<By>) -> PhaseKind {
        PhaseKind::Staircase {
            low_percent: 0.0,
            high_percent: 100.0,
            by,
            steps,
            step_seconds: Some(10.0),
        }
    }

    #[test]
    fn racks_go_up_one_after_another_in_the_order_of_the_site() {
        let kind = staircase(None, Some(By::Domain(DomainKind::Rack)));
        let courses = courses(&phase(kind, 60.0), Some(&site()), &members()).unwrap();
        let told: Vec<(&str, usize, f64, f64)> = courses
            .iter()
            .map(|course| {
                let level = |t| course.waveform.level_at(t);
                (course.group.as_str(), course.nodes.len(), level(0), level(10 * S))
            })
            .collect();
        assert_eq!(told, [("r2", 1, 1.0, 1.0), ("r1", 2, 0.0, 1.0)]);
    }

    #[test]
    fn a_stagger_is_down_again_at_the_end_of_its_phase() {
        let kind = PhaseKind::Stagger {
            low_percent: 20.0,
            high_percent: 80.0,
            by: By::Node,
            delay_seconds: 5.0,
            ramp_seconds: 10.0,
        };
        let courses = courses(&phase(kind, 60.0), None, &members()).unwrap();
        let at = |t: u64| courses.iter().map(|c| c.waveform.level_at(t * S)).collect::<Vec<_>>();
        assert_eq!(at(0), [0.2, 0.2, 0.2]);
        assert_eq!(at(20), [0.8, 0.8, 0.8]);
        assert_eq!(at(40), [0.8, 0.8, 0.8]);
        assert_eq!(at(60), [0.2, 0.2, 0.2]);
        assert!((at(10)[1] - 0.5).abs() < 1e-12 && (at(50)[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn groups_that_don_t_fit_are_told_with_numbers() {
        let kind = PhaseKind::Stagger {
            low_percent: 0.0,
            high_percent: 100.0,
            by: By::Node,
            delay_seconds: 20.0,
            ramp_seconds: 10.0,
        };
        let why = courses(&phase(kind, 60.0), None, &members()).unwrap_err();
        assert!(why.contains("take 50 s up") && why.contains("at least 100 s"), "{why}");
        let racks = staircase(None, Some(By::Domain(DomainKind::Rack)));
        let why = courses(&phase(racks, 60.0), None, &members()).unwrap_err();
        assert!(why.contains("give --site"), "{why}");
        let loops = staircase(None, Some(By::Domain(DomainKind::Loop)));
        let why = courses(&phase(loops, 60.0), Some(&site()), &members()).unwrap_err();
        assert!(why.contains("node a hangs on no loop"), "{why}");
    }

    #[test]
    fn all_nodes_together_climb_in_parts() {
        let courses = courses(&phase(staircase(Some(4), None), 60.0), None, &members()).unwrap();
        assert_eq!(courses.len(), 1);
        assert_eq!(courses[0].waveform.level_at(15 * S), 0.5);
    }
}
