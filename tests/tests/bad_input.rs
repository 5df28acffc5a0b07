//! Wrong documents, wrong addresses, wrong versions, damaged files, strangers, full disks:
//! each is named with its mend, and nothing else stops for it.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, Done, plans, record, require, wait_until};

/// A refusal comes at once; this is for a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// A connection without a hello is closed after two seconds.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_wrong_plan_is_refused_with_file_line_and_mend() {
    let bank = Bank::new();
    let cases = [
        ("secnods = 3\nkind = \"hold\"", 5, "seconds"),
        ("seconds = -1\nkind = \"hold\"", 5, "seconds"),
        ("seconds = 3\nkind = \"hodl\"", 6, "hold"),
    ];
    for (phase, line, mend) in cases {
        let text = format!("schema = 1\nname = \"wrong\"\n\n[[phase]]\n{phase}\n");
        let plan = bank.write("wrong.toml", &text);
        let state_dir = bank.state_dir().display().to_string();
        for arguments in [
            ["local", "--plan", &plan, "--state-dir", &state_dir].as_slice(),
            &["run", &plan, "--insecure-loopback"],
        ] {
            let done = bank.loadbank(arguments).finish(SOON);
            assert_eq!(done.code, Some(2), "{done:?}");
            assert_eq!(done.stdout, "", "{done:?}");
            let place = format!("wrong.toml:{line}");
            assert!(done.stderr.contains(&place) && done.stderr.contains(mend), "{}", done.stderr);
        }
    }
}

#[test]
fn addresses_that_can_not_be_served_are_refused() {
    let bank = Bank::new();
    let state_dir = bank.state_dir().display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap().to_string();
    let serve = |more: &[&str]| -> Done {
        let arguments = [["serve", "--state-dir", &state_dir].as_slice(), more].concat();
        bank.loadbank(&arguments).finish(SOON)
    };
    let rules = bank.write(
        "interlocks.toml",
        "schema = 1\n[[rule]]\nname = \"bms\"\nsource = \"heartbeat\"\nfrom = \"bsm\"\n\
         action = \"stop_ramp\"\n",
    );
    let sources = bank.write(
        "meters.toml",
        "schema = 1\n[[source]]\nname = \"bms\"\nkind = \"modbus\"\nmap = \"map.toml\"\n\
         [[source.target]]\naddress = \"127.0.0.1:1\"\ndomain = \"hall\"\n",
    );
    let _ = bank.write(
        "map.toml",
        "schema = 1\n[[point]]\npoint = \"power_kw\"\nfc = 4\naddress = 1\ntype = \"u16\"\n",
    );
    let plain = "--insecure-loopback";
    let cases: [(&[&str], i32, &str); 6] = [
        (&[plain, "--interlocks", &rules], 2, "interlocks.toml:3: rule bms: no source \"bsm\""),
        (&[plain, "--interlocks", &rules, "--meters", &sources], 2, "--meters has bms: write"),
        (&["--insecure-loopback", "--listen", &in_use], 4, "choose another port"),
        (&["--insecure-loopback", "--listen", "0.0.0.0:0"], 2, "not a loopback address"),
        (&["--listen", "127.0.0.1:0"], 2, "--insecure-loopback"),
        (&["--insecure-loopback", "--listen", "nonsense"], 2, "HOST:PORT"),
    ];
    for (arguments, code, mend) in cases {
        let done = serve(arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(mend), "{arguments:?}: {}", done.stderr);
    }
    let nobody = bank.verb(&["runs"]);
    assert_eq!(nobody.code, Some(4), "{nobody:?}");
    assert!(nobody.stderr.contains("loadbank serve"), "{}", nobody.stderr);
}

#[test]
fn an_agent_of_another_protocol_leaves_and_the_coordinator_goes_on() {
    let bank = Bank::with_agents(1);
    let mut other = bank.start_agent("n9", 0, &["--false-protocol-version", "999"]);
    let done = other.finish(SOON);
    assert_eq!(done.code, Some(2), "{done:?}");
    let ours = format!("speaks {}", proto::PROTOCOL_VERSION);
    assert!(done.stderr.contains("999") && done.stderr.contains(&ours), "{}", done.stderr);
    let agents = bank.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_eq!((&agents[0]["node"], &agents[0]["connected"]), (&"n1".into(), &true.into()));
}

#[test]
fn a_damaged_run_file_is_named_and_never_panics() {
    let bank = Bank::new();
    let plan = bank.write("plan.toml", &plans::hold(2));
    let state_dir = bank.state_dir().display().to_string();
    let local = ["local", "--plan", &plan, "--state-dir", &state_dir, "--json"];
    let report = bank.loadbank(&local).finish(RUN_PATIENCE).json();
    let whole = PathBuf::from(report["run"]["folder"].as_str().unwrap()).join("run.sqlite");
    let bytes = std::fs::read(&whole).unwrap();
    let mut scratched = bytes.clone();
    let from = 4096 + 50;
    scratched[from..].fill(0xa5);
    let newer = bank.folder().join("newer.sqlite");
    std::fs::copy(&whole, &newer).unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let wrong: [(&str, Vec<u8>); 5] = [
        ("half.sqlite", bytes[..bytes.len() / 2].to_vec()),
        ("start.sqlite", bytes[..100].to_vec()),
        ("empty.sqlite", Vec::new()),
        ("scratched.sqlite", scratched),
        ("newer.sqlite", std::fs::read(&newer).unwrap()),
    ];
    for (name, content) in wrong {
        let path = bank.folder().join(name);
        std::fs::write(&path, content).unwrap();
        let done = bank.loadbank(&["report", &path.display().to_string()]).finish(SOON);
        assert!(matches!(done.code, Some(2 | 4)), "{name}: {done:?}");
        assert!(done.stderr.contains(name), "{name}: {}", done.stderr);
        assert!(!done.stderr.contains("panicked"), "{name}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{name}: half a report");
    }
}

