//! The operator's connection to a coordinator.

use std::net::ToSocketAddrs;

use proto::channel::{MESSAGE_BYTES_MAX, check_plain_text};
use proto::dial::{DialError, Dialer, Security};
use proto::v1::operator_service_client::OperatorServiceClient;
use tonic::transport::Channel;

use crate::failure::Failure;
use crate::options::Target;

/// Client of the operator service.
pub type Client = OperatorServiceClient<Channel>;

/// Connects to a coordinator.
///
/// # Errors
/// When the address is none, may not be spoken to in plain text, or refuses our certificate
/// (usage), or nobody answers there (infrastructure).
pub async fn connect(target: &Target) -> Result<Client, Failure> {
    let address = &target.coordinator;
    let usage =
        |why: &dyn std::fmt::Display| Failure::usage(format!("--coordinator {address}: {why}"));
    let security = Security::asked(target.tls_dir.as_deref(), target.insecure_loopback)
        .map_err(|why| usage(&why))?;
    let ip = address
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| usage(&"an address is HOST:PORT"))?
        .ip();
    match &security {
        Security::InsecureLoopback => check_plain_text(ip, true).map_err(|why| usage(&why))?,
        // Files that can't be used are told of before anybody is called.
        Security::Tls(dir) => drop(dir.identity().map_err(Failure::usage)?),
    }
    let dialer = Dialer::new(address, security);
    let endpoint = dialer.endpoint().map_err(|why| usage(&why))?;
    let channel = dialer.connect(&endpoint).await.map_err(|error| match error {
        DialError::Silent { .. } => Failure::infrastructure(format!(
            "no coordinator answers at {address}: start one with `loadbank serve`"
        )),
        DialError::Tls { .. } => Failure::infrastructure(error),
        DialError::Address(_) | DialError::Files(_) => Failure::usage(error),
    })?;
    Ok(Client::new(channel).max_decoding_message_size(8 * MESSAGE_BYTES_MAX))
}
