//! Supplies under load: share of the breaker, balance of the lines, and what one side
//! would carry if the other were lost.

use std::collections::BTreeSet;

use model::site::{Domain, DomainIx, Family, NodeIx};

use super::Board;
use crate::digest::meters::{Line, Quantity, in_bins, meeting_width, paired};
use crate::middle::median;

/// A breaker's thermal trip looks back about so long; shorter peaks are the ramp's affair.
pub(super) const SUSTAINED_S: u64 = 60;
/// Instants at which the load is at least this share of its highest are "under load".
const HEAVY: f64 = 0.8;
/// Balance is judged where the lines carry at least this share of their rating, where it is
/// known: a few idle amperes are never balanced.
const BALANCE_LEAST: f64 = 0.1;

/// What one supply carried.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    pub(crate) domain: DomainIx,
    /// Highest mean over a minute, in kW.
    pub(crate) most_kw: Option<f64>,
    pub(crate) seconds: f64,
    /// Highest share of the rating over a minute, in percent, and the line that had it.
    pub(crate) breaker: Option<(f64, Line)>,
    /// (highest line - mean) / mean under load, in percent.
    pub(crate) imbalance_percent: Option<f64>,
    pub(crate) failover: Option<Failover>,
}

/// What a supply would carry if every supply of the other side were lost.
#[derive(Debug, Clone)]
pub(crate) struct Failover {
    /// Of the rating, in percent.
    pub(crate) percent: f64,
    pub(crate) carried: f64,
    /// `kW` or `A`.
    pub(crate) unit: &'static str,
    pub(crate) line: Line,
    /// Whose load it takes over.
    pub(crate) others: Vec<String>,
    /// Share of the shared load that this side carries now, in percent.
    pub(crate) share_percent: f64,
}

pub(super) fn supplies(board: &Board) -> Vec<Supply> {
    let metered = board.metered(Family::Power);
    metered
        .filter_map(|(ix, domain)| {
            let breaker = breaker(board, domain);
            let power = board.power(domain);
            let most_kw = power.as_ref().map(|trace| highest(&trace.means(SUSTAINED_S)));
            let seconds = board.seconds(domain);
            let imbalance_percent = imbalance(board, domain);
            let failover = failover(board, ix, domain);
            let any = most_kw.is_some() || breaker.is_some() || imbalance_percent.is_some();
            any.then_some(Supply {
                domain: ix,
                most_kw,
                seconds,
                breaker,
                imbalance_percent,
                failover,
            })
        })
        .collect()
}

