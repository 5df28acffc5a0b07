//! Which service is for whom.

use std::sync::Arc;

use proto::tls::Role;
use tonic::{Request, Status};

use super::connection::Peer;
use super::refusals::{Reason, Refusals};

/// Lets in who has a role. On a plain-text port, which is this machine's own, everybody.
#[allow(clippy::result_large_err, reason = "the library asks for this signature")]
pub(crate) fn gate(
    role: Role,
    refusals: Arc<Refusals>,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |request| {
        let why = match request.extensions().get::<Peer>() {
            Some(Peer::Local) => return Ok(request),
            Some(Peer::Known(identity)) if identity.role == role => return Ok(request),
            Some(Peer::Known(identity)) => {
                format!(
                    "this service is for {}s, and the certificate is that of {identity}",
                    role.word()
                )
            }
            Some(Peer::Joining) | None => format!("this service is for {}s", role.word()),
        };
        refusals.note(Reason::WrongRole, &"a caller", &why);
        Err(Status::permission_denied(why))
    }
}

/// The name for the record: the certificate's, and without one what the caller says.
pub(crate) fn operator_of<T>(request: &Request<T>, said: &str) -> String {
    match request.extensions().get::<Peer>() {
        Some(Peer::Known(identity)) => identity.name.clone(),
        _ => said.to_owned(),
    }
}

/// Whether a caller may speak for a node; a sentence when not.
///
/// # Errors
/// When its certificate names another one.
pub(crate) fn speaks_for(peer: Option<&Peer>, node: &str) -> Result<(), String> {
    match peer {
        Some(Peer::Local) => Ok(()),
        Some(Peer::Known(identity)) if identity.role == Role::Agent && identity.name == node => {
            Ok(())
        }
        Some(Peer::Known(identity)) => {
            let node = node.escape_default();
            Err(format!(
                "this agent says that it is node {node}, and its certificate is that of {identity}"
            ))
        }
        Some(Peer::Joining) | None => Err("an agent needs a certificate".to_owned()),
    }
}
