//! The least that a server for these agents can do: TLS, HTTP/2, one message decoded, one
//! acknowledgement back, and everything thrown away.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context as Waker, Poll};

use anyhow::{Context, Result};
use proto::tls::{ServerTls, TlsDir};
use proto::v1;
use proto::v1::agent_service_server::{AgentService, AgentServiceServer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// Handshaken connections that wait for the server.
const READY_MAX: usize = 64;

struct Bare;

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Bare {
    type SessionStream = Out<v1::CoordinatorMessage>;
    type UploadStream = Out<v1::BatchAck>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        // Statuses come and go; nothing is answered.
        let silent = request.into_inner().filter_map(|_| None);
        Ok(Response::new(Box::pin(silent)))
    }

    async fn upload(
        &self,
        request: Request<Streaming<v1::Batch>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let acks = request.into_inner().map(|batch| {
            batch.map(|batch| v1::BatchAck {
                run_id: batch.run_id,
                instance: batch.instance,
                seq: batch.seq,
                unknown_run: false,
            })
        });
        Ok(Response::new(Box::pin(acks)))
    }
}

/// A TLS stream as the library takes it.
struct Wire(TlsStream<TcpStream>);

impl Connected for Wire {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        waker: &mut Waker<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(waker, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        waker: &mut Waker<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(waker, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(waker)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(waker)
    }
}

/// Serves until it is killed. `words`: ADDRESS,TLS_DIR.
pub(crate) fn serve(words: &str) -> Result<()> {
    let (address, dir) = words.split_once(',').context("ADDRESS,TLS_DIR")?;
    let tls = ServerTls::mutual(TlsDir::new(Path::new(dir)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let (ready, connections) = mpsc::channel(READY_MAX);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (config, ready) = (tls.config().0, ready.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                        let _ = ready.send(Ok::<_, io::Error>(Wire(stream))).await;
                    }
                });
            }
        });
        tonic::transport::Server::builder()
            .add_service(AgentServiceServer::new(Bare))
            .serve_with_incoming(ReceiverStream::new(connections))
            .await?;
        Ok(())
    })
}
