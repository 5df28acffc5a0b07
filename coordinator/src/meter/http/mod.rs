//! Asks a device over HTTP/1.1: GET and nothing else, so that nothing can be written.
//!
//! One connection a device, kept while it answers. It is put back only after a whole answer:
//! a question that was dropped half-way takes its connection with it.

mod address;

use base64::Engine;
use bytes::Bytes;
use formats::sources::{Login, Trust};
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;

pub(crate) use address::Address;

use super::dial::Dialer;
use super::port::MeterError;

/// Largest answer: 50,000 samples of a Prometheus are about 8 MB.
const BODY_BYTES_MAX: usize = 8 << 20;

/// One server.
pub(crate) struct Http {
    address: Address,
    dialer: Dialer,
    login: Login,
    open: Option<Open>,
}

/// A connection that waits for the next question.
struct Open {
    sender: SendRequest<Empty<Bytes>>,
    /// Whether it has answered before: such a one may have been closed since.
    used: bool,
    authorization: Option<HeaderValue>,
    _task: Task,
}

/// Moves the bytes; ends with its connection.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Http {
    /// Reads certificates; calls nobody yet.
    ///
    /// # Errors
    /// When the address or the certificates can't be used, in words.
    pub(crate) fn new(url: &str, trust: &Trust, login: &Login) -> Result<Self, String> {
        let address = Address::of(url)?;
        let dialer = Dialer::new(&address.host, address.port, trust)?;
        Ok(Self { address, dialer, login: login.clone(), open: None })
    }

    /// The path of the URL it was made with; empty where that had none.
    pub(crate) fn base(&self) -> &str {
        &self.address.path
    }

    /// Asks for a path, and for its query where it has one.
    ///
    /// # Errors
    /// Refused credentials, silence, and whatever is no answer of 200 or 4xx.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, MeterError> {
        let request = self.request(path)?;
        let (mut open, reused) = match self.open.take() {
            Some(open) if !open.sender.is_closed() => (open, true),
            _ => (self.connect().await?, false),
        };
        let first = exchange(&mut open, request.clone()).await;
        let answer = match first {
            // It was closed between two questions, as servers do: that is no failure.
            Err(MeterError::Silent(_)) if reused && open.used => {
                open = self.connect().await?;
                exchange(&mut open, request).await?
            }
            other => other?,
        };
        let judged = judge(answer, path);
        // Credentials are read anew at each connection, and may have been mended.
        if !matches!(judged, Err(MeterError::Refused(_))) {
            open.used = true;
            self.open = Some(open);
        }
        judged
    }

    /// Asks for JSON; `None` where there is no such resource.
    ///
    /// # Errors
    /// As [`Self::get`], and for what is no JSON.
    pub(crate) async fn json(&mut self, path: &str) -> Result<Option<Value>, MeterError> {
        let answer = self.get(path).await?;
        if answer.status == StatusCode::NOT_FOUND || answer.status == StatusCode::GONE {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(MeterError::Nonsense(format!("{path} answered {}", answer.status)));
        }
        let parsed = serde_json::from_slice(&answer.body);
        parsed.map(Some).map_err(|error| MeterError::Nonsense(format!("{path}: {error}")))
    }

    fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, MeterError> {
        Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(HOST, &self.address.authority)
            .header(USER_AGENT, "loadbank")
            .header(ACCEPT, "application/json")
            .header("odata-version", "4.0")
            .body(Empty::new())
            .map_err(|error| MeterError::Nonsense(format!("{path:?} is no path: {error}")))
    }

    async fn connect(&self) -> Result<Open, MeterError> {
        let authorization = authorization(&self.login).map_err(MeterError::Refused)?;
        let io = TokioIo::new(self.dialer.dial().await?);
        let (sender, connection) = http1::handshake(io).await.map_err(|e| silent(&e))?;
        // Its end is told by the sender.
        let task = Task(tokio::spawn(async move { drop(connection.await) }));
        Ok(Open { sender, used: false, authorization, _task: task })
    }
}

async fn exchange(
    open: &mut Open,
    mut request: Request<Empty<Bytes>>,
) -> Result<(Answer, Option<HeaderValue>), MeterError> {
    if let Some(authorization) = &open.authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    open.sender.ready().await.map_err(|error| silent(&error))?;
    let response = open.sender.send_request(request).await.map_err(|error| silent(&error))?;
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            MeterError::Nonsense(format!("an answer of more than {BODY_BYTES_MAX} bytes"))
        } else {
            MeterError::Nonsense(format!("an answer that breaks off: {error}"))
        }
    })?;
    let location = head.headers.get(LOCATION).cloned();
    Ok((Answer { status: head.status, body: collected.to_bytes() }, location))
}

/// Sorts an answer: what is worth reading, and what is none.
fn judge((answer, to): (Answer, Option<HeaderValue>), path: &str) -> Result<Answer, MeterError> {
    let status = answer.status;
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return Err(MeterError::Refused(format!("{path} answered {status}")));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(MeterError::Silent(format!("{path} answered {status}")));
    }
    if status.is_redirection() {
        // Credentials are for whom they were given, and for nobody that it names.
        let to = to.as_ref().map_or("elsewhere", |to| to.to_str().unwrap_or("elsewhere"));
        let to: String = to.chars().take(200).collect();
        return Err(MeterError::Nonsense(format!("{path} leads to {to}: write that address")));
    }
    Ok(answer)
}

fn silent(error: &hyper::Error) -> MeterError {
    if error.is_parse() {
        return MeterError::Nonsense(format!("no HTTP: {error}"));
    }
    MeterError::Silent(format!("no answer: {error}"))
}

fn authorization(login: &Login) -> Result<Option<HeaderValue>, String> {
    let text = match login {
        Login::Nobody => return Ok(None),
        Login::Password { user, password } => {
            let pair = format!("{user}:{}", password.get()?);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Login::Token(token) => format!("Bearer {}", token.get()?),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the token has characters that no header can hold".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests;
