//! Random histories: a core that is slow, fails, drops events and shows entries before it announces them, and a
//! client that behaves like the SDK (its list of noticed queues, which survives reconnections, included) and loses
//! its connection now and then. Whatever happens, every entry arrives, in order, once per connection, and everything
//! is acknowledged in the end. There is no heartbeat to repair a lost wake-up.

use crate::{
    client::Client,
    core::{Call, PATIENCE, Seat, Stage, at, entry_from, with},
};
use futures_util::StreamExt;
use meridian_link::{Batch, LinkError, PullRequest, SessionEvent, Unread};
use meridian_types::{
    ConversationKey, Entry,
    msync::{CommNotice, CommSyncDl, CommUnreadDl, MSync, m_sync::Command},
};
use prost::Message as _;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::yield_now,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

const PEERS: [&str; 3] = ["alice", "carol", "dave"];
const ENTRIES: usize = 150;

/// xorshift64*: reproducible from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Every third entry or so is not for the device.
fn delivered(seq: u64) -> bool {
    seq % 7 != 3 && !seq.is_multiple_of(11)
}

/// Numbers per peer.
type Numbers = BTreeMap<&'static str, Vec<u64>>;

type Pulled = Result<Batch, LinkError>;

struct World {
    dice: Dice,
    seats: mpsc::UnboundedReceiver<Seat>,
    seat: Option<Seat>,
    logs: BTreeMap<&'static str, u64>,
    acknowledged: BTreeMap<&'static str, u64>,
    /// Committed, not yet announced.
    unannounced: VecDeque<Arc<Entry>>,
    /// The answer to a pull is read at once and given later: what is committed and announced meanwhile is not in it.
    held: Option<(oneshot::Sender<Pulled>, Pulled)>,
    made: usize,
    settled: watch::Sender<bool>,
}

fn peer(conversation: &ConversationKey) -> &'static str {
    PEERS.into_iter().find(|peer| &with(peer) == conversation).unwrap()
}

impl World {
    /// Gives the number of entries per peer, once nobody listens any more.
    async fn live(mut self) -> BTreeMap<&'static str, u64> {
        loop {
            if let Ok(seat) = self.seats.try_recv() {
                self.seat = Some(seat);
            }
            while let Some(call) = self.seat.as_mut().and_then(|seat| seat.calls.try_recv().ok()) {
                self.answer(call);
            }
            match self.dice.below(4) {
                0 if self.made < ENTRIES => self.commit(),
                1 => self.announce(),
                2 => {
                    if let Some((answer, batch)) = self.held.take() {
                        let _ = answer.send(batch);
                    }
                }
                _ => {}
            }
            // An entry for others whose event was dropped stays unacknowledged until the next one comes: nothing is owed.
            let settled = self.made == ENTRIES && self.owed().is_empty();
            if self.settled.send(settled).is_err() {
                return self.logs;
            }
            yield_now().await;
        }
    }

    fn commit(&mut self) {
        let peer = PEERS[self.dice.below(3) as usize];
        let seq = self.logs.entry(peer).or_default();
        *seq += 1;
        self.unannounced.push_back(entry_from(peer, *seq));
        self.made += 1;
    }

    fn announce(&mut self) {
        let Some(seat) = &self.seat else { return };
        if let Some(entry) = self.unannounced.pop_front() {
            let (position, deliver) = (at(entry.seq.0), delivered(entry.seq.0));
            let event = SessionEvent::Entry { entry, position, deliver };
            seat.events.tell(event);
        }
    }

    fn answer(&mut self, call: Call) {
        match call {
            Call::Unread(answer) => {
                let list = if self.dice.percent(20) { Err(LinkError::Busy) } else { Ok(self.owed()) };
                let _ = answer.send(list);
            }
            Call::Pull(request, answer) => {
                let batch =
                    if self.dice.percent(20) { Err(LinkError::Busy) } else { Ok(self.batch(&request)) };
                self.held = Some((answer, batch));
            }
            Call::Acknowledge(conversation, position) => {
                let peer = peer(&conversation);
                assert!(position.seq.0 <= self.logs[peer], "acknowledged what is not there");
                let acknowledged = self.acknowledged.entry(peer).or_default();
                *acknowledged = position.seq.0.max(*acknowledged);
            }
            Call::Detach(_) => {}
            Call::Send(..) | Call::Room(..) => panic!("nobody sends"),
        }
    }

    fn owed(&self) -> Vec<Unread> {
        let owed = self.logs.iter().filter_map(|(peer, last)| {
            let acknowledged = self.acknowledged.get(peer).copied().unwrap_or_default();
            let count = (acknowledged + 1..=*last).filter(|seq| delivered(*seq)).count() as u32;
            (count > 0).then(|| Unread { conversation: with(peer), position: at(acknowledged), count })
        });
        owed.collect()
    }

    fn batch(&mut self, request: &PullRequest) -> Batch {
        let (peer, after) = (peer(&request.conversation), request.after.seq.0);
        let last = self.logs[peer];
        let end = last.min(after + 1 + self.dice.below(6));
        let entries = (after + 1..=end).filter(|seq| delivered(*seq)).map(|seq| entry_from(peer, seq));
        Batch { entries: entries.collect(), position: at(end), more: end < last }
    }
}

