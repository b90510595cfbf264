//! The calling end: a connection per address, made when first needed and again when it broke.

use super::{
    Secret,
    frame::{self, FRAME_LIMIT},
};
use crate::tls::{Tls, Wire};
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

/// Requests that may wait for one connection's socket.
const WAITING: usize = 1024;
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing of the request has left.
    #[error("the core cannot be reached")]
    NotSent,
    /// The other core may have got it.
    #[error("the core did not answer")]
    Lost,
}

struct Call {
    request: Bytes,
    reply: oneshot::Sender<Bytes>,
}

/// Calls to other cores. Dropping it ends its connections.
#[derive(Debug)]
pub struct PeerClient {
    secret: Secret,
    tls: Tls,
    connections: Mutex<HashMap<String, mpsc::Sender<Call>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl PeerClient {
    #[must_use]
    pub fn new(secret: Secret, tls: Tls) -> Self {
        Self { secret, tls, connections: Mutex::default(), tasks: Mutex::default() }
    }

    /// Asks the core at an address. Gives up after ten seconds.
    pub async fn call(&self, address: &str, request: Bytes) -> Result<Bytes, CallError> {
        if request.len() > FRAME_LIMIT {
            return Err(CallError::NotSent);
        }
        let (reply, answer) = oneshot::channel();
        let connection = match self.open(address) {
            Some(connection) => connection,
            None => self.connect(address).await?,
        };
        connection.try_send(Call { request, reply }).map_err(|_| CallError::NotSent)?;
        match timeout(CALL_DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(CallError::Lost),
        }
    }

    fn open(&self, address: &str) -> Option<mpsc::Sender<Call>> {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.get(address).filter(|connection| !connection.is_closed()).cloned()
    }

    async fn connect(&self, address: &str) -> Result<mpsc::Sender<Call>, CallError> {
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut stream = self.tls.connect(stream).await?;
            frame::greet(&mut stream, &self.secret).await?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = match timeout(CONNECT_DEADLINE, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(address, %error, "core not reached");
                return Err(CallError::NotSent);
            }
            Err(_) => return Err(CallError::NotSent),
        };
        // Another call may have been as quick: its connection is as good.
        if let Some(open) = self.open(address) {
            return Ok(open);
        }
        let (sender, calls) = mpsc::channel(WAITING);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|_, connection| !connection.is_closed());
        connections.insert(address.to_owned(), sender.clone());
        drop(connections);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(carry(stream, calls));
        Ok(sender)
    }
}

type Asked = Arc<Mutex<HashMap<u64, oneshot::Sender<Bytes>>>>;

/// Runs a connection until it breaks or is idle. Calls without an answer learn it by their dropped senders.
async fn carry(stream: Box<dyn Wire>, calls: mpsc::Receiver<Call>) {
    let (reader, writer) = tokio::io::split(stream);
    let asked = Asked::default();
    let ended = tokio::select! {
        ended = send(BufWriter::new(writer), calls, &asked) => ended,
        ended = receive(BufReader::new(reader), &asked) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "link to a core broke");
    }
}

async fn send(
    mut writer: BufWriter<impl AsyncWrite + Unpin>,
    mut calls: mpsc::Receiver<Call>,
    asked: &Asked,
) -> std::io::Result<()> {
    let mut next_id = 0;
    loop {
        let call = match calls.try_recv() {
            Ok(call) => call,
            Err(_) => {
                writer.flush().await?;
                match timeout(IDLE, calls.recv()).await {
                    Ok(Some(call)) => call,
                    Ok(None) => return Ok(()),
                    Err(_) if asked.lock().unwrap_or_else(PoisonError::into_inner).is_empty() => {
                        return Ok(());
                    }
                    Err(_) => continue,
                }
            }
        };
        next_id += 1;
        {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            // Whose asker gave up will not be answered.
            if asked.len() >= WAITING {
                asked.retain(|_, reply| !reply.is_closed());
            }
            asked.insert(next_id, call.reply);
        }
        frame::write(&mut writer, next_id, &call.request).await?;
    }
}

async fn receive(mut reader: BufReader<impl AsyncRead + Unpin>, asked: &Asked) -> std::io::Result<()> {
    while let Some((id, answer)) = frame::read(&mut reader).await? {
        let reply = asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
    }
    Ok(())
}
