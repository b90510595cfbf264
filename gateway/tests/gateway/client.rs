//! A client of the protocol, on a real socket.

use crate::core::{PATIENCE, Seat, Stage, body};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use meridian_types::msync::{
    CommNotice, CommSyncDl, CommSyncUl, CommUnreadDl, Jid, MSync, Meta, Provision, m_sync::Command,
};
use prost::Message as _;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
}

pub(crate) fn jid(name: &str) -> Jid {
    Jid {
        app_key: Some("org#app".into()),
        name: Some(name.into()),
        domain: Some("easemob.com".into()),
        client_resource: None,
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{address}/websocket"), stream).await.unwrap();
        Self { socket }
    }

    /// Connects and logs in as bob.
    pub(crate) async fn log_in(stage: &mut Stage) -> (Self, Seat) {
        let mut client = Self::connect(stage.address).await;
        let answer = client.provision().await;
        assert_eq!(answer.status.unwrap().error_code, Some(0));
        (client, stage.seat().await)
    }

    /// Logs in and takes the first list.
    pub(crate) async fn online(stage: &mut Stage, list: Vec<meridian_link::Unread>) -> (Self, Seat) {
        let (mut client, mut seat) = Self::log_in(stage).await;
        let expected = list.len();
        client.send(Command::Unread, None).await;
        seat.unread(list).await;
        let answer = client.unread().await;
        assert_eq!(answer.unread.len(), expected);
        (client, seat)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn provision(&mut self) -> Provision {
        self.send_login().await;
        self.read_as(Command::Provision).await
    }

    pub(crate) async fn send_login(&mut self) {
        let provision = Provision {
            os_type: Some(16),
            version: Some("4.21.1".into()),
            resource: Some("webim_web_1".into()),
            device_uuid: Some("web_1".into()),
            device_name: Some("webim".into()),
            auth_token: Some(r#"{"token":"$t$T-bob"}"#.into()),
            session_id: Some("17:".into()),
            reason: Some("ext".into()),
            protocol_compress_type: vec![2],
            ..Provision::default()
        };
        let frame = MSync {
            guid: Some(Jid { client_resource: Some("webim_web_1".into()), ..jid("bob") }),
            auth: Some("$t$T-bob".into()),
            command: Some(Command::Provision as i32),
            payload: Some(provision.encode_to_vec().into()),
            ..MSync::default()
        };
        self.raw(frame.encode_to_vec()).await;
    }

    pub(crate) async fn send(&mut self, command: Command, payload: Option<Vec<u8>>) {
        let frame =
            MSync { command: Some(command as i32), payload: payload.map(Bytes::from), ..MSync::default() };
        self.raw(frame.encode_to_vec()).await;
    }

    pub(crate) async fn raw(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
    }

    pub(crate) async fn item(&mut self, meta: Meta) {
        let sync = CommSyncUl { meta: Some(meta), ..CommSyncUl::default() };
        self.send(Command::Sync, Some(sync.encode_to_vec())).await;
    }

    /// A chat item to alice.
    pub(crate) async fn chat(&mut self, id: u64, body: &str) {
        self.item(Meta {
            id: Some(id),
            to: Some(jid("alice")),
            ns: Some(1),
            payload: Some(Bytes::copy_from_slice(body.as_bytes())),
            ..Meta::default()
        })
        .await;
    }

    pub(crate) async fn pull(&mut self, name: &str, key: Option<u64>) {
        let sync = CommSyncUl { queue: Some(jid(name)), key, ..CommSyncUl::default() };
        self.send(Command::Sync, Some(sync.encode_to_vec())).await;
    }

    /// The next binary frame.
    pub(crate) async fn read(&mut self) -> MSync {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("no frame").expect("closed").unwrap() {
                Message::Binary(bytes) => return MSync::decode(bytes).unwrap(),
                Message::Ping(_) => {}
                other => panic!("expected a frame, got {other:?}"),
            }
        }
    }

    async fn read_as<M: prost::Message + Default>(&mut self, command: Command) -> M {
        let frame = self.read().await;
        assert_eq!(frame.command(), command);
        M::decode(frame.payload.unwrap()).unwrap()
    }

    pub(crate) async fn sync(&mut self) -> CommSyncDl {
        let sync: CommSyncDl = self.read_as(Command::Sync).await;
        assert!(sync.status.is_some(), "a status is always there");
        sync
    }

    pub(crate) async fn unread(&mut self) -> CommUnreadDl {
        let unread: CommUnreadDl = self.read_as(Command::Unread).await;
        assert!(unread.status.is_some() && unread.timestamp.is_some());
        unread
    }

    pub(crate) async fn notice(&mut self) -> String {
        self.read_as::<CommNotice>(Command::Notice).await.queue.unwrap().name.unwrap()
    }

    /// A delivery of alice's queue: its key, and the numbers of its entries.
    pub(crate) async fn delivery(&mut self) -> (u64, Vec<u64>) {
        let sync = self.sync().await;
        assert_eq!((sync.is_last, sync.queue.unwrap()), (Some(false), jid("alice")));
        let seqs = sync.metas.iter().map(|meta| {
            let seq = meta.id() - 1000;
            assert_eq!(meta.payload.as_ref(), Some(&body(seq)));
            assert_eq!(meta.meta.as_deref(), Some(&br#"{"is_online":1}"#[..]));
            seq
        });
        (sync.next_key.unwrap(), seqs.collect())
    }

    /// "Empty, last" of a queue.
    pub(crate) async fn drained(&mut self, name: &str) {
        let sync = self.sync().await;
        assert_eq!((sync.is_last, sync.queue), (Some(true), Some(jid(name))));
        assert_eq!((sync.metas.len(), sync.next_key), (0, None));
    }

    /// Waits for the close, which must be the next thing, and gives its code.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("not closed") {
                Some(Ok(Message::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Err(Error::ConnectionClosed)) | None => panic!("closed without a word"),
                other => panic!("expected a close, got {other:?}"),
            }
        }
    }
}
