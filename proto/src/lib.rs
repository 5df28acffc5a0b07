//! The wire: `loadbank.v1`, its generated code, the one door between wire and model
//! ([`convert`]), the way to a coordinator ([`dial`], [`tls`]), what collectors read ([`metrics`]), and the channel settings that both ends must agree on. Decides nothing.

pub mod channel;
pub mod convert;
pub mod dial;
pub mod metrics;
pub mod tls;

/// Generated from `loadbank/v1/*.proto`.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
pub mod v1 {
    tonic::include_proto!("loadbank.v1");
}

/// Both ends must speak the same version; another one is refused in the first message.
pub const PROTOCOL_VERSION: u32 = 1;
