//! The answering end.

use super::{Secret, frame};
use crate::tls::{Tls, Wire};
use async_trait::async_trait;
use bytes::Bytes;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(2);
/// Requests of one connection that are served at once; the next is not read before one is done.
const AT_ONCE: usize = 1024;
const CONNECTIONS: usize = 256;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers.
#[async_trait]
pub trait PeerHandler: Send + Sync + 'static {
    async fn answer(&self, request: Bytes) -> Bytes;
}

/// Listens for other cores.
#[derive(Debug)]
pub struct PeerServer {
    listener: TcpListener,
    secret: Secret,
    tls: Tls,
}

impl PeerServer {
    pub async fn bind(address: SocketAddr, secret: Secret, tls: Tls) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, secret, tls })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until dropped; requests in hand end with it.
    pub async fn run(self, handler: Arc<dyn PeerHandler>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (secret, tls) = (self.secret.clone(), self.tls.clone());
                    connections.spawn(serve(stream, (secret, tls), handler.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "a core's connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    (secret, tls): (Secret, Tls),
    handler: Arc<dyn PeerHandler>,
    _permit: OwnedSemaphorePermit,
) {
    let served = async {
        stream.set_nodelay(true)?;
        let admitted = async {
            let mut stream = tls.accept(stream).await?;
            frame::admit(&mut stream, &secret).await?;
            Ok::<_, io::Error>(stream)
        };
        let stream = timeout(HANDSHAKE_DEADLINE, admitted).await??;
        answer_all(stream, handler).await
    };
    if let Err(error) = served.await {
        tracing::debug!(%error, "a core's connection ended");
    }
}

async fn answer_all(stream: Box<dyn Wire>, handler: Arc<dyn PeerHandler>) -> io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    let (answers, answered) = mpsc::channel(AT_ONCE);
    let reading = async {
        let mut reader = BufReader::new(reader);
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut requests = JoinSet::new();
        while let Some((id, request)) = frame::read(&mut reader).await? {
            while requests.try_join_next().is_some() {}
            let permit = room.clone().acquire_owned().await;
            let (answers, handler) = (answers.clone(), handler.clone());
            requests.spawn(async move {
                let answer = handler.answer(request).await;
                let _ = answers.send((id, answer)).await;
                drop(permit);
            });
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = write_all(BufWriter::new(writer), answered) => ended,
    }
}

async fn write_all(
    mut writer: BufWriter<impl AsyncWrite + Unpin>,
    mut answered: mpsc::Receiver<(u64, Bytes)>,
) -> io::Result<()> {
    while let Some((id, answer)) = answered.recv().await {
        frame::write(&mut writer, id, &answer).await?;
        while let Ok((id, answer)) = answered.try_recv() {
            frame::write(&mut writer, id, &answer).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}
