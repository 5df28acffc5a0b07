//! The examples and lists of docs/formats.md must be what the code reads.

use formats::Row as _;

const PAGE: &str = include_str!("../../docs/formats.md");

/// The TOML blocks of the page that begin with `# file`.
fn examples(file: &str) -> Vec<&'static str> {
    let blocks = PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with(&format!("# {file}\n"))).collect()
}

#[test]
fn every_example_reads() {
    let names =
        ["plan.toml", "site.toml", "policy.toml", "permit.toml", "interlocks.toml", "meters.toml"];
    let found = names.map(examples);
    assert_eq!(
        found.iter().map(Vec::len).sum::<usize>(),
        PAGE.matches("```toml").count(),
        "every example begins with the name of its document"
    );
    assert!(found.iter().all(|found| !found.is_empty()));
    let [plans, sites, policies, permits, interlocks, meters] = found;
    for text in plans {
        assert_eq!(formats::plan::parse("plan.toml", text).err(), None);
    }
    for text in sites {
        assert_eq!(formats::site::parse("site.toml", text).err(), None);
    }
    for text in policies {
        assert_eq!(formats::policy::parse("policy.toml", text).err(), None);
    }
    for text in permits {
        assert_eq!(formats::permit::parse("permit.toml", text).err(), None);
    }
    for text in interlocks {
        assert_eq!(formats::interlocks::parse("interlocks.toml", text).err(), None);
    }
    for text in meters {
        assert_eq!(formats::sources::parse("meters.toml", text).err(), None);
    }
}

#[test]
fn every_gate_is_listed_with_its_limit() {
    for gate in formats::policy::builtin().gates {
        let row = format!("| `{}` | {} | {} |", gate.name, gate.limit, gate.unit);
        assert!(PAGE.contains(&row), "{row}");
    }
}

#[test]
fn every_word_is_listed() {
    let kinds = model::site::DomainKind::ALL.map(model::site::DomainKind::word);
    let phases = model::PhaseKind::WORDS;
    let experiments = model::experiment::ExperimentKind::ALL.map(|kind| kind.word());
    let columns =
        [formats::SampleRow::names(), formats::PairRow::names(), formats::MeterRow::names()]
            .concat();
    for word in kinds.into_iter().chain(phases).chain(experiments).chain(columns) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn the_example_hall_reads_and_nothing_in_it_refuses_heat() {
    let text = include_str!("../../examples/three-pods.toml");
    let site = formats::site::parse("three-pods.toml", text).expect("a site");
    assert_eq!(site.nodes().len(), 30);
    for ix in site.domain_ixs() {
        use model::site::Family;
        let domain = site.domain(ix);
        if matches!(domain.kind.family(), Family::Power | Family::Cooling) {
            let full: f64 = site.members(ix).iter().filter_map(|n| site.node(*n).max_kw).sum();
            assert!(full > 0.0 && domain.budget_kw().is_some_and(|kw| kw >= full), "{}", domain.id);
        }
    }
}
