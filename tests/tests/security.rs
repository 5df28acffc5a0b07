//! Strangers, impostors and noise at every port: refused with a word, counted, and the run
//! beside them goes on.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coordinator::pki::{Authority, Validity};
use proto::dial::{Dialer, Security, connect_once};
use proto::tls::{Identity, JoinToken, Role, TlsDir};
use proto::v1;
use proto::v1::agent_service_client::AgentServiceClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, Done, plans, wait_until};

/// A refusal comes at once; this is for a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Files that changed are noticed within a second.
const RENEWED: Duration = Duration::from_millis(1500);
/// A caller without a handshake is closed after ten seconds.
const SLOW_PATIENCE: Duration = Duration::from_secs(20);

/// Seconds of noise on each port; `LOADBANK_NOISE_SECONDS` asks for more.
fn noise_s() -> u32 {
    std::env::var("LOADBANK_NOISE_SECONDS").map_or(5, |text| text.parse().unwrap())
}

#[test]
fn impostors_are_refused_with_a_word_and_counted_and_the_run_beside_them_goes_on() {
    let bank = Bank::with_secure_agents(2);
    let (mut run, watch, id) = bank.begin(&plans::loaded_then_hold(10, 4));
    watch.wait_for_phase("loaded", 1.0);
    let authority = Authority::open(&bank.pki_dir()).unwrap();

    let plain = ask(&bank, &["--insecure-loopback"]);
    assert_eq!(plain.code, Some(4), "{plain:?}");
    let nobody = in_runtime(connect_once(bank.address(), &without_certificate(&bank)));
    assert!(nobody.unwrap_err().to_string().contains("asks for a certificate"));
    for (member, word) in [
        ("agent-n1", "is for operators, and the certificate is that of agent n1"),
        ("coordinator-127.0.0.1", "refuses us"),
        (&expired(&bank, &authority), "has expired"),
        (&of_another_authority(&bank), "another authority signed it"),
    ] {
        let done = ask(&bank, &["--tls-dir", &bank.tls_dir(member).display().to_string()]);
        assert_eq!(done.code, Some(4), "{member}: {done:?}");
        assert!(done.stderr.contains(word), "{member}: {}", done.stderr);
    }
    let operator = in_runtime(session(&bank, "operator-tester", hello("n1")));
    assert!(operator.contains("is for agents"), "{operator}");
    let other_node = in_runtime(session(&bank, "agent-n1", hello("n2")));
    assert!(other_node.contains("says that it is node n2"), "{other_node}");
    in_runtime(upload(&bank, "agent-n1", &id, "n2"));

    wait_until("every refusal is counted", SOON, || {
        let all = ["no_certificate", "wrong_role", "expired", "other_authority", "not_tls"];
        (all.iter().all(|word| refused(&bank, word) > 0) && refused(&bank, "wrong_node") >= 2)
            .then_some(())
    });
    assert!(bank.agents().iter().all(|agent| agent["connected"] == true), "{:?}", bank.agents());
    ends_well(&run.finish(RUN_PATIENCE));
}

