//! The site's own limits of kW a second. A plan that moves a domain faster is refused, with
//! the mend; what ends or is stopped comes down as slowly as its domains ask
//! (`crate::budget::Descent`). Pure.

use model::permit::Permit;
use model::site::{Family, Site};

use super::check::{Ask, felt};
use super::swing::{Swing, swing};

/// Rates are differences of levels at whole nanoseconds: what is beyond a limit by less is
/// rounding.
pub(super) const TOLERANCE_KW_PER_S: f64 = 1e-6;

/// Every domain that the plan would move too fast, a line each.
pub(crate) fn site_edges(permit: Option<&Permit>, ask: &Ask<'_>) -> Vec<String> {
    let mut refused = Vec::new();
    let Some(site) = ask.site else { return refused };
    for (named, most, swing) in limited(site, ask) {
        let moves = [("up", &swing.up), ("down", &swing.down)];
        for (way, (asked, phase)) in
            moves.into_iter().filter(|(_, (asked, _))| *asked > most + TOLERANCE_KW_PER_S)
        {
            let least_s = (asked / most).ceil();
            refused.push(format!(
                "{named} may go {way} by {most} kW/s (ramp_kw_per_s); phase {phase} asks for \
                 {asked:.1} kW/s: put a ramp of at least {least_s} s there, or kind = \"stagger\""
            ));
        }
        let (asked, phase) = &swing.repeated;
        if *asked > most + TOLERANCE_KW_PER_S && !is_named(permit, ask, phase) {
            refused.push(format!(
                "{named} may change by {most} kW/s (ramp_kw_per_s); what repeats in phase {phase} \
                 asks for {asked:.1} kW/s: lower its amplitude, or let a permit's [[waveform]] allow it"
            ));
        }
    }
    refused
}

/// Each power and cooling domain with a limit that the plan heats: its name, its limit, and
/// how the plan moves it.
fn limited<'a>(site: &'a Site, ask: &'a Ask<'_>) -> impl Iterator<Item = (String, f64, Swing)> {
    site.domain_ixs().filter_map(move |at| {
        let domain = site.domain(at);
        let feels = matches!(domain.kind.family(), Family::Power | Family::Cooling);
        let most = domain.ramp_kw_per_s.filter(|most| feels && *most > 0.0)?;
        let within = |node: &str| {
            site.node_ix(node).is_some_and(|node| site.members(at).binary_search(&node).is_ok())
        };
        let (kw, _) = ask.peak(within);
        let swing = swing(&felt(ask, within), ask.ramp_s.max(kw / most));
        let named = format!("{} {}", domain.kind.word(), domain.id);
        (kw > 0.0).then_some((named, most, swing))
    })
}

/// Whether the building's owner has allowed the phase's kind by name.
fn is_named(permit: Option<&Permit>, ask: &Ask<'_>, phase: &str) -> bool {
    let clauses = permit.and_then(|permit| permit.waveforms.as_ref());
    let kind = ask.plan.phases.iter().find(|p| p.name == phase).map(|p| p.kind.word());
    clauses.is_some_and(|clauses| clauses.iter().any(|c| Some(c.kind.as_str()) == kind))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::budget::Asked;

    const SITE: &str = "schema = 1\nname = \"s\"\n[[domain]]\nkind = \"pdu\"\nid = \"pdu-1\"\n\
        rating_kw = 100\nramp_kw_per_s = 2\n[[domain]]\nkind = \"rack\"\nid = \"r1\"\n\
        [[domain]]\nkind = \"rack\"\nid = \"r2\"\n\
        [[nodes]]\nnames = \"a\"\ndomains = [\"pdu-1\", \"r1\"]\nmax_kw = 10\n\
        [[nodes]]\nnames = \"b\"\ndomains = [\"pdu-1\", \"r2\"]\nmax_kw = 10\n";

    fn edges(phase: &str, permit: Option<&str>) -> Vec<String> {
        let site = formats::site::parse("site.toml", SITE).unwrap();
        let head = "schema = 1\nname = \"p\"\nrequires = [\"power\"]\n[[phase]]\n";
        let plan = formats::plan::parse("plan.toml", &format!("{head}{phase}\n")).unwrap();
        let nodes = ["a".to_owned(), "b".to_owned()];
        let draw_kw: BTreeMap<String, f64> = nodes.iter().map(|n| (n.clone(), 10.0)).collect();
        let members = vec![nodes.to_vec(); plan.phases.len()];
        let permit = permit.map(|text| formats::permit::parse("permit.toml", text).unwrap());
        let ask = Ask {
            plan: &plan,
            site: Some(&site),
            members: &members,
            draw_kw: &draw_kw,
            now_ns: 0,
            end_ns: 0,
            ramp_s: 2.0,
            affirmed: &[],
            asked: &Asked::default(),
        };
        site_edges(permit.as_ref(), &ask)
    }

    #[test]
    fn a_hold_is_refused_with_the_ramp_that_would_do() {
        let refused = edges("kind = \"hold\"\nseconds = 60", None);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].starts_with("pdu pdu-1 may go up by 2 kW/s"), "{refused:?}");
        assert!(refused[0].contains("asks for 20.0 kW/s: put a ramp of at least 10 s"));
    }

    #[test]
    fn a_ramp_that_fits_is_allowed_with_its_end() {
        assert!(edges("kind = \"ramp\"\nseconds = 10", None).is_empty());
        let refused = edges("kind = \"ramp\"\nseconds = 5", None);
        assert!(refused[0].contains("asks for 4.0 kW/s"), "{refused:?}");
    }

    #[test]
    fn a_stagger_by_rack_fits_where_a_step_of_all_does_not() {
        let stagger = |delay| {
            format!(
                "kind = \"stagger\"\nseconds = 60\nby = \"rack\"\ndelay_seconds = {delay}\n\
                 ramp_seconds = 5"
            )
        };
        assert!(edges(&stagger(5), None).is_empty());
        let refused = edges(&stagger(0), None);
        assert_eq!(refused.len(), 2, "up and down: {refused:?}");
    }

    #[test]
    fn what_repeats_needs_the_owners_word() {
        let sine = "kind = \"sine\"\nseconds = 60\nperiod_seconds = 2";
        let refused = edges(sine, None);
        assert!(refused[0].contains("what repeats in phase sine"), "{refused:?}");
        let permit = "schema = 1\nissued_by = \"A\"\nsite = \"s\"\ntotal_kw = 50\n[[window]]\n\
            from = \"2020-01-01T00:00:00Z\"\nto = \"2120-01-01T00:00:00Z\"\n[[waveform]]\n\
            kind = \"sine\"\n";
        assert!(edges(sine, Some(permit)).is_empty());
    }
}
