//! How long each node takes to come down, so that no domain loses load faster than it may. Pure.
//!
//! All nodes of a domain begin together, and each ramps over as long as the slowest of its
//! domains needs for all that hangs on it. The sum then falls no faster than any of them may,
//! and it stays so when the coordinator is dead: the time comes with the lease.

use std::collections::BTreeMap;
use std::time::Duration;

use model::permit::Permit;
use model::site::Site;

use super::control::NodeNow;

/// Agents ramp no longer than this without a lease (`RAMP_MAX_NS` of the agent's lease).
const RAMP_MAX_MS: u32 = 120_000;
/// Agents end their ramp this much early, to be idle in time, and hear of it a little apart.
const MARGIN_MS: f64 = 200.0;

/// A domain that limits kW/s.
#[derive(Debug, Clone, PartialEq)]
struct Limited {
    words: String,
    kw_per_s: f64,
    nodes: Vec<String>,
}

/// The ramps of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Descent {
    /// Where nothing limits it.
    usual_ms: u32,
    domains: Vec<Limited>,
    /// The most that each node may draw: expected, or measured where that is more.
    kw: BTreeMap<String, f64>,
    ramps_ms: BTreeMap<String, u32>,
}

impl Descent {
    /// Ramps of a run's nodes, by what each draws at full level.
    ///
    /// # Errors
    /// Domains that can't be brought down in the time that agents have, a line each.
    pub(crate) fn new(
        site: Option<&Site>,
        permit: Option<&Permit>,
        usual: Duration,
        draw_kw: &BTreeMap<String, f64>,
    ) -> Result<Self, Vec<String>> {
        let usual_ms = u32::try_from(usual.as_millis()).unwrap_or(RAMP_MAX_MS).min(RAMP_MAX_MS);
        let domains = site.map_or_else(Vec::new, |site| limited(site, permit, draw_kw));
        let mut descent = Self { usual_ms, domains, kw: draw_kw.clone(), ..Self::default() };
        descent.work_out();
        let slow = descent.all_too_slow();
        if slow.is_empty() { Ok(descent) } else { Err(slow) }
    }

    /// Takes in a permit that was changed: how long ramps are from now on. Says which domains
    /// can't be brought down in the time that agents have any more, a line each.
    pub(crate) fn permit(&mut self, site: Option<&Site>, permit: Option<&Permit>) -> Vec<String> {
        self.domains = site.map_or_else(Vec::new, |site| limited(site, permit, &self.kw));
        self.work_out();
        self.all_too_slow()
    }

    fn all_too_slow(&self) -> Vec<String> {
        self.domains.iter().filter_map(|domain| self.too_slow(domain)).collect()
    }

    /// Takes in what nodes measure: who draws more than expected takes longer.
    pub(crate) fn measure(&mut self, nodes: &BTreeMap<String, NodeNow>) {
        let mut more = false;
        for (name, node) in nodes {
            let measured_kw = node.reading.map_or(0.0, |reading| reading.watts / 1e3);
            let kw = self.kw.entry(name.clone()).or_default();
            if measured_kw > *kw {
                *kw = measured_kw;
                more = true;
            }
        }
        if more {
            self.work_out();
        }
    }

    /// Time over which a node comes down, in milliseconds.
    pub(crate) fn ramp_ms(&self, node: &str) -> u32 {
        self.ramps_ms.get(node).copied().unwrap_or(self.usual_ms)
    }

    /// The longest of all, in milliseconds.
    pub(crate) fn longest_ms(&self) -> u32 {
        self.ramps_ms.values().copied().max().unwrap_or(self.usual_ms).max(self.usual_ms)
    }

    fn needed_ms(&self, domain: &Limited) -> f64 {
        let kw: f64 = domain.nodes.iter().filter_map(|node| self.kw.get(node)).sum();
        if kw > 0.0 { kw / domain.kw_per_s * 1e3 + MARGIN_MS } else { 0.0 }
    }

