//! The operator's connection to a coordinator.

use std::net::ToSocketAddrs;

use proto::channel::{CONNECT_TIMEOUT, MESSAGE_BYTES_MAX, check_plain_text};
use proto::v1::operator_service_client::OperatorServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;
use crate::options::Target;

/// Client of the operator service.
pub type Client = OperatorServiceClient<Channel>;

/// Connects to a coordinator.
///
/// # Errors
/// When the address is none or may not be spoken to in plain text (usage), or nobody
/// answers there (infrastructure).
pub async fn connect(target: &Target) -> Result<Client, Failure> {
    let address = &target.coordinator;
    let ip = address
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Failure::usage(format!("--coordinator {address}: an address is HOST:PORT")))?
        .ip();
    check_plain_text(ip, target.insecure_loopback)
        .map_err(|why| Failure::usage(format!("--coordinator {address}: {why}")))?;
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Failure::usage(format!("--coordinator {address}: {error}")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(|_| {
            Failure::infrastructure(format!(
                "no coordinator answers at {address}: start one with `loadbank serve`"
            ))
        })?;
    Ok(Client::new(channel).max_decoding_message_size(8 * MESSAGE_BYTES_MAX))
}
