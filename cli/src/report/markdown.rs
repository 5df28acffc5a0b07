//! The Markdown form: a ticket for each finding, for trackers and chats.

use model::finding::Finding;
use model::report::Report;

use super::words;

/// The whole report: verdict first, then a ticket for each finding by who must act.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    let mut line = |text: &str| page.push_str(&format!("{text}\n"));
    let run = &report.run;
    let purpose = words::purpose(report);
    line(&format!("# {} for: {}\n", text(&words::verdict(report)), text(&purpose)));
    for warning in words::warnings(report) {
        line(&format!("**{warning}**\n"));
    }
    line("| run | plan | site | started | seconds |\n| --- | --- | --- | --- | --- |");
    let or = |value: Option<String>| text(&value.unwrap_or_else(|| "not known".to_owned()));
    let (site, started) = (or(run.site.clone()), or(run.started.clone()));
    let seconds = or(run.seconds.map(|seconds| seconds.to_string()));
    line(&format!(
        "| {} | {} | {site} | {started} | {seconds} |\n",
        text(&run.id),
        text(&run.plan)
    ));
    list(&mut line, report.reasons.iter().map(String::as_str));
    line("\n## Findings\n");
    if report.findings.is_empty() {
        line("None.");
    }
    for (hands, findings) in words::by_hands(report) {
        line(&format!("Findings {hands}:\n"));
        for finding in findings {
            line(&ticket(report, finding));
        }
    }
    line("\n## Gates\n\n| check | gate | outcome | worst | limit | where |");
    line("| --- | --- | --- | --- | --- | --- |");
    for gate in &report.gates {
        let cells = words::gate_cells(gate).map(|cell| text(&cell));
        line(&format!("| {} |", cells.join(" | ")));
    }
    line("\n## Coverage\n");
    list(&mut line, words::coverage(report).iter().map(String::as_str));
    line("\n## Not measured\n");
    let gaps: Vec<String> =
        report.not_measured.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
    match gaps.is_empty() {
        true => line("Nothing is missing."),
        false => list(&mut line, gaps.iter().map(String::as_str)),
    }
    page
}

/// One finding, ready to be filed.
#[must_use]
pub fn ticket(report: &Report, finding: &Finding) -> String {
    let mut rows = vec![
        ("who acts", words::hands(finding).to_owned()),
        ("grade", words::grade(finding)),
        ("suspect", words::name(&finding.suspect)),
    ];
    let none = || "nothing known of".to_owned();
    rows.push(("cannot exclude", words::rivals(finding).unwrap_or_else(none)));
    let unknown = || "its size was not measured".to_owned();
    rows.push(("effect", words::effect(finding).unwrap_or_else(unknown)));
    rows.extend(words::members(finding).map(|members| ("shown by", members)));
    rows.extend(words::chance(finding).map(|chance| ("chance", chance)));
    let limits = words::limits(report, finding);
    rows.push((
        "limit",
        limits.unwrap_or_else(|| "no gate failed at the suspect itself".to_owned()),
    ));
    rows.push(("action", finding.action.clone()));
    rows.extend(finding.next_experiment.clone().map(|next| ("next experiment", next)));
    rows.push(("run", format!("{}, plan {}", report.run.id, report.run.plan)));
    let warnings = words::warnings(report);
    if !warnings.is_empty() {
        rows.push(("mind", warnings.join("; ")));
    }
    let mut page = format!("### {}\n\n| | |\n| --- | --- |\n", text(&words::title(finding)));
    for (label, value) in rows {
        page += &format!("| {label} | {} |\n", text(&value));
    }
    page += "\nEvidence:\n\n";
    for line in &finding.evidence {
        page += &format!("- {}\n", text(line));
    }
    page
}

fn list<'a>(line: &mut impl FnMut(&str), items: impl Iterator<Item = &'a str>) {
    items.for_each(|item| line(&format!("- {}", text(item))));
}

/// Text as it is, whatever it holds: no markup, no cell's end, no line's end. An underscore
/// inside of a word marks nothing and stays.
fn text(raw: &str) -> String {
    let mut words = String::with_capacity(raw.len());
    let chars: Vec<char> = raw.chars().collect();
    let letter =
        |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    for (at, c) in chars.iter().enumerate() {
        match c {
            '_' if letter(at.checked_sub(1)) && letter(Some(at + 1)) => words.push('_'),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' => {
                words.push('\\');
                words.push(*c);
            }
            '<' => words.push_str("&lt;"),
            '>' => words.push_str("&gt;"),
            '&' => words.push_str("&amp;"),
            '@' => words.push_str("&#64;"),
            c if c.is_control() => words.push(' '),
            c => words.push(*c),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn names_can_not_become_markup() {
        assert_eq!(text("weak_power of a|b"), "weak_power of a\\|b");
        assert_eq!(text("<img> _x_ @all\n# y"), "&lt;img&gt; \\_x\\_ &#64;all \\# y");
    }
}