/// What the SDK keeps, reconnections included.
#[derive(Default)]
struct Device {
    noticed: Vec<String>,
    last: (u64, String),
    received: Numbers,
}

impl Device {
    /// Handles frames until `leave` of them were handled, or everything is settled.
    async fn stay(
        &mut self,
        client: &mut Client,
        mut leave: u64,
        settled: &mut watch::Receiver<bool>,
    ) -> bool {
        let mut on_this_connection: BTreeMap<&'static str, u64> = BTreeMap::new();
        client.send(Command::Unread, None).await;
        while leave > 0 {
            let message = tokio::select! {
                message = client.socket.next() => message.unwrap().unwrap(),
                Ok(_) = settled.wait_for(|settled| *settled) => return true,
            };
            let Message::Binary(bytes) = message else { continue };
            let frame = MSync::decode(bytes).unwrap();
            let command = frame.command();
            let payload = frame.payload.unwrap();
            match command {
                Command::Unread => {
                    for queue in CommUnreadDl::decode(payload).unwrap().unread {
                        client.pull(queue.queue.unwrap().name(), None).await;
                    }
                }
                Command::Notice => {
                    let name = CommNotice::decode(payload).unwrap().queue.unwrap().name.unwrap();
                    if !self.noticed.contains(&name) {
                        self.noticed.push(name.clone());
                        if self.noticed.len() == 1 {
                            client.pull(&name, None).await;
                        }
                    }
                }
                Command::Sync => {
                    let sync = CommSyncDl::decode(payload).unwrap();
                    self.sync(client, sync, &mut on_this_connection).await;
                }
                other => panic!("unexpected {other:?}"),
            }
            leave -= 1;
        }
        false
    }

    async fn sync(&mut self, client: &mut Client, sync: CommSyncDl, seen: &mut BTreeMap<&'static str, u64>) {
        let name = sync.queue.as_ref().unwrap().name().to_owned();
        if sync.is_last() {
            assert!(sync.metas.is_empty());
            self.noticed.retain(|noticed| *noticed != name);
            if let Some(head) = self.noticed.first() {
                client.pull(head, None).await;
            }
            return;
        }
        let peer = PEERS.into_iter().find(|peer| *peer == name).unwrap();
        for meta in &sync.metas {
            let seq = meta.id() - 1000;
            let last = seen.insert(peer, seq).unwrap_or_default();
            assert!(seq > last, "{peer} {seq} after {last} on one connection");
            let received = self.received.entry(peer).or_default();
            match received.last() {
                Some(last) if seq <= *last => {}
                _ => received.push(seq),
            }
        }
        let key = (sync.next_key.unwrap(), name.clone());
        assert_ne!(key, self.last, "the client would stop acknowledging");
        self.last = key;
        client.pull(&name, sync.next_key).await;
    }
}

async fn history(seed: u64) {
    let mut stage = Stage::with(|config| {
        config.retry_delay = Duration::from_millis(2);
        config.max_in_flight = 4;
    })
    .await;
    stage.event_room(1 + (seed as usize % 5) * 3);
    let (settle, mut settled) = watch::channel(false);
    let world = tokio::spawn(
        World {
            dice: Dice(seed * 2 + 1),
            seats: stage.take_seats(),
            seat: None,
            logs: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            unannounced: VecDeque::new(),
            held: None,
            made: 0,
            settled: settle,
        }
        .live(),
    );
    let (mut device, mut dice) = (Device::default(), Dice(seed * 2 + 1001));
    for connection in 0.. {
        let mut client = Client::connect(stage.address).await;
        assert_eq!(client.provision().await.status.unwrap().error_code, Some(0));
        // The last connection has to bring everything.
        let leave = if connection < 4 { 1 + dice.below(40) } else { u64::MAX };
        if device.stay(&mut client, leave, &mut settled).await {
            break;
        }
    }
    drop(settled);
    let logs = timeout(PATIENCE, world).await.unwrap().unwrap();
    for (peer, last) in logs {
        let expected: Vec<u64> = (1..=last).filter(|seq| delivered(*seq)).collect();
        assert_eq!(device.received.remove(peer).unwrap_or_default(), expected, "{peer}");
    }
}

#[tokio::test]
async fn whatever_happens_everything_arrives_in_order_and_is_acknowledged() {
    for seed in 0..40 {
        let run = timeout(PATIENCE, history(seed));
        assert!(run.await.is_ok(), "seed {seed}: not everything arrived");
    }
}
