//! What takes minutes, on a clock that does not: the default times.

use super::*;
use crate::drain::{DrainSwitch, drain};
use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use meridian_link::{
    Batch, EventSender, LinkError, PendingSend, PullRequest, RoomError, RoomRequest, Standing, Submission,
    Unread, event_queue,
};
use meridian_types::{
    AppKey, ConversationKey, Position, Resource, UserName,
    msync::{CommSyncDl, CommSyncUl, MSync},
};
use prost::Message as _;
use std::{future::pending, sync::Mutex};
use tokio::{io::DuplexStream, task::JoinHandle};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

/// Never answers anything.
#[derive(Debug, Default)]
struct Silent(Mutex<Vec<oneshot::Sender<Result<meridian_link::Sent, meridian_link::SendError>>>>);

#[async_trait]
impl Link for Silent {
    fn send(&self, _: Submission) -> PendingSend {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().push(sender);
        receiver
    }

    async fn unread(&self) -> Result<Vec<Unread>, LinkError> {
        pending().await
    }

    async fn pull(&self, _: PullRequest) -> Result<Batch, LinkError> {
        pending().await
    }

    async fn room(&self, _: RoomRequest) -> Result<Standing, RoomError> {
        pending().await
    }

    fn acknowledge(&self, _: &ConversationKey, _: Position) {}

    fn detach(&self, _: bool) {}
}

struct Rig {
    client: WebSocketStream<DuplexStream>,
    session: JoinHandle<End>,
    _core: (EventSender, oneshot::Sender<CloseReason>),
    _switch: DrainSwitch,
}

async fn rig() -> Rig {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let config = Arc::new(GatewayConfig::default());
    let socket = Socket::new(near, Bytes::new(), config.max_frame_bytes, config.write_timeout).await;
    let (event, events) = event_queue(8);
    let (close, closed) = oneshot::channel();
    let attached = Attached {
        app: AppKey::parse("org#app").unwrap(),
        user: UserName::parse("bob").unwrap(),
        resource: Resource::parse("b1").unwrap(),
        attached_at: Millis(1),
        token_expires_at: None,
        token_epoch: 1,
        session: Arc::new(Silent::default()),
        events,
        closed,
    };
    let (switch, drain) = drain();
    let session = Box::new(Session::new(Box::new(socket), attached, config, drain));
    Rig {
        client: WebSocketStream::from_raw_socket(far, Role::Client, None).await,
        session: tokio::spawn(session.run()),
        _core: (event, close),
        _switch: switch,
    }
}

async fn send(client: &mut WebSocketStream<DuplexStream>, command: i32, payload: Option<Vec<u8>>) {
    let frame = MSync { command: Some(command), payload: payload.map(Bytes::from), ..MSync::default() };
    client.send(Message::Binary(frame.encode_to_vec().into())).await.unwrap();
}

async fn read_frame(client: &mut WebSocketStream<DuplexStream>) -> MSync {
    loop {
        if let Message::Binary(bytes) = client.next().await.unwrap().unwrap() {
            return MSync::decode(bytes).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays_and_a_silent_one_does_not() {
    let mut rig = rig().await;
    let begun = Instant::now();
    for seconds in [0, 4, 12, 28, 58, 88, 118] {
        assert!(matches!(rig.client.next().await.unwrap().unwrap(), Message::Ping(_)));
        assert_eq!(begun.elapsed().as_secs(), seconds);
        rig.client.flush().await.unwrap();
    }
    // From here on nobody reads, so nobody answers.
    let end = rig.session.await.unwrap();
    assert!(matches!(end, End::Idle), "{end:?}");
    let silence = begun.elapsed() - Duration::from_secs(148);
    // Ten seconds of silence, and the time that the end may take on a line that loses it.
    assert!((40..=42).contains(&silence.as_secs()), "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn sends_are_answered_within_14_seconds_whatever_the_core_does() {
    let mut rig = rig().await;
    let begun = Instant::now();
    for id in 1..=3 {
        let meta = Meta { id: Some(id), ns: Some(1), ..Meta::default() };
        let sync = CommSyncUl { meta: Some(meta), ..CommSyncUl::default() };
        send(&mut rig.client, 0, Some(sync.encode_to_vec())).await;
    }
    for id in 1..=3 {
        let answer = CommSyncDl::decode(read_frame(&mut rig.client).await.payload.unwrap()).unwrap();
        assert_eq!((answer.meta_id, answer.status.unwrap().reason()), (Some(id), "server busy"));
    }
    assert_eq!(begun.elapsed().as_secs(), 14);
}

#[tokio::test(start_paused = true)]
async fn an_unread_is_answered_although_the_core_is_not() {
    let mut rig = rig().await;
    let begun = Instant::now();
    send(&mut rig.client, 1, None).await;
    assert_eq!(read_frame(&mut rig.client).await.command, Some(1));
    assert_eq!(begun.elapsed().as_secs(), 5);
}
