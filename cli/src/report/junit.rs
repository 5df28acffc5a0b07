//! The JUnit form, for servers that run tests: `failure` is hardware, `error` is not judged,
//! `skipped` is what nobody required or what is only watched.
//!
//! The verdict is a test case of its own, so that no run is green that is not READY.

use model::Blame;
use model::finding::{Finding, Standing, Verdict};
use model::plan::Requirement;
use model::report::{GateOutcome, GateResult, NotMeasured, Report};

use super::text::line::number;
use super::words;
use super::xml::Xml;

/// What came of a test case.
enum Outcome {
    Pass,
    Failure(&'static str, String),
    Error(&'static str, String),
    Skipped(String),
}

struct TestCase {
    class: String,
    name: String,
    outcome: Outcome,
    /// What a person reads beside it.
    details: String,
}

/// The whole report.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut suites = vec![("verdict", vec![verdict(report)])];
    for (hands, findings) in words::by_hands(report) {
        suites.push((hands, findings.into_iter().map(of_finding).collect()));
    }
    suites.push(("acceptance checks", report.gates.iter().map(gate).collect()));
    suites.push(("requirements", requirements(report)));
    suites.retain(|(_, cases)| !cases.is_empty());

    let mut xml = Xml::new();
    let all = || suites.iter().flat_map(|(_, cases)| cases);
    let seconds = report.run.seconds.map(|seconds| seconds.to_string());
    let mut attributes = vec![("name", "loadbank".to_owned())];
    attributes.extend(counts(all()));
    attributes.extend(seconds.clone().map(|seconds| ("time", seconds)));
    xml.open("testsuites", &borrowed(&attributes));
    for (name, cases) in &suites {
        let mut attributes = vec![("name", (*name).to_owned())];
        attributes.extend(counts(cases.iter()));
        attributes.extend(report.run.started.clone().map(|at| ("timestamp", at)));
        xml.open("testsuite", &borrowed(&attributes));
        properties(&mut xml, report);
        cases.iter().for_each(|case| write(&mut xml, case));
        xml.close();
    }
    xml.finish()
}

fn borrowed<'a>(attributes: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    attributes.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

fn counts<'a>(cases: impl Iterator<Item = &'a TestCase>) -> [(&'static str, String); 4] {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for case in cases {
        tests += 1;
        match case.outcome {
            Outcome::Pass => {}
            Outcome::Failure(..) => failures += 1,
            Outcome::Error(..) => errors += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
    }
    [("tests", tests), ("failures", failures), ("errors", errors), ("skipped", skipped)]
        .map(|(key, count)| (key, count.to_string()))
}

fn properties(xml: &mut Xml, report: &Report) {
    let run = &report.run;
    let flag = |is: bool| if is { "true" } else { "false" };
    xml.open("properties", &[]);
    for (name, value) in [
        ("run", run.id.as_str()),
        ("plan", &run.plan),
        ("site", run.site.as_deref().unwrap_or("not given")),
        ("verdict", report.verdict.word()),
        ("simulated", flag(run.simulated)),
        ("injected", flag(run.injected)),
    ] {
        xml.leaf("property", &[("name", name), ("value", value)], "");
    }
    xml.close();
}

fn write(xml: &mut Xml, case: &TestCase) {
    let attributes = [("classname", case.class.as_str()), ("name", &case.name)];
    match &case.outcome {
        Outcome::Pass if case.details.is_empty() => return xml.leaf("testcase", &attributes, ""),
        Outcome::Pass => {
            xml.open("testcase", &attributes);
            xml.leaf("system-out", &[], &case.details);
        }
        Outcome::Failure(kind, message) => {
            xml.open("testcase", &attributes);
            xml.leaf("failure", &[("message", message), ("type", kind)], &case.details);
        }
        Outcome::Error(kind, message) => {
            xml.open("testcase", &attributes);
            xml.leaf("error", &[("message", message), ("type", kind)], &case.details);
        }
        Outcome::Skipped(message) => {
            xml.open("testcase", &attributes);
            xml.leaf("skipped", &[("message", message)], "");
            if !case.details.is_empty() {
                xml.leaf("system-out", &[], &case.details);
            }
        }
    }
    xml.close();
}

fn verdict(report: &Report) -> TestCase {
    let word = report.verdict.word();
    let message = format!("{} for: {}", words::verdict(report), words::purpose(report));
    let outcome = match report.verdict {
        Verdict::Ready => Outcome::Pass,
        Verdict::NotReady => Outcome::Failure(word, message),
        Verdict::Inconclusive | Verdict::Aborted | Verdict::Interrupted => {
            Outcome::Error(word, message)
        }
    };
    let mut details: Vec<&str> = words::warnings(report);
    details.extend(report.reasons.iter().map(String::as_str));
    TestCase {
        class: "loadbank.verdict".to_owned(),
        name: format!("READY for: {}", words::purpose(report)),
        outcome,
        details: details.join("\n"),
    }
}

fn of_finding(finding: &Finding) -> TestCase {
    let kind = finding.kind.word();
    let effect = words::effect(finding).unwrap_or_else(|| "its size was not measured".to_owned());
    let message =
        format!("{} ({}): {effect}", words::name(&finding.suspect), words::grade(finding));
    let outcome = match (finding.blame, finding.standing) {
        (Blame::Instrument, _) => Outcome::Error(kind, message),
        (_, Standing::Confirmed) => Outcome::Failure(kind, message),
        (_, Standing::Watch) => Outcome::Skipped(message),
    };
    let mut details = vec![format!("who acts: {}", words::hands(finding))];
    details.extend(words::members(finding).map(|members| format!("shown by: {members}")));
    details.extend(finding.evidence.iter().map(|line| format!("evidence: {line}")));
    details.extend(words::rivals(finding).map(|rivals| format!("cannot exclude: {rivals}")));
    details.push(format!("action: {}", finding.action));
    details.extend(finding.next_experiment.iter().map(|next| format!("next experiment: {next}")));
    TestCase {
        class: format!("loadbank.finding.{}", finding.blame.word()),
        name: words::title(finding),
        outcome,
        details: details.join("\n"),
    }
}

fn gate(gate: &GateResult) -> TestCase {
    let unit = gate.unit.as_deref().unwrap_or_default();
    let said = |value: Option<f64>| match value {
        Some(value) => format!("{} {unit}", number(value)).trim_end().to_owned(),
        None => "none".to_owned(),
    };
    let at = gate.at.as_ref().map_or("nowhere".to_owned(), words::name);
    let why = gate.why.clone().unwrap_or_default();
    let outcome = match gate.outcome {
        GateOutcome::Pass => Outcome::Pass,
        GateOutcome::Fail => Outcome::Failure(
            "gate",
            format!("{} against a limit of {} at {at}", said(gate.measured), said(gate.limit)),
        ),
        GateOutcome::NotEvaluated => Outcome::Skipped(format!("not evaluated: {why}")),
    };
    let mut details = vec![gate.about.clone(), format!("limit: {}", said(gate.limit))];
    if gate.outcome != GateOutcome::NotEvaluated {
        details.push(format!("worst: {} at {at}", said(gate.measured)));
        details.push(format!("{} of {} places failed", gate.failed, gate.evaluated));
    }
    details.extend(gate.source.iter().map(|source| format!("source of the limit: {source}")));
    let number = gate.check.map_or("own".to_owned(), |check| format!("{check:02}"));
    TestCase {
        class: format!("loadbank.check.{number}"),
        name: gate.gate.clone(),
        outcome,
        details: details.join("\n"),
    }
}

/// Each requirement there is, and each gap: a gap that the plan needed is an error.
fn requirements(report: &Report) -> Vec<TestCase> {
    let requirement = |requirement: Requirement| {
        let required = report.requires.contains(&requirement);
        let open: Vec<&str> = report
            .not_measured
            .iter()
            .filter(|gap| gap.requirement == Some(requirement))
            .map(|gap| gap.what.as_str())
            .collect();
        let outcome = match (required, open.is_empty()) {
            (false, _) => Outcome::Skipped("the plan does not require it".to_owned()),
            (true, true) => Outcome::Pass,
            (true, false) => {
                Outcome::Error("not_measured", format!("not measured: {}", open.join(", ")))
            }
        };
        TestCase {
            class: "loadbank.requirement".to_owned(),
            name: requirement.word().to_owned(),
            outcome,
            details: String::new(),
        }
    };
    let mut cases: Vec<_> = Requirement::ALL.into_iter().map(requirement).collect();
    cases.extend(report.not_measured.iter().map(gap));
    cases
}

fn gap(gap: &NotMeasured) -> TestCase {
    let outcome = match gap.needed {
        true => Outcome::Error("not_measured", gap.why.clone()),
        false => Outcome::Skipped(gap.why.clone()),
    };
    TestCase {
        class: "loadbank.not_measured".to_owned(),
        name: gap.what.clone(),
        outcome,
        details: String::new(),
    }
}
