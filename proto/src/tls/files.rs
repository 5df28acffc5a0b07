//! The three files of a member of the fleet: `ca.pem`, `cert.pem`, `key.pem`.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::identity::Identity;

/// Why TLS can't be spoken with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "{path}: {error}; `loadbank pki issue` makes a folder with ca.pem, cert.pem and key.pem"
    )]
    File { path: String, error: String },
    #[error("{path}: others may read this private key: chmod 600 {path}")]
    OpenKey { path: String },
    #[error("{dir}: {what}")]
    Certificate { dir: String, what: String },
    #[error("{dir}: {error}")]
    Library { dir: String, error: String },
}

/// A folder with the files of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDir(PathBuf);

/// Tells the files of one moment from those of another.
pub(super) type Stamp = [Option<(SystemTime, u64, u64)>; 3];

/// What the files hold.
pub(super) struct Material {
    pub(super) roots: RootCertStore,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl TlsDir {
    /// The certificate of the authority, which all others are signed by.
    pub const CA: &'static str = "ca.pem";
    /// The own certificate.
    pub const CERT: &'static str = "cert.pem";
    /// The own private key, mode 0600.
    pub const KEY: &'static str = "key.pem";

    /// Names a folder; reads nothing yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Whose files these are.
    ///
    /// # Errors
    /// When they can't be read or are not those of a member of a fleet.
    pub fn identity(&self) -> Result<Identity, TlsError> {
        let material = self.read()?;
        Identity::of(&material.chain[0]).map_err(|what| self.wrong(what))
    }

    pub(super) fn stamp(&self) -> Stamp {
        [Self::CA, Self::CERT, Self::KEY].map(|name| {
            let found = std::fs::metadata(self.0.join(name)).ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        })
    }

    pub(super) fn read(&self) -> Result<Material, TlsError> {
        let mut roots = RootCertStore::empty();
        for root in self.authority()? {
            roots.add(root).map_err(|error| self.library(&error))?;
        }
        let path = self.0.join(Self::KEY);
        let wrong = |error: &dyn std::fmt::Display| TlsError::File {
            path: path.display().to_string(),
            error: error.to_string(),
        };
        let mode = std::fs::metadata(&path).map_err(|error| wrong(&error))?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(TlsError::OpenKey { path: path.display().to_string() });
        }
        let key = PrivateKeyDer::from_pem_file(&path).map_err(|error| wrong(&error))?;
        Ok(Material { roots, chain: self.certificates(Self::CERT)?, key })
    }

    pub(super) fn authority(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        self.certificates(Self::CA)
    }

    fn certificates(&self, name: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = self.0.join(name);
        let wrong = |error: String| TlsError::File { path: path.display().to_string(), error };
        let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&path)
            .map_err(|error| wrong(error.to_string()))?
            .collect();
        let found = found.map_err(|error| wrong(error.to_string()))?;
        if found.is_empty() { Err(wrong("no certificate in it".to_owned())) } else { Ok(found) }
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> TlsError {
        TlsError::Certificate { dir: self.0.display().to_string(), what: what.into() }
    }

    pub(super) fn library(&self, error: &dyn std::fmt::Display) -> TlsError {
        TlsError::Library { dir: self.0.display().to_string(), error: error.to_string() }
    }
}
