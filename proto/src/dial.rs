//! How agents and operators reach their coordinator: over TLS, or in plain text on loopback.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::channel::CONNECT_TIMEOUT;
use crate::tls::{TlsDir, coordinator_only};

/// A coordinator that ten thousand agents call at once answers the last after seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a connection is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Plain text, which stays on this machine.
    InsecureLoopback,
    /// Mutual TLS with the files of a folder.
    Tls(TlsDir),
}

impl Security {
    /// What the options of a command line ask for.
    ///
    /// # Errors
    /// A sentence with the mend.
    pub fn asked(tls_dir: Option<&Path>, insecure_loopback: bool) -> Result<Self, String> {
        match (tls_dir, insecure_loopback) {
            (Some(dir), false) => Ok(Self::Tls(TlsDir::new(dir))),
            (None, true) => Ok(Self::InsecureLoopback),
            (Some(_), true) => Err("--tls-dir and --insecure-loopback exclude each other".into()),
            (None, false) => Err("give --tls-dir DIR (`loadbank pki issue` makes one); plain \
                                  text needs --insecure-loopback on both sides (and a loopback \
                                  address)"
                .into()),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DialError {
    #[error("{0}: an address is HOST:PORT")]
    Address(String),
    #[error("nobody answers at {address}: {why}")]
    Silent { address: String, why: String },
    #[error("no TLS with {address}: {why}")]
    Tls { address: String, why: String },
    #[error("{0}")]
    Files(String),
}

/// Calls one coordinator, as often as asked.
#[derive(Debug, Clone)]
pub struct Dialer {
    address: String,
    security: Security,
    local: Arc<Mutex<Option<IpAddr>>>,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
type BoxIo = TokioIo<Box<dyn Io>>;

impl Dialer {
    /// A dialer for `HOST:PORT`. Nothing is called yet.
    #[must_use]
    pub fn new(address: &str, security: Security) -> Self {
        Self { address: address.to_owned(), security, local: Arc::default() }
    }

    /// Where it calls, HOST:PORT.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Our own address on the last connection: where others in that network reach us.
    #[must_use]
    pub fn local_address(&self) -> Option<IpAddr> {
        *self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An endpoint to be adjusted and handed to [`Dialer::connect`].
    ///
    /// # Errors
    /// When the address is none.
    pub fn endpoint(&self) -> Result<Endpoint, DialError> {
        // The connector below speaks TLS; the library need not know of it.
        Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|_| DialError::Address(self.address.clone()))
    }

    /// Connects; the channel comes back by itself when it is lost, with the files of then.
    ///
    /// # Errors
    /// When nobody answers, or TLS is refused on either side.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, DialError> {
        let dialer = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let dialer = dialer.clone();
            async move { dialer.dial().await }
        });
        endpoint.connect_with_connector(connector).await.map_err(|error| self.explain(&error))
    }

    async fn dial(&self) -> Result<BoxIo, DialError> {
        let stream = self.tcp().await?;
        if let Ok(local) = stream.local_addr() {
            *self.local.lock().unwrap_or_else(PoisonError::into_inner) = Some(local.ip());
        }
        let Security::Tls(dir) = &self.security else {
            return Ok(TokioIo::new(Box::new(stream)));
        };
        let config = coordinator_only(dir).map_err(|error| DialError::Files(error.to_string()))?;
        let stream = self.handshake(stream, config).await?;
        Ok(TokioIo::new(Box::new(stream)))
    }

    async fn tcp(&self) -> Result<TcpStream, DialError> {
        let silent = |why: String| DialError::Silent { address: self.address.clone(), why };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address))
            .await
            .map_err(|_| silent("no answer in time".to_owned()))?
            .map_err(|error| silent(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        if self.security == Security::InsecureLoopback && !loopback {
            return Err(silent("it is not a loopback address".to_owned()));
        }
        Ok(stream)
    }

    /// With TLS 1.3 a client has shaken hands before the server has looked at its
    /// certificate. The server speaks first in HTTP/2: so we wait for its first bytes, which
    /// are an alert when it refuses us.
    async fn handshake(
        &self,
        stream: TcpStream,
        config: rustls::ClientConfig,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, DialError> {
        let tls = |why: String| DialError::Tls { address: self.address.clone(), why };
        let host = host_of(&self.address).to_owned();
        let name = ServerName::try_from(host.clone())
            .map_err(|_| DialError::Address(self.address.clone()))?;
        let shaken = async {
            let connector = TlsConnector::from(Arc::new(config));
            let mut stream = connector.connect(name, stream).await?;
            if stream.fill_buf().await?.is_empty() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Ok(stream)
        };
        tokio::time::timeout(HANDSHAKE_TIMEOUT, shaken)
            .await
            .map_err(|_| tls("no answer in time".to_owned()))?
            .map_err(|error: std::io::Error| tls(words(&error, &host)))
    }

    /// Our own error, wherever the library has put it.
    fn explain(&self, error: &tonic::transport::Error) -> DialError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut last = error.to_string();
        while let Some(error) = cause {
            if let Some(ours) = error.downcast_ref::<DialError>() {
                return ours.clone();
            }
            last = error.to_string();
            cause = error.source();
        }
        DialError::Silent { address: self.address.clone(), why: last }
    }
}

/// Connects over TLS with settings of one's own: for who has no certificate yet.
///
/// # Errors
/// As [`Dialer::connect`].
pub async fn connect_once(
    address: &str,
    config: &rustls::ClientConfig,
) -> Result<Channel, DialError> {
    let security = Security::Tls(TlsDir::new(Path::new("")));
    let dialer = Dialer::new(address, security);
    let calls = dialer.clone();
    let config = config.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (dialer, config) = (calls.clone(), config.clone());
        async move {
            let stream = dialer.tcp().await?;
            let stream = dialer.handshake(stream, config).await?;
            Ok::<_, DialError>(TokioIo::new(stream))
        }
    });
    let endpoint = dialer.endpoint()?;
    endpoint.connect_with_connector(connector).await.map_err(|error| dialer.explain(&error))
}

fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// What went wrong in a handshake, for a person.
fn words(error: &std::io::Error, host: &str) -> String {
    use rustls::Error as Tls;
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) else {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                "it closed the connection: it may speak plain text, or have too many callers"
                    .to_owned()
            }
            _ => error.to_string(),
        };
    };
    match tls {
        Tls::AlertReceived(AlertDescription::CertificateExpired) => {
            "the coordinator refuses our certificate: it has expired; `loadbank pki issue` makes \
             a new one"
                .to_owned()
        }
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            "the coordinator asks for a certificate".to_owned()
        }
        Tls::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            "the coordinator refuses our certificate: another authority signed it".to_owned()
        }
        Tls::AlertReceived(alert) => format!("the coordinator refuses us: {alert:?}"),
        Tls::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the coordinator's certificate has expired".to_owned(),
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the coordinator's certificate is not for {host}: `loadbank pki issue --coordinator \
             {host}`"
        ),
        Tls::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => format!("the certificate of {host} is not that of a coordinator"),
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the coordinator's certificate is not of our authority".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        assert_eq!(host_of("hall.example:7733"), "hall.example");
        assert_eq!(host_of("[::1]:7733"), "::1");
        assert_eq!(host_of("127.0.0.1:1"), "127.0.0.1");
    }

    #[test]
    fn plain_text_and_tls_exclude_each_other_and_one_must_be_asked_for() {
        let dir = Path::new("tls");
        assert!(Security::asked(Some(dir), true).is_err());
        assert!(Security::asked(None, false).is_err());
        assert_eq!(Security::asked(None, true), Ok(Security::InsecureLoopback));
        assert_eq!(Security::asked(Some(dir), false), Ok(Security::Tls(TlsDir::new(dir))));
    }
}
