//! A server in a few lines for the tests of sender and receiver: it does what it is told, right or wrong.

use crate::{
    client::{Connection, Login},
    uplink::user_jid,
};
use futures_util::{SinkExt, StreamExt};
use meridian_types::msync::{
    CommSyncDl, CommSyncUl, CommUnreadDl, Jid, MSync, MessageBody, Meta, Provision, Status,
    message_body::Content,
};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// The server's side of one connection that is logged in.
pub(crate) struct Scripted(WebSocketStream<TcpStream>);

fn frame(command: i32, payload: &impl prost::Message) -> Message {
    let payload = Some(payload.encode_to_vec().into());
    Message::Binary(MSync { command: Some(command), payload, ..MSync::default() }.encode_to_vec().into())
}

fn status(code: i32, reason: &str) -> Option<Status> {
    Some(Status { error_code: Some(code), reason: Some(reason.into()), ..Status::default() })
}

/// A connection, and the server that holds its other end.
pub(crate) async fn connected(refusal: Option<&str>) -> anyhow::Result<(Connection, Scripted)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let login = Login {
        tls: crate::client::Tls::default(),
        listen: listener.local_addr()?,
        app_key: "o#a".into(),
        user: "alice".into(),
        token: "T".into(),
        resource: "r".into(),
        source: None,
    };
    let serve = async {
        let mut server = Scripted(accept_async(listener.accept().await?.0).await?);
        assert_eq!(server.next().await.unwrap().command, Some(3));
        let status = status(i32::from(refusal.is_some()), refusal.unwrap_or_default());
        server.0.send(frame(3, &Provision { status, ..Provision::default() })).await?;
        if refusal.is_none() {
            assert_eq!(server.next().await.unwrap().command, Some(1));
            server.0.send(frame(1, &CommUnreadDl::default())).await?;
        }
        anyhow::Ok(server)
    };
    let (opened, server) = tokio::join!(Connection::open(&login), serve);
    Ok((opened?.0, server?))
}

impl Scripted {
    /// The client's next frame; `None` when it has gone.
    async fn next(&mut self) -> Option<MSync> {
        match self.0.next().await?.ok()? {
            Message::Binary(bytes) => Some(MSync::decode(bytes).unwrap()),
            _ => None,
        }
    }

    pub(crate) async fn next_sync(&mut self) -> Option<CommSyncUl> {
        Some(CommSyncUl::decode(self.next().await?.payload.unwrap()).unwrap())
    }

    pub(crate) async fn answer(&mut self, client_id: u64, result: Result<u64, &str>) {
        let answer = CommSyncDl {
            status: status(i32::from(result.is_err()), result.err().unwrap_or_default()),
            meta_id: Some(client_id),
            server_id: result.ok(),
            ..CommSyncDl::default()
        };
        self.0.send(frame(0, &answer)).await.unwrap();
    }

    /// Delivers a text of alice; gives the key that the client acknowledges.
    pub(crate) async fn deliver(&mut self, server_id: u64, text: &str, key: u64) -> Option<u64> {
        let content = Content { r#type: Some(0), text: Some(text.into()), ..Content::default() };
        let body = MessageBody { contents: vec![content], ..MessageBody::default() };
        let item = Meta {
            id: Some(server_id),
            from: Some(Jid { client_resource: Some("d".into()), ..user_jid("o#a", "alice") }),
            ns: Some(1),
            payload: Some(body.encode_to_vec().into()),
            ..Meta::default()
        };
        let delivery = CommSyncDl {
            status: status(0, ""),
            metas: vec![item],
            next_key: Some(key),
            queue: Some(user_jid("o#a", "alice")),
            is_last: Some(false),
            ..CommSyncDl::default()
        };
        self.0.send(frame(0, &delivery)).await.unwrap();
        let sync = self.next_sync().await?;
        assert_eq!(sync.queue, Some(user_jid("o#a", "alice")));
        sync.key
    }
}
