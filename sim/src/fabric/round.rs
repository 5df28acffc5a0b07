//! A run of rounds: rows as a tool between hosts would have written them.

use model::table::PairRow;

use super::dice::Dice;
use super::fair::fair_rates;
use super::fault::FabricFault;
use super::path::Links;
use super::schedule::{Schedule, Transfer};
use super::shape::Shape;

/// The first round's instant: any date does, and the same one makes the same bytes.
const START_NS: i64 = 1_760_000_000_000_000_000;
/// Rounds follow each other by this much.
const ROUND_NS: i64 = 1_000_000_000;
/// Seconds measured of each round; the rest is set-up and warm-up.
pub(super) const MEASURED_S: f64 = 0.8;
/// Spread of a measured rate around the true one, as a share: host TCP over 0.8 s.
pub(super) const NOISE: f64 = 0.03;

/// Whether rows say which way they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// `via` names the switches between the leaves: `spine-3`, or `spine-1-3>super-3-1>spine-2-3`.
    Known,
    Unknown,
}

/// What is done on a fabric.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub shape: Shape,
    pub schedule: Schedule,
    pub rounds: usize,
    pub paths: Paths,
    pub faults: Vec<FabricFault>,
    pub seed: u64,
}

impl Run {
    /// Every row of the run, in the order of time.
    #[must_use]
    pub fn rows(&self) -> Vec<PairRow> {
        (0..self.rounds).flat_map(|round| self.round(round)).collect()
    }

    fn round(&self, round: usize) -> Vec<PairRow> {
        self.sent(round, &self.schedule.round(&self.shape, round, self.seed))
    }

    /// The rows of a round in which just these transfers run, whatever the schedule says: for
    /// planners that choose the next round after they saw the last.
    #[must_use]
    pub fn sent(&self, round: usize, transfers: &[Transfer]) -> Vec<PairRow> {
        let links = Links::new(&self.shape);
        let mut capacities = links.capacities();
        let mut weather = Dice::new(self.seed, (1 << 40) + round as u64);
        for fault in &self.faults {
            fault.strike(&self.shape, &mut capacities, &mut weather);
        }
        let paths: Vec<_> = transfers.iter().map(|flow| links.path(flow, self.seed)).collect();
        let crossed: Vec<Vec<usize>> = paths.iter().map(|path| path.links.clone()).collect();
        let rates = fair_rates(&capacities, &crossed);
        let mut noise = Dice::new(self.seed, (2 << 40) + round as u64);
        let measured = rates.into_iter().map(|rate| rate * (NOISE * noise.normal()).exp());
        let rows = transfers.iter().zip(paths).zip(measured).enumerate();
        rows.map(|(place, ((flow, path), gbps))| PairRow {
            // Starts of one round lie within a millisecond of each other.
            time_ns: START_NS + round as i64 * ROUND_NS + place as i64 % 1000 * 1000,
            round: round as u32,
            src: self.shape.host_name(flow.src),
            dst: self.shape.host_name(flow.dst),
            sport: Some(u64::from(flow.sport)),
            gbps: Some(gbps),
            seconds: Some(MEASURED_S),
            nic: Some("mlx5_0".to_owned()),
            via: (self.paths == Paths::Known && !path.switches.is_empty())
                .then(|| path.switches.join(">")),
            ..PairRow::default()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Direction, Place};
    use super::*;

    fn run(schedule: Schedule) -> Run {
        let shape = Shape::default();
        Run { shape, schedule, rounds: 6, paths: Paths::Known, faults: Vec::new(), seed: 5 }
    }

    fn mean(rows: &[PairRow], keep: impl Fn(&PairRow) -> bool) -> f64 {
        let rates: Vec<f64> =
            rows.iter().filter(|row| keep(row)).filter_map(|row| row.gbps).collect();
        rates.iter().sum::<f64>() / rates.len() as f64
    }

    #[test]
    fn one_seed_makes_one_table_and_another_seed_another() {
        let run = run(Schedule::AllBusy { flows: 2 });
        assert_eq!(run.rows(), run.rows());
        assert_ne!(run.rows(), Run { seed: 6, ..run.clone() }.rows());
    }

    #[test]
    fn a_quiet_healthy_fabric_runs_at_the_speed_of_its_cards() {
        let mean = mean(&run(Schedule::Quiet).rows(), |_| true);
        assert!((mean / 400.0 - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_bad_uplink_slows_what_crosses_it_in_that_direction_only() {
        let place = Place::Uplink(2, 3, Direction::Up);
        let faults = vec![FabricFault::lasting(place, 0.5)];
        let rows = Run { rounds: 400, faults, ..run(Schedule::Quiet) }.rows();
        let on_leaf = |name: &str| (17..25).any(|host| name == format!("gpu{host:03}"));
        let via = |row: &PairRow| row.via.as_deref() == Some("spine-4");
        let bad = mean(&rows, |row| on_leaf(&row.src) && via(row));
        let back = mean(&rows, |row| on_leaf(&row.dst) && via(row));
        assert!((bad / 200.0 - 1.0).abs() < 0.05, "{bad}");
        assert!((back / 400.0 - 1.0).abs() < 0.05, "{back}");
    }

    #[test]
    fn random_pairs_of_a_full_fabric_get_what_is_published_for_static_hashing() {
        // About 55 to 60 % of the card at one flow a pair, 0.90 at eight (Hoefler et al.,
        // CLUSTER 2008, for one flow).
        let busy = |flows| {
            let rows = run(Schedule::AllBusy { flows }).rows();
            flows as f64 * mean(&rows, |row| row.via.is_some()) / 400.0
        };
        assert!((0.48..0.66).contains(&busy(1)), "{}", busy(1));
        assert!((0.86..0.94).contains(&busy(8)), "{}", busy(8));
    }

    #[test]
    fn the_site_names_every_node_of_the_rows() {
        let shape = Shape { pods: 2, leaves: 2, hosts: 2, spines: 2, ..Shape::default() };
        let site = shape.site().expect("a sound site");
        let run = Run { shape, ..run(Schedule::AcrossPods { flows: 2 }) };
        for row in run.rows() {
            assert!(site.node_ix(&row.src).is_some() && site.node_ix(&row.dst).is_some());
            for switch in row.via.as_deref().unwrap_or_default().split('>') {
                assert!(site.domain_ix(switch).is_some(), "{switch}");
            }
        }
    }
}
