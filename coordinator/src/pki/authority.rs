//! The authority's folder: `ca.pem`, `ca-key.pem` (mode 0600), and a folder for each
//! certificate that was issued with its key.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use proto::tls::{Identity, Role, TlsDir, check_name, fingerprint};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use time::{Duration, OffsetDateTime};

const CA_KEY: &str = "ca-key.pem";
/// How long an authority lasts: longer than a hall keeps its hardware.
const AUTHORITY_DAYS: i64 = 3650;
/// Clocks of a hall that was just switched on differ by minutes.
const EARLIER: Duration = Duration::hours(1);
/// A signing request is a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Why the authority did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{}: an authority is here already; it is never overwritten", .0.display())]
    Exists(PathBuf),
    #[error("{}: no authority here: `loadbank pki init --dir {}` makes one", .0.display(), .0.display())]
    None(PathBuf),
    #[error("{0}")]
    Name(String),
    #[error("the signing request can't be used: {0}")]
    Request(String),
    #[error("certificate: {0}")]
    Library(#[from] rcgen::Error),
}

/// When a certificate holds.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    from: OffsetDateTime,
    to: OffsetDateTime,
}

impl Validity {
    /// From now (a little earlier, for clocks that are behind) for so many days.
    #[must_use]
    pub fn days(days: u32) -> Self {
        let now = OffsetDateTime::now_utc();
        Self { from: now - EARLIER, to: now + Duration::days(days.into()) }
    }

    /// Between two instants, in seconds since 1970.
    ///
    /// # Errors
    /// When they are beyond what a certificate can say.
    pub fn between(from_s: i64, to_s: i64) -> Result<Self, PkiError> {
        let instant = |s| {
            OffsetDateTime::from_unix_timestamp(s)
                .map_err(|_| PkiError::Name(format!("{s} is no instant")))
        };
        Ok(Self { from: instant(from_s)?, to: instant(to_s)? })
    }

    /// Its end, in seconds since 1970.
    #[must_use]
    pub fn ends_s(&self) -> i64 {
        self.to.unix_timestamp()
    }
}

/// A certificate; the key only where it was made here.
#[derive(Clone)]
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: Option<String>,
}

/// A certificate authority.
pub struct Authority {
    pub(super) dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes an authority in a folder.
    ///
    /// # Errors
    /// When one is there already, or the folder can't be written.
    pub fn init(dir: &Path, name: &str) -> Result<Self, PkiError> {
        check_name(name).map_err(PkiError::Name)?;
        if dir.join(CA_KEY).exists() || dir.join(TlsDir::CA).exists() {
            return Err(PkiError::Exists(dir.to_owned()));
        }
        make_private_dir(dir)?;
        let key = KeyPair::generate()?;
        let validity = Validity::days(AUTHORITY_DAYS as u32);
        let mut params = params_of(&format!("loadbank authority {name}"), validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        write_private(&dir.join(CA_KEY), &key.serialize_pem())?;
        write_whole(&dir.join(TlsDir::CA), &certificate.pem(), 0o644)?;
        Self::open(dir)
    }

    /// Opens the authority of a folder.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => PkiError::None(dir.to_owned()),
                _ => PkiError::File { path, error },
            })
        };
        let (pem, key) = (read(TlsDir::CA)?, KeyPair::from_pem(&read(CA_KEY)?)?);
        let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
        Ok(Self { dir: dir.to_owned(), issuer, pem })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the authority's certificate.
    ///
    /// # Errors
    /// When its file is damaged.
    pub fn fingerprint(&self) -> Result<[u8; 32], PkiError> {
        fingerprint(&self.pem).map_err(PkiError::Request)
    }

    /// A certificate with a key that is made here.
    ///
    /// # Errors
    /// When a name or host can't stand in a certificate.
    pub fn issue(
        &self,
        identity: &Identity,
        hosts: &[String],
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let key = KeyPair::generate()?;
        let certificate_pem = self.sign_key(identity, hosts, validity, &key)?;
        Ok(Issued { certificate_pem, key_pem: Some(key.serialize_pem()) })
    }

    /// A certificate for a key that stays where it was made. Of the request nothing but the
    /// key counts: who it is for is decided here.
    ///
    /// # Errors
    /// When the request is none, or was not signed by its key.
    pub fn sign(
        &self,
        request_pem: &str,
        identity: &Identity,
        hosts: &[String],
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let key = public_key(request_pem)?;
        let certificate_pem = self.sign_key(identity, hosts, validity, &key)?;
        Ok(Issued { certificate_pem, key_pem: None })
    }

    fn sign_key(
        &self,
        identity: &Identity,
        hosts: &[String],
        validity: Validity,
        key: &impl PublicKeyData,
    ) -> Result<String, PkiError> {
        check_name(&identity.name).map_err(PkiError::Name)?;
        let mut params = params_of(&identity.name, validity);
        params.distinguished_name.push(DnType::OrganizationalUnitName, identity.role.word());
        params.subject_alt_names.push(SanType::URI(Ia5String::try_from(identity.uri())?));
        for host in hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(host.as_str())?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match identity.role {
            Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Agent | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    /// Writes the folder that `--tls-dir` takes. Each file is replaced as a whole; a reader
    /// that meets a new certificate beside an old key keeps what it had.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn write(&self, issued: &Issued, dir: &Path) -> Result<(), PkiError> {
        make_private_dir(dir)?;
        if let Some(key) = &issued.key_pem {
            write_private(&dir.join(TlsDir::KEY), key)?;
        }
        write_whole(&dir.join(TlsDir::CERT), &issued.certificate_pem, 0o644)?;
        write_whole(&dir.join(TlsDir::CA), &self.pem, 0o644)
    }
}

/// The key of a signing request, once it has shown that it signed it.
pub(super) fn public_key(request_pem: &str) -> Result<rcgen::PublicKey, PkiError> {
    if request_pem.len() > REQUEST_BYTES_MAX {
        return Err(PkiError::Request(format!("longer than {REQUEST_BYTES_MAX} bytes")));
    }
    CertificateSigningRequestParams::from_pem(request_pem)
        .map(|request| request.public_key)
        .map_err(|error| PkiError::Request(error.to_string()))
}

fn params_of(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (validity.from, validity.to);
    params
}

pub(super) fn make_private_dir(dir: &Path) -> Result<(), PkiError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| PkiError::File { path: dir.to_owned(), error })
}

pub(super) fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    write_whole(path, text, 0o600)
}

/// Writes beside the place and moves there: nobody reads half a file.
fn write_whole(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let beside = path.with_extension("new");
    let write = || {
        // One that was left behind may have other permissions.
        let _ = std::fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| PkiError::File { path: path.to_owned(), error })
}
