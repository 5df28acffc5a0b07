//! Calls a device over TCP, with TLS unless its document says plain text.

use std::path::Path;
use std::sync::Arc;

use formats::sources::Trust;
use proto::tls::hex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::port::MeterError;

/// Bytes in and out, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One address, and whom we believe to be there.
#[derive(Clone)]
pub(crate) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    /// Reads certificates; calls nobody yet.
    ///
    /// # Errors
    /// When certificates can't be read or the host is no name, in words.
    pub(crate) fn new(host: &str, port: u16, trust: &Trust) -> Result<Self, String> {
        let tls = match config(trust)? {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| format!("\"{}\" is no name of a host", host.escape_debug()))?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
        };
        Ok(Self { host: host.to_owned(), port, tls })
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// Silent where nobody listens, refused where it is not whom we believe.
    pub(crate) async fn dial(&self) -> Result<Box<dyn Io>, MeterError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| MeterError::Silent(format!("no connection: {error}")))?;
        // Questions are small and wait for their answer: nothing is gained by gathering them.
        tcp.set_nodelay(true).map_err(|error| MeterError::Silent(error.to_string()))?;
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(tcp)) };
        match connector.connect(name.clone(), tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(tls_error(&error)),
        }
    }
}

fn tls_error(error: &std::io::Error) -> MeterError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(_)) => {
            MeterError::Refused(format!("its certificate is not believed: {error}"))
        }
        Some(Error::InvalidMessage(_)) => {
            MeterError::Nonsense("it does not speak TLS: should it be plain text?".to_owned())
        }
        Some(other) => MeterError::Refused(format!("TLS: {other}")),
        None => MeterError::Silent(format!("no TLS connection: {error}")),
    }
}

fn config(trust: &Trust) -> Result<Option<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::PlainText => return Ok(None),
        Trust::Authorities(path) => {
            WebPkiServerVerifier::builder_with_provider(authorities(path)?, provider.clone())
                .build()
                .map_err(|error| format!("{}: {error}", path.display()))?
        }
        Trust::Certificates(prints) => Arc::new(Pinned {
            prints: prints.clone(),
            algorithms: provider.signature_verification_algorithms,
        }),
    };
    // BMCs that are ten years old speak TLS 1.2 and nothing newer.
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Some(config))
}

fn authorities(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let fail = |error: String| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail("it holds no certificate".to_owned()));
    }
    Ok(Arc::new(roots))
}

/// Believes certificates by their fingerprint: the device signed for itself, under any name.
#[derive(Debug)]
struct Pinned {
    prints: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest = ring::digest::digest(&ring::digest::SHA256, end_entity);
        if self.prints.iter().any(|print| print.as_slice() == digest.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        tracing::warn!("a meter shows another certificate, SHA-256 {}", hex(digest.as_ref()));
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
