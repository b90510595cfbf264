//! Everything that edge and core say to each other arrives as it was said.

use crate::scripted::{
    ENOUGH, Region, Running, at, conversation, edge, entry, live, login, start, submission, until,
};
use meridian_link::{
    CloseReason, Core, Cores, Credential, Events, LinkError, Patience, Platform, PullRequest, Refusal,
    RouteTo, SendError, SessionEvent, Tls, peer::Secret,
};
use meridian_types::{MessageId, Millis};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

async fn one() -> (Arc<Region>, Running, Cores) {
    let region = Arc::<Region>::default();
    let core = start(&region).await;
    let edge = edge(&[core.address]).await;
    (region, core, edge)
}

async fn next(events: &mut Events) -> SessionEvent {
    timeout(ENOUGH, events.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_login_and_its_answer() {
    let (_, core, edge) = one().await;
    let attached = edge.attach(login("alice")).await.unwrap();
    assert_eq!((attached.app.as_str(), attached.user.as_str()), ("org#app", "alice"));
    assert_eq!(attached.resource.as_str(), "phone");
    assert_eq!((attached.attached_at, attached.token_expires_at), (Millis(77), Some(Millis(99))));
    {
        let seats = core.core.seats.lock().unwrap();
        let told = &seats[0].login;
        assert!(matches!(&told.credential, Credential::Token(token) if token == "token"));
        assert_eq!((told.device.platform, told.device.uuid.as_str()), (Platform::Custom(7), "uuid"));
        assert_eq!((told.extension.as_str(), told.address), ("ext", Some([10, 1, 2, 3].into())));
    }
    assert_eq!(edge.attach(login("nobody")).await.unwrap_err(), Refusal::UserNotFound);
    drop(attached);
    until("the device is detached", || *core.core.detached.lock().unwrap() == [false]).await;
    let attached = edge.attach(login("alice")).await.unwrap();
    attached.session.detach(true);
    until("the device is logged out", || *core.core.detached.lock().unwrap() == [false, true]).await;
}

#[tokio::test]
async fn sends_pulls_lists_and_acknowledgements() {
    let (region, _core, edge) = one().await;
    let alice = edge.attach(login("alice")).await.unwrap();
    let answers: Vec<_> = (1..=50).map(|id| alice.session.send(submission(id))).collect();
    for (id, answer) in (1..).zip(answers) {
        let sent = timeout(ENOUGH, answer).await.unwrap().unwrap().unwrap();
        assert_eq!((sent.message_id, sent.at), (MessageId(id + 1000), Millis(5)));
        assert_eq!(sent.notice.as_deref(), Some("tablet"));
    }
    assert_eq!(*region.stored.lock().unwrap(), (1..=50).collect::<Vec<_>>());
    let directed = RouteTo::Members(vec!["a".into(), "b".into()]);
    let refused = alice.session.send(meridian_link::Submission { route: directed, ..submission(51) });
    assert_eq!(refused.await.unwrap(), Err(SendError::TooLarge { limit: 2 }));

    let unread = alice.session.unread().await.unwrap();
    assert_eq!(
        (unread[0].conversation.clone(), unread[0].position, unread[0].count),
        (conversation(), at(3), 2)
    );
    let pull = |after, max_entries| PullRequest {
        conversation: conversation(),
        after: at(after),
        max_entries,
        max_bytes: 9,
    };
    let batch = alice.session.pull(pull(0, 1)).await.unwrap();
    assert_eq!((batch.position, batch.more), (at(5), true));
    let entries: Vec<_> = (1..=5).map(entry).collect();
    assert_eq!(batch.entries, entries);
    assert_eq!(alice.session.pull(pull(9, 2)).await.unwrap_err(), LinkError::Busy);
    alice.session.acknowledge(&conversation(), at(4));
    until("the position arrives", || *region.acknowledged.lock().unwrap() == [4]).await;
}

#[tokio::test]
async fn events_and_the_end_of_a_session() {
    let (_, core, edge) = one().await;
    let mut alice = edge.attach(login("alice")).await.unwrap();
    let mut bob = edge.attach(login("bob")).await.unwrap();
    let seats = std::mem::take(&mut *core.core.seats.lock().unwrap());
    let [at_alice, at_bob] = <[_; 2]>::try_from(seats).unwrap();
    for (seat, deliver) in [(&at_alice, true), (&at_bob, false)] {
        seat.events.tell(live(1, deliver));
        seat.events.tell(SessionEvent::Transient(entry(2)));
        seat.events.tell(SessionEvent::Lagged);
    }
    for (events, expected) in [(&mut alice.events, true), (&mut bob.events, false)] {
        let SessionEvent::Entry { entry: told, position, deliver } = next(events).await else { panic!() };
        assert_eq!((told, position, deliver), (entry(1), at(1), expected));
        assert!(matches!(next(events).await, SessionEvent::Transient(told) if told == entry(2)));
        assert!(matches!(next(events).await, SessionEvent::Lagged));
    }
    let reason = CloseReason::Replaced { extension: "there".into() };
    at_alice.close.send(reason.clone()).unwrap();
    assert_eq!(timeout(ENOUGH, alice.closed).await.unwrap().unwrap(), reason);
}

#[tokio::test]
async fn a_session_that_reads_nothing_holds_up_nobody() {
    let (_, core, edge) = one().await;
    let mut stalled = edge.attach(login("alice")).await.unwrap();
    let mut bob = edge.attach(login("bob")).await.unwrap();
    let seats = std::mem::take(&mut *core.core.seats.lock().unwrap());
    for seq in 1..=1000 {
        for seat in &seats {
            seat.events.tell(live(seq % 3 + 1, true));
        }
        // No more than one is on its way to each.
        let event = next(&mut bob.events).await;
        assert!(matches!(event, SessionEvent::Entry { .. }), "{event:?}");
    }
    let waiting: Vec<_> = std::iter::from_fn(|| stalled.events.try_recv()).collect();
    assert_eq!(waiting.len(), 257);
    assert!(matches!(waiting.last(), Some(SessionEvent::Lagged)), "the end of what came is told as well");
}

#[tokio::test]
async fn strangers_are_turned_away() {
    let (_, core, edge) = one().await;
    let (_, list) = watch::channel(vec![core.address.to_string()]);
    let patience = Patience { ping: Duration::from_millis(50), ..Patience::default() };
    let stranger = Cores::connect(list, Secret::new("another secret"), Tls::none(), patience);
    for noise in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0; 100], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(core.address).await.unwrap();
        let _ = stream.write_all(noise).await;
        let mut answer = Vec::new();
        // Ends, with an error or without: it is turned away.
        let _ = timeout(ENOUGH, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.len() < 100, "{answer:?}");
    }
    assert!(!stranger.is_ready());
    edge.attach(login("alice")).await.unwrap();
}
