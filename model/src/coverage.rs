//! How many flows it takes until hashing has used every path: the coupon collector.

/// Flows beyond this are no plan.
const FLOWS_MAX: u32 = 1 << 20;

/// Fresh five-tuples of a leaf and direction after which all `paths` equal paths were used with
/// at least this probability, each tuple being hashed to any of them alike.
///
/// R-Pingmesh, Eq. 1 (Liu et al., SIGCOMM 2024): `n = ceil(ln(1 - p^(1/m)) / ln(1 - 1/m))`.
/// It takes paths for independent, which [`all_used`] does not: the two agree within 0.01 from
/// 8 paths on. `None` when no number of flows does it (no path, or certainty asked for).
#[must_use]
pub fn flows_to_use_all(paths: u32, probability: f64) -> Option<u32> {
    if paths == 0 || !(0.0..1.0).contains(&probability) {
        return None;
    }
    if paths == 1 {
        return Some(1);
    }
    let each = probability.powf(1.0 / f64::from(paths));
    let flows = ((1.0 - each).ln() / (1.0 - 1.0 / f64::from(paths)).ln()).ceil();
    (flows <= f64::from(FLOWS_MAX)).then_some((flows as u32).max(1))
}

/// Probability that `flows` flows used all of `paths` paths, exactly: the number of paths used
/// after each flow is a Markov chain (the occupancy problem: Feller, An Introduction to
/// Probability Theory and Its Applications, vol. 1).
/// 0 when there are no paths.
#[must_use]
pub fn all_used(paths: u32, flows: u32) -> f64 {
    if paths == 0 || flows < paths {
        return 0.0;
    }
    let count = paths as usize;
    // Chance of each number of paths used so far.
    let mut used = vec![0.0; count + 1];
    used[0] = 1.0;
    for _ in 0..flows.min(FLOWS_MAX) {
        for now in (1..=count).rev() {
            let stays = now as f64 / count as f64;
            let comes = (count + 1 - now) as f64 / count as f64;
            used[now] = used[now] * stays + used[now - 1] * comes;
        }
        used[0] = 0.0;
    }
    used[count].min(1.0)
}

/// Share of the paths that `flows` flows use in the mean: also the chance that one certain path
/// was used.
#[must_use]
pub fn share_used(paths: u32, flows: u32) -> f64 {
    if paths == 0 { 0.0 } else { 1.0 - (1.0 - 1.0 / f64::from(paths)).powf(f64::from(flows)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lot::Lot;

    #[test]
    fn the_published_figures_come_out() {
        let row = |p: f64| [2, 4, 8, 16, 32, 64].map(|m| flows_to_use_all(m, p).unwrap());
        assert_eq!(row(0.9), [5, 13, 33, 78, 181, 408]);
        assert_eq!(row(0.99), [8, 21, 51, 115, 255, 557]);
        assert_eq!(row(0.999), [11, 29, 68, 150, 327, 703]);
    }

    #[test]
    fn no_paths_and_certainty_have_no_number() {
        assert_eq!((flows_to_use_all(0, 0.9), flows_to_use_all(4, 1.0)), (None, None));
        assert_eq!((flows_to_use_all(1, 0.999), all_used(1, 1)), (Some(1), 1.0));
        assert_eq!((all_used(8, 7), all_used(0, 9), share_used(0, 9)), (0.0, 0.0, 0.0));
    }

    /// Trials of `flows` flows over `paths` paths that used all of them, and paths used.
    fn rolled(paths: u32, flows: u32, trials: u32) -> (f64, f64) {
        let mut lot = Lot::new(1, u64::from(paths * 1_000 + flows));
        let (mut all, mut sum) = (0, 0);
        for _ in 0..trials {
            let mut used = vec![false; paths as usize];
            (0..flows).for_each(|_| used[lot.below(paths as usize)] = true);
            let count = used.iter().filter(|used| **used).count();
            sum += count;
            all += u32::from(count == paths as usize);
        }
        let trials = f64::from(trials);
        (f64::from(all) / trials, sum as f64 / trials / f64::from(paths))
    }

    #[test]
    fn chance_does_what_the_formulas_say() {
        // 20,000 trials: four standard errors of a share are at most 0.0142.
        for (paths, flows) in [(2, 5), (4, 13), (8, 20), (8, 33), (16, 78), (32, 150)] {
            let (all, share) = rolled(paths, flows, 20_000);
            assert!((all - all_used(paths, flows)).abs() < 0.0142, "{paths} {flows} {all}");
            assert!((share - share_used(paths, flows)).abs() < 0.005, "{paths} {flows} {share}");
        }
    }

    #[test]
    fn the_planned_number_keeps_its_promise_within_a_hundredth_from_eight_paths_on() {
        for paths in [8, 16, 32, 64] {
            for probability in [0.9, 0.95, 0.99] {
                let flows = flows_to_use_all(paths, probability).unwrap();
                let true_one = all_used(paths, flows);
                assert!(true_one > probability - 0.01, "{paths} {probability} {true_one}");
            }
        }
    }

    proptest! {
        #[test]
        fn more_flows_never_use_less(paths in 1u32..40, flows in 0u32..400) {
            prop_assert!(all_used(paths, flows + 1) >= all_used(paths, flows) - 1e-12);
            prop_assert!(share_used(paths, flows + 1) >= share_used(paths, flows));
            prop_assert!(all_used(paths, flows) <= share_used(paths, flows) + 1e-12);
        }
    }
}
