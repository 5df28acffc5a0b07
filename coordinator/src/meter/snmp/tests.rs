use async_snmp::Value;
use async_snmp::v3::{AuthProtocol, PrivProtocol};
use fake_plant::proxy::{Mischief, Proxy};
use fake_plant::snmp::{AUTH_PASSWORD, COMMUNITY, FakeAgent, PRIVACY_PASSWORD, User};
use formats::sources::{Auth, Privacy, Secret, SnmpMap, Target};
use tempfile::TempDir;

use super::super::port::Reading;
use super::*;

const DEADLINE: Duration = Duration::from_secs(2);
/// For those that are known not to answer.
const SHORT: Duration = Duration::from_millis(400);
const POWER: &str = "1.3.6.1.4.1.318.1.1.26.4.3.1.5.1";

/// Files with secrets, gone with the test.
struct Secrets(TempDir);

impl Secrets {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn holding(&self, words: &str) -> Secret {
        let path = self.0.path().join(format!("{words}.secret"));
        std::fs::write(&path, format!("{words}\n")).unwrap();
        Secret::File(path)
    }

    fn community(&self, words: &str) -> Credentials {
        Credentials::Community(self.holding(words))
    }

    fn user(
        &self,
        name: &str,
        auth: (Auth, &str),
        privacy: Option<(Privacy, &str)>,
    ) -> Credentials {
        Credentials::User(formats::sources::User {
            name: name.to_owned(),
            context: String::new(),
            auth: Some((auth.0, self.holding(auth.1))),
            privacy: privacy.map(|(cipher, words)| (cipher, self.holding(words))),
        })
    }
}

fn users() -> Vec<User> {
    let user = |name: &str, auth, privacy| User { name: name.to_owned(), auth, privacy };
    vec![
        user("md5", AuthProtocol::Md5, None),
        user("old", AuthProtocol::Sha1, Some(PrivProtocol::Des)),
        user("sha1", AuthProtocol::Sha1, Some(PrivProtocol::Aes128)),
        user("sha256", AuthProtocol::Sha256, Some(PrivProtocol::Aes128)),
        user("sha512", AuthProtocol::Sha512, Some(PrivProtocol::Aes128)),
    ]
}

fn agent_of(walk: &str) -> FakeAgent {
    let agent = FakeAgent::start(&users());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/meters");
    let text = std::fs::read_to_string(format!("{folder}/{walk}.walk")).unwrap();
    agent.set_all(fake_plant::walk::parse(&text));
    agent
}

fn meter(
    address: impl ToString,
    credentials: Credentials,
    device: Device,
    deadline: Duration,
) -> Snmp {
    let source = SnmpSource { credentials, device, targets: Vec::new() };
    let target = Target { address: address.to_string(), domain: "pdu-a1".to_owned(), line: 1 };
    Snmp::new(&source, &SnmpTarget { target, unit: 1, inlet: 1 }, deadline).unwrap()
}

fn value(round: &Round, point: &str) -> Option<f64> {
    round.readings.iter().find(|reading| reading.point == point).map(|reading| reading.value)
}

#[tokio::test]
async fn a_pdu_is_read_over_version_2c_while_its_values_change() {
    let (agent, secrets) = (agent_of("apc_rpdu2"), Secrets::new());
    let community = secrets.community(COMMUNITY);
    let mut meter = meter(agent.address(), community, Device::ApcRpdu2, DEADLINE);
    let round = meter.read().await.unwrap();
    assert_eq!((value(&round, "power_kw"), value(&round, "alarm")), (Some(8.84), Some(0.0)));
    assert_eq!(round.readings.len(), 15);

    agent.set(POWER, Value::Integer(1_200));
    agent.set("1.3.6.1.4.1.318.1.1.26.6.3.1.4.3", Value::Integer(4));
    let round = meter.read().await.unwrap();
    assert_eq!((value(&round, "power_kw"), value(&round, "alarm")), (Some(12.0), Some(1.0)));
    let all_own = |reading: &Reading| reading.domain == "pdu-a1" && reading.stamp_ns.is_none();
    assert!(round.readings.iter().all(all_own));
}

#[tokio::test]
async fn a_user_of_version_3_is_taken_with_every_auth_and_privacy() {
    let (agent, secrets) = (agent_of("raritan_pdu2"), Secrets::new());
    let aes = Some((Privacy::Aes128, PRIVACY_PASSWORD));
    for (name, auth, privacy) in [
        ("md5", Auth::Md5, None),
        ("old", Auth::Sha1, Some((Privacy::Des, PRIVACY_PASSWORD))),
        ("sha1", Auth::Sha1, aes),
        ("sha256", Auth::Sha256, aes),
        ("sha512", Auth::Sha512, aes),
    ] {
        let user = secrets.user(name, (auth, AUTH_PASSWORD), privacy);
        let mut meter = meter(agent.address(), user, Device::RaritanPdu2, DEADLINE);
        for _ in 0..2 {
            let round = meter.read().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(value(&round, "power_kw"), Some(3.602), "{name}");
        }
    }
}

