//! What went wrong in a conversation, in words for a person.

use async_snmp::v3::ReportStatus;
use async_snmp::{Error, ErrorStatus};

use super::super::port::MeterError;

/// Who asked: what silence means depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// An agent does not answer a community that it does not know.
    Community,
    /// An agent says which part of a user it does not take.
    User,
}

/// `garbage`: something came from the device that is no SNMP.
pub(super) fn told(error: &Error, asker: Asker, garbage: bool) -> MeterError {
    match error {
        Error::SharedOperation { source } => told(source, asker, garbage),
        Error::Exchange { source, .. } => told(source, asker, garbage),
        Error::Timeout { .. } if garbage => {
            MeterError::Nonsense("what it answers is no SNMP".to_owned())
        }
        Error::Timeout { .. } => MeterError::Silent(silence(asker).to_owned()),
        Error::Auth { .. } => {
            MeterError::Refused("its answer is not signed with our password".to_owned())
        }
        Error::Report { status, .. } => report(status),
        Error::Snmp { status, .. } => status_of(*status),
        Error::Network { source, .. } => MeterError::Silent(source.to_string()),
        Error::Closed { .. } | Error::ConstructionTimeout { .. } | Error::Config(_) => {
            MeterError::Silent(error.to_string())
        }
        other => MeterError::Nonsense(other.to_string()),
    }
}

fn silence(asker: Asker) -> &'static str {
    match asker {
        Asker::Community => "no answer: address, port or community may be wrong",
        // A wrong key turns our question into noise, which some agents drop without a word.
        Asker::User => {
            "no answer: address, port or privacy password may be wrong, or it has no version 3"
        }
    }
}

fn report(status: &ReportStatus) -> MeterError {
    let words = match status {
        ReportStatus::UnknownUserName { .. } => "it does not know the user",
        ReportStatus::WrongDigest { .. } => "wrong auth password, or another auth",
        ReportStatus::DecryptionError { .. } => "wrong privacy password, or another privacy",
        ReportStatus::UnsupportedSecurityLevel { .. } => {
            "it does not take the user with these of auth and privacy"
        }
        // Restarts and clocks that jump pass: the next conversation learns the new ones.
        ReportStatus::NotInTimeWindow { .. } => {
            return MeterError::Silent("its engine's time has jumped".to_owned());
        }
        ReportStatus::UnknownEngineId { .. } => {
            return MeterError::Silent("its engine has another id than before".to_owned());
        }
        other => return MeterError::Nonsense(other.to_string()),
    };
    MeterError::Refused(words.to_owned())
}

fn status_of(status: ErrorStatus) -> MeterError {
    match status {
        ErrorStatus::AuthorizationError | ErrorStatus::NoAccess => {
            MeterError::Refused("who asks may not read these values".to_owned())
        }
        other => MeterError::Nonsense(format!("it answers with the error {other}")),
    }
}
