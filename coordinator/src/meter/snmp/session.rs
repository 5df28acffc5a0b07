//! One device's conversation over UDP. It can read and do nothing else: the crate's client,
//! which could set, is out of reach of everything but this file.

use std::collections::BTreeMap;
use std::time::Duration;

use async_snmp::client::{WalkMethod, WalkOptions};
use async_snmp::v3::{AuthProtocol, DesSaltState, PersistedDesSaltState, PrivProtocol, UsmConfig};
use async_snmp::{Auth, Client, Error, Oid, Retry, Value};
use formats::sources::{self, Credentials, Privacy, User};

use super::super::port::MeterError;
use super::trouble::{Asker, told};

/// OIDs in one request: some 30 bytes each and their values fit a packet that nobody splits.
const OIDS_A_REQUEST: usize = 32;
/// Rows in one answer of a walk, for the same reason.
const ROWS_AN_ANSWER: u32 = 16;
/// Largest column that is walked: 64 PDUs of three lines are 192.
const ROWS_MAX: usize = 4_096;
/// A question and its repetition take this share of the deadline each, so that the silence is
/// named here, in words of SNMP, before the round is given up.
const OF_DEADLINE: f64 = 0.35;

/// A conversation.
pub(super) struct Session {
    client: Client,
    asker: Asker,
}

impl Session {
    pub(super) async fn open(
        address: &str,
        credentials: &Credentials,
        deadline: Duration,
    ) -> Result<Self, MeterError> {
        let asker = match credentials {
            Credentials::Community(_) => Asker::Community,
            Credentials::User(_) => Asker::User,
        };
        let repeated = Retry::fixed(1, Duration::ZERO).map_err(|error| unusable(&error))?;
        let auth = auth_of(credentials).map_err(MeterError::Refused)?;
        let mut builder = Client::builder(address, auth)
            // Whoever else answers is not the meter.
            .strict_source(true)
            .construction_timeout(deadline)
            .request_timeout(deadline.mul_f64(OF_DEADLINE))
            .retry(repeated)
            .max_oids_per_request(OIDS_A_REQUEST)
            // A refusal can't be signed: without this, a wrong password looks like silence. Who
            // forges one makes us wait, as one who swallows answers does; values stay signed.
            .allow_unauthenticated_v3_time_correction(true);
        if let Credentials::User(User { privacy: Some((Privacy::Des, _)), .. }) = credentials {
            builder = builder.des_salt_state(salts().map_err(|error| unusable(&error))?);
        }
        let client = builder.connect().await.map_err(|error| told(&error, asker, false))?;
        Ok(Self { client, asker })
    }

    /// What the device says of each of these.
    pub(super) async fn get(&self, oids: &[Oid]) -> Result<BTreeMap<Oid, Value>, MeterError> {
        let answer = self.client.get_many(oids).await.map_err(|error| self.told(&error))?;
        Ok(answer.varbinds.into_iter().map(|bound| (bound.oid, bound.value)).collect())
    }

    /// Everything under an OID.
    pub(super) async fn walk(&self, root: Oid) -> Result<Vec<(Oid, Value)>, MeterError> {
        let options = WalkOptions {
            method: WalkMethod::GetBulk,
            max_repetitions: ROWS_AN_ANSWER,
            result_limit: Some(ROWS_MAX),
            ..WalkOptions::default()
        };
        let rows = self.client.walk_with(root, options).map_err(|error| self.told(&error))?;
        let rows = rows.collect().await.map_err(|error| self.told(&error))?;
        Ok(rows.into_iter().map(|bound| (bound.oid, bound.value)).collect())
    }

    fn told(&self, error: &Error) -> MeterError {
        told(error, self.asker, self.client.stats().malformed_datagrams > 0)
    }
}

fn unusable(error: &dyn std::fmt::Display) -> MeterError {
    MeterError::Nonsense(format!("SNMP can't be used here: {error}"))
}

fn auth_of(credentials: &Credentials) -> Result<Auth, String> {
    match credentials {
        Credentials::Community(secret) => Ok(Auth::v2c(secret.get()?)),
        Credentials::User(user) => Ok(Auth::from(usm(user)?)),
    }
}

fn usm(user: &User) -> Result<UsmConfig, String> {
    let config = UsmConfig::new(user.name.clone()).context_name(user.context.clone());
    let Some((hash, secret)) = &user.auth else { return Ok(config) };
    let password = secret.get()?;
    let config = match &user.privacy {
        None => config.auth(protocol(*hash), password),
        Some((cipher, key)) => {
            config.auth_priv(protocol(*hash), password, cipher_of(*cipher), key.get()?)
        }
    };
    config.map_err(|error| format!("a password of {} can't be used: {error}", user.name))
}

fn protocol(auth: sources::Auth) -> AuthProtocol {
    match auth {
        sources::Auth::Md5 => AuthProtocol::Md5,
        sources::Auth::Sha1 => AuthProtocol::Sha1,
        sources::Auth::Sha224 => AuthProtocol::Sha224,
        sources::Auth::Sha256 => AuthProtocol::Sha256,
        sources::Auth::Sha384 => AuthProtocol::Sha384,
        sources::Auth::Sha512 => AuthProtocol::Sha512,
    }
}

fn cipher_of(privacy: Privacy) -> PrivProtocol {
    match privacy {
        Privacy::Des => PrivProtocol::Des,
        Privacy::Aes128 => PrivProtocol::Aes128,
    }
}

/// DES must never use a salt twice. Nothing is kept between conversations, so each begins
/// somewhere at random in the 31 bits of the salt's upper half.
fn salts() -> Result<DesSaltState, String> {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    // Top bit off, and never the last: one more must fit.
    let begun = (random >> 1).clamp(1, (i32::MAX - 1) as u32);
    let kept = PersistedDesSaltState::new(begun).map_err(|error| error.to_string())?;
    DesSaltState::restart(kept, |_| Ok::<(), std::convert::Infallible>(()))
        .map_err(|error| error.to_string())
}
