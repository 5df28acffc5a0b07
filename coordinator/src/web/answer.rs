//! One request, one answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Web;
use super::rights::{Asked, KEY_HEADER, Refused, may_have_key, may_read, may_stop};
use crate::door::Peer;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Events end in good order before their connection must.
const EVENTS_MAX: Duration = Duration::from_secs(60);

const PAGE: &str = include_str!("page/live.html");
const STYLE: &str = include_str!("page/live.css");
const SCRIPT: &str = include_str!("page/live.js");

/// The page loads nothing from anywhere else, and nobody shows it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers a request of a peer. Its body is never read: nothing that we take has one.
pub(super) fn answer(web: &Arc<Web>, peer: &Peer, request: &Request<Incoming>) -> Response<Body> {
    let headers = request.headers();
    let asked = Asked {
        peer,
        host: text_of(headers, header::HOST.as_str()),
        origin: text_of(headers, header::ORIGIN.as_str()),
        key: text_of(headers, KEY_HEADER),
    };
    if let Err(why) = may_read(&asked) {
        return refused(why);
    }
    let reads = request.method() == Method::GET;
    match (reads, request.uri().path()) {
        (true, "/") => text(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned()),
        (true, "/live.css") => text(StatusCode::OK, "text/css; charset=utf-8", STYLE.to_owned()),
        (true, "/live.js") => {
            text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT.to_owned())
        }
        (true, "/state") => text(StatusCode::OK, "application/json", web.state().to_string()),
        (true, "/events") => events(web),
        (true, "/key") => match may_have_key(&asked) {
            Ok(()) => text(StatusCode::OK, "text/plain; charset=utf-8", web.key.text().to_owned()),
            Err(why) => refused(why),
        },
        (false, "/stop") if request.method() == Method::POST => match may_stop(&asked, &web.key) {
            Ok(who) => stop(web, &who),
            Err(why) => refused(why),
        },
        (_, "/" | "/live.css" | "/live.js" | "/state" | "/events" | "/key" | "/stop") => {
            plain(StatusCode::METHOD_NOT_ALLOWED, "this is not what this address is for")
        }
        _ => plain(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

fn stop(web: &Web, who: &str) -> Response<Body> {
    match web.hall.stop("", false, who) {
        Ok((run, state)) => {
            tracing::warn!(%run, %who, "stopped from the live page");
            let document = serde_json::json!({ "run": run, "state": state });
            text(StatusCode::OK, "application/json", document.to_string())
        }
        Err(error) => plain(StatusCode::CONFLICT, &error.to_string()),
    }
}

/// The floor as it changes. A listener that is slow misses states and delays nobody: each has a
/// task of its own, which takes the latest state when the last one is out.
fn events(web: &Arc<Web>) -> Response<Body> {
    let Ok(place) = web.listeners.clone().try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
    };
    let mut states = web.states.subscribe();
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let first = web.state();
    tokio::spawn(async move {
        let _place = place;
        let until = tokio::time::Instant::now() + EVENTS_MAX;
        let mut state = Bytes::from(event(&first.to_string()));
        loop {
            if sender.send(state).await.is_err() {
                return;
            }
            match tokio::time::timeout_at(until, states.changed()).await {
                Ok(Ok(())) => {}
                // The page comes again by itself.
                Ok(Err(_)) | Err(_) => return,
            }
            state = states.borrow_and_update().clone();
        }
    });
    let frames = ReceiverStream::new(receiver).map(|bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    dress(response.headers_mut(), "text/event-stream");
    response
}

/// One server-sent event. JSON has no line breaks, so that it is one line.
pub(super) fn event(document: &str) -> String {
    format!("retry: 1000\ndata: {document}\n\n")
}

fn refused(why: Refused) -> Response<Body> {
    match why {
        Refused::ForeignHost => plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this page is served to this machine only: ask for it as 127.0.0.1 or localhost",
        ),
        Refused::NoKey => plain(StatusCode::UNAUTHORIZED, "the key of this page is needed to stop"),
        Refused::Forbidden(why) => plain(StatusCode::FORBIDDEN, why),
    }
}

pub(super) fn plain(status: StatusCode, words: &str) -> Response<Body> {
    text(status, "text/plain; charset=utf-8", format!("{words}\n"))
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    dress(response.headers_mut(), kind);
    response
}

fn dress(headers: &mut HeaderMap, kind: &'static str) {
    let words = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in words {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
