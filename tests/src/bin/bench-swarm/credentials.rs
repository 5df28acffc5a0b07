//! Certificates of everybody: made before anything is measured.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use coordinator::pki::{Authority, Validity};
use proto::dial::Security;
use proto::tls::{Identity, Role, TlsDir};

/// A fleet's certificates in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Makes an authority and one certificate for each agent, the server and an operator.
    pub(crate) fn make(folder: &Path, agents: usize) -> Result<Self> {
        let authority = Authority::init(&folder.join("authority"), "bench")?;
        let issue = |role, name: String, hosts: &[String]| -> Result<()> {
            let identity = Identity { role, name: name.clone() };
            let issued = authority.issue(&identity, hosts, Validity::days(1))?;
            Ok(authority.write(&issued, &folder.join(name))?)
        };
        issue(Role::Coordinator, "server".to_owned(), &["127.0.0.1".to_owned()])?;
        issue(Role::Operator, "operator".to_owned(), &[])?;
        for at in 0..agents {
            issue(Role::Agent, node(at), &[])?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder that `--tls-dir` takes.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// How a member of the fleet dials.
    pub(crate) fn security(&self, name: &str) -> Result<Security> {
        let dir = TlsDir::new(&self.dir(name));
        dir.identity().map_err(|error| anyhow!("{name}: {error}"))?;
        Ok(Security::Tls(dir))
    }
}

/// Name of the agent at a position.
pub(crate) fn node(at: usize) -> String {
    format!("node{at:05}")
}