#[tokio::test]
async fn a_user_without_auth_is_read_where_the_document_asks_for_it() {
    let agent = agent_of("apc_rpdu2");
    let user = formats::sources::User {
        name: "md5".to_owned(),
        context: String::new(),
        auth: None,
        privacy: None,
    };
    let user = Credentials::User(user);
    let mut meter = meter(agent.address(), user, Device::ApcRpdu2, DEADLINE);
    assert_eq!(value(&meter.read().await.unwrap(), "power_kw"), Some(8.84));
}

#[tokio::test]
async fn wrong_credentials_are_told_in_words() {
    let (agent, secrets) = (agent_of("apc_rpdu2"), Secrets::new());
    let aes = |words| Some((Privacy::Aes128, words));
    let cases = [
        (secrets.user("nobody", (Auth::Sha256, AUTH_PASSWORD), None), "does not know the user"),
        (secrets.user("sha256", (Auth::Sha256, "is-wrong-here"), None), "wrong auth password"),
        (
            secrets.user("md5", (Auth::Md5, AUTH_PASSWORD), aes(PRIVACY_PASSWORD)),
            "with these of auth and privacy",
        ),
    ];
    for (user, words) in cases {
        let mut meter = meter(agent.address(), user, Device::ApcRpdu2, DEADLINE);
        let told = meter.read().await.unwrap_err();
        assert!(matches!(&told, MeterError::Refused(why) if why.contains(words)), "{told}");
    }
    // Noise under a wrong key, and an unknown community, are not answered: no more can be said.
    let noise = secrets.user("sha256", (Auth::Sha256, AUTH_PASSWORD), aes("is-wrong-too"));
    let told = meter(agent.address(), noise, Device::ApcRpdu2, SHORT).read().await.unwrap_err();
    assert!(matches!(&told, MeterError::Silent(why) if why.contains("privacy password")), "{told}");
    let wrong = secrets.community("guess");
    let told = meter(agent.address(), wrong, Device::ApcRpdu2, SHORT).read().await.unwrap_err();
    assert!(matches!(&told, MeterError::Silent(why) if why.contains("community may be")), "{told}");
    let absent = Credentials::Community(Secret::File("/nowhere/word".into()));
    let told = meter(agent.address(), absent, Device::ApcRpdu2, SHORT).read().await.unwrap_err();
    assert!(matches!(&told, MeterError::Refused(why) if why.contains("/nowhere/word")), "{told}");
}

#[tokio::test]
async fn what_does_not_answer_well_is_named_within_the_deadline() {
    let (agent, secrets) = (agent_of("apc_rpdu2"), Secrets::new());
    for (mischief, garbage) in
        [(Mischief::Mute, false), (Mischief::Elsewhere, false), (Mischief::Garbage, true)]
    {
        let proxy = Proxy::start(agent.address(), mischief);
        let community = secrets.community(COMMUNITY);
        let mut meter = meter(proxy.address(), community, Device::ApcRpdu2, SHORT);
        let read = tokio::time::timeout(SHORT * 10, meter.read()).await.expect("bounded");
        let told = read.unwrap_err();
        assert_eq!(matches!(told, MeterError::Nonsense(_)), garbage, "{mischief:?}: {told}");
        assert_eq!(matches!(told, MeterError::Silent(_)), !garbage, "{mischief:?}: {told}");
    }
    // Nobody listens there.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let community = secrets.community(COMMUNITY);
    let told = meter(gone, community, Device::ApcRpdu2, SHORT).read().await.unwrap_err();
    assert!(matches!(told, MeterError::Silent(_)), "{told}");
}

#[tokio::test]
async fn an_answer_to_another_question_is_not_taken() {
    let (agent, secrets) = (agent_of("apc_rpdu2"), Secrets::new());
    let proxy = Proxy::start(agent.address(), Mischief::Stale);
    let map = "schema = 1\n[[point]]\npoint = \"power_kw\"\noid = \"1.3.6.1.4.1.318.1.1.26.4.3.1.5.1\"\n\
               scale = 10\nunit = \"W\"\n";
    let map = Device::Mapped(SnmpMap::parse("map.toml", map).unwrap());
    let mut meter = meter(proxy.address(), secrets.community(COMMUNITY), map, DEADLINE);
    for power in [500, 600, 700] {
        agent.set(POWER, Value::Integer(power));
        let round = meter.read().await.unwrap();
        let reading = &round.readings[0];
        assert_eq!((reading.value, reading.unit), (f64::from(power) * 10.0, "w"));
    }
}

