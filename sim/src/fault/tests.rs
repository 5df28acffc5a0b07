use model::site::{Domain, DomainKind, Node, Site, SiteDraft};
use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> Fault {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    text.parse::<Fault>().expect_err(text).to_string()
}

fn small_site() -> Site {
    let mut node = Node::new("n1", &["pdu-1", "rack-1"]);
    node.devices = 4;
    Site::new(SiteDraft {
        name: "small".to_owned(),
        domains: vec![
            Domain::new(DomainKind::Pdu, "pdu-1"),
            Domain::new(DomainKind::Rack, "rack-1"),
        ],
        nodes: vec![node],
        ..SiteDraft::default()
    })
    .expect("a site")
}

#[test]
fn a_whole_fault_is_read() {
    let read = fault("pdu_limit:pdu-a1=12.5%@600~25%/120");
    assert_eq!(read.kind, FaultKind::PduLimit);
    assert_eq!(read.target, Target::Domain("pdu-a1".to_owned()));
    assert_eq!((read.size, read.onset_s), (0.125, 600.0));
    assert_eq!(read.flap, Some(Flap { duty: 0.25, period_s: 120.0 }));
    let link = fault("slow_uplink:leaf-1>spine-2=50%");
    assert_eq!(link.target, Target::Link { from: "leaf-1".to_owned(), to: "spine-2".to_owned() });
    assert_eq!(fault("soft_source:pdu-1=30mOhm").size, 0.030);
    assert_eq!(fault("cold_plate:gpu-7/3").target.to_string(), "gpu-7/3");
}

#[test]
fn words_of_findings_stand_for_the_kind_that_works_on_their_target() {
    let site = small_site();
    let read = |text: &str| Fault::read(text, &site).map(|fault| fault.to_string());
    assert_eq!(read("weak_power:pdu-1=20%"), Ok("pdu_limit:pdu-1=20%".to_owned()));
    assert_eq!(read("weak_cooling:rack-1@60"), Ok("recirculation:rack-1=12K@60".to_owned()));
    assert_eq!(read("node_lost:pdu-1"), Ok("trip:pdu-1".to_owned()));
    assert_eq!(read("device_hot:n1/2=80"), Ok("cold_plate:n1/2=80%".to_owned()));
    assert!(read("weak_cooling:n1").is_err() && read("nonsense:n1").is_err());
    let said = Fault::read("pdu_limit:rack-1", &site).expect_err("a rack is no PDU").to_string();
    assert!(said.contains("rack-1 is a rack"), "{said}");
}

#[test]
fn every_kind_is_read_back_as_it_is_written() {
    for entry in FaultKind::catalogue() {
        let target = match entry.sort {
            TargetSort::Domain(_) => "dom-1",
            TargetSort::Node => "n1",
            TargetSort::Device | TargetSort::NodeOrDevice => "n1/2",
            TargetSort::Link | TargetSort::Cut | TargetSort::Pair(_) => "a>b",
            TargetSort::Nic => "n1/mlx5_0",
            TargetSort::Fleet => "fleet",
        };
        let read = fault(&format!("{}:{target}@30~50%/60", entry.word));
        assert_eq!(read.size, entry.default_size);
        assert_eq!(fault(&read.to_string()), read);
    }
}

#[test]
fn refusals_say_what_would_be_right() {
    assert!(refusal("loop-2").contains("KIND:DOMAIN"));
    let kinds = refusal("gremlin:pdu-1");
    assert!(kinds.contains("pdu_limit") && kinds.contains("slow_uplink"), "{kinds}");
    assert!(refusal("loop_flow:loop-2=4K").contains("over 0 up to 90%"));
    assert!(refusal("warm_supply:loop-2=6%").contains("such as warm_supply:...=6K"));
    assert!(refusal("loop_flow:loop-2=nan%").contains("is no size"));
    assert!(refusal("pdu_limit:pdu-1=0%").contains("over 0"));
    assert!(refusal("trip:pdu-1=4%").contains("takes no size"));
    assert!(refusal("loop_flow:loop-2@soon").contains("seconds"));
    assert!(refusal("loop_flow:loop-2~4").contains("DUTY/PERIOD"));
    assert!(refusal("slow_uplink:leaf-1").contains("leaf-1>spine-2"));
    assert!(refusal("cold_plate:n1").contains("NODE/INDEX"));
}

#[test]
fn a_site_refuses_what_it_has_not() {
    let site = small_site();
    let said = |text: &str| fault(text).check(&site).expect_err(text).to_string();
    assert!(fault("pdu_limit:pdu-1").check(&site).is_ok());
    assert!(said("pdu_limit:pdu-9").contains("such as pdu-1"));
    assert!(said("pdu_limit:rack-1").contains("rack-1 is a rack"));
    assert!(said("loop_flow:loop-1").contains("the site has none"));
    assert!(said("cold_plate:n1/4").contains("n1/0 to n1/3"));
    assert!(said("weak_psu:n2").contains("first node is n1"));
    assert!(said("slow_uplink:a>b").contains("no [[link]]"));
}

#[test]
fn the_truth_names_aliases_and_members() {
    let truth = truth_of(&fault("pdu_limit:pdu-1"), &small_site()).expect("fits");
    assert_eq!(truth.suspect, model::finding::Suspect::new("pdu", "pdu-1"));
    assert_eq!(truth.aliases, [model::finding::Suspect::new("rack", "rack-1")]);
    assert!(truth.whole_site && truth.nodes == ["n1"]);
}

#[test]
fn a_flapping_fault_is_there_for_its_share() {
    let flapping = fault("loop_flow:loop-1@100~25%/40");
    assert_eq!(flapping.share(0.0, 100.0), 0.0);
    assert!((flapping.share(100.0, 300.0) - 0.25).abs() < 1e-12);
    assert_eq!(flapping.share(100.0, 110.0), 1.0);
    assert_eq!(flapping.share(110.0, 140.0), 0.0);
    assert!(flapping.on_at(145.0) && !flapping.on_at(155.0));
    assert_eq!(fault("loop_flow:loop-1@100").share(50.0, 150.0), 0.5);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = text.parse::<Fault>();
    }

    #[test]
    fn nothing_near_a_fault_panics(
        kind in 0..FaultKind::catalogue().len(),
        rest in "[a-z0-9:=@~/%.>-]{0,30}",
    ) {
        let text = format!("{}:{rest}", FaultKind::catalogue()[kind].word);
        if let Ok(read) = text.parse::<Fault>() {
            prop_assert!(read.size.is_finite() && read.onset_s >= 0.0);
            let _ = read.check(&small_site());
            let _ = truth_of(&read, &small_site());
            prop_assert!((0.0..=1.0).contains(&read.share(3.0, 70.0)));
        }
    }
}