#[test]
fn noise_slow_callers_and_long_messages_leave_the_run_beside_them_alone() {
    let bank = Bank::with_secure_agents(2);
    let (mut run, watch, _id) = bank.begin(&plans::loaded_then_hold(noise_s() + 8, 3));
    watch.wait_for_phase("loaded", 0.5);
    let data = bank.workers_of("n1").iter().flat_map(|worker| worker.listens()).next().unwrap();
    let ports = [bank.address().to_owned(), bank.join_address().to_owned()];
    let slow: Vec<TcpStream> = ports
        .iter()
        .flat_map(|port| (0..100).map(|_| TcpStream::connect(port).unwrap()).collect::<Vec<_>>())
        .collect();
    let trickle = slow.first().unwrap().try_clone().unwrap();
    let lasts = Duration::from_secs(noise_s().into());
    std::thread::scope(|scope| {
        for port in ports.iter().cloned().chain([format!("127.0.0.1:{data}")]) {
            scope.spawn(move || noise(&port, lasts));
        }
        scope.spawn(|| drip(&trickle, lasts));
    });
    let long = v1::Hello { node: "n".repeat(5 << 20), ..hello("n1") };
    let answer = in_runtime(session(&bank, "agent-n1", long));
    assert!(answer.contains("too large"), "{answer}");
    wait_until("every refusal is counted", SLOW_PATIENCE, || {
        let all = ["not_tls", "too_large"].iter().all(|word| refused(&bank, word) > 0);
        (all && refused(&bank, "too_slow") >= 150).then_some(())
    });
    for mut caller in slow {
        caller.set_read_timeout(Some(SOON)).unwrap();
        let mut rest = Vec::new();
        let end = caller.read_to_end(&mut rest);
        let stays = end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!stays, "a slow caller may stay");
    }
    ends_well(&run.finish(RUN_PATIENCE));
}

#[test]
fn on_a_plain_port_too_only_who_speaks_http2_in_time_may_stay() {
    let bank = Bank::with_agents(1);
    noise(bank.address(), Duration::from_secs(2));
    let _silent = TcpStream::connect(bank.address()).unwrap();
    wait_until("noise and silence are counted", SLOW_PATIENCE, || {
        (refused(&bank, "not_http2") > 0 && refused(&bank, "too_slow") > 0).then_some(())
    });
    assert_eq!(bank.agents()[0]["connected"], true);
}

#[test]
fn a_node_joins_once_with_its_token_and_its_key_never_leaves_it() {
    let mut bank = Bank::secure();
    bank.serve();
    let token = bank.pki(&["token", "--node", "n1"])["token"].as_str().unwrap().to_owned();
    let authority = Authority::open(&bank.pki_dir()).unwrap();

    let wrong = |change: &dyn Fn(&mut JoinToken)| {
        let mut token = JoinToken::parse(&token).unwrap();
        change(&mut token);
        join(&bank, &token.text(), "nobody")
    };
    let elsewhere = wrong(&|token| token.authority[0] ^= 1);
    assert!(elsewhere.stderr.contains("not of our authority"), "{}", elsewhere.stderr);
    let other = wrong(&|token| token.node = "n2".to_owned());
    assert!(other.stderr.contains("for another node"), "{}", other.stderr);
    let unknown = wrong(&|token| token.secret[0] ^= 1);
    assert!(unknown.stderr.contains("no such token"), "{}", unknown.stderr);
    let late = join(&bank, &authority.token("n1", 0).unwrap().text(), "late");
    assert!(late.stderr.contains("has expired"), "{}", late.stderr);
    for refused in [&elsewhere, &other, &unknown, &late] {
        assert_eq!(refused.code, Some(2), "{refused:?}");
    }

    // The wrong attempts have not spent it.
    let joined = join(&bank, &token, "agent-n1");
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let key = bank.tls_dir("agent-n1").join(TlsDir::KEY);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(key).unwrap();
    let kept = files_below(&bank.pki_dir());
    let copies = kept.iter().filter(|text| text.contains(key.lines().nth(1).unwrap())).count();
    assert_eq!(copies, 1, "the key is on its node only");

    let replayed = join(&bank, &token, "again");
    assert_eq!(replayed.code, Some(2), "{replayed:?}");
    assert!(replayed.stderr.contains("a token works once"), "{}", replayed.stderr);

    bank.agent("n1", 0, &[]);
    bank.wait_for_agents(1);
    for word in ["token_unknown", "token_of_other_node", "token_expired", "token_used"] {
        assert_eq!(refused(&bank, word), 1, "{word}");
    }
}

