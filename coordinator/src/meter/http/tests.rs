use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::super::doubles::http::{HttpDouble, Manner};
use super::*;

async fn plain() -> (HttpDouble, Http) {
    let double = HttpDouble::start(None).await;
    double.set("/a", Some("{\"a\":1}"));
    let url = format!("http://{}", double.address);
    let http = Http::new(&url, &Trust::PlainText, &Login::Nobody).unwrap();
    (double, http)
}

#[tokio::test]
async fn one_connection_serves_many_questions() {
    let (double, mut http) = plain().await;
    for _ in 0..3 {
        assert_eq!(http.json("/a").await.unwrap().unwrap()["a"], 1);
        assert_eq!(http.json("/b").await.unwrap(), None);
    }
    assert_eq!((double.connections(), double.asked().len()), (1, 6));
    assert!(double.asked().iter().all(|asked| asked.method == "GET"));
}

#[tokio::test]
async fn a_connection_that_was_closed_between_questions_is_no_failure() {
    let (double, mut http) = plain().await;
    double.close_after_answers(true);
    for _ in 0..4 {
        assert!(http.json("/a").await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(double.connections(), 4);
}

#[tokio::test]
async fn every_bad_manner_is_told_for_what_it_is_and_the_next_answer_is_heard() {
    let (double, mut http) = plain().await;
    let cases = [
        (Manner::Status(401), "refused"),
        (Manner::Status(500), "silent"),
        (Manner::Status(418), "not understood"),
        (Manner::Truncate, "not understood"),
        (Manner::Garbage, "not understood"),
        (Manner::Redirect("http://elsewhere.example/a".to_owned()), "elsewhere.example"),
        (Manner::Flood(BODY_BYTES_MAX + 1), "more than 8388608 bytes"),
    ];
    for (manner, word) in cases {
        double.manner(manner.clone());
        let error = http.json("/a").await.unwrap_err().to_string();
        assert!(error.contains(word), "{manner:?}: {error}");
        double.manner(Manner::Plain);
        assert!(http.json("/a").await.unwrap().is_some(), "{manner:?}");
    }
}

#[tokio::test]
async fn a_question_that_was_dropped_is_not_answered_by_the_one_before() {
    let (double, mut http) = plain().await;
    double.manner(Manner::Hang);
    let asked = tokio::time::timeout(Duration::from_millis(50), http.json("/a")).await;
    assert!(asked.is_err());
    double.manner(Manner::Plain);
    double.set("/b", Some("2"));
    assert_eq!(http.json("/b").await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn nobody_there_is_silence() {
    let (double, mut http) = plain().await;
    drop(double);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(matches!(http.get("/a").await, Err(MeterError::Silent(_))));
}

#[tokio::test]
async fn a_password_that_was_mended_is_used_at_the_next_question() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let double = HttpDouble::start(None).await;
    double.set("/a", Some("1"));
    // "admin:right" in base64.
    double.authorize(Some("Basic YWRtaW46cmlnaHQ="));
    let password = formats::sources::Secret::File(file.clone());
    let login = Login::Password { user: "admin".to_owned(), password };
    let url = format!("http://{}", double.address);
    let mut http = Http::new(&url, &Trust::PlainText, &login).unwrap();
    let refused = http.json("/a").await.unwrap_err();
    assert!(matches!(refused, MeterError::Refused(_)), "{refused}");
    assert!(!refused.to_string().contains("wrong"), "{refused}");
    std::fs::write(&file, "right\n").unwrap();
    assert!(http.json("/a").await.is_ok());
}

/// A device that signs for itself, its certificate in PEM form and as a fingerprint.
async fn with_tls() -> (HttpDouble, String, [u8; 32]) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // As old as BMCs are.
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let double = HttpDouble::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    double.set("/a", Some("1"));
    let digest = ring::digest::digest(&ring::digest::SHA256, cert.der());
    (double, cert.pem(), digest.as_ref().try_into().unwrap())
}

#[tokio::test]
async fn a_certificate_is_believed_by_its_fingerprint_or_its_authority_and_no_other_is() {
    let (double, pem, print) = with_tls().await;
    let url = format!("https://{}", double.address);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    for trust in [Trust::Certificates(vec![[0; 32], print]), Trust::Authorities(file.clone())] {
        let mut http = Http::new(&url, &trust, &Login::Nobody).unwrap();
        assert!(http.json("/a").await.unwrap().is_some(), "{trust:?}");
    }
    let other = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&file, other.cert.pem()).unwrap();
    for trust in [Trust::Certificates(vec![[0; 32]]), Trust::Authorities(file)] {
        let mut http = Http::new(&url, &trust, &Login::Nobody).unwrap();
        let error = http.json("/a").await.unwrap_err();
        assert!(matches!(error, MeterError::Refused(_)), "{trust:?}: {error}");
    }
    assert_eq!(double.asked().len(), 2);
}

#[tokio::test]
async fn plain_text_in_the_place_of_tls_is_named() {
    let (double, _) = plain().await;
    let trust = Trust::Certificates(vec![[0; 32]]);
    let url = format!("https://{}", double.address);
    let mut http = Http::new(&url, &trust, &Login::Nobody).unwrap();
    let error = http.json("/a").await.unwrap_err().to_string();
    assert!(error.contains("plain text"), "{error}");
}
