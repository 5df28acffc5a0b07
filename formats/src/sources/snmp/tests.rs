#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::PathBuf;

use proptest::prelude::*;

use super::super::{SourceKind, parse};
use super::*;
use crate::sources::Secret;

const TARGET: &str = "[[source.target]]\naddress = \"10.0.0.5:161\"\ndomain = \"pdu-a1\"\n";

fn text(keys: &str) -> String {
    format!("schema = 1\n[[source]]\nname = \"pdus\"\nkind = \"snmp\"\n{keys}{TARGET}")
}

fn source(keys: &str) -> SnmpSource {
    let read = parse("site/meters.toml", &text(keys)).unwrap();
    let SourceKind::Snmp(snmp) = &read.sources[0].kind else { panic!("{read:?}") };
    snmp.clone()
}

fn wrong(keys: &str) -> String {
    parse("site/meters.toml", &text(keys)).unwrap_err().to_string()
}

#[test]
fn a_community_lies_in_a_file_and_a_user_has_two_passwords() {
    let open = source("version = \"2c\"\ncommunity_file = \"word\"\ndevice = \"apc_rpdu2\"\n");
    let word = Secret::File(PathBuf::from("site/word"));
    assert_eq!(open.credentials, Credentials::Community(word));
    assert_eq!(open.device, Device::ApcRpdu2);
    assert_eq!((open.targets[0].unit, open.targets[0].inlet), (1, 1));

    let closed = source(
        "version = \"3\"\nuser = \"bank\"\nauth = \"sha256\"\nauth_password_env = \"A\"\n\
         privacy = \"aes128\"\nprivacy_password_file = \"p\"\ndevice = \"sentry4\"\n",
    );
    let Credentials::User(user) = closed.credentials else { panic!("a user") };
    assert_eq!(user.auth, Some((Auth::Sha256, Secret::Env("A".to_owned()))));
    assert!(matches!(user.privacy, Some((Privacy::Aes128, _))));
}

#[test]
fn nothing_is_asked_without_proof_unless_the_document_says_so() {
    let bare = "version = \"3\"\nuser = \"bank\"\ndevice = \"ups_mib\"\n";
    let told = wrong(bare);
    assert!(told.contains("a user without auth"), "{told}");
    let open = source(&format!("{bare}unauthenticated = true\n"));
    let Credentials::User(user) = open.credentials else { panic!("a user") };
    assert_eq!((user.auth, user.privacy), (None, None));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_never_with_a_secret() {
    let device = "device = \"apc_rpdu2\"\n";
    let cases = [
        ("version = \"2c\"\ncommunity = \"hush\"\n", ":6", "community_file"),
        ("version = \"2c\"\n", ":2", "missing key \"community_file\""),
        ("version = \"1\"\n", ":5", "unknown version"),
        ("version = \"2c\"\ncommunity_env = \"C\"\nuser = \"x\"\n", ":7", "not for version 2c"),
        ("version = \"3\"\nuser = \"x\"\nauth = \"sha2\"\nauth_password_env = \"A\"\n", ":7", "?"),
        ("version = \"3\"\nuser = \"x\"\nauth = \"md5\"\n", ":2", "auth_password_file"),
    ];
    for (keys, line, what) in cases {
        let told = wrong(&format!("{keys}{device}"));
        let place = format!("meters.toml{line}");
        assert!(told.contains(&place) && told.contains(what), "{keys}: {told}");
        assert!(!told.contains("hush"), "{told}");
    }
    let told = wrong("version = \"2c\"\ncommunity_env = \"C\"\ndevice = \"apc_rpdu\"\n");
    assert!(told.contains("did you mean \"apc_rpdu2\"?"), "{told}");
}

#[test]
fn a_part_of_what_has_no_parts_is_refused() {
    let keys =
        |device: &str| format!("version = \"2c\"\ncommunity_env = \"C\"\ndevice = \"{device}\"\n");
    let with = |device: &str, part: &str| {
        parse("site/meters.toml", &format!("{}{part}", text(&keys(device))))
    };
    assert!(with("apc_rpdu2", "unit = 2\n").is_ok());
    assert!(with("sentry4", "unit = 2\ninlet = 2\n").is_ok());
    for (device, part) in [("apc_rpdu2", "inlet = 2\n"), ("ups_mib", "unit = 1\n")] {
        let told = with(device, part).unwrap_err().to_string();
        assert!(told.contains("meters.toml:11") && told.contains("read as a whole"), "{told}");
    }
    assert!(with("apc_rpdu2", "unit = 0\n").is_err());
}

#[test]
fn a_map_is_read_beside_the_document_and_its_problems_have_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("rack.toml");
    std::fs::write(&map, "schema = 1\n[[point]]\npoint = \"power_kw\"\noid = \"1.3.x\"\n").unwrap();
    let file = folder.path().join("meters.toml");
    let keys = "version = \"2c\"\ncommunity_env = \"C\"\nmap = \"rack.toml\"\n";
    std::fs::write(&file, text(keys)).unwrap();
    let told = super::super::read(&file).unwrap_err().to_string();
    assert!(told.contains("rack.toml:4") && told.contains("\"1.3.x\" is no OID"), "{told}");

    let right = "schema = 1\n[[point]]\npoint = \"power_kw\"\noid = \".1.3.6.1.4.1.5.1.0\"\n\
                 digits = \"1.3.6.1.4.1.5.2.0\"\nunit = \"W\"\nnone = [-1]\n[[point]]\n\
                 point = \"alarm\"\noid = \"1.3.6.1.4.1.5.3.0\"\nalarm_when = [3, 4]\n";
    std::fs::write(&map, right).unwrap();
    let read = super::super::read(&file).unwrap();
    let SourceKind::Snmp(snmp) = &read.sources[0].kind else { panic!("{read:?}") };
    let Device::Mapped(map) = &snmp.device else { panic!("{snmp:?}") };
    assert_eq!(map.points[0].oid, [1, 3, 6, 1, 4, 1, 5, 1, 0]);
    assert_eq!(map.points[0].mapped.unit, "w");
    assert_eq!(map.points[1].mapped.alarm_when, Some(vec![3, 4]));
}

proptest! {
    #[test]
    fn random_text_is_no_map(text in "(?s).{0,200}") {
        prop_assert!(SnmpMap::parse("rack.toml", &text).is_err());
    }

    #[test]
    fn an_oid_is_read_as_it_is_or_refused(oid in "[0-9.]{0,40}") {
        let text = format!("schema = 1\n[[point]]\npoint = \"a\"\noid = \"{oid}\"\n");
        if let Ok(map) = SnmpMap::parse("rack.toml", &text) {
            let arcs: Vec<u32> = oid.trim_start_matches('.').split('.')
                .map(|arc| arc.parse().unwrap()).collect();
            prop_assert_eq!(&map.points[0].oid, &arcs);
        }
    }
}
