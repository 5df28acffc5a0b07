//! The forms of a report for other readers: well formed, complete, and what they say is what
//! the report says.

// The judge's scenarios hold more than the renderers need.
#[allow(dead_code)]
#[path = "../../analysis/tests/judge/scenario.rs"]
mod scenario;

use analysis::Evidence;
use analysis::digest::fabric::LatencyKey;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use loadbank_cli::options::Format;
use loadbank_cli::report::dossier::Dossier;
use loadbank_cli::report::hlog;
use model::Blame;
use model::finding::{Standing, Suspect};
use model::report::{GateOutcome, Report};
use scenario::{Scenario, node};

/// What a name may hold that wants to be markup.
const HOSTILE: &str = "<script src=//x>&\"'|`\u{1b}[2J\n]]>";

fn dossier(scenario: &Scenario) -> Dossier {
    let mut digest = analysis::Digest::new(&scenario.plan);
    scenario.batches.iter().for_each(|batch| digest.add(batch));
    let evidence = digest.finish(scenario.facts.clone());
    let report = analysis::judge(&scenario.terms(), &evidence);
    Dossier { report, site: None, evidence: Some(evidence) }
}

fn slow() -> Dossier {
    let mut scenario = Scenario::healthy(4);
    scenario.slow(&node(0), 0.8);
    dossier(&scenario)
}

/// Findings of each standing, and names that want to be markup everywhere.
fn hostile() -> Dossier {
    let mut dossier = slow();
    let report = &mut dossier.report;
    let mut watched = report.findings.first().expect("a slow device is found").clone();
    (watched.id, watched.standing) = ("F2".to_owned(), Standing::Watch);
    let mut ours = watched.clone();
    (ours.id, ours.blame, ours.standing) =
        ("F3".to_owned(), Blame::Instrument, Standing::Confirmed);
    report.findings.extend([watched, ours]);
    for finding in &mut report.findings {
        finding.suspect = Suspect::new("node", HOSTILE);
        finding.cannot_exclude = vec![Suspect::new("rack", HOSTILE)];
        finding.evidence.push(HOSTILE.to_owned());
        finding.action = HOSTILE.to_owned();
    }
    report.run.site = Some(HOSTILE.to_owned());
    report.run.id = HOSTILE.to_owned();
    report.reasons.push(HOSTILE.to_owned());
    dossier
}

fn written(dossier: &Dossier, format: Format) -> String {
    dossier.written(format).expect("it can be written")
}

fn count(node: roxmltree::Node, name: &str) -> usize {
    node.descendants().filter(|child| child.has_tag_name(name)).count()
}

/// What the schema that servers read (junit-10) demands.
fn check_junit(text: &str) {
    let document = roxmltree::Document::parse(text).expect("well formed");
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    for suites in root.descendants().filter(|node| node.tag_name().name().starts_with("testsuite"))
    {
        for (attribute, name) in [
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ] {
            let said: usize =
                suites.attribute(attribute).expect(attribute).parse().expect("a number");
            assert_eq!(said, count(suites, name), "{attribute} of {:?}", suites.attribute("name"));
        }
    }
    for suite in root.children().filter(roxmltree::Node::is_element) {
        assert_eq!(suite.tag_name().name(), "testsuite");
        let names: Vec<_> = suite.children().filter(roxmltree::Node::is_element).collect();
        assert_eq!(names[0].tag_name().name(), "properties", "properties come first, and once");
        assert!(names[1..].iter().all(|node| node.has_tag_name("testcase")));
        for case in &names[1..] {
            assert!(case.attribute("name").is_some() && case.attribute("classname").is_some());
            let parts: Vec<_> =
                case.children().filter(|c| c.is_element()).map(|c| c.tag_name().name()).collect();
            let outcomes = parts.iter().filter(|part| **part != "system-out").count();
            assert!(outcomes <= 1, "one outcome a case: {parts:?}");
        }
    }
}

fn outcome_of(text: &str, name: &str) -> Option<String> {
    let document = roxmltree::Document::parse(text).expect("well formed");
    let case = document
        .descendants()
        .find(|node| {
            node.has_tag_name("testcase")
                && node.attribute("name").is_some_and(|n| n.starts_with(name))
        })
        .unwrap_or_else(|| panic!("no case {name}"));
    case.children()
        .map(|child| child.tag_name().name().to_owned())
        .find(|name| ["failure", "error", "skipped"].contains(&name.as_str()))
}

