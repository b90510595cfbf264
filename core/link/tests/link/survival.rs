//! Sessions outlive their core.

use crate::scripted::{ENOUGH, Region, Running, at, conversation, edge, login, start, submission, until};
use meridian_link::{Attached, CloseReason, Core, Credential, PendingSend, Refusal, SessionEvent};
use meridian_types::Millis;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// Two cores, the one that has the session first.
async fn two(region: &Arc<Region>) -> (Running, Running, meridian_link::Cores, Attached) {
    let (first, second) = (start(region).await, start(region).await);
    let edge = edge(&[first.address, second.address]).await;
    let alice = edge.attach(login("alice")).await.unwrap();
    if first.attached() == 1 { (first, second, edge, alice) } else { (second, first, edge, alice) }
}

async fn answered(pending: Vec<PendingSend>) {
    for answer in pending {
        timeout(ENOUGH, answer).await.expect("no answer").unwrap().unwrap();
    }
}

async fn lagged(alice: &mut Attached) {
    let event = timeout(ENOUGH, alice.events.recv()).await.unwrap();
    assert!(matches!(event, Some(SessionEvent::Lagged)), "{event:?}");
}

#[tokio::test]
async fn a_core_dies_and_what_it_did_not_answer_is_sent_again() {
    let region = Arc::<Region>::default();
    let (first, second, _edge, mut alice) = two(&region).await;
    first.core.holds_answers.store(true, Ordering::Relaxed);
    let mut pending: Vec<_> = (1..=20).map(|id| alice.session.send(submission(id))).collect();
    alice.session.acknowledge(&conversation(), at(8));
    until("the core has them", || region.stored.lock().unwrap().len() == 20).await;
    until("the core has the position", || *region.acknowledged.lock().unwrap() == [8]).await;
    drop(first);
    pending.extend((21..=40).map(|id| alice.session.send(submission(id))));
    answered(pending).await;
    assert_eq!(*region.stored.lock().unwrap(), (1..=40).collect::<Vec<_>>());
    assert_eq!(*region.acknowledged.lock().unwrap(), [8, 8]);
    lagged(&mut alice).await;
    assert!(alice.closed.try_recv().is_err());
    let seats = second.core.seats.lock().unwrap();
    let Credential::Resume(resume) = seats[0].login.credential else { panic!("not resumed") };
    assert_eq!((resume.attached_at, resume.token_epoch), (Millis(77), u64::MAX));
}

#[tokio::test]
async fn a_core_that_drains_is_left_without_a_pause() {
    let region = Arc::<Region>::default();
    let (first, second, edge, mut alice) = two(&region).await;
    first.core.ready.store(false, Ordering::Relaxed);
    let mut id = 0;
    let moving = async {
        while second.attached() == 0 {
            id += 1;
            answered(vec![alice.session.send(submission(id))]).await;
        }
    };
    timeout(ENOUGH, moving).await.expect("not moved");
    until("the old seat is left", || *first.core.detached.lock().unwrap() == [false]).await;
    assert_eq!(*region.stored.lock().unwrap(), (1..=id).collect::<Vec<_>>());
    lagged(&mut alice).await;
    assert!(alice.closed.try_recv().is_err());
    edge.attach(login("bob")).await.unwrap();
    assert_eq!((first.attached(), second.attached()), (1, 2));
}

#[tokio::test]
async fn a_core_that_drains_alone_keeps_its_sessions() {
    let region = Arc::<Region>::default();
    let first = start(&region).await;
    let edge = edge(&[first.address]).await;
    let mut alice = edge.attach(login("alice")).await.unwrap();
    first.core.ready.store(false, Ordering::Relaxed);
    until("the edge knows", || !edge.is_ready()).await;
    answered(vec![alice.session.send(submission(1))]).await;
    assert!(alice.closed.try_recv().is_err());
    assert!(first.core.detached.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_core_that_says_draining_to_a_session_loses_it_to_another() {
    let region = Arc::<Region>::default();
    let (first, second, _edge, mut alice) = two(&region).await;
    let seat = first.core.seats.lock().unwrap().pop().unwrap();
    first.core.ready.store(false, Ordering::Relaxed);
    seat.close.send(CloseReason::Draining).unwrap();
    until("the session has moved", || second.attached() == 1).await;
    answered(vec![alice.session.send(submission(1))]).await;
    assert!(alice.closed.try_recv().is_err());
}

#[tokio::test]
async fn a_session_that_may_not_go_on_ends_with_the_reason() {
    for (refusal, expected) in [
        (Refusal::Replaced, CloseReason::Replaced { extension: String::new() }),
        (Refusal::CredentialMismatch, CloseReason::PasswordChanged),
        (Refusal::Forbidden, CloseReason::Removed),
    ] {
        let region = Arc::<Region>::default();
        let (first, _second, _edge, alice) = two(&region).await;
        *region.refuse_resumed.lock().unwrap() = Some(refusal);
        drop(first);
        assert_eq!(timeout(ENOUGH, alice.closed).await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn without_any_core_a_session_waits_and_then_ends() {
    let region = Arc::<Region>::default();
    let first = start(&region).await;
    let edge = edge(&[first.address]).await;
    let alice = edge.attach(login("alice")).await.unwrap();
    let pending = alice.session.send(submission(1));
    answered(vec![pending]).await;
    drop(first);
    // Dropped without a word: the core went away.
    assert!(timeout(ENOUGH, alice.closed).await.unwrap().is_err());
}

#[tokio::test]
async fn a_core_that_hangs_is_given_up() {
    let region = Arc::<Region>::default();
    let (first, second) = (start(&region).await, start(&region).await);
    second.core.ready.store(false, Ordering::Relaxed);
    let hang = watch::Sender::new(false);
    let address = through(first.address, hang.subscribe()).await;
    let edge = edge(&[address, second.address]).await;
    let mut alice = edge.attach(login("alice")).await.unwrap();
    second.core.ready.store(true, Ordering::Relaxed);
    hang.send_replace(true);
    let pending = (1..=5).map(|id| alice.session.send(submission(id))).collect();
    answered(pending).await;
    assert_eq!(second.attached(), 1);
    assert_eq!(*region.stored.lock().unwrap(), [1, 2, 3, 4, 5]);
    assert!(alice.closed.try_recv().is_err());
}

#[tokio::test]
async fn addresses_come_and_go() {
    let region = Arc::<Region>::default();
    let (first, second) = (start(&region).await, start(&region).await);
    let addresses = watch::Sender::new(vec![first.address.to_string()]);
    let secret = meridian_link::peer::Secret::new(crate::scripted::SECRET);
    let edge = meridian_link::Cores::connect(
        addresses.subscribe(),
        secret,
        meridian_link::Tls::none(),
        crate::scripted::QUICK,
    );
    until("a core is ready", || edge.is_ready()).await;
    let mut alice = edge.attach(login("alice")).await.unwrap();
    addresses.send_replace(vec![second.address.to_string()]);
    until("the session has moved", || second.attached() == 1).await;
    answered(vec![alice.session.send(submission(1))]).await;
    assert!(alice.closed.try_recv().is_err());
}

/// A way to an address that can be made to pass nothing on, without closing anything.
async fn through(to: SocketAddr, hang: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = AtomicBool::new(true);
    tokio::spawn(async move {
        while open.load(Ordering::Relaxed) {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(to).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(pass(near_in, far_out, hang.clone()));
            tokio::spawn(pass(far_in, near_out, hang.clone()));
        }
    });
    address
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut hang: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if *hang.borrow() {
            let _ = timeout(Duration::from_secs(60), hang.wait_for(|hang| !hang)).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