#[test]
fn strangers_at_the_data_port_are_refused_and_counted_and_the_run_is_ready() {
    let bank = Bank::with_agents(2);
    let (mut run, watch, _id) = bank.begin(&plans::loaded_then_hold(6, 2));
    watch.wait_for_phase("loaded", 1.0);
    let ports: Vec<u16> =
        bank.workers_of("n1").iter().flat_map(|worker| worker.listens()).collect();
    let [port] = ports.as_slice() else { panic!("one data port a node: {ports:?}") };
    let knock = |words: &[u8]| {
        let mut stranger = TcpStream::connect(("127.0.0.1", *port)).unwrap();
        stranger.set_read_timeout(Some(HELLO_PATIENCE)).unwrap();
        let _ = stranger.write_all(words);
        let mut answer = [0];
        let read = stranger.read(&mut answer);
        let timed_out = read.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "a stranger may stay");
        assert!(!matches!(read, Ok(1)), "a stranger was answered");
    };
    knock(b"GET / HTTP/1.1\r\nHost: somebody\r\n\r\n");
    knock(&[0xff; 4096]);
    knock(b"");
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let report = done.json();
    assert_eq!(report["verdict"], "READY");
    let lines = evidence_of(&report, "instrument", "n1");
    let told: Vec<_> = lines.iter().filter(|line| line.contains("stranger")).collect();
    assert!(!told.is_empty(), "nobody told of the strangers: {report}");
}

#[test]
fn a_spool_at_its_bound_gives_up_the_oldest_and_says_so() {
    let mut bank = Bank::new();
    bank.serve();
    bank.agent("n1", 0, &["--spool-bytes-max", "2048"]);
    bank.agent("n2", 1, &[]);
    bank.wait_for_agents(2);
    let report = cut_off(&mut bank, |_| std::thread::sleep(Duration::from_secs(14)));
    let gave_up = |node: &str| {
        let lines = evidence_of(&report, "instrument", node);
        lines.iter().any(|line| line.contains("gave up"))
    };
    assert!(gave_up("n1"), "{report}");
    assert!(!gave_up("n2"), "{report}");
}

#[test]
fn an_agent_survives_a_full_disk_and_tells_what_it_lost() {
    if !require("root") {
        return;
    }
    let mut bank = Bank::new();
    bank.serve();
    let Some(disk) = SmallDisk::mount(&bank.agent_dir("n1")) else { return };
    bank.agent("n1", 0, &[]);
    bank.agent("n2", 1, &[]);
    bank.wait_for_agents(2);
    // Full before the run: a file that has a page takes more than a second of batches.
    let filler = disk.fill();
    let report = cut_off(&mut bank, |bank| {
        std::thread::sleep(Duration::from_secs(4));
        assert!(bank.agent_process("n1").runs(), "a full disk ended the agent");
        std::fs::remove_file(filler).unwrap();
        std::thread::sleep(Duration::from_secs(2));
    });
    assert!(bank.agent_process("n1").runs());
    let lines = evidence_of(&report, "instrument", "n1");
    assert!(lines.iter().any(|line| line.contains("gave up")), "{report}");
}

/// Cuts a run of two agents off from its coordinator, does something, brings the
/// coordinator back and ends the run. The report once everything was told: even a spool so
/// small that it gives up the batch that tells of a loss must explain every gap in the end.
/// A loss is told by the batch after it, which may come late.
fn cut_off(bank: &mut Bank, meanwhile: impl FnOnce(&mut Bank)) -> Value {
    let (_run, watch, id) = bank.begin(&plans::hold(30));
    watch.wait_for_phase("hold", 2.5);
    bank.coordinator().kill();
    meanwhile(bank);
    bank.serve();
    bank.wait_for_agents(2);
    let folder = bank.run_folder(&id);
    let stop = bank.verb(&["stop", &id]);
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    let folder = folder.display().to_string();
    wait_until("empty spools, a loss, and no gap without its record", RUN_PATIENCE, || {
        let empty = |node| record::spooled(&bank.agent_dir(node)).is_empty();
        if !(empty("n1") && empty("n2")) {
            return None;
        }
        let done = bank.loadbank(&["report", &folder, "--json"]).finish(SOON);
        assert_eq!(done.code, Some(130), "{done:?}");
        let report = done.json();
        let coverage = &report["coverage"];
        let lost = coverage["records_lost"].as_u64() > Some(0);
        (lost && coverage["batches_missing"] == 0).then_some(report)
    })
}

fn evidence_of(report: &Value, kind: &str, node: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of = findings.filter(|f| f["kind"] == kind && f["suspect"]["id"] == node);
    let lines = of.flat_map(|finding| finding["evidence"].as_array().unwrap());
    lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

/// A file system of a few hundred KiB, taken away when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Root may still be forbidden to mount, in a container: then the test is skipped.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,nr_inodes=64", "loadbank-test"])
            .arg(at)
            .output();
        let why = match &mount {
            Ok(output) if output.status.success() => return Some(Self(at.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        system_tests::skip("root", &format!("it may not mount here: {}", why.trim()));
        None
    }

    /// Takes what is left of the disk; the file to remove.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("somebody-else");
        let mut file = File::create(&path).unwrap();
        for chunk in [4096, 512, 1] {
            while file.write_all(&vec![0; chunk]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the agent that holds it goes after it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
