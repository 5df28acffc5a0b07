//! What the screen hears of a run: statuses for as long as it is open, over every gap.

use std::time::Duration;

use proto::v1;
use tokio::sync::mpsc;

use super::state::Message;
use crate::client::connect;
use crate::failure::Failure;
use crate::options::Target;

/// Distance of attempts to hear of the run again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Statuses come twice a second. After so long the connection is given up: what is behind it
/// hangs, or a cable is out.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Whether there is such a coordinator, and such a run where one is named.
///
/// # Errors
/// What a person who typed the command must know.
pub(super) async fn check(target: &Target, run: &str) -> Result<(), Failure> {
    let mut client = connect(target).await?;
    let request = v1::WatchRequest { run_id: run.to_owned() };
    match client.watch(request).await {
        Ok(_) => Ok(()),
        // The next run will be shown once it begins.
        Err(status) if status.code() == tonic::Code::NotFound && run.is_empty() => Ok(()),
        Err(status) => Err(status.into()),
    }
}

/// Tells of a run until nobody listens any more. Without a name it is the active one, and the
/// next one after its end.
pub(super) async fn follow(target: Target, run: String, tell: mpsc::Sender<Message>) {
    let mut ended = String::new();
    while !tell.is_closed() {
        let heard = hear(&target, &run, &mut ended, &tell).await;
        if let Err(why) = heard {
            let _ = tell.send(Message::Lost(why)).await;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Statuses of one connection. `ended`: the run whose end was told already.
async fn hear(
    target: &Target,
    run: &str,
    ended: &mut String,
    tell: &mpsc::Sender<Message>,
) -> Result<(), String> {
    let mut client = connect(target).await.map_err(|failure| failure.to_string())?;
    loop {
        let request = v1::WatchRequest { run_id: run.to_owned() };
        let mut statuses = match within(client.watch(request)).await? {
            Ok(response) => response.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => {
                let _ = tell.send(Message::NoRun).await;
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            Err(status) => return Err(status.message().to_owned()),
        };
        loop {
            match within(statuses.message()).await? {
                Ok(Some(status)) => {
                    *ended = if status.ended { status.run_id.clone() } else { String::new() };
                    if tell.send(Message::Status(Box::new(status))).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(None) if !ended.is_empty() => break,
                Ok(None) => return Err("it ended the conversation".to_owned()),
                Err(status) => return Err(status.message().to_owned()),
            }
        }
        // It is over: until it is resumed, or another begins.
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn within<T>(answer: impl Future<Output = T>) -> Result<T, String> {
    let waited = tokio::time::timeout(SILENCE_MAX, answer).await;
    waited.map_err(|_| format!("no answer within {} s", SILENCE_MAX.as_secs()))
}
