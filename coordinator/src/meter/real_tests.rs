//! Against the real Mosquitto and Prometheus, where a machine has them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use formats::sources::SourceKind;

use super::doubles::http::HttpDouble;
use super::doubles::kind_of;
use super::mqtt::Mqtt;
use super::port::{Meter, MeterError, Round};
use super::prometheus::Prometheus;

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is here; where it must be and isn't, the test fails.
fn is_here(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    let required = std::env::var("LOADBANK_REQUIRE").unwrap_or_default();
    if !found {
        assert!(!required.split(',').any(|word| word == program), "no {program} here");
        println!("SKIPPED: no {program} here");
    }
    found
}

fn run(program: &str, args: &[&str]) -> Running {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// A port that nobody has right now, and nobody gets while the server starts: below those that
/// the kernel gives to whoever connects.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 400) as u16 * 25;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Publishes as the building would, with what MQTT 3.1.1 needs for that: our client can't.
async fn publish(port: u16, messages: &[(&str, &str)]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let texts = |texts: &[&str]| -> Vec<u8> {
        let one = |text: &&str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
        texts.iter().flat_map(one).collect()
    };
    let packet =
        |first: u8, body: Vec<u8>| [vec![first, u8::try_from(body.len()).unwrap()], body].concat();
    let head = [texts(&["MQTT"]), vec![4, 0b1100_0010, 0, 60]].concat();
    let connect = packet(0x10, [head, texts(&["building", "loadbank", "right"])].concat());
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(&connect).await.unwrap();
    socket.read_exact(&mut [0; 4]).await.unwrap();
    for (topic, payload) in messages {
        let kept = u8::from(topic.contains("/Metadata/"));
        let body = [texts(&[topic]), payload.as_bytes().to_vec()].concat();
        socket.write_all(&packet(0x30 | kept, body)).await.unwrap();
    }
    socket.write_all(&[0xE0, 0]).await.unwrap();
    // It has read all when it has ended the connection.
    drop(socket.read(&mut [0]).await);
}

#[tokio::test]
async fn a_real_mosquitto_is_heard_and_refuses_a_wrong_password() {
    if !is_here("mosquitto") || !is_here("mosquitto_passwd") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [passwords, settings, own] =
        ["passwords", "mosquitto.conf", "own"].map(|name| dir.path().join(name));
    let made = Command::new("mosquitto_passwd")
        .args(["-c", "-b", &text(&passwords), "loadbank", "right"])
        .status();
    assert!(made.unwrap().success());
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\n",
        passwords.display()
    );
    std::fs::write(&settings, conf).unwrap();
    let _broker = run("mosquitto", &["-c", &text(&settings)]);
    std::fs::write(&own, "wrong").unwrap();
    let rest = format!(
        "plain_text = true\nuser = \"loadbank\"\npassword_file = \"{}\"\n[[source.target]]\n\
         address = \"127.0.0.1:{port}\"\ndomain = \"hall\"\n",
        own.display()
    );
    let SourceKind::Mqtt(source) = kind_of("mqtt", &rest) else { panic!() };
    let mut meter = Mqtt::new(&source, &source.targets[0]).unwrap();
    let refused = until(&mut meter, |result| matches!(result, Err(MeterError::Refused(_)))).await;
    assert!(refused.is_err(), "{refused:?}");
    std::fs::write(&own, "right").unwrap();
    let topic = |what: &str| format!("BMS/v1/PUB/{what}/Rack/RackPower/H1/R7");
    publish(port, &[(&topic("Metadata"), r#"{"rackLocationId":"r7","engUnit":"kW"}"#)]).await;
    let talking = async {
        for stamp in 1.. {
            let value = format!("{{\"value\":118.5,\"timestamp\":{stamp},\"quality\":1}}");
            let beat = "BMS/v1/PUB/Value/System/HeartbeatTimestampBms/BMS";
            publish(port, &[(&topic("Value"), &value), (beat, &value)]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let heard = until(&mut meter, |result| {
        result.as_ref().is_ok_and(|round| round.heartbeat && !round.readings.is_empty())
    });
    let round = tokio::select! { round = heard => round.unwrap(), () = talking => unreachable!() };
    let reading = &round.readings[0];
    assert_eq!((reading.domain.as_str(), reading.point.as_str()), ("r7", "power_kw"));
    assert_eq!((reading.value, reading.good), (118.5, true));
}

#[tokio::test]
async fn a_real_prometheus_tells_samples_with_their_own_instants() {
    if !is_here("prometheus") {
        return;
    }
    let exporter = HttpDouble::start(None).await;
    exporter.set("/metrics", Some("pdu_power_watts{pdu=\"a1\"} 1500\nother 2\n"));
    let dir = tempfile::tempdir().unwrap();
    let [settings, data] = ["prometheus.yml", "data"].map(|name| dir.path().join(name));
    let conf = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: building\n  \
         static_configs: [{{targets: [\"{}\"]}}]\n",
        exporter.address
    );
    std::fs::write(&settings, conf).unwrap();
    let port = free_port();
    let _server = run(
        "prometheus",
        &[
            &format!("--config.file={}", text(&settings)),
            &format!("--storage.tsdb.path={}", text(&data)),
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ],
    );
    let rest = format!(
        "plain_text = true\n[[source.target]]\naddress = \"http://127.0.0.1:{port}\"\n\
         domain = \"hall\"\n[[source.series]]\nquery = \"pdu_power_watts\"\npoint = \"power_kw\"\n\
         unit = \"W\"\ndomain_label = \"pdu\"\n[[source.series]]\nquery = \"sum(\"\npoint = \"alarm\"\n\
         [[source.series]]\nquery = \"2 * sum(pdu_power_watts)\"\npoint = \"power_kw\"\nunit = \"W\"\n"
    );
    let SourceKind::Prometheus(source) = kind_of("prometheus", &rest) else { panic!() };
    let mut meter = Prometheus::new(&source, &source.targets[0]).unwrap();
    // A scrape may come between two questions of a round.
    let heard = until(&mut meter, |result| {
        let of = |round: &Round, domain: &str| round.readings.iter().any(|of| of.domain == domain);
        result.as_ref().is_ok_and(|round| of(round, "a1") && of(round, "hall"))
    });
    let round = heard.await.unwrap();
    let raw = round.readings.iter().find(|reading| reading.domain == "a1").unwrap();
    assert_eq!((raw.point.as_str(), raw.value), ("power_kw", 1.5));
    let sum = round.readings.iter().find(|reading| reading.domain == "hall").unwrap();
    assert_eq!(sum.value, 3.0);
    assert!(raw.stamp_ns.unwrap() <= sum.stamp_ns.unwrap(), "{round:?}");
    assert!(round.wrong.iter().any(|what| what.contains("sum(: error: ")), "{:?}", round.wrong);
}

/// Reads until a result is what a test waits for.
async fn until<M: Meter>(
    meter: &mut M,
    wanted: impl Fn(&Result<Round, MeterError>) -> bool,
) -> Result<Round, MeterError> {
    let reads = async {
        loop {
            let result = meter.read().await;
            if wanted(&result) {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // Real servers take their time to start on a machine that builds.
    tokio::time::timeout(Duration::from_secs(60), reads).await.expect("it comes to that")
}
