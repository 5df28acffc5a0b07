//! The side of agents and operators: speaks to a coordinator of its fleet and nobody else.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::files::{TlsDir, TlsError};
use super::identity::{Identity, Role};
use super::{ALPN, FINGERPRINT_BYTES, provider};

/// Settings with which a member of the fleet calls its coordinator, from its files as they
/// are now.
///
/// # Errors
/// When the files can't be used.
pub(crate) fn coordinator_only(dir: &TlsDir) -> Result<ClientConfig, TlsError> {
    let material = dir.read()?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(material.roots), provider())
            .build()
            .map_err(|error| dir.library(&error))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| dir.library(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(CoordinatorOnly { verifier }))
        .with_client_auth_cert(material.chain, material.key)
        .map_err(|error| dir.library(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Settings of a caller that has nothing yet but the fingerprint of the authority.
///
/// # Errors
/// When the library has no TLS 1.3, which would be a wrong build.
pub fn pinned(authority: [u8; FINGERPRINT_BYTES]) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { authority }))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// The fingerprint of a certificate in PEM form.
///
/// # Errors
/// When there is no certificate in the text.
pub fn fingerprint(pem: &str) -> Result<[u8; FINGERPRINT_BYTES], String> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map(|certificate| fingerprint_of(&certificate))
        .map_err(|error| error.to_string())
}

fn fingerprint_of(certificate: &CertificateDer<'_>) -> [u8; FINGERPRINT_BYTES] {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let mut bytes = [0; FINGERPRINT_BYTES];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

fn must_be_coordinator(certificate: &CertificateDer<'_>) -> Result<(), Error> {
    match Identity::of(certificate) {
        Ok(identity) if identity.role == Role::Coordinator => Ok(()),
        Ok(identity) => Err(Error::General(format!("{identity} is no coordinator"))),
        Err(what) => Err(Error::General(what)),
    }
}

/// Checks chain, time and host name as always, and the role besides.
#[derive(Debug)]
struct CoordinatorOnly {
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for CoordinatorOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        must_be_coordinator(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Believes the authority with one fingerprint, which the other side has to show.
#[derive(Debug)]
struct Pinned {
    authority: [u8; FINGERPRINT_BYTES],
}

impl Pinned {
    fn verifier(&self, shown: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let authority = shown
            .iter()
            .find(|certificate| fingerprint_of(certificate) == self.authority)
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier(intermediates)?;
        let coordinator = CoordinatorOnly { verifier };
        coordinator.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
