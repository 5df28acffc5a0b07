//! The README's rehearsal in the forms for other readers, by the program itself.

use std::process::Command;

const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/three-pods.toml");

fn rehearsed(format: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadbank"));
    command.args(["rehearse", SITE, "--fault", "pdu_limit:pdu-a2=12%", "--format", format]);
    let done = command.output().expect("loadbank runs");
    // The form changes nothing of the exit code.
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn the_rehearsal_as_junit() {
    insta::assert_snapshot!("rehearsal_junit", rehearsed("junit"));
}

#[test]
fn the_rehearsal_as_tickets() {
    insta::assert_snapshot!("rehearsal_markdown", rehearsed("markdown"));
}

/// Headings, table heads, drawings and marks: what the page shows, without the numbers.
#[test]
fn the_rehearsal_as_a_page() {
    let page = rehearsed("html");
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).expect("well formed");
    let text = |node: roxmltree::Node| -> String {
        node.descendants()
            .filter_map(|part| part.is_text().then(|| part.text()).flatten())
            .collect()
    };
    let mut shown = String::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let class = node.attribute("class").unwrap_or_default();
        let line = match node.tag_name().name() {
            "h1" | "h2" | "h3" | "h4" | "caption" => text(node),
            "svg" => {
                let label = node.attribute("aria-label").unwrap_or_default();
                let places = node.descendants().filter(|part| part.is_element()).count();
                assert!(places > 10, "{label} draws something");
                format!("[{label}]")
            }
            "div" if class.starts_with("node ") || class == "flag" => {
                format!("{class}: {}", text(node))
            }
            "p" if class == "open" => text(node),
            _ => continue,
        };
        shown += &format!("{}: {}\n", node.tag_name().name(), line.replace('\n', " "));
    }
    assert_eq!(shown.matches("node bad: ").count(), 5, "five nodes hang on the weak PDU");
    insta::assert_snapshot!("rehearsal_page", shown);
}

#[test]
fn a_rehearsal_has_no_round_trips_and_its_log_says_so() {
    let log = rehearsed("hlog");
    assert!(log.contains("not measured: no round trip in the record"), "{log}");
    assert!(log.contains("SIMULATED"), "{log}");
    assert!(log.lines().all(|line| line.starts_with('#')), "it has no interval: {log}");
}

#[test]
fn json_is_one_form_and_not_asked_for_beside_another() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadbank"));
    let done = command.args(["rehearse", SITE, "--json", "--format", "html"]).output();
    assert_eq!(done.expect("loadbank runs").status.code(), Some(2));
}