#[test]
fn renewed_certificates_are_used_without_a_restart() {
    let mut bank = Bank::secure();
    bank.serve();
    let authority = Authority::open(&bank.pki_dir()).unwrap();
    let started = now_s();
    let lasts_s = 8;
    let member = Identity { role: Role::Agent, name: "n1".to_owned() };
    let short = Validity::between(started - 60, started + lasts_s).unwrap();
    let issued = authority.issue(&member, &[], short).unwrap();
    authority.write(&issued, &bank.tls_dir("agent-n1")).unwrap();
    bank.agent("n1", 0, &[]);
    bank.wait_for_agents(1);

    let before = shown_by(&bank);
    bank.pki(&["issue", "--coordinator", "127.0.0.1"]);
    bank.pki(&["issue", "--agent", "n1"]);
    std::thread::sleep(RENEWED);
    let after = shown_by(&bank);
    assert_ne!(before, after, "the coordinator shows its old certificate");
    let file = bank.tls_dir("coordinator-127.0.0.1").join(TlsDir::CERT);
    assert_eq!(after, CertificateDer::from_pem_file(file).unwrap());

    // The agent's first certificate is over by now: only the new one brings it back.
    wait_until("the first certificate is over", SOON, || {
        (now_s() > started + lasts_s).then_some(())
    });
    bank.coordinator().kill();
    bank.serve();
    bank.wait_for_agents(1);
    assert_eq!(refused(&bank, "expired"), 0);
}

#[test]
fn a_new_certificate_beside_a_wrong_key_leaves_the_old_one_in_use() {
    let bank = Bank::with_secure_agents(1);
    let before = shown_by(&bank);
    let key = bank.tls_dir("coordinator-127.0.0.1").join(TlsDir::KEY);
    std::fs::write(&key, "no key").unwrap();
    std::thread::sleep(RENEWED);
    assert_eq!(shown_by(&bank), before);
    assert_eq!(bank.agents()[0]["connected"], true);
}

#[test]
fn who_is_no_coordinator_can_not_be_one() {
    let bank = Bank::with_secure_agents(1);
    let state_dir = bank.folder().join("other").display().to_string();
    let tls_dir = bank.tls_dir("operator-tester").display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--state-dir", &state_dir];
    let done = bank.loadbank(&[serve.as_slice(), &["--tls-dir", &tls_dir]].concat()).finish(SOON);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("only a coordinator may serve"), "{}", done.stderr);

    // One that does not ask first: an agent's certificate, with the right host in it.
    let authority = Authority::open(&bank.pki_dir()).unwrap();
    let impostor = Identity { role: Role::Agent, name: "n9".to_owned() };
    let hosts = ["127.0.0.1".to_owned()];
    let issued = authority.issue(&impostor, &hosts, Validity::days(1)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.unwrap().as_bytes()).unwrap();
    let shown = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
    let config = server_of(shown, key);
    let refused = in_runtime(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = tokio_rustls::TlsAcceptor::from(config).accept(stream).await;
        });
        dial(&address, &bank.tls_dir("agent-n1")).await.unwrap_err().to_string()
    });
    assert!(refused.contains("is not that of a coordinator"), "{refused}");
}

#[test]
fn an_agent_is_the_node_that_its_certificate_names() {
    let bank = Bank::with_secure_agents(1);
    std::fs::create_dir(bank.tls_dir("agent-n2")).unwrap();
    for file in [TlsDir::CA, TlsDir::CERT, TlsDir::KEY] {
        let of = |member| bank.tls_dir(member).join(file);
        std::fs::copy(of("agent-n1"), of("agent-n2")).unwrap();
    }
    let done = bank.start_agent("n2", 0, &[]).finish(SOON);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("the certificate is that of agent n1"), "{}", done.stderr);
    assert_eq!(bank.agents().len(), 1);
}

