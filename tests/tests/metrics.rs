//! What coordinator and agents say to Prometheus: by its own checker, and to a real server that
//! scrapes them during a run and lets an alert fire.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, plans, skip, wait_until};

fn free_port() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/monitoring")
}

/// Prometheus and its checker, where they are installed.
fn is_here() -> bool {
    let here = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if !here("prometheus") || !here("promtool") {
        skip("prometheus", "prometheus and promtool are not installed");
        return false;
    }
    true
}

/// Head and body of an answer.
fn ask(address: &str, request: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

fn get(address: &str, path: &str) -> Option<(String, String)> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"))
}

/// What promtool finds wrong with a text of metrics.
fn faults(text: &str) -> String {
    let mut checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checker.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = checker.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    if done.status.success() {
        said.concat()
    } else {
        format!("{}: {}", done.status, said.concat())
    }
}

/// A server that is killed when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn prometheus(folder: &Path, address: &str, coordinator: &str, agents: &[&str]) -> Server {
    let settings = folder.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\n\
         scrape_configs:\n- job_name: loadbank-coordinator\n  \
         static_configs: [{{targets: [\"{coordinator}\"]}}]\n- job_name: loadbank-agent\n  \
         static_configs: [{{targets: {agents:?}}}]\n",
        rules().join("alerts.yml").display()
    );
    std::fs::write(&settings, text).unwrap();
    let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
    let server = Command::new("prometheus")
        .arg(format!("--config.file={}", settings.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Server(server)
}

/// The samples of a query, as the server has them.
fn query(address: &str, expression: &str) -> Option<Vec<Value>> {
    let (_, body) = get(address, &format!("/api/v1/query?query={expression}"))?;
    // The body may come in chunks: the document is between its braces.
    let json = body.get(body.find('{')?..=body.rfind('}')?)?;
    let document: Value = serde_json::from_str(json).ok()?;
    document["data"]["result"].as_array().cloned()
}

#[test]
fn the_rules_are_right_by_promtools_own_word() {
    if !is_here() {
        return;
    }
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let done = Command::new("promtool").args(arguments).current_dir(rules()).output().unwrap();
        let said = [done.stdout, done.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        assert!(done.status.success(), "{}", said.concat());
    }
}

#[test]
fn a_real_prometheus_scrapes_a_run_and_says_when_an_agent_falls_silent() {
    if !is_here() {
        return;
    }
    let [hall, n1, n2, server] = [0; 4].map(|_| free_port());
    let mut bank = Bank::new();
    bank.serve_with(&["--metrics", &hall]);
    bank.agent("n1", 0, &["--metrics", &n1]);
    bank.agent("n2", 0, &["--metrics", &n2]);
    bank.wait_for_agents(2);
    let dir = tempfile::tempdir().unwrap();
    let _server = prometheus(dir.path(), &server, &hall, &[&n1, &n2]);

    let (mut run, watch, id) = bank.begin(&plans::hold(8));
    watch.wait_for_phase("hold", 3.0);
    let mut said = String::new();
    for address in [&hall, &n1, &n2] {
        let (head, body) = get(address, "/metrics").unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("version=0.0.4"), "{head}");
        assert_eq!(faults(&body), "", "{address}:\n{body}");
        said += &body;
    }
    for sample in [
        "loadbank_run_active 1",
        "loadbank_agent_connected{node=\"n1\"} 1",
        "loadbank_node_level_ratio{node=\"n2\"} ",
        "loadbank_agent_heating_devices{node=\"n1\"} 1",
    ] {
        assert!(said.contains(sample), "{sample}:\n{said}");
    }
    assert!(said.contains(&format!("loadbank_run_info{{run=\"{id}\"")), "{said}");
    let newer = "GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
        Accept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    let (head, body) = ask(&hall, newer).unwrap();
    assert!(head.contains("application/openmetrics-text") && body.ends_with("# EOF\n"), "{head}");
    let posted = ask(&hall, "POST /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(posted.unwrap().0.starts_with("HTTP/1.1 405"));
    assert!(get(&n1, "/stop").unwrap().0.starts_with("HTTP/1.1 404"));

    // Sixteen that connect and say nothing keep nobody from reading.
    let idle: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(&n1).unwrap()).collect();
    let began = Instant::now();
    assert!(get(&n1, "/metrics").is_some(), "after {:?}", began.elapsed());
    drop(idle);

    wait_until("the server to have the run", Duration::from_secs(30), || {
        std::thread::sleep(Duration::from_millis(300));
        let active = query(&server, "loadbank_run_active==1")?;
        let up = query(&server, "up==1")?;
        (active.len() == 1 && up.len() == 3).then_some(())
    });
    let done = run.finish(RUN_PATIENCE);
    assert!(matches!(done.code, Some(0 | 1 | 3)), "{done:?}");
    let alerts = "ALERTS%7Balertname=%22LoadbankAgentSilent%22,alertstate=%22firing%22%7D";
    assert_eq!(query(&server, alerts).unwrap(), Vec::<Value>::new());

    bank.agent_process("n2").kill();
    let fired = wait_until("the alert", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(300));
        query(&server, alerts).filter(|fired| !fired.is_empty())
    });
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(fired[0]["metric"]["node"], "n2", "{fired:?}");
    // Silent, and still there; what it said of its node is gone.
    let (_, body) = get(&hall, "/metrics").unwrap();
    assert!(body.contains("loadbank_agent_last_seen_timestamp_seconds{node=\"n2\"}"), "{body}");
    assert!(body.contains("loadbank_agent_connected{node=\"n2\"} 0"), "{body}");
    assert!(!body.contains("loadbank_node_level_ratio{node=\"n2\"}"), "{body}");
}
