//! What the documents say is so: paths exist, the README's commands are the ones that CI
//! runs, its report is the recorded one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The two commands that do everything on a fresh machine.
const FIRST_COMMAND: &str = "cargo run --release -- local";
const TEST_COMMAND: &str = "cargo test --workspace";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words in backquotes that look like a path of this repository.
fn named_paths(document: &str) -> BTreeSet<String> {
    let inline = document.split("```").step_by(2).collect::<String>();
    let quoted: Vec<&str> = inline.split('`').skip(1).step_by(2).collect();
    let is_path = |word: &&&str| {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        // Placeholders such as NODE/PORT have no small letter.
        let named = word.chars().any(|c| c.is_ascii_lowercase());
        plain && named && word.contains('/') && !word.starts_with('/') && !word.starts_with('.')
            || word.starts_with(".ci/")
    };
    quoted.iter().filter(is_path).map(|word| (*word).to_owned()).collect()
}

#[test]
fn paths_named_in_documents_exist() {
    let mut seen = 0;
    let docs = std::fs::read_dir(root().join("docs")).expect("the documents");
    let docs = docs.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let docs = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let always = ["README.md", "ARCHITECTURE.md"].map(str::to_owned);
    for document in &always.into_iter().chain(docs).collect::<Vec<_>>() {
        for path in named_paths(&read(document)) {
            seen += 1;
            assert!(root().join(&path).exists(), "{document} names {path}, which does not exist");
        }
    }
    assert!(seen > 10, "the documents name paths: {seen} found");
}

#[test]
fn the_readme_has_two_commands_and_ci_runs_the_second() {
    let readme = read("README.md");
    assert!(readme.contains(FIRST_COMMAND), "README lost {FIRST_COMMAND}");
    assert!(readme.contains(TEST_COMMAND), "README lost {TEST_COMMAND}");
    let ci = read(".ci/run");
    assert!(ci.lines().any(|line| line.trim() == TEST_COMMAND), "CI does not run {TEST_COMMAND}");
}

#[test]
fn the_report_in_the_readme_is_the_recorded_one() {
    let report = read("docs/examples/local-report.txt");
    assert!(report.starts_with("RUN  "), "a recorded report begins with its run");
    assert!(read("README.md").contains(report.trim_end()), "README shows another report");
}

/// The rehearsal whose report the README shows.
const REHEARSAL: &str = "loadbank rehearse examples/three-pods.toml --fault pdu_limit:pdu-a2=12%";

/// `LOADBANK_UPDATE=1` pastes what the command prints today.
#[test]
fn the_rehearsal_in_the_readme_is_what_the_command_prints() {
    let site = root().join("examples/three-pods.toml");
    let site = site.to_string_lossy();
    let output = system_tests::loadbank(&["rehearse", &site, "--fault", "pdu_limit:pdu-a2=12%"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("reports are UTF-8");
    let head = format!("```\n$ {REHEARSAL}\n");
    let readme = read("README.md");
    let (before, rest) = readme.split_once(&head).expect("README lost its rehearsal");
    let (shown, after) = rest.split_once("```\n").expect("the rehearsal's block ends");
    if std::env::var_os("LOADBANK_UPDATE").is_some() {
        let page = format!("{before}{head}{}\n```\n{after}", printed.trim_end());
        std::fs::write(root().join("README.md"), page).expect("README is written");
        return;
    }
    assert_eq!(shown.trim_end(), printed.trim_end(), "README shows another rehearsal");
}

#[test]
fn built_in_plans_are_the_ones_that_the_documents_name() {
    let readme = read("README.md");
    for name in formats::plan::BUILTIN {
        assert!(readme.contains(&format!("`{name}`")), "README does not name the plan {name}");
    }
}

#[test]
fn nothing_names_a_registry() {
    let listed = std::process::Command::new("git")
        .args(["ls-files"])
        .current_dir(root())
        .output()
        .expect("git lists files");
    let files = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let registries =
        [["crates", "io"].join("."), ["pypi", "org"].join("."), ["npmjs", "org"].join(".")];
    let mut read_files = 0;
    for file in files.lines().filter(|file| !file.ends_with("Cargo.lock")) {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        read_files += 1;
        for registry in &registries {
            assert!(!text.contains(registry), "{file} names {registry}");
        }
    }
    assert!(read_files > 50, "{read_files} files read");
}
