//! What may be wrong with a fabric, in physical terms.

use super::dice::Dice;
use super::path::Links;
use super::shape::Shape;

/// Seen from the host or the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the spines: transmit.
    Up,
    /// Towards the hosts: receive.
    Down,
}

/// One directed part of the fabric, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A host's card with its cable.
    Host(usize, Direction),
    /// The cable between a leaf (of the whole fabric) and a spine of its pod.
    Uplink(usize, usize, Direction),
    /// All cables of a leaf.
    Leaf(usize, Direction),
}

/// A fault of a directed part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FabricFault {
    pub place: Place,
    /// Share of its capacity that is left while it is bad, 0..=1.
    pub speed: f64,
    /// Share of rounds in which it is bad; 1 is a fault that lasts.
    pub rounds: f64,
}

impl FabricFault {
    /// A fault that lasts.
    #[must_use]
    pub fn lasting(place: Place, speed: f64) -> Self {
        Self { place, speed, rounds: 1.0 }
    }

    /// A fault that comes and goes.
    #[must_use]
    pub fn flaky(place: Place, speed: f64, rounds: f64) -> Self {
        Self { place, speed, rounds }
    }

    /// Takes its share from the capacities of one round.
    pub(super) fn strike(&self, shape: &Shape, capacities: &mut [f64], dice: &mut Dice) {
        if dice.share() > self.rounds {
            return;
        }
        let links = Links::new(shape);
        let hit = match self.place {
            Place::Host(host, Direction::Up) => vec![links.host_up(host)],
            Place::Host(host, Direction::Down) => vec![links.host_down(host)],
            Place::Uplink(leaf, spine, Direction::Up) => vec![links.leaf_up(leaf, spine)],
            Place::Uplink(leaf, spine, Direction::Down) => vec![links.leaf_down(leaf, spine)],
            Place::Leaf(leaf, direction) => (0..shape.spines)
                .map(|spine| match direction {
                    Direction::Up => links.leaf_up(leaf, spine),
                    Direction::Down => links.leaf_down(leaf, spine),
                })
                .collect(),
        };
        for link in hit {
            if let Some(capacity) = capacities.get_mut(link) {
                *capacity *= self.speed.clamp(0.0, 1.0);
            }
        }
    }
}
