//! The coordinator's side: asks everybody for a certificate of the fleet's authority.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;

use super::files::{Stamp, TlsDir, TlsError};
use super::identity::{Identity, Role};
use super::{ALPN, provider};

/// Changed files are noticed within this.
const LOOK: Duration = Duration::from_secs(1);

/// The settings of a server, read anew when its files change.
#[derive(Debug)]
pub struct ServerTls {
    dir: TlsDir,
    /// Whether callers must show a certificate; nobody has one yet where nodes join.
    mutual: bool,
    present: Mutex<Present>,
}

#[derive(Debug)]
struct Present {
    looked: Instant,
    stamp: Stamp,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// A server that talks to members of its fleet only.
    ///
    /// # Errors
    /// When the files can't be used, or are not a coordinator's.
    pub fn mutual(dir: TlsDir) -> Result<Self, TlsError> {
        Self::open(dir, true)
    }

    /// A server for those who have no certificate yet. It shows the authority's certificate
    /// too, for callers that know nothing but its fingerprint.
    ///
    /// # Errors
    /// As [`ServerTls::mutual`].
    pub fn for_joining(dir: TlsDir) -> Result<Self, TlsError> {
        Self::open(dir, false)
    }

    fn open(dir: TlsDir, mutual: bool) -> Result<Self, TlsError> {
        let stamp = dir.stamp();
        let config = Arc::new(read(&dir, mutual)?);
        let present = Mutex::new(Present { looked: Instant::now(), stamp, config });
        Ok(Self { dir, mutual, present })
    }

    /// The settings for a connection that comes in now. Files that changed and can't be used
    /// leave those of before in force; the second value says why, once a change.
    pub fn config(&self) -> (Arc<ServerConfig>, Option<Result<(), TlsError>>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = None;
        if present.looked.elapsed() >= LOOK {
            present.looked = Instant::now();
            let stamp = self.dir.stamp();
            if stamp != present.stamp {
                present.stamp = stamp;
                changed = Some(
                    read(&self.dir, self.mutual).map(|config| present.config = Arc::new(config)),
                );
            }
        }
        (present.config.clone(), changed)
    }
}

fn read(dir: &TlsDir, mutual: bool) -> Result<ServerConfig, TlsError> {
    let mut material = dir.read()?;
    let identity = Identity::of(&material.chain[0]).map_err(|what| dir.wrong(what))?;
    if identity.role != Role::Coordinator {
        return Err(dir.wrong(format!(
            "the certificate is that of {identity}, and only a coordinator may serve: \
             `loadbank pki issue --coordinator HOST`"
        )));
    }
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| dir.library(&error))?;
    let builder = if mutual {
        let roots = Arc::new(material.roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| dir.library(&error))?;
        builder.with_client_cert_verifier(verifier)
    } else {
        material.chain.extend(dir.authority()?);
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(material.chain, material.key)
        .map_err(|error| dir.library(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