fn highest(means: &[f64]) -> f64 {
    means.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// A load of one line or of the whole, and what it may be.
struct Rated {
    quantity: Quantity,
    line: Line,
    rating: f64,
}

/// Every way in which a domain's load can be held against its rating; lines before the
/// whole, because a breaker trips by its worst line.
fn rated(board: &Board, domain: &Domain) -> Vec<Rated> {
    let has = |quantity, line| board.meters.trace(&domain.id, quantity, line).is_some();
    let mut all = Vec::new();
    for line in [Line::L1, Line::L2, Line::L3, Line::Whole] {
        if let Some(rating) = domain.amps.filter(|_| has(Quantity::CurrentA, line)) {
            all.push(Rated { quantity: Quantity::CurrentA, line, rating });
        }
    }
    let lines = f64::from(domain.phases.unwrap_or(3));
    for line in [Line::L1, Line::L2, Line::L3, Line::Whole] {
        if let Some(rating) = domain.rating_kw.filter(|_| has(Quantity::PowerKw, line)) {
            let rating = if line == Line::Whole { rating } else { rating / lines };
            all.push(Rated { quantity: Quantity::PowerKw, line, rating });
        }
    }
    all.retain(|rated| rated.rating > 0.0);
    all
}

fn breaker(board: &Board, domain: &Domain) -> Option<(f64, Line)> {
    let percents = rated(board, domain).into_iter().filter_map(|rated| {
        let trace = board.meters.trace(&domain.id, rated.quantity, rated.line)?;
        let most = highest(&trace.means(SUSTAINED_S));
        most.is_finite().then(|| (most / rated.rating * 100.0, rated.line))
    });
    percents.reduce(|worst, next| if next.0 > worst.0 { next } else { worst })
}

/// (highest - mean) / mean, in percent; `None` for what carries nothing.
pub(super) fn imbalance_percent(lines: &[f64]) -> Option<f64> {
    let mean = lines.iter().sum::<f64>() / lines.len() as f64;
    (lines.len() >= 2 && mean > 0.0).then(|| (highest(lines) - mean) / mean * 100.0)
}

fn imbalance(board: &Board, domain: &Domain) -> Option<f64> {
    let lines = |quantity| {
        let trace = |line| board.meters.trace(&domain.id, quantity, line);
        Some([trace(Line::L1)?, trace(Line::L2)?, trace(Line::L3)?])
    };
    let currents = lines(Quantity::CurrentA);
    let rating = if currents.is_some() { domain.amps } else { domain.rating_kw.map(|kw| kw / 3.0) };
    let [one, two, three] = paired(currents.or_else(|| lines(Quantity::PowerKw))?, SUSTAINED_S);
    let rows: Vec<[f64; 3]> =
        one.iter().zip(&two).zip(&three).map(|((a, b), c)| [*a, *b, *c]).collect();
    let total = |row: &[f64; 3]| row.iter().sum::<f64>();
    let most = highest(&rows.iter().map(total).collect::<Vec<_>>());
    let carries = rating.is_none_or(|rating| most / 3.0 >= BALANCE_LEAST * rating);
    let heavy = rows.iter().filter(|row| carries && total(row) >= HEAVY * most);
    median(&heavy.filter_map(|row| imbalance_percent(row)).collect::<Vec<_>>())
}

/// What `ix` would carry with every supply of the other side lost: each of those gives its
/// load to the nodes' other cords, shared by the number of nodes (nodes drawn alike).
fn failover(board: &Board, ix: DomainIx, domain: &Domain) -> Option<Failover> {
    let site = board.site;
    let side = domain.side.as_ref()?;
    let own: BTreeSet<NodeIx> = site.members(ix).iter().copied().collect();
    let others: Vec<(DomainIx, f64)> = site
        .of_kind(domain.kind)
        .filter(|other| site.domain(*other).side.as_ref().is_some_and(|other| other != side))
        .filter_map(|other| {
            let members = site.members(other);
            let shared = members.iter().filter(|node| own.contains(node)).count();
            (shared > 0).then(|| (other, shared as f64 / members.len() as f64))
        })
        .collect();
    if others.is_empty() {
        return None;
    }
    let all = rated(board, domain).into_iter().filter_map(|rated| {
        let (carried, share) = surviving(board, domain, &others, &rated)?;
        Some(Failover {
            percent: carried / rated.rating * 100.0,
            carried,
            unit: if rated.quantity == Quantity::CurrentA { "A" } else { "kW" },
            line: rated.line,
            others: others.iter().map(|(ix, _)| site.domain(*ix).id.clone()).collect(),
            share_percent: share,
        })
    });
    all.reduce(|worst, next| if next.percent > worst.percent { next } else { worst })
}

/// The highest sum at one time, and this side's share of it in percent. `None` unless every
/// other side's load was measured on the same line.
fn surviving(
    board: &Board,
    domain: &Domain,
    others: &[(DomainIx, f64)],
    rated: &Rated,
) -> Option<(f64, f64)> {
    let trace = |id: &str| board.meters.trace(id, rated.quantity, rated.line);
    let own = trace(&domain.id)?;
    let other = |ix: DomainIx| trace(&board.site.domain(ix).id);
    let widths = others.iter().map(|(ix, _)| Some(meeting_width([own, other(*ix)?], SUSTAINED_S)));
    let width = widths.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    let mut sums =
        in_bins([own], width).into_iter().map(|(at, [a])| (at, (a, a))).collect::<Vec<_>>();
    for (ix, share) in others {
        let bins = in_bins([other(*ix)?], width);
        sums.retain_mut(|(at, (sum, _))| {
            let more = bins.get(at).map(|[b]| *sum += b * share);
            more.is_some()
        });
    }
    let (sum, own) = sums.into_iter().map(|(_, row)| row).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (sum > 0.0).then(|| (sum, own / sum * 100.0))
}
