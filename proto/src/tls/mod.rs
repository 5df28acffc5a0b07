//! Mutual TLS: whose certificate says what, and the settings both ends must agree on.
//!
//! TLS 1.3 only, one certificate authority a fleet, a role and a name in every certificate.
//! Files are read anew whenever they are needed, so that a renewed certificate needs no
//! restart. Session tickets are off: a resumed session would carry an expired certificate on.

mod client;
mod files;
mod identity;
mod server;
mod token;

pub use client::{fingerprint, pinned};
pub use files::{TlsDir, TlsError};
pub use identity::{Identity, Role, check_name};
pub use server::ServerTls;
pub use token::{JoinToken, SECRET_BYTES, hex};

pub(crate) use client::coordinator_only;

use std::sync::Arc;

/// Bytes of the fingerprint of a certificate: SHA-256 over its DER form.
pub const FINGERPRINT_BYTES: usize = 32;

/// What both ends speak inside TLS.
pub(crate) const ALPN: &[u8] = b"h2";

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
