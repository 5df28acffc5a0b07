//! The door for nodes that have a token and no certificate yet.

use std::sync::Arc;

use proto::tls::{Identity, Role};
use proto::v1;
use proto::v1::join_service_server::JoinService;
use tonic::{Request, Response, Status};

use super::authority::{Authority, Validity, public_key};
use super::token::TokenError;
use crate::door::{Reason, Refusals};

/// How long a joined node's certificate holds.
const CERTIFICATE_DAYS: u32 = 365;

/// The join service.
#[derive(Clone)]
pub(crate) struct JoinDoor {
    authority: Arc<Authority>,
    refusals: Arc<Refusals>,
}

impl JoinDoor {
    pub(crate) fn new(authority: Authority, refusals: Arc<Refusals>) -> Self {
        Self { authority: Arc::new(authority), refusals }
    }

    fn refuse(&self, node: &str, error: TokenError) -> Status {
        let reason = match error {
            TokenError::Unknown | TokenError::Folder => Reason::TokenUnknown,
            TokenError::Used => Reason::TokenUsed,
            TokenError::Expired => Reason::TokenExpired,
            TokenError::OtherNode => Reason::TokenOfOtherNode,
        };
        self.refusals.note(reason, &node.escape_default(), &error);
        Status::permission_denied(error.to_string())
    }
}

#[tonic::async_trait]
impl JoinService for JoinDoor {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        let asked = request.into_inner();
        // A request that can't be signed must not cost the token.
        public_key(&asked.request_pem).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let redeemed = self
            .authority
            .redeem(&asked.secret, &asked.node)
            .map_err(|error| self.refuse(&asked.node, error))?;
        let identity = Identity { role: Role::Agent, name: redeemed.node };
        let validity = Validity::days(CERTIFICATE_DAYS);
        let issued = self
            .authority
            .sign(&asked.request_pem, &identity, &[], validity)
            .map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(node = %identity.name, "a node joined with its token");
        Ok(Response::new(v1::JoinReply {
            certificate_pem: issued.certificate_pem,
            authority_pem: self.authority.pem().to_owned(),
        }))
    }
}
