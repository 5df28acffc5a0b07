//! Adaptive rounds: which transfers to make next, from what the rounds so far said.
//!
//! Picture: a doctor who asks the question whose answer splits the illnesses that are left.
//! Each row is a test that came out slow or not (`proof`), tests weigh hypotheses (`belief`),
//! and the next round asks where weight lies (`round`). Slow flows that a collision of hashes
//! can explain are no failures; those that nothing explains never go away again: a part that
//! failed later passes keeps its failures, and one that was named stays named.
//!
//! Made for parts that lost a quarter of their speed or more, and for one flow a card: small
//! losses need the long quiet sweep. Refuses to judge: the run's findings come from the
//! judge, over the same rows.

mod belief;
mod covered;
mod proof;
mod round;
mod sharing;

use std::collections::BTreeSet;

use model::finding::Suspect;
use model::site::Site;

use super::map::Map;
use super::name::{direction, suspect};
use crate::digest::pairs::Pairs;
use belief::Book;
pub use covered::{Covered, covered};

/// How rounds are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Seed of ports and of who plays first; the same rows and seed give the same round.
    pub seed: u64,
    /// Rounds after which nothing more is asked.
    pub rounds_max: u32,
    /// Whether rows will say which switches a flow crossed.
    pub paths_known: bool,
    /// The card that sends and receives, where nodes have several.
    pub rail: Option<String>,
}

/// One directed transfer that should be made, one five-tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Node that sends, by name.
    pub src: String,
    /// Node that receives, by name.
    pub dst: String,
    /// Source port.
    pub sport: u16,
}

/// A directed part that failed again and again, with other partners.
#[derive(Debug, Clone, PartialEq)]
pub struct Accused {
    /// Kind and id as findings name it.
    pub part: Suspect,
    /// `transmit`, `receive` or `in this direction`.
    pub side: &'static str,
    /// First round whose rows were enough to name it.
    pub round: u32,
    /// Tests through it that nothing else explains.
    pub failures: u32,
    /// Tests through it that would have shown a lasting fault and did not.
    pub passes: u32,
}

/// What the rows so far say, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Named so far, in the order in which they were.
    pub accused: Vec<Accused>,
    /// Slow tests that neither a collision nor an accused part explains.
    pub unexplained: u32,
    /// Probability, by the model of `belief`, that no other part is bad.
    pub rest_sound: f64,
    /// The next round; empty when it is decided, when no round is left or when the site has
    /// nobody to send to.
    pub next: Vec<Sending>,
    /// Whether it is decided: everything slow is explained, and the rest is sound as far as
    /// [`Step::rest_sound`] goes.
    pub decided: bool,
}

/// Probability from which on the rest is called sound.
const SURE: f64 = 0.99;