#[tokio::test]
async fn an_agent_that_was_restarted_is_read_again() {
    let (mut agent, secrets) = (agent_of("apc_rpdu2"), Secrets::new());
    let user = secrets.user(
        "sha256",
        (Auth::Sha256, AUTH_PASSWORD),
        Some((Privacy::Aes128, PRIVACY_PASSWORD)),
    );
    let mut of_user = meter(agent.address(), user, Device::ApcRpdu2, DEADLINE);
    let community = secrets.community(COMMUNITY);
    let mut of_community = meter(agent.address(), community, Device::ApcRpdu2, DEADLINE);
    for _ in 0..2 {
        assert!(of_user.read().await.is_ok() && of_community.read().await.is_ok());
        agent.restart();
    }
    // One round may be lost to the new boot; the next is not.
    let first = of_user.read().await;
    let round = if first.is_ok() { first } else { of_user.read().await };
    assert_eq!(value(&round.unwrap(), "power_kw"), Some(8.84));
    assert!(of_community.read().await.is_ok());

    agent.stop();
    assert!(matches!(of_user.read().await, Err(MeterError::Silent(_))));
    agent.restart();
    assert!(of_user.read().await.is_ok());
}

#[tokio::test]
async fn what_a_device_does_not_have_is_said() {
    let (agent, secrets) = (agent_of("ups_mib"), Secrets::new());
    let read = |device: Device| {
        let community = secrets.community(COMMUNITY);
        let mut meter = meter(agent.address(), community, device, DEADLINE);
        async move { meter.read().await }
    };
    let told = read(Device::ApcRpdu2).await.unwrap_err().to_string();
    assert!(told.contains("none of the table's values"), "{told}");

    let map = "schema = 1\n[[point]]\npoint = \"power_kw\"\noid = \"1.3.6.1.2.1.33.1.4.4.1.4.1\"\n\
               unit = \"w\"\n[[point]]\npoint = \"supply_c\"\noid = \"1.3.6.1.4.1.9.9\"\n";
    let round = read(Device::Mapped(SnmpMap::parse("map.toml", map).unwrap())).await.unwrap();
    assert_eq!(value(&round, "power_kw"), Some(15_120.0));
    assert_eq!(round.wrong, ["supply_c (map.toml:7): the device has no 1.3.6.1.4.1.9.9"]);
}

#[tokio::test]
async fn a_row_that_goes_is_looked_for_anew() {
    let (agent, secrets) = (agent_of("apc_rpdu2"), Secrets::new());
    let community = secrets.community(COMMUNITY);
    let mut meter = meter(agent.address(), community, Device::ApcRpdu2, DEADLINE);
    assert_eq!(meter.read().await.unwrap().wrong, Vec::<String>::new());
    agent.remove("1.3.6.1.4.1.318.1.1.26.6.3.1.6.2");
    let round = meter.read().await.unwrap();
    assert_eq!(round.wrong.len(), 1, "{round:?}");
    assert_eq!(meter.read().await.unwrap().wrong, Vec::<String>::new());
}

#[tokio::test]
async fn the_agent_of_net_snmp_is_read_over_both_versions() {
    let folder = TempDir::new().unwrap();
    let walk = include_str!("../../../../tests/data/meters/apc_rpdu2.walk");
    let values = fake_plant::walk::parse(walk);
    let Some(agent) = fake_plant::snmpd::Snmpd::start(folder.path(), &values) else { return };
    let secrets = Secrets::new();
    let aes = |words| Some((Privacy::Aes128, words));
    let community = secrets.community(COMMUNITY);
    let mut first = meter(agent.address(), community, Device::ApcRpdu2, DEADLINE);
    // It takes a moment to listen.
    let begun = Instant::now();
    let mut round = first.read().await;
    while round.is_err() && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        round = first.read().await;
    }
    assert_eq!(value(&round.unwrap(), "power_kw"), Some(8.84));
    for (name, auth) in [("sha1", Auth::Sha1), ("sha256", Auth::Sha256)] {
        let user = secrets.user(name, (auth, AUTH_PASSWORD), aes(PRIVACY_PASSWORD));
        let round = meter(agent.address(), user, Device::ApcRpdu2, DEADLINE).read().await;
        let round = round.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((round.readings.len(), round.wrong.len()), (15, 0), "{name}");
        assert_eq!(value(&round, "current_a.l2"), Some(13.1));
    }
    let wrong = secrets.user("sha1", (Auth::Sha1, "is-wrong-here"), aes(PRIVACY_PASSWORD));
    let told = meter(agent.address(), wrong, Device::ApcRpdu2, DEADLINE).read().await.unwrap_err();
    assert!(matches!(&told, MeterError::Refused(why) if why.contains("password")), "{told}");
}
