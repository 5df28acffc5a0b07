//! Tests of plan documents.

use model::Kernel;
use model::collective::CollectiveOp;
use model::plan::{By, PhaseKind, PhaseLoad, Selector, Traffic};
use model::site::DomainKind;
use proptest::prelude::*;

use super::*;

const HEAD: &str = "schema = 1\nname = \"p\"\nrequires = [\"compute\"]\n";

fn plan_of(phases: &str) -> Result<Plan, String> {
    parse("plan.toml", &format!("{HEAD}{phases}")).map_err(|errors| errors.to_string())
}

fn phase_of(phase: &str) -> Phase {
    plan_of(&format!("[[phase]]\n{phase}\n")).unwrap().phases.remove(0)
}

#[test]
fn the_builtin_plans_read() {
    let errors = BUILTIN.map(|name| parse(name, builtin_text(name).unwrap()).err());
    assert_eq!(errors, [None, None]);
    let quick = builtin("quick").unwrap();
    assert!((50.0..=70.0).contains(&quick.seconds()), "{}", quick.seconds());
    let held = quick.phases.iter().filter(|phase| phase.kind == PhaseKind::Hold);
    assert!(held.clone().count() >= 4 && held.clone().all(|phase| phase.seconds >= 6.0));
    let acceptance = builtin("acceptance").unwrap();
    assert!(acceptance.phases.iter().any(|phase| phase.seconds >= 2700.0));
    assert!(builtin("other").is_none());
}

#[test]
fn defaults_are_as_documented() {
    let hold = phase_of("kind = \"hold\"\nseconds = 1");
    assert_eq!(hold.name, "hold");
    assert_eq!(hold.load, Some(PhaseLoad::of(Kernel::Mix, 100.0)));
    assert_eq!((hold.on, hold.traffic), (Selector::All, None));
    let collective = phase_of("kind = \"collective\"\nseconds = 1");
    assert_eq!(
        (collective.load, collective.traffic),
        (
            None,
            Some(Traffic::Collective { op: CollectiveOp::AllReduce, bytes: 64 << 20, over: None })
        )
    );
    let pairs = phase_of("kind = \"pairs\"\nseconds = 1");
    let traffic = Traffic::Pairs { bytes: 32 << 20, streams: 1, both_ways: false, quiet: false };
    assert_eq!(pairs.traffic, Some(traffic));
    let ramp = phase_of("kind = \"ramp\"\nseconds = 1\nload = { percent = 70 }");
    assert_eq!(ramp.kind, PhaseKind::Ramp { from_percent: 0.0, to_percent: 70.0 });
    let square = phase_of("kind = \"square\"\nseconds = 9");
    assert_eq!(
        square.kind,
        PhaseKind::Square { low_percent: 0.0, high_percent: 100.0, period_seconds: 2.0 }
    );
    let step = phase_of("kind = \"step\"\nseconds = 9");
    let step_kind = PhaseKind::Step {
        low_percent: 0.0,
        high_percent: 100.0,
        up_at_seconds: 3.0,
        down_at_seconds: 6.0,
    };
    assert_eq!(step.kind, step_kind);
    let sine = phase_of("kind = \"sine\"\nseconds = 9\nlow_percent = 40\nperiod_seconds = 3");
    assert_eq!(
        sine.kind,
        PhaseKind::Sine { low_percent: 40.0, high_percent: 100.0, period_seconds: 3.0 }
    );
    let staircase = phase_of("kind = \"staircase\"\nseconds = 100");
    assert_eq!(
        staircase.kind,
        PhaseKind::Staircase {
            low_percent: 0.0,
            high_percent: 100.0,
            by: None,
            steps: Some(10),
            step_seconds: None
        }
    );
    let stagger = phase_of("kind = \"stagger\"\nseconds = 99\nby = \"rack\"\ndelay_seconds = 3");
    assert!(matches!(
        stagger.kind,
        PhaseKind::Stagger { by: By::Domain(DomainKind::Rack), ramp_seconds: 0.0, .. }
    ));
    let training = phase_of("kind = \"training\"\nseconds = 3600\nload = { percent = 90 }");
    let PhaseKind::Training(training) = training.kind else { panic!("{training:?}") };
    assert_eq!((training.compute_percent, training.reduce_percent), (90.0, 36.0));
    assert_eq!((training.compute_seconds, training.checkpoint_every_seconds), (1.5, 600.0));
    let plan = plan_of("[[phase]]\nkind = \"idle\"\nseconds = 2").unwrap();
    assert_eq!((plan.seed, plan.least_seconds, plan.least_rating_percent), (1, 0.0, None));
}

#[test]
fn phases_without_a_name_get_one_each() {
    let text = "[[phase]]\nkind = \"idle\"\nseconds = 1\n".repeat(2)
        + "[[phase]]\nname = \"idle\"\nkind = \"hold\"\nseconds = 1\n";
    let names: Vec<_> = plan_of(&text).unwrap().phases.into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["idle-2", "idle-3", "idle"]);
}