#[test]
fn the_data_plane_listens_where_peers_reach_it_and_nowhere_else() {
    let mut bank = Bank::secure();
    bank.serve();
    bank.agent("n1", 0, &["--data-address", "127.0.0.2"]);
    bank.agent("n2", 1, &[]);
    bank.wait_for_agents(2);
    let (mut run, watch, _id) = bank.begin(&plans::loaded_then_hold(4, 2));
    watch.wait_for_phase("loaded", 0.5);
    for (node, here, elsewhere) in
        [("n1", "127.0.0.2", "127.0.0.1"), ("n2", "127.0.0.1", "127.0.0.2")]
    {
        let port = bank.workers_of(node).iter().flat_map(|worker| worker.listens()).next().unwrap();
        assert!(TcpStream::connect((here, port)).is_ok(), "{node} at {here}");
        assert!(TcpStream::connect((elsewhere, port)).is_err(), "{node} at {elsewhere}");
    }
    ends_well(&run.finish(RUN_PATIENCE));
}

#[test]
fn the_authority_is_made_once_and_its_keys_are_for_their_owner_only() {
    let bank = Bank::secure();
    let dir = bank.pki_dir().display().to_string();
    let again = bank.loadbank(&["pki", "init", "--dir", &dir]).finish(SOON);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("never overwritten"), "{}", again.stderr);
    let nowhere = bank.folder().join("nowhere").display().to_string();
    let none = bank.loadbank(&["pki", "issue", "--dir", &nowhere, "--agent", "n1"]).finish(SOON);
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("pki init"), "{}", none.stderr);
    let name = bank.loadbank(&["pki", "issue", "--dir", &dir, "--agent", "../up"]).finish(SOON);
    assert_eq!(name.code, Some(2), "{name:?}");
    let operator = bank.tls_dir("operator-tester");
    for key in [bank.pki_dir().join("ca-key.pem"), operator.join(TlsDir::KEY)] {
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "{key:?}");
    }
    std::fs::set_permissions(operator.join(TlsDir::KEY), PermissionsExt::from_mode(0o644)).unwrap();
    let open = ask(&bank, &["--tls-dir", &operator.display().to_string()]);
    assert_eq!(open.code, Some(2), "{open:?}");
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
}

/// `loadbank runs` as somebody.
fn ask(bank: &Bank, guard: &[&str]) -> Done {
    let arguments = ["runs", "--coordinator", bank.address()];
    bank.loadbank(&[arguments.as_slice(), guard].concat()).finish(SOON)
}

fn join(bank: &Bank, token: &str, member: &str) -> Done {
    let dir = bank.tls_dir(member).display().to_string();
    let arguments = ["agent-process", "join", "--coordinator", bank.join_address()];
    let own = ["--token", token, "--tls-dir", &dir];
    bank.loadbank(&[arguments.as_slice(), &own].concat()).finish(SOON)
}

fn refused(bank: &Bank, word: &str) -> u64 {
    let reply = bank.verb(&["agents", "--json"]).json();
    reply["refused"][word].as_u64().unwrap_or(0)
}

