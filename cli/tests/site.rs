//! Goldens of `site check` and `site show`, and how long ten thousand nodes take.

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use loadbank_cli::site_text;

const HALL: &str = r#"
schema = 1
name = "hall-b"
domain = [
    { kind = "ups", id = "ups-1", rating_kw = 120 },
    { kind = "pdu", id = "pdu-a1", within = ["ups-1"], side = "A", rating_kw = 34.5 },
    { kind = "pdu", id = "pdu-b1", within = ["ups-1"], side = "B" },
    { kind = "breaker", id = "brk-1", within = ["pdu-a1", "pdu-b1"], budget_kw = 9 },
    { kind = "cdu", id = "cdu-1" },
    { kind = "loop", id = "loop-1", within = ["cdu-1"], rating_kw = 80 },
    { kind = "row", id = "row-1" },
    { kind = "rack", id = "rack-1", within = ["row-1"] },
    { kind = "rack", id = "rack-2", within = ["row-1"] },
    { kind = "leaf", id = "leaf-1" },
    { kind = "spine", id = "spine-1" },
]
link = [{ a = "leaf-1", b = "spine-1", gbps = 400, count = 2 }]

[[nodes]]
names = "gpu[001-004]"
domains = ["rack-1", "brk-1", "loop-1", "leaf-1"]
devices = 8

[[nodes]]
names = "gpu[005-007],login"
domains = ["rack-2", "pdu-b1", "loop-1"]
devices = 4
nics = [{ name = "mlx5_0", leaf = "leaf-1" }]
"#;

#[test]
fn a_hall_in_words() {
    let site = formats::site::parse("hall.toml", HALL).expect("the site is right");
    insta::assert_snapshot!("site_check", site_text::counts(&site));
    insta::assert_snapshot!("site_show", site_text::tree(&site));
}

/// The binary in a folder of its own: its exit code, standard output and standard error.
fn loadbank(words: &[&str], site: &str) -> (i32, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("site.toml"), site).expect("a file");
    let run = Command::new(env!("CARGO_BIN_EXE_loadbank"))
        .args(["site", words[0], "site.toml"])
        .args(&words[1..])
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (run.status.code().expect("no signal"), text(run.stdout), text(run.stderr))
}

#[test]
fn every_problem_is_named_with_its_line_and_ends_in_2() {
    let wrong = HALL.replace("\"loop\", id", "\"lop\", id").replace("devices = 4", "devises = 4");
    let (code, out, err) = loadbank(&["check"], &wrong);
    assert_eq!((code, out.as_str()), (2, ""));
    insta::assert_snapshot!("site_wrong", err);
    let (code, out, _) = loadbank(&["show", "--json"], &wrong);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, document["valid"].as_bool()), (2, Some(false)));
    assert_eq!(document["problems"][1]["line"].as_u64(), Some(27));
    let unknown = HALL.replace("\"loop-1\", \"leaf-1\"]", "\"loop-2\", \"leaf-1\"]");
    let (code, _, err) = loadbank(&["check"], &unknown);
    assert_eq!(code, 2);
    assert!(err.starts_with("site.toml:21: unknown domain"), "{err}");
    let (code, out, err) = loadbank(&["check", "--json"], HALL);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), document["nodes"].as_u64()), (0, "", Some(8)));
    assert_eq!(document["domains"]["pdu"].as_u64(), Some(2));
    assert_eq!(document["unrated"], serde_json::json!(["pdu-b1", "cdu-1"]));
}

/// A hall of 625 racks of 16 nodes, each rack with its feeds, loop and leaf.
fn large() -> String {
    let mut text = "schema = 1\nname = \"large\"\n".to_owned();
    for rack in 0..625 {
        for (kind, rating) in
            [("rack", ""), ("pdu", "rating_kw = 160\n"), ("loop", ""), ("leaf", "")]
        {
            let _ = write!(text, "[[domain]]\nkind = \"{kind}\"\nid = \"{kind}-{rack}\"\n{rating}");
        }
        let (from, to) = (rack * 16, rack * 16 + 15);
        let _ = write!(
            text,
            "[[nodes]]\nnames = \"gpu[{from:05}-{to:05}]\"\ndevices = 8\n\
             domains = [\"rack-{rack}\", \"pdu-{rack}\", \"loop-{rack}\", \"leaf-{rack}\"]\n"
        );
    }
    text
}

#[test]
fn ten_thousand_nodes_load_and_draw_at_once() {
    let text = large();
    let start = Instant::now();
    let site = formats::site::parse("large.toml", &text).expect("the site is right");
    let loaded = start.elapsed();
    let drawn = site_text::tree(&site);
    eprintln!("10,000 nodes: loaded in {loaded:?}, drawn in {:?}", start.elapsed() - loaded);
    assert_eq!(site.nodes().len(), 10_000);
    assert!(drawn.contains("gpu[09984-09999]"));
    // Unoptimised and beside other tests; a release build takes a hundredth of it.
    assert!(loaded.as_secs_f64() < 5.0, "{loaded:?}");
}

const DEVICES: &str = r#"[{"url": "https://n/api/dcim/devices/1/", "name": "gpu001",
    "role": {"slug": "gpu-node"}, "rack": {"name": "r1"}, "status": {"value": "active"}}]"#;

#[test]
fn a_first_site_comes_from_records_and_is_held_against_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let devices = folder.path().join("devices.json");
    std::fs::write(&devices, DEVICES).expect("a file");
    let devices = devices.display().to_string();
    let site = folder.path().join("made.toml");
    let import = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_loadbank"))
            .args(["site", "import", "--netbox", &devices])
            .args(more)
            .output()
            .expect("the binary runs")
    };
    let made = import(&["--name", "hall-7"]);
    assert_eq!(made.status.code(), Some(0));
    std::fs::write(&site, &made.stdout).expect("a file");
    let read = formats::site::read(&site).expect("a site");
    assert_eq!((read.name(), read.nodes().len()), ("hall-7", 1));
    // Without a role of ours nothing is a node, and that is no empty site.
    let none = import(&["--role", "switch"]);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!((none.status.code(), none.stdout.len()), (Some(2), 0), "{told}");
    assert!(told.contains("roles: switch"), "{told}");

    let same = std::fs::read_to_string(&site).expect("a text");
    let (code, out, _) = loadbank(&["compare", "--netbox", &devices], &same);
    assert_eq!((code, out.as_str()), (0, "no difference\n"));
    let moved = same.replace("r1", "r2");
    let (code, out, _) = loadbank(&["compare", "--netbox", &devices, "--json"], &moved);
    let told: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let line = "node gpu001: rack r2 by the site file, r1 by the records";
    assert_eq!((code, told["differences"].as_array().map(Vec::len)), (3, Some(3)), "{told}");
    assert!(told["differences"].to_string().contains(line), "{told}");
    // No records at all are a mistake of whoever asks.
    assert_eq!(loadbank(&["compare"], &same).0, 2);
}