    fn too_slow(&self, domain: &Limited) -> Option<String> {
        let needed_ms = self.needed_ms(domain);
        (needed_ms > f64::from(RAMP_MAX_MS)).then(|| {
            format!(
                "{} may lose {} kW/s: its nodes of this run need {:.0} s to come down, and agents \
                 ramp for at most {} s",
                domain.words,
                domain.kw_per_s,
                needed_ms / 1e3,
                RAMP_MAX_MS / 1_000
            )
        })
    }

    fn work_out(&mut self) {
        let mut ramps: BTreeMap<String, u32> = BTreeMap::new();
        for domain in &self.domains {
            let needed_ms = self.needed_ms(domain).min(f64::from(RAMP_MAX_MS)).ceil() as u32;
            for node in &domain.nodes {
                let ramp = ramps.entry(node.clone()).or_insert(self.usual_ms);
                *ramp = (*ramp).max(needed_ms);
            }
        }
        self.ramps_ms = ramps;
    }
}

/// Domains with a limit of kW/s, by the site or by the permit, with their nodes of the run.
fn limited(site: &Site, permit: Option<&Permit>, draw_kw: &BTreeMap<String, f64>) -> Vec<Limited> {
    let of = |at| {
        let domain = site.domain(at);
        let clauses = permit.into_iter().flat_map(|permit| &permit.domains);
        let permitted = clauses
            .filter(|clause| clause.pick.picks(domain.kind, &domain.id))
            .filter_map(|clause| clause.kw_per_s_down);
        let kw_per_s = domain.ramp_kw_per_s.into_iter().chain(permitted).reduce(f64::min)?;
        let names = site.members(at).iter().map(|node| &site.node(*node).name);
        let nodes: Vec<String> =
            names.filter(|name| draw_kw.contains_key(*name)).cloned().collect();
        let words = format!("{} {}", domain.kind.word(), domain.id);
        (!nodes.is_empty()).then_some(Limited { words, kw_per_s, nodes })
    };
    site.domain_ixs().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Reading;

    const USUAL: Duration = Duration::from_secs(2);

    fn site(pdu_kw_per_s: f64, ups_kw_per_s: f64) -> Site {
        let text = format!(
            "schema = 1\nname = \"s\"\n\
             [[domain]]\nkind = \"ups\"\nid = \"ups-1\"\nramp_kw_per_s = {ups_kw_per_s}\n\
             [[domain]]\nkind = \"pdu\"\nid = \"pdu-1\"\nwithin = [\"ups-1\"]\nramp_kw_per_s = {pdu_kw_per_s}\n\
             [[domain]]\nkind = \"pdu\"\nid = \"pdu-2\"\nwithin = [\"ups-1\"]\n\
             [[nodes]]\nnames = \"a[1-3]\"\ndomains = [\"pdu-1\"]\n\
             [[nodes]]\nnames = \"b[1-2]\"\ndomains = [\"pdu-2\"]\n[[nodes]]\nnames = \"c\"\n\
             domains = []\n"
        );
        formats::site::parse("site.toml", &text).unwrap()
    }

    fn draws(kw: &[f64]) -> BTreeMap<String, f64> {
        ["a1", "a2", "a3", "b1", "b2", "c"]
            .map(str::to_owned)
            .into_iter()
            .zip(kw.iter().copied())
            .collect()
    }

    #[test]
    fn each_node_takes_as_long_as_the_slowest_of_its_domains() {
        let site = site(5.0, 20.0);
        let descent = Descent::new(Some(&site), None, USUAL, &draws(&[10.0; 6])).unwrap();
        // 30 kW at 5 kW/s; all five of the UPS at 20 kW/s; c hangs on nothing.
        let ramps = ["a1", "b1", "c"].map(|node| descent.ramp_ms(node));
        assert_eq!((ramps, descent.longest_ms()), ([6_200, 2_700, 2_000], 6_200));
        let descent = Descent::new(None, None, USUAL, &draws(&[10.0; 6])).unwrap();
        assert_eq!((descent.ramp_ms("a1"), descent.longest_ms()), (2_000, 2_000));
    }

    #[test]
    fn who_draws_more_than_expected_takes_longer() {
        let site = site(5.0, 1_000.0);
        let mut descent = Descent::new(Some(&site), None, USUAL, &draws(&[10.0; 6])).unwrap();
        let reading = Some(Reading { at_ns: 0, watts: 15_000.0, level: 1.0 });
        let hot = NodeNow { reading, ..NodeNow::default() };
        descent.measure(&BTreeMap::from([("a2".to_owned(), hot)]));
        assert_eq!(descent.ramp_ms("a1"), 7_200);
    }

    #[test]
    fn a_permit_limits_as_the_site_does() {
        let permit = "schema = 1\nissued_by = \"a\"\nsite = \"s\"\ntotal_kw = 900\n[[window]]\n\
            from = \"2026-01-31T20:00:00Z\"\nto = \"2026-02-01T06:00:00Z\"\n[[domain]]\n\
            on = \"pdu\"\nkw_per_s_down = 2\n[[waveform]]\nkind = \"hold\"\n";
        let permit = formats::permit::parse("permit.toml", permit).unwrap();
        let site = site(5.0, 1_000.0);
        let descent = Descent::new(Some(&site), Some(&permit), USUAL, &draws(&[10.0; 6])).unwrap();
        assert_eq!(["a1", "b1"].map(|node| descent.ramp_ms(node)), [15_200, 10_200]);
    }

    #[test]
    fn a_permit_that_is_tightened_makes_ramps_longer() {
        let text = |down: f64| {
            format!(
                "schema = 1\nissued_by = \"a\"\nsite = \"s\"\ntotal_kw = 900\n[[window]]\n\
                 from = \"2026-01-31T20:00:00Z\"\nto = \"2026-02-01T06:00:00Z\"\n[[domain]]\n\
                 on = \"pdu\"\nkw_per_s_down = {down}\n[[waveform]]\nkind = \"hold\"\n"
            )
        };
        let permit = |down| formats::permit::parse("permit.toml", &text(down)).unwrap();
        let site = site(5.0, 1_000.0);
        let mut descent = Descent::new(Some(&site), None, USUAL, &draws(&[10.0; 6])).unwrap();
        assert_eq!(descent.permit(Some(&site), Some(&permit(2.0))), Vec::<String>::new());
        assert_eq!(["a1", "b1"].map(|node| descent.ramp_ms(node)), [15_200, 10_200]);
        let slow = descent.permit(Some(&site), Some(&permit(0.2)));
        assert!(slow[0].starts_with("pdu pdu-1 may lose 0.2 kW/s"), "{slow:?}");
    }

    #[test]
    fn a_domain_that_can_not_come_down_in_time_is_refused() {
        let site = site(0.2, 1_000.0);
        let refused = Descent::new(Some(&site), None, USUAL, &draws(&[10.0; 6])).unwrap_err();
        assert!(refused[0].starts_with("pdu pdu-1 may lose 0.2 kW/s: its nodes"), "{refused:?}");
    }

    proptest! {
        #[test]
        fn no_domain_loses_load_faster_than_it_may(
            kw in prop::collection::vec(0.1..20.0_f64, 6),
            pdu in 1.0..50.0_f64,
            ups in 2.0..80.0_f64,
        ) {
            let site = site(pdu, ups);
            let Ok(descent) = Descent::new(Some(&site), None, USUAL, &draws(&kw)) else {
                return Ok(());
            };
            // Every ramp is straight and a tenth of a second shorter than it was told.
            let rate = |nodes: &[&str]| -> f64 {
                let of = |node: &&str| {
                    draws(&kw)[*node] / (f64::from(descent.ramp_ms(node)) / 1e3 - 0.1)
                };
                nodes.iter().map(of).sum()
            };
            prop_assert!(rate(&["a1", "a2", "a3"]) <= pdu);
            prop_assert!(rate(&["a1", "a2", "a3", "b1", "b2"]) <= ups);
        }
    }
}