/// What came beside it is not the run's affair: what it measured decides.
fn ends_well(done: &Done) {
    assert!(matches!(done.code, Some(0 | 3)), "{}\n{}", done.stdout, done.stderr);
    let report = done.json();
    assert!(matches!(report["verdict"].as_str(), Some("READY" | "INCONCLUSIVE")), "{report}");
    assert_eq!(report["coverage"]["batches_missing"], 0, "{}", report["coverage"]);
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

async fn dial(
    address: &str,
    dir: &Path,
) -> Result<tonic::transport::Channel, proto::dial::DialError> {
    let dialer = Dialer::new(address, Security::Tls(TlsDir::new(dir)));
    let endpoint = dialer.endpoint()?;
    dialer.connect(&endpoint).await
}

fn hello(node: &str) -> v1::Hello {
    let device = v1::Device { kind: "cpu".to_owned(), ..v1::Device::default() };
    v1::Hello {
        protocol_version: proto::PROTOCOL_VERSION,
        node: node.to_owned(),
        instance: "impostor".to_owned(),
        devices: vec![device],
        ..v1::Hello::default()
    }
}

/// Opens a session as a member; the words of its refusal.
async fn session(bank: &Bank, member: &str, hello: v1::Hello) -> String {
    let channel = dial(bank.address(), &bank.tls_dir(member)).await.unwrap();
    let kind = Some(v1::agent_message::Kind::Hello(hello));
    let said = tokio_stream::iter([v1::AgentMessage { kind }]);
    let mut client = AgentServiceClient::new(channel);
    match client.session(said).await {
        Err(status) => status.message().to_owned(),
        Ok(_) => panic!("{member} was let in"),
    }
}

/// Uploads a batch as another node; the stream ends without an acknowledgement.
async fn upload(bank: &Bank, member: &str, run: &str, node: &str) {
    let channel = dial(bank.address(), &bank.tls_dir(member)).await.unwrap();
    let batch = v1::Batch {
        run_id: run.to_owned(),
        node: node.to_owned(),
        instance: "impostor".to_owned(),
        seq: 1,
        ..v1::Batch::default()
    };
    let mut client = AgentServiceClient::new(channel);
    let said = tokio_stream::iter([batch]);
    let mut acks = client.upload(said).await.unwrap().into_inner();
    let ack = acks.message().await;
    assert!(!matches!(ack, Ok(Some(_))), "a batch of another node was taken: {ack:?}");
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Believes the authority, and shows nothing.
fn without_certificate(bank: &Bank) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(bank.pki_dir().join(TlsDir::CA)).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn server_of(
    shown: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Arc<rustls::ServerConfig> {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![shown], key).unwrap())
}

/// The certificate that the coordinator shows to a new caller.
fn shown_by(bank: &Bank) -> CertificateDer<'static> {
    in_runtime(async {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(without_certificate(bank)));
        let stream = tokio::net::TcpStream::connect(bank.address()).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    })
}

/// Makes an operator whose certificate is over; its folder's name.
fn expired(bank: &Bank, authority: &Authority) -> String {
    let name = "operator-late".to_owned();
    let identity = Identity { role: Role::Operator, name: "late".to_owned() };
    let over = Validity::between(now_s() - 7200, now_s() - 3600).unwrap();
    let issued = authority.issue(&identity, &[], over).unwrap();
    authority.write(&issued, &bank.tls_dir(&name)).unwrap();
    name
}

/// Makes an operator of another fleet that knows our authority; its folder's name.
fn of_another_authority(bank: &Bank) -> String {
    let name = "operator-stranger".to_owned();
    let other = Authority::init(&bank.folder().join("other-pki"), "other").unwrap();
    let identity = Identity { role: Role::Operator, name: "tester".to_owned() };
    let issued = other.issue(&identity, &[], Validity::days(1)).unwrap();
    other.write(&issued, &bank.tls_dir(&name)).unwrap();
    let ours = bank.pki_dir().join(TlsDir::CA);
    std::fs::copy(ours, bank.tls_dir(&name).join(TlsDir::CA)).unwrap();
    name
}

fn now_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() as i64
}

/// Text of every file below a folder.
fn files_below(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![std::fs::read_to_string(&path).unwrap()],
        })
        .collect()
}

/// Random bytes, connection after connection; some begin like TLS or HTTP/2.
fn noise(address: &str, lasts: Duration) {
    let until = Instant::now() + lasts;
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let beginnings: [&[u8]; 4] = [b"", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n", b"LBFABRIC"];
    let mut turn = 0;
    while Instant::now() < until {
        let mut bytes = beginnings[turn % beginnings.len()].to_vec();
        turn += 1;
        for _ in 0..512 {
            // xorshift64 (Marsaglia 2003): any bytes do, the same in every run.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.extend_from_slice(&seed.to_le_bytes());
        }
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
        let _ = stream.write_all(&bytes);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A byte now and then, as if a TLS handshake were on its way.
fn drip(mut stream: &TcpStream, lasts: Duration) {
    let until = Instant::now() + lasts;
    for byte in b"\x16\x03\x01\x02\x00\x01\x00".iter().cycle() {
        if Instant::now() >= until || stream.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
