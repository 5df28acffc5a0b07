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