#[test]
fn junit_tells_hardware_from_what_was_not_judged() {
    let dossier = hostile();
    let text = written(&dossier, Format::Junit);
    check_junit(&text);
    assert_eq!(outcome_of(&text, "F1").as_deref(), Some("failure"), "a confirmed finding");
    assert_eq!(outcome_of(&text, "F2").as_deref(), Some("skipped"), "a watch decides nothing");
    assert_eq!(outcome_of(&text, "F3").as_deref(), Some("error"), "our own failure");
    for gate in &dossier.report.gates {
        let expected = match gate.outcome {
            GateOutcome::Pass => None,
            GateOutcome::Fail => Some("failure"),
            GateOutcome::NotEvaluated => Some("skipped"),
        };
        assert_eq!(outcome_of(&text, &gate.gate).as_deref(), expected, "{}", gate.gate);
    }
}

#[test]
fn junit_of_a_ready_run_is_green_and_of_an_interrupted_one_is_not() {
    let scenario = Scenario::healthy(2);
    let text = written(&dossier(&scenario), Format::Junit);
    check_junit(&text);
    assert!(text.contains("failures=\"0\" errors=\"0\""), "{text}");
    insta::assert_snapshot!("ready_junit", text);
    let mut interrupted = scenario;
    interrupted.facts.end = model::facts::RunEnd::Stopped { now: false };
    let text = written(&dossier(&interrupted), Format::Junit);
    check_junit(&text);
    assert_eq!(outcome_of(&text, "READY for").as_deref(), Some("error"));
}

#[test]
fn what_the_plan_requires_and_nobody_measured_is_an_error() {
    let mut scenario = Scenario::healthy(2);
    scenario.plan.requires.insert(model::plan::Requirement::Meters);
    let dossier = dossier(&scenario);
    let text = written(&dossier, Format::Junit);
    check_junit(&text);
    assert_eq!(outcome_of(&text, "READY for").as_deref(), Some("error"));
    assert_eq!(outcome_of(&text, "meters").as_deref(), Some("error"));
    assert_eq!(outcome_of(&text, "collective").as_deref(), Some("skipped"), "nobody required it");
}

#[test]
fn a_ticket_says_all_that_its_keeper_needs() {
    let dossier = slow();
    let ticket = dossier.ticket("F1").expect("there is one");
    for part in ["who acts", "suspect", "cannot exclude", "effect", "limit", "action", "Evidence"] {
        assert!(ticket.contains(part), "{part} of {ticket}");
    }
    insta::assert_snapshot!("slow_ticket", ticket);
    let text = written(&dossier, Format::Markdown);
    assert!(text.starts_with("# NOT_READY for: compute"), "the verdict comes first: {text}");
    assert!(text.contains(&ticket));
    let none = dossier.ticket("F9").expect_err("there is none");
    assert!(none.code == 2 && none.words.contains("F1"), "{none}");
}

#[test]
fn markdown_tables_keep_their_shape_whatever_names_hold() {
    let text = written(&hostile(), Format::Markdown);
    assert!(!text.contains("<script") && !text.contains('\u{1b}'));
    for row in
        text.lines().filter(|line| line.starts_with("| who acts") || line.starts_with("| suspect"))
    {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 3, "{row}");
    }
}

#[test]
fn csv_holds_every_measured_value() {
    let dossier = slow();
    let text = written(&dossier, Format::Csv);
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let values: Vec<(String, f64)> = rows
        .records()
        .map(|row| row.expect("a row"))
        .map(|row| (row[0].to_owned(), row[5].parse().expect("a number")))
        .collect();
    let measured = dossier.report.measured.iter();
    let expected: Vec<_> = measured.map(|line| (line.what.clone(), line.value)).collect();
    assert_eq!(values, expected);
}

/// A percentile as the report has it: nothing was longer than the longest.
fn reported(report: &Report, key: &LatencyKey, suffix: &str) -> Option<f64> {
    let (at, phase, loaded) = match key {
        LatencyKey::Pair { pair, loaded } => (Suspect::new("pair", pair.to_string()), None, loaded),
        LatencyKey::Phase { phase, loaded } => (Suspect::new("fleet", "all"), Some(phase), loaded),
    };
    let what = format!("rtt_{}_{suffix}", if *loaded { "loaded" } else { "idle" });
    let mut lines = report.measured.iter();
    lines
        .find(|l| {
            l.what == what
                && l.at.kind == at.kind
                && (l.at.id == at.id || at.kind == "fleet")
                && l.phase.as_ref() == phase
        })
        .map(|line| line.value)
}

