//! `loadbank pki`: the fleet's certificate authority, certificates of its members, and
//! tokens with which nodes join.

use std::path::PathBuf;
use std::process::ExitCode;

use coordinator::pki::{Authority, PkiError, Validity};
use proto::tls::{Identity, Role, hex};

use crate::failure::Failure;
use crate::options::{PkiInitOptions, PkiIssueOptions, PkiTokenOptions, PkiVerb};
use crate::output;

/// Does what was asked of the authority.
///
/// # Errors
/// Names that are none, an authority that is missing or there already (usage).
pub fn run(verb: PkiVerb) -> Result<ExitCode, Failure> {
    match verb {
        PkiVerb::Init(options) => init(&options),
        PkiVerb::Issue(options) => issue(&options),
        PkiVerb::Token(options) => token(&options),
    }
}

fn init(options: &PkiInitOptions) -> Result<ExitCode, Failure> {
    let authority = Authority::init(&options.dir, &options.name)?;
    let fingerprint = hex(&authority.fingerprint()?);
    let dir = options.dir.display().to_string();
    say(
        options.json,
        &serde_json::json!({ "dir": dir, "fingerprint": fingerprint }),
        &format!(
            "authority in {dir}, fingerprint {fingerprint}\nwhoever has its key commands the \
             fleet: keep {dir}/ca-key.pem off the nodes"
        ),
    )
}

fn issue(options: &PkiIssueOptions) -> Result<ExitCode, Failure> {
    let identity = identity_of(options)?;
    let authority = Authority::open(&options.dir)?;
    let validity = Validity::days(options.days);
    let hosts = &options.coordinator;
    let issued = match &options.csr {
        None => authority.issue(&identity, hosts, validity)?,
        Some(file) => {
            let request = std::fs::read_to_string(file)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            authority.sign(&request, &identity, hosts, validity)?
        }
    };
    let out = options.out.clone().unwrap_or_else(|| default_out(options, &identity));
    authority.write(&issued, &out)?;
    let dir = out.display().to_string();
    let ends = jiff::Timestamp::from_second(validity.ends_s()).map_err(Failure::infrastructure)?;
    say(
        options.json,
        &serde_json::json!({
            "role": identity.role.word(), "name": identity.name, "hosts": hosts, "dir": dir,
            "not_after": ends.to_string(),
        }),
        &format!("{identity} until {ends}: --tls-dir {dir}"),
    )
}

/// One folder an identity; colons of IPv6 addresses are kept.
fn default_out(options: &PkiIssueOptions, identity: &Identity) -> PathBuf {
    options.dir.join(format!("{}-{}", identity.role.word(), identity.name))
}

fn identity_of(options: &PkiIssueOptions) -> Result<Identity, Failure> {
    let asked = match (&options.agent, &options.operator, options.coordinator.first()) {
        (Some(node), None, None) => Some((Role::Agent, node)),
        (None, Some(name), None) => Some((Role::Operator, name)),
        (None, None, Some(host)) => Some((Role::Coordinator, host)),
        _ => None,
    };
    let (role, name) = asked.ok_or_else(|| {
        Failure::usage("name one of --agent NODE, --operator NAME, --coordinator HOST")
    })?;
    Ok(Identity { role, name: name.clone() })
}

fn token(options: &PkiTokenOptions) -> Result<ExitCode, Failure> {
    let authority = Authority::open(&options.dir)?;
    let token = authority.token(&options.node, options.hours * 3600)?;
    let ends =
        jiff::Timestamp::from_second(token.expires_s as i64).map_err(Failure::infrastructure)?;
    let text = token.text();
    eprintln!("for node {} once, until {ends}; whoever has it becomes that node", token.node);
    say(
        options.json,
        &serde_json::json!({ "node": token.node, "token": text, "expires": ends.to_string() }),
        &text,
    )
}

fn say(json: bool, document: &serde_json::Value, words: &str) -> Result<ExitCode, Failure> {
    output::line(&if json { document.to_string() } else { words.to_owned() })?;
    Ok(ExitCode::SUCCESS)
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::File { .. } | PkiError::Library(_) => Self::infrastructure(error),
            _ => Self::usage(error),
        }
    }
}
