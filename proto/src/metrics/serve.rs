//! Answers `GET /metrics` over HTTP/1.1, in plain text: numbers to read, nothing to change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Family, Form, render};

/// Collectors that are answered at once: a few, each on one connection that it keeps.
const CONNECTIONS_MAX: usize = 16;
/// A request's head comes at once, and a connection ends after so long: whoever holds one open
/// takes nobody's place for ever.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// Answers for as long as the task lives. `families` is called for each answer.
pub async fn serve<F>(listener: TcpListener, families: F)
where
    F: Fn() -> Vec<Family> + Send + Sync + 'static,
{
    let (families, seats) = (Arc::new(families), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // As when there are too many open files: others may close some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let families = families.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CONNECTION_LIFE, converse(stream, &*families)).await;
            drop(seat);
        });
    }
}

async fn converse<F>(stream: TcpStream, families: &F)
where
    F: Fn() -> Vec<Family> + Send + Sync,
{
    let answer = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, families);
        async move { Ok::<_, Infallible>(response) }
    });
    // A collector that leaves in the middle is nobody's error.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

fn respond(
    request: &Request<Incoming>,
    families: &impl Fn() -> Vec<Family>,
) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {}
        (_, "/metrics") => return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        _ => return plain(StatusCode::NOT_FOUND, "there is /metrics\n"),
    }
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let form = Form::accepted(accept.unwrap_or_default());
    let mut response = Response::new(Full::from(render(&families(), form)));
    let kind = header::HeaderValue::from_static(form.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