#[test]
fn a_published_reader_finds_the_reports_percentiles_in_the_log() {
    let dossier = dossier(&Scenario::healthy(3));
    let evidence: &Evidence = dossier.evidence.as_ref().expect("it is at hand");
    let text = written(&dossier, Format::Hlog);
    let mut read = std::collections::BTreeMap::new();
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.expect("an entry") {
            let bytes = base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                interval.encoded_histogram(),
            )
            .expect("base64");
            let histogram: Histogram<u32> =
                Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram");
            read.insert(interval.tag().expect("a tag").as_str().to_owned(), histogram);
        }
    }
    assert_eq!(read.len(), evidence.seen.latencies.len());
    assert!(!read.is_empty(), "the scenario has round trips");
    let mut compared = 0;
    for (key, seen) in &evidence.seen.latencies {
        let histogram = &read[&hlog::tag(key)];
        assert_eq!(histogram.len(), seen.histogram.count());
        for (share, suffix) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")] {
            if let Some(us) = reported(&dossier.report, key, suffix) {
                let read_us = histogram.value_at_quantile(share) as f64 / 1e3;
                let off = (read_us - us) / us;
                // The log has upper edges of bins; the report stops at the longest.
                assert!((-1e-9..0.02).contains(&off), "{key:?} {suffix}: {read_us} and {us}");
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "percentiles of the report were compared");
}

/// What a second, independent reader says of every interval: HdrHistogram's own for Python
/// (PyPI `hdrhistogram`). `None` where this machine has none.
fn read_by_python(log: &std::path::Path) -> Option<Vec<serde_json::Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_hlog.py");
    let run = |arguments: &[&str]| std::process::Command::new("python3").args(arguments).output();
    let has = run(&["-c", "import hdrh.log"]).is_ok_and(|done| done.status.success());
    if !has {
        let required = std::env::var("LOADBANK_REQUIRE").unwrap_or_default();
        let missing = required.split(',').any(|word| word.trim() == "python-hdrhistogram");
        assert!(!missing, "LOADBANK_REQUIRE asks for python-hdrhistogram");
        println!("SKIPPED: python3 has no module hdrh (PyPI: hdrhistogram)");
        return None;
    }
    let done = run(&[script, log.to_str().expect("a UTF-8 path")]).expect("python3 runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lines = String::from_utf8(done.stdout).expect("UTF-8");
    Some(lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

#[test]
fn every_interval_has_the_runs_times_and_the_longest_of_its_pair() {
    let dossier = dossier(&Scenario::healthy(3));
    let evidence: &Evidence = dossier.evidence.as_ref().expect("it is at hand");
    let text = written(&dossier, Format::Hlog);
    let facts = &evidence.facts;
    let end = facts.ended_unix_ns.expect("the run has ended");
    let seconds = (end - facts.started_unix_ns) as f64 / 1e9;
    let mut intervals = 0;
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        let LogEntry::Interval(interval) = entry.expect("an entry") else { continue };
        let started = interval.start_timestamp().as_secs_f64();
        assert!((started - facts.started_unix_ns as f64 / 1e9).abs() < 0.002, "{started}");
        assert!((interval.duration().as_secs_f64() - seconds).abs() < 0.002);
        let tag = interval.tag().expect("a tag").as_str();
        let (_, seen) = evidence
            .seen
            .latencies
            .iter()
            .find(|(key, _)| hlog::tag(key) == tag)
            .expect("the tag of a pair or phase of the run");
        let longest = seen.histogram.longest().expect("it has round trips").latency_ns as f64;
        // In milliseconds, to three digits, as the upper edge of a bin of 1 %.
        let off = interval.max() * 1e6 - longest;
        assert!((-1_000.0..0.02 * longest + 1_000.0).contains(&off), "{tag}: {off}");
        intervals += 1;
    }
    assert_eq!(intervals, evidence.seen.latencies.len());
}

#[test]
fn a_second_published_reader_reads_the_same() {
    let dossier = dossier(&Scenario::healthy(3));
    let evidence: &Evidence = dossier.evidence.as_ref().expect("it is at hand");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.hlog");
    std::fs::write(&path, written(&dossier, Format::Hlog)).expect("it can be written");
    let Some(read) = read_by_python(&path) else { return };
    assert_eq!(read.len(), evidence.seen.latencies.len());
    for (key, seen) in &evidence.seen.latencies {
        let tag = hlog::tag(key);
        let line = read.iter().find(|line| line["tag"] == tag.as_str()).expect("its tag");
        assert_eq!(line["count"], seen.histogram.count(), "{tag}");
        let p99 = seen.histogram.counts().value_at_quantile(0.99);
        assert_eq!(line["p99"], p99, "{tag}");
        assert_eq!(line["max"], seen.histogram.counts().max(), "{tag}");
    }
}

#[test]
fn a_log_without_the_records_is_refused() {
    let bare = Dossier::from(slow().report);
    let error = bare.written(Format::Hlog).expect_err("there are no records");
    assert_eq!(error.code, 2);
}

/// One file, read as XML: nothing of it is fetched, and nothing in it runs.
fn check_page(text: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).expect("well formed");
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        let fetches = ["script", "link", "img", "iframe", "object", "embed", "base", "form", "a"];
        assert!(!fetches.contains(&name), "<{name}> of a page that fetches nothing");
        for attribute in node.attributes() {
            let key = attribute.name();
            assert!(!key.starts_with("on") && !["src", "href"].contains(&key), "{key} of <{name}>");
        }
        if name == "style" {
            let text = node.text().unwrap_or_default();
            assert!(!text.contains("@import") && !text.contains("url("), "{text}");
            assert!(text.contains("@media print") && text.contains("size: A4"));
        }
        if name == "svg" {
            assert!(node.attribute("aria-label").is_some_and(|label| !label.is_empty()));
        }
    }
    assert_eq!(count(document.root_element(), "h1"), 1, "one verdict");
}