#[test]
fn selectors_read() {
    let on = |text: &str| parse_selector(text).map_err(|(what, _)| what);
    assert_eq!(on("all"), Ok(Selector::All));
    assert_eq!(on("50%"), Ok(Selector::Percent(50)));
    assert_eq!(on("pdu=pdu-a1"), Ok(Selector::Domain("pdu".into(), "pdu-a1".into())));
    assert_eq!(on("n[1-2]"), Ok(Selector::Nodes(vec!["n1".into(), "n2".into()])));
    let domain = |kind: &str, id: &str| Selector::Domain(kind.into(), id.into());
    let racks =
        Selector::Any(vec![domain("rack", "r1"), domain("rack", "r2"), domain("loop", "l")]);
    assert_eq!(on("rack=r1, r2, loop=l"), Ok(racks));
    let half = Selector::Share(50, Box::new(domain("row", "a")));
    assert_eq!(on("50% of row=a"), Ok(half));
    for nonsense in [
        "n1,rack=r1",
        "rack=r1,,r2",
        "0% of all",
        "50% of",
        "9% of rakc=r1",
        "0%",
        "101%",
        "-1%",
        "x%",
        "shelf=a",
        "pdu=",
        "n[",
        "",
        "=",
        "50.5%",
    ] {
        assert!(on(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn a_wrong_head_is_told_in_full() {
    let text = "schema = 2\nnmae = \"p\"\nrequires = [\"compute\", \"datapane\"]\nseed = -1\n\
        limits = { device_temp_c = 500, devce = 1 }\nleast_seconds = nan\nleast_rating_percent = 120\n";
    insta::assert_snapshot!(parse("plan.toml", text).unwrap_err());
}

#[test]
fn what_is_missing_is_told() {
    insta::assert_snapshot!(parse("plan.toml", "").unwrap_err());
}

#[test]
fn what_is_no_toml_is_told() {
    insta::assert_snapshot!(
        parse("plan.toml", "schema = 1\nname = \"x\nseed = = 2\n").unwrap_err()
    );
}

#[test]
fn watts_and_kw_are_asked_for_instead_of_a_percentage() {
    use model::target::PowerTarget;
    let phase = |text: &str| {
        let head = "schema = 1\nname = \"x\"\nrequires = [\"power\"]\n[[phase]]\nseconds = 60\n";
        parse("plan.toml", &format!("{head}{text}\n"))
    };
    let plan = phase("kind = \"hold\"\non = \"rack=r1\"\nload = { kernel = \"mix\", kw = 120 }");
    let load = plan.unwrap().phases[0].load.unwrap();
    assert_eq!((load.target, load.percent), (Some(PowerTarget::Kw(120.0)), 100.0));
    let square = "kind = \"square\"\nlow_percent = 20\nload = { watts = 500 }";
    let plan = phase(square).unwrap();
    let PhaseKind::Square { low_percent, high_percent, .. } = plan.phases[0].kind else {
        panic!("{plan:?}")
    };
    assert_eq!((low_percent, high_percent), (20.0, 100.0));
    let said = |text: &str| phase(text).unwrap_err().to_string();
    let both = said("kind = \"hold\"\nload = { watts = 500, percent = 80 }");
    assert!(both.contains("plan.toml:7: both watts and percent in one load"), "{both}");
    let top = said(&format!("{square}\nhigh_percent = 80"));
    assert!(top.contains("high_percent beside a load of watts or kw"), "{top}");
    let huge = said("kind = \"hold\"\nload = { watts = 500000 }");
    assert!(huge.contains("plan.toml:7"), "{huge}");
}

#[test]
fn wrong_phases_are_told_one_by_one() {
    let wrong = [
        "kind = \"hold\"\nsecnds = 3",
        "kind = \"hold\"\nseconds = -3",
        "kind = \"hold\"\nseconds = \"3\"",
        "kind = \"hodl\"\nseconds = 3",
        "kind = \"sine\"\nseconds = 3\nperiod_seconds = 0.001\nby = \"rack\"",
        "kind = \"step\"\nseconds = 9\nup_at_seconds = 8\ndown_at_seconds = 2",
        "kind = \"staircase\"\nseconds = 9\nby = \"rakc\"\nsteps = 4\nstep_seconds = 3",
        "kind = \"stagger\"\nseconds = 9",
        "kind = \"training\"\nseconds = 9\nreduce_percent = 80\nload = { percent = 60 }",
        "seconds = 3",
        "kind = \"hold\"\nseconds = 3\nload = { kernel = \"fp16\", percent = 101 }",
        "kind = \"hold\"\nseconds = 3\nload = { watts = 300, kw = 2 }",
        "kind = \"hold\"\nseconds = 3\nload = \"mix\"",
        "kind = \"collective\"\nseconds = 3\ncollective = { op = \"all_gathr\", bytes = 2 }",
        "kind = \"collective\"\nseconds = 3\ncollective = { op = \"all_gather\", over = \"tcp\" }",
        "kind = \"collective\"\nseconds = 3\ncollective = { over = \"rdma\" }",
        "kind = \"collective\"\nseconds = 3\ncollective = { bytes = 10 }",
        "kind = \"pairs\"\nseconds = 3\npairs = { bytes = 0, streams = 1.5, both_ways = 1 }",
        "kind = \"hold\"\nseconds = 3\npairs = {}\ncollective = {}",
        "kind = \"idle\"\nseconds = 3\nload = {}\nperiod_seconds = 1",
        "kind = \"square\"\nseconds = 3\nlow_percent = 80\nhigh_percent = 20\nperiod_seconds = 9",
        "kind = \"ramp\"\nseconds = inf\nto_percent = 60\nload = { percent = 50 }",
        "kind = \"hold\"\nseconds = 3\non = \"pduu=a\"",
        "kind = \"hold\"\nseconds = 3\non = \"gpu[1-\"",
        "kind = \"hold\"\nseconds = 3\non = 50",
    ];
    let said: Vec<_> =
        wrong.iter().map(|phase| plan_of(&format!("[[phase]]\n{phase}\n")).unwrap_err()).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn phases_together_are_checked() {
    let twice = "[[phase]]\nname = \"a\"\nkind = \"idle\"\nseconds = 1\n".repeat(2);
    let phases = [
        twice.as_str(),
        "phase = []\n",
        "phase = 3\n",
        "least_seconds = 9\n[[phase]]\nkind = \"hold\"\nseconds = 3\n",
    ];
    insta::assert_snapshot!(phases.map(|text| plan_of(text).unwrap_err()).join("\n"));
}

#[test]
fn a_missing_file_is_told() {
    let said = read(Path::new("/nowhere/plan.toml")).unwrap_err().to_string();
    assert!(said.starts_with("/nowhere/plan.toml: cannot be read: "), "{said}");
}

proptest! {
    /// Whatever stands in the file, reading ends with a plan or with placed problems.
    #[test]
    fn no_text_makes_reading_panic(text in "(?s)[\\[\\]a-z=\"0-9\n{}., é%-]{0,200}") {
        for whole in [text.clone(), format!("{HEAD}[[phase]]\n{text}")] {
            if let Err(errors) = parse("plan.toml", &whole) {
                prop_assert!(!errors.0.is_empty() && errors.0.iter().all(|error| error.line > 0));
            }
        }
    }

    #[test]
    fn no_hostlist_makes_reading_panic(text in "[a-z0-9\\[\\],/ &!^()@-]{0,40}") {
        let _ = parse_selector(&text);
    }
}

#[test]
fn an_experiment_is_read_with_its_defaults_and_keeps_its_place() {
    let text = "[[phase]]\nkind = \"idle\"\nseconds = 9\n[[phase]]\nkind = \"halves\"\n\
                over = [\"pdu\", \"loop\"]\nseconds = 400\n[[phase]]\nkind = \"hold\"\nseconds = 9\n\
                [[phase]]\nkind = \"wiring\"\nby = \"pdu\"\nseconds = 60\nname = \"who\"\n";
    let plan = plan_of(text).unwrap();
    assert_eq!(plan.phases.len(), 2);
    let [halves, wiring] = plan.experiments.as_slice() else { panic!("{plan:?}") };
    assert_eq!((halves.name.as_str(), halves.after_phases), ("halves", 1));
    assert_eq!((halves.step_seconds, halves.rest_seconds), (400.0, 300.0));
    assert_eq!(halves.by, [By::Domain(DomainKind::Pdu), By::Domain(DomainKind::Loop)]);
    assert_eq!(halves.load, PhaseLoad::of(Kernel::Mix, 100.0));
    assert_eq!((wiring.name.as_str(), wiring.after_phases), ("who", 2));
    assert_eq!(wiring.rest_seconds, 0.0);
}

#[test]
fn an_experiment_with_a_wrong_key_says_the_mend() {
    let refused = |phase: &str, words: &str| {
        let errors = plan_of(&format!("[[phase]]\n{phase}\n")).unwrap_err();
        assert!(errors.contains(words), "{errors}\nexpected: {words}");
    };
    refused("kind = \"wiring\"\nby = \"node\"\nseconds = 9", "wiring can't be by \"node\"");
    refused("kind = \"feed_check\"\nby = \"pdu\"\nseconds = 9", "feed_check can't be by");
    refused("kind = \"halves\"\nover = []\nseconds = 9", "name one kind, or two that differ");
    refused("kind = \"wiring\"\nby = \"pdu\"\nseconds = 9\nrest_seconds = 3", "remove it");
    refused("kind = \"coupling\"\nby = \"rack\"\nseconds = 9\nsteps = 3", "steps");
    let same = "kind = \"hold\"\nname = \"isolated\"\nseconds = 9\n[[phase]]\n\
                kind = \"isolated\"\nby = \"rack\"\nseconds = 9";
    refused(same, "an experiment has that name already");
}
