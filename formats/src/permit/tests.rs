use super::*;

const WHOLE: &str = r#"schema = 1
issued_by = "A. Meier, facility"
site = "hall-b"
total_kw = 250
conditions = ["CRAH 3 runs", "UPS 1 on line"]

[[window]]
from = "2026-01-31T20:00:00+01:00"
to = "2026-02-01T06:00:00+01:00"

[[domain]]
on = "pdu"
kw = 27
kw_per_s_up = 5
kw_per_s_down = 10

[[domain]]
on = "pdu=pdu-a1"
kw = 20

[[waveform]]
kind = "hold"

[[waveform]]
kind = "square"
hz_most = 0.5
amplitude_percent_most = 60

[[release]]
step = 25
who = ["B. Schmidt"]
"#;

fn problems(text: &str) -> Vec<String> {
    parse("permit.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn every_clause_knows_its_line() {
    let permit = parse("permit.toml", WHOLE).unwrap();
    assert_eq!(permit.site, Some(Clause { value: "hall-b".to_owned(), line: 3 }));
    assert_eq!(permit.total_kw, Some(Clause { value: 250.0, line: 4 }));
    assert_eq!(permit.conditions[1], Clause { value: "UPS 1 on line".to_owned(), line: 5 });
    assert_eq!((permit.windows[0].line, permit.at(8)), (8, "permit.toml:8".to_owned()));
    assert_eq!(permit.windows[0].to_ns - permit.windows[0].from_ns, 10 * 3_600_000_000_000);
    assert_eq!(permit.releases[0].line, 30);
    let waveforms = permit.waveforms.unwrap();
    assert_eq!((waveforms[1].hz_most, waveforms[1].line), (Some(0.5), 25));
}

#[test]
fn the_tightest_clause_of_a_domain_holds() {
    let permit = parse("permit.toml", WHOLE).unwrap();
    assert_eq!(permit.most_kw(DomainKind::Pdu, "pdu-a1"), Some((20.0, 18)));
    assert_eq!(permit.most_kw(DomainKind::Pdu, "pdu-a2"), Some((27.0, 12)));
    assert_eq!(permit.most_kw(DomainKind::Ups, "ups-1"), None);
}

#[test]
fn a_window_belongs_to_its_zone() {
    let permit = parse("permit.toml", WHOLE).unwrap();
    let at = |text: &str| instant::parse(text).unwrap();
    assert!(permit.window_at(at("2026-01-31T19:00:00Z")).is_some());
    assert!(permit.window_at(at("2026-01-31T18:59:59Z")).is_none());
    assert!(permit.window_at(at("2026-02-01T05:00:00Z")).is_none());
}

#[test]
fn a_permit_says_who_where_how_much_when_and_what() {
    let told = problems("schema = 1\n").join("\n");
    for key in ["issued_by", "site", "total_kw", "window", "waveform"] {
        assert!(told.contains(&format!("missing key \"{key}\"")), "{told}");
    }
}

#[test]
fn problems_name_line_and_mend() {
    let cases = [
        ("kw = 27\n", "kws = 27\n", "permit.toml:13: unknown key \"kws\" in [[domain]]; did you"),
        ("on = \"pdu\"", "on = \"rack\"", "\"rack\" is no kind of power or cooling"),
        ("on = \"pdu=pdu-a1\"", "on = \"pdu=\"", "names no domain; write pdu=ID, or pdu for each"),
        ("kind = \"square\"", "kind = \"squre\"", "did you mean \"square\"?"),
        ("kind = \"hold\"", "kind = \"hold\"\nhz_most = 1", "does not belong to a hold"),
        ("step = 25", "step = 30", "step 30 is none; use 25, 50, 75 or 100"),
        ("who = [\"B. Schmidt\"]", "who = []", "nobody is named"),
        ("+01:00\"\nto", "\"\nto", "is no time with a zone"),
        ("2026-02-01T06", "2026-01-31T06", "before it begins"),
        ("total_kw = 250", "total_kw = -1", "use a number from 0 to 1000000 kW"),
    ];
    for (from, to, expected) in cases {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let told = problems(&text).join("\n");
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_step_is_released_by_one_clause() {
    let twice = format!("{WHOLE}\n[[release]]\nstep = 25\nwho = [\"C\"]\n");
    assert!(problems(&twice)[0].contains("step 25 is released twice"));
}