#[test]
fn the_page_fetches_nothing_and_names_can_not_become_markup() {
    let text = written(&hostile(), Format::Html);
    check_page(&text);
    assert!(text.contains("&lt;script src=//x&gt;"), "the name is there, as text");
    assert!(!text.contains("<script") && !text.contains('\u{1b}'));
}

#[test]
fn a_page_of_harmless_names_has_no_word_of_the_network_at_all() {
    let text = written(&slow(), Format::Html);
    check_page(&text);
    for word in ["http", "src=", "<script", "@import", "url("] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn a_simulated_page_says_so_where_every_printed_page_shows_it() {
    let mut scenario = Scenario::healthy(2);
    scenario.facts.simulated = true;
    let text = written(&dossier(&scenario), Format::Html);
    check_page(&text);
    assert!(text.contains("WOULD BE READY"));
    assert!(text.contains("class=\"flag\" role=\"note\">SIMULATED: accepts no hardware"), "{text}");
    // The head of the table that holds the page: browsers print it on every page, and leave room.
    let head = text.split("</thead>").next().unwrap();
    assert!(head.contains("class=\"sheet\"") && head.contains("class=\"flag\""), "{head}");
    assert!(text.contains(".sheet > thead { display: table-header-group;"), "{text}");
    assert!(!written(&dossier(&Scenario::healthy(2)), Format::Html).contains("class=\"flag\""));
}

#[test]
fn what_the_page_has_no_data_for_it_calls_not_measured() {
    let bare = Dossier::from(slow().report);
    let text = written(&bare, Format::Html);
    check_page(&text);
    for words in [
        "Not drawn: no site file",
        "Not drawn: the records are not at hand",
        "Thermal resistance, K/W a device: not measured.",
        "Not measured: no round trip is in the record.",
        "Not measured: no meter of the building was read.",
        "Not judged: no power or cooling domain with a rating is known.",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains("<svg"), "nothing is drawn that was not measured");
}

#[test]
fn the_hash_of_the_page_is_that_of_the_json_form() {
    let dossier = slow();
    let json = written(&dossier, Format::Json);
    let digest = ring::digest::digest(&ring::digest::SHA256, json.as_bytes());
    let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(written(&dossier, Format::Html).contains(&hash));
}
