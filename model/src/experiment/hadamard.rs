//! Codes of plus and minus that tell groups apart: columns of Sylvester's Hadamard matrix.
//!
//! Entry (step, code) is -1 to the number of ones that both have in common in binary. All
//! columns but the first have as many plus as minus, and any two agree in half of the steps.

/// Codes for some groups: one a group, each with one sign a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    steps: usize,
}

impl Codes {
    /// The shortest codes for so many groups: a power of two above their number, at least 4.
    #[must_use]
    pub fn of(groups: usize) -> Self {
        Self { steps: (groups + 1).next_power_of_two().max(4) }
    }

    /// How many steps a code has.
    #[must_use]
    pub fn steps(self) -> usize {
        self.steps
    }

    /// Whether a group is loaded in a step. The first column, which never changes, is nobody's.
    #[must_use]
    pub fn is_plus(self, group: usize, step: usize) -> bool {
        ((group + 1) & step).count_ones().is_multiple_of(2)
    }

    /// +1 or -1.
    #[must_use]
    pub fn sign(self, group: usize, step: usize) -> f64 {
        if self.is_plus(group, step) { 1.0 } else { -1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_have_no_mean_and_any_two_agree_in_half_of_the_steps(groups in 1usize..130) {
            let codes = Codes::of(groups);
            for a in 0..groups {
                let sum: f64 = (0..codes.steps()).map(|step| codes.sign(a, step)).sum();
                prop_assert_eq!(sum, 0.0);
                for b in 0..a {
                    let both = (0..codes.steps()).map(|s| codes.sign(a, s) * codes.sign(b, s));
                    prop_assert_eq!(both.sum::<f64>(), 0.0, "{} and {}", a, b);
                }
            }
        }
    }
}
