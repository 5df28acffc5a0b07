use proptest::prelude::*;

use super::*;

const S: i64 = 1_000_000_000;

/// Nodes that draw `idle_kw` and `full_kw` at level 1, seen once a second, a second late.
struct Hall {
    control: Control,
    budget_kw: f64,
    expected_kw: f64,
    true_kw: Vec<(f64, f64)>,
    second: i64,
    levels: [f64; 3],
}

impl Hall {
    fn new(budget_kw: f64, expected_kw: f64, true_kw: Vec<(f64, f64)>) -> Self {
        let nodes = (0..true_kw.len()).map(|node| format!("n{node}")).collect();
        let domain = Domain { name: "pdu pdu-a1".to_owned(), most_kw: budget_kw, nodes };
        let control = Control::new(vec![domain]);
        Self { control, budget_kw, expected_kw, true_kw, second: 0, levels: [0.0; 3] }
    }

    fn draw(&self, level: f64) -> f64 {
        self.true_kw.iter().map(|(idle, full)| idle + (full - idle) * level).sum()
    }

    /// One second: true kW of the domain, and the scale that follows.
    fn second(&mut self, peak: f64, readings: bool) -> (f64, f64) {
        let now_ns = self.second * S;
        // What is read now is of the second before, and so is its level.
        let level = self.levels[1];
        let at_ns = if readings { now_ns } else { 5 * S };
        let node = |(idle, full): &(f64, f64)| NodeNow {
            expected_kw: self.expected_kw,
            peak,
            kernel: "mix".to_owned(),
            reading: (self.second > 0).then(|| Reading {
                at_ns,
                watts: (idle + (full - idle) * level) * 1e3,
                level,
            }),
            lost: false,
        };
        let nodes: BTreeMap<String, NodeNow> =
            self.true_kw.iter().enumerate().map(|(i, kw)| (format!("n{i}"), node(kw))).collect();
        let scale = self.control.step(now_ns, 1.0, &nodes)[0].scale;
        self.levels = [peak * scale, self.levels[0], self.levels[1]];
        self.second += 1;
        (self.draw(self.levels[0]), scale)
    }
}

#[test]
fn nodes_that_draw_a_fifth_more_than_expected_stay_below_the_budget() {
    let mut hall = Hall::new(10.0, 1.0, vec![(0.36, 1.2); 10]);
    let mut last = (0.0, 0.0);
    for second in 0..60 {
        last = hall.second(1.0, true);
        println!("second {second:2}: scale {:.3}, {:.2} kW of 10.00 kW", last.1, last.0);
        assert!(last.0 <= 10.0, "second {second}: {last:?}");
    }
    assert!(last.0 > 9.3, "the budget is used: {last:?}");
}

#[test]
fn nodes_that_draw_what_was_expected_come_to_their_full_level() {
    let mut hall = Hall::new(10.4, 1.0, vec![(0.3, 1.0); 10]);
    let scales: Vec<f64> = (0..40).map(|_| hall.second(1.0, true).1).collect();
    assert!(scales[0] < 0.8, "not before it was measured: {}", scales[0]);
    assert_eq!(scales[39], 1.0);
}

#[test]
fn a_plan_with_room_is_never_scaled() {
    let mut hall = Hall::new(13.0, 1.0, vec![(0.3, 1.0); 10]);
    for _ in 0..30 {
        assert_eq!(hall.second(1.0, true).1, 1.0);
    }
}

#[test]
fn readings_that_stop_let_the_scale_fall() {
    let mut hall = Hall::new(10.4, 1.0, vec![(0.3, 1.0); 10]);
    for _ in 0..40 {
        hall.second(1.0, true);
    }
    // The clock jumps over a silence that began at second 5.
    let scales: Vec<f64> = (0..5).map(|_| hall.second(1.0, false).1).collect();
    assert!(scales[0] < 0.8, "{scales:?}");
    hall.second += 20;
    assert!(hall.second(1.0, false).1 <= scales[4], "{scales:?}");
}

#[test]
fn what_is_too_much_now_is_lowered_at_once() {
    let mut hall = Hall::new(10.0, 0.5, vec![(0.3, 1.4); 10]);
    let mut over = 0;
    for second in 0..40 {
        let (kw, scale) = hall.second(1.0, true);
        println!("second {second:2}: scale {scale:.3}, {kw:.2} kW of 10.00 kW");
        over += u32::from(kw > 10.0);
    }
    assert!(over <= 5, "nodes of almost three times their rating: {over} seconds over");
    assert!(hall.second(1.0, true).0 <= 10.0);
}

#[test]
fn a_node_that_is_lost_or_does_not_heat_counts_with_its_idle_draw() {
    let nodes = ["n0", "n1", "n2"].map(str::to_owned).to_vec();
    let domain = Domain { name: "pdu a".to_owned(), most_kw: 1.5, nodes };
    let heats = NodeNow { expected_kw: 1.0, peak: 1.0, ..NodeNow::default() };
    let lost = NodeNow { lost: true, ..heats.clone() };
    let idles = NodeNow { peak: 0.0, ..heats.clone() };
    let scale_beside = |others: [&NodeNow; 2]| {
        let nodes = BTreeMap::from([
            ("n0".to_owned(), heats.clone()),
            ("n1".to_owned(), others[0].clone()),
            ("n2".to_owned(), others[1].clone()),
        ]);
        Control::new(vec![domain.clone()]).step(0, 1.0, &nodes)[0].scale
    };
    let nothing = NodeNow::default();
    assert_eq!(scale_beside([&nothing, &nothing]), 1.0);
    assert!(scale_beside([&lost, &nothing]) < 1.0);
    assert_eq!(scale_beside([&lost, &nothing]), scale_beside([&nothing, &idles]));
}

#[test]
fn a_node_is_as_low_as_its_tightest_domain() {
    let domain = |name: &str, most_kw| Domain {
        name: name.to_owned(),
        most_kw,
        nodes: vec!["n0".to_owned()],
    };
    let mut control = Control::new(vec![domain("pdu a", 2.0), domain("pdu b", 0.5)]);
    let node = NodeNow { expected_kw: 1.0, peak: 1.0, ..NodeNow::default() };
    let scaled = control.step(0, 1.0, &BTreeMap::from([("n0".to_owned(), node)]));
    assert_eq!(scaled[0].scale, 1.0);
    assert_eq!(control.by_node()["n0"], scaled[1].scale);
}

proptest! {
    /// Whatever nodes idle at, and up to the margin above what was expected, a domain never
    /// passes its budget once it could be kept at all.
    #[test]
    fn a_budget_holds(
        expected in 0.5..2.0_f64,
        shares in prop::collection::vec((0.0..0.3_f64, 0.5..1.25_f64), 1..12),
        budget in 0.5..1.5_f64,
        peak in 0.1..1.0_f64,
    ) {
        let true_kw: Vec<(f64, f64)> =
            shares.iter().map(|(idle, full)| (idle * full * expected, full * expected)).collect();
        let budget_kw = budget * expected * true_kw.len() as f64;
        let mut hall = Hall::new(budget_kw, expected, true_kw);
        for second in 0..60 {
            let (kw, scale) = hall.second(peak, true);
            prop_assert!(kw <= hall.budget_kw + 1e-9, "second {second}: {kw} at {scale}");
        }
    }
}