/// Reads all rows so far and says what comes next. Rounds are those of the rows; each flow
/// must be the only one of its pair in its round.
#[must_use]
pub fn step(site: &Site, pairs: &Pairs, terms: &Terms) -> Step {
    let map = Map::new(site);
    let proofs = proof::proofs(&map, pairs);
    let mut book = Book::new(&map, terms);
    let rounds: BTreeSet<u32> = pairs.flows().map(|flow| flow.round).collect();
    for &round in &rounds {
        book.add(round, proofs.iter().filter(|proof| proof.round == round));
    }
    let rest_sound = book.sound();
    let unexplained = book.unexplained();
    let decided = unexplained == 0 && rest_sound >= SURE;
    let asked = rounds.len() as u32;
    let next = if decided || asked >= terms.rounds_max {
        Vec::new()
    } else {
        round::next(&map, terms, &book, pairs, asked)
    };
    let accused = book.accused().iter().map(|accused| Accused {
        part: suspect(site, accused.element),
        side: direction(accused.element),
        round: accused.round,
        failures: accused.failures,
        passes: accused.passes,
    });
    Step { accused: accused.collect(), unexplained, rest_sound, next, decided }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::site::{Domain, DomainKind, Link, Node, SiteDraft};
    use model::table::PairRow;
    use proptest::prelude::*;

    use super::*;

    const LEAVES: usize = 4;
    const HOSTS: usize = 3;
    const SPINES: usize = 2;

    /// Four leaves of three nodes, two spines.
    fn site() -> Site {
        let mut draft = SiteDraft { name: "small".to_owned(), ..SiteDraft::default() };
        for leaf in 0..LEAVES {
            draft.domains.push(Domain::new(DomainKind::Leaf, format!("leaf-{leaf}")));
            for host in 0..HOSTS {
                let name = format!("n{}", leaf * HOSTS + host);
                draft.nodes.push(Node::new(name, &[&format!("leaf-{leaf}")]));
            }
            for spine in 0..SPINES {
                let (a, b) = (format!("leaf-{leaf}"), format!("spine-{spine}"));
                draft.links.push(Link { a, b, gbps: 100.0, count: 1 });
            }
        }
        for spine in 0..SPINES {
            draft.domains.push(Domain::new(DomainKind::Spine, format!("spine-{spine}")));
        }
        Site::new(draft).unwrap()
    }

    fn terms(paths_known: bool) -> Terms {
        Terms { seed: 1, rounds_max: 60, paths_known, rail: None }
    }

    /// Answers a step as a fabric would in which no two flows meet: slow where `slow` says so.
    fn answer(step: &Step, round: u32, slow: impl Fn(&Sending) -> bool) -> Vec<PairRow> {
        let row = |sending: &Sending| PairRow {
            round,
            src: sending.src.clone(),
            dst: sending.dst.clone(),
            sport: Some(u64::from(sending.sport)),
            gbps: Some(if slow(sending) { 50.0 } else { 100.0 }),
            via: Some(format!("spine-{}", sending.sport % SPINES as u16)),
            ..PairRow::default()
        };
        step.next.iter().map(row).collect()
    }

    /// Rounds until nothing more is asked, or these many.
    fn played(rounds: u32, slow: impl Fn(u32, &Sending) -> bool) -> (Pairs, Step) {
        let (site, terms) = (site(), terms(true));
        let mut pairs = Pairs::default();
        let mut now = step(&site, &pairs, &terms);
        for round in 0..rounds {
            pairs.add(&answer(&now, round, |sending| slow(round, sending)));
            now = step(&site, &pairs, &terms);
        }
        (pairs, now)
    }

    #[test]
    fn a_slow_sender_is_named_with_its_side_and_the_question_is_closed() {
        let (_, step) = played(20, |_, sending| sending.src == "n4");
        let named: Vec<_> = step.accused.iter().map(|a| (a.part.id.clone(), a.side)).collect();
        assert_eq!(named, [("n4/unknown".to_owned(), "transmit")]);
        assert!(step.decided && step.unexplained == 0 && step.next.is_empty());
    }

    #[test]
    fn what_failed_stays_named_however_often_it_passes_later() {
        let (_, early) = played(8, |_, sending| sending.dst == "n7");
        assert_eq!(early.accused.len(), 1);
        // The same eight rounds, then it is well again for as long as anybody asks.
        let (mut pairs, _) = played(8, |_, sending| sending.dst == "n7");
        let site = site();
        for round in 8..48 {
            let row = |host: usize| PairRow {
                round,
                src: format!("n{host}"),
                dst: "n7".to_owned(),
                sport: Some(50_000 + u64::from(round)),
                gbps: Some(100.0),
                via: Some("spine-0".to_owned()),
                ..PairRow::default()
            };
            pairs.add(&[row(round as usize % 3)]);
        }
        let late = step(&site, &pairs, &terms(true));
        assert_eq!(late.accused[0].part, early.accused[0].part);
        assert_eq!(late.accused[0].failures, early.accused[0].failures);
        assert!(late.accused[0].passes >= 40);
    }

    #[test]
    fn what_was_touched_is_counted_and_what_was_not_is_told() {
        let (site, terms) = (site(), terms(true));
        let empty = Pairs::default();
        let none = covered(&site, &empty);
        assert_eq!(none.len(), 2 * LEAVES);
        assert!(none.iter().all(|side| side.tuples == 0 && side.all_touched == 0.0));
        let mut pairs = Pairs::default();
        pairs.add(&answer(&step(&site, &empty, &terms), 0, |_| false));
        for side in covered(&site, &pairs) {
            let touched = side.touched.unwrap().len();
            assert_eq!(side.all_touched, f64::from(u8::from(touched == SPINES)));
            assert_eq!((side.uplinks, side.wanted), (2, Some(8)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn every_card_sends_once_and_hears_once_and_no_tuple_is_asked_of_itself(
            rows in prop::collection::vec((0usize..12, 0usize..12, 0u16..40, any::<bool>()), 0..60),
            paths_known: bool,
        ) {
            let site = site();
            let mut pairs = Pairs::default();
            for (at, (src, dst, sport, slow)) in rows.into_iter().enumerate() {
                pairs.add(&[PairRow {
                    round: at as u32 / 6,
                    src: format!("n{src}"),
                    dst: format!("n{dst}"),
                    sport: Some(50_000 + u64::from(sport)),
                    gbps: Some(if slow { 50.0 } else { 100.0 }),
                    via: paths_known.then(|| format!("spine-{}", sport % 2)),
                    ..PairRow::default()
                }]);
            }
            let terms = terms(paths_known);
            let step = step(&site, &pairs, &terms);
            prop_assert_eq!(&super::step(&site, &pairs, &terms), &step);
            let (mut from, mut to) = (BTreeSet::new(), BTreeSet::new());
            for sending in &step.next {
                prop_assert!(sending.src != sending.dst);
                prop_assert!(from.insert(&sending.src) && to.insert(&sending.dst));
            }
            prop_assert!((0.0..=1.0).contains(&step.rest_sound));
        }
    }
}
