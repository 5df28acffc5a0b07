//! `loadbank-agent join`: a key made on this node, and a certificate for it, by a token that
//! works once.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use proto::dial::connect_once;
use proto::tls::{JoinToken, TlsDir, fingerprint, pinned};
use proto::v1;
use proto::v1::join_service_client::JoinServiceClient;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

/// Options of `loadbank-agent join`.
#[derive(Debug, Clone, clap::Args)]
pub struct JoinOptions {
    /// Where the coordinator lets nodes join, HOST:PORT; its --join-listen
    #[arg(long, value_name = "ADDR")]
    pub coordinator: String,
    /// Token of `loadbank pki token`
    #[arg(long, env = "LOADBANK_JOIN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// Folder to make, for --tls-dir
    #[arg(long, value_name = "DIR")]
    pub tls_dir: PathBuf,
}

/// Joins. The key is made here and never leaves this node; the coordinator is believed by
/// the authority's fingerprint in the token.
///
/// # Errors
/// When the token is none, the coordinator refuses it, or the folder can't be written.
pub(crate) fn run(options: &JoinOptions) -> anyhow::Result<()> {
    let token = JoinToken::parse(&options.token).map_err(anyhow::Error::msg)?;
    let dir = &options.tls_dir;
    let taken = dir.join(TlsDir::CERT);
    ensure!(!taken.exists(), "{} is there: this node has joined already", taken.display());
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, token.node.as_str());
    let request = v1::JoinRequest {
        node: token.node.clone(),
        secret: token.secret.to_vec(),
        request_pem: params.serialize_request(&key)?.pem()?,
    };
    // Before the token is spent: a folder that takes no key would waste it.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| dir.display().to_string())?;
    write(&dir.join(TlsDir::KEY), &key.serialize_pem(), 0o600)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = runtime.block_on(ask(&options.coordinator, &token, request))?;
    let shown = fingerprint(&reply.authority_pem).map_err(anyhow::Error::msg)?;
    if shown != token.authority {
        bail!("the coordinator sent another authority than the token names");
    }
    write(&dir.join(TlsDir::CA), &reply.authority_pem, 0o644)?;
    write(&dir.join(TlsDir::CERT), &reply.certificate_pem, 0o644)?;
    let identity = TlsDir::new(dir).identity()?;
    ensure!(identity.name == token.node, "the certificate is that of {identity}");
    eprintln!("joined as node {}: loadbank-agent --tls-dir {}", token.node, dir.display());
    Ok(())
}

async fn ask(
    address: &str,
    token: &JoinToken,
    request: v1::JoinRequest,
) -> anyhow::Result<v1::JoinReply> {
    let channel = connect_once(address, &pinned(token.authority)?).await?;
    let reply = JoinServiceClient::new(channel).join(request).await;
    let status = match reply {
        Ok(reply) => return Ok(reply.into_inner()),
        Err(status) => status,
    };
    bail!("the coordinator refuses: {}", status.message())
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let write = || {
        // A key of an attempt before goes: nothing was ever signed for it.
        let _ = std::fs::remove_file(path);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}
