//! Max-min fair sharing by progressive filling (Bertsekas and Gallager, Data Networks, 6.5).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Rates of flows, in the unit of the capacities: flow `i` crosses the links `paths[i]`.
/// A flow that crosses no link, or whose capacity is not a number, gets nothing.
#[must_use]
pub fn fair_rates(capacities: &[f64], paths: &[Vec<usize>]) -> Vec<f64> {
    // What is no capacity carries nothing.
    let mut left: Vec<f64> = capacities.iter().map(|gbps| gbps.max(0.0)).collect();
    let mut flows_on: Vec<Vec<usize>> = vec![Vec::new(); capacities.len()];
    let mut open: Vec<usize> = vec![0; capacities.len()];
    for (flow, path) in paths.iter().enumerate() {
        for &link in path {
            flows_on[link].push(flow);
            open[link] += 1;
        }
    }
    let mut rates: Vec<Option<f64>> = vec![None; paths.len()];
    // Bits of numbers from zero up are in the order of the numbers. Shares only grow while
    // others are closed, so one that is out of date is put back, never missed.
    let share_of = |link: usize, left: &[f64], open: &[usize]| left[link] / open[link] as f64;
    let used = (0..left.len()).filter(|link| open[*link] > 0);
    let mut queue: BinaryHeap<Reverse<(u64, usize)>> =
        used.map(|link| Reverse((share_of(link, &left, &open).to_bits(), link))).collect();
    // Every pass closes the tightest link for good.
    while let Some(Reverse((bits, tight))) = queue.pop() {
        if open[tight] == 0 {
            continue;
        }
        let share = share_of(tight, &left, &open);
        if share.to_bits() > bits {
            queue.push(Reverse((share.to_bits(), tight)));
            continue;
        }
        for &flow in &flows_on[tight] {
            if rates[flow].is_some() {
                continue;
            }
            rates[flow] = Some(share);
            for &link in &paths[flow] {
                left[link] = (left[link] - share).max(0.0);
                open[link] -= 1;
            }
        }
        open[tight] = 0;
    }
    rates.into_iter().map(|rate| rate.filter(|r| r.is_finite()).unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_of_one_link_share_it_evenly() {
        assert_eq!(fair_rates(&[10.0], &[vec![0], vec![0]]), [5.0, 5.0]);
    }

    #[test]
    fn what_a_held_back_flow_leaves_goes_to_the_others() {
        // The textbook's three flows: one is held to 2 elsewhere, two share the other 8.
        let paths = [vec![0, 1], vec![0], vec![0]];
        assert_eq!(fair_rates(&[10.0, 2.0], &paths), [2.0, 4.0, 4.0]);
    }

    #[test]
    fn a_chain_starves_its_long_flow_no_further_than_fair() {
        let paths = [vec![0, 1], vec![0], vec![1]];
        assert_eq!(fair_rates(&[1.0, 1.0], &paths), [0.5, 0.5, 0.5]);
    }

    #[test]
    fn nothing_flows_without_a_path_or_a_capacity() {
        assert_eq!(fair_rates(&[f64::NAN, 0.0], &[vec![], vec![1], vec![0]]), [0.0, 0.0, 0.0]);
    }
}
