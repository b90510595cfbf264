//! Against a name server of its own, over UDP.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SRV},
};
use meridian_topology::{Finder, Options, Place};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::UdpSocket, sync::watch, time::timeout};

const ENOUGH: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Data {
    Ip(IpAddr),
    Service { priority: u16, target: &'static str, port: u16 },
}

/// Names and what they have; `None`: the server says nothing.
type Zone = Arc<Mutex<Option<HashMap<&'static str, Vec<Data>>>>>;

async fn server(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let question = Message::from_vec(&bytes[..length]).unwrap();
            let Some(answer) = answer(&question, &zone) else { continue };
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

fn answer(question: &Message, zone: &Zone) -> Option<Message> {
    let zone = zone.lock().unwrap();
    let zone = zone.as_ref()?;
    let query = question.queries.first()?.clone();
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    let name = query.name().to_string();
    let Some(data) = zone.get(name.trim_end_matches('.')) else {
        answer.metadata.response_code = ResponseCode::NXDomain;
        answer.add_query(query);
        return Some(answer);
    };
    for data in data {
        let rdata = match (data, query.query_type()) {
            (Data::Ip(IpAddr::V4(ip)), RecordType::A) => RData::A((*ip).into()),
            (Data::Ip(IpAddr::V6(ip)), RecordType::AAAA) => RData::AAAA((*ip).into()),
            (Data::Service { priority, target, port }, RecordType::SRV) => {
                RData::SRV(SRV::new(*priority, 1, *port, Name::from_ascii(target).unwrap()))
            }
            _ => continue,
        };
        answer.add_answer(Record::from_rdata(query.name().clone(), 0, rdata));
    }
    answer.add_query(query);
    Some(answer)
}

fn ip(text: &str) -> Data {
    Data::Ip(text.parse().unwrap())
}

fn service(priority: u16, target: &'static str, port: u16) -> Data {
    Data::Service { priority, target, port }
}

async fn start(place: &str, server: SocketAddr) -> watch::Receiver<Vec<String>> {
    let options = Options {
        servers: Some(vec![server]),
        at_least: Duration::from_millis(20),
        at_most: Duration::from_millis(200),
        deadline: Duration::from_millis(500),
    };
    let places = place.split(',').map(|place| place.parse::<Place>().unwrap()).collect();
    let (list, keeping) = Finder::new(places, options).unwrap().start();
    tokio::spawn(keeping);
    list
}

async fn becomes(list: &mut watch::Receiver<Vec<String>>, wanted: &[&str]) {
    let seen = timeout(ENOUGH, list.wait_for(|list| list == wanted)).await.map(|seen| seen.map(drop));
    assert!(matches!(seen, Ok(Ok(()))), "{:?} does not become {wanted:?}", list.borrow());
}

#[tokio::test]
async fn a_name_is_all_its_addresses_and_follows_changes() {
    let zone: Zone = Arc::new(Mutex::new(Some(HashMap::from([(
        "cores.test",
        vec![ip("10.0.0.2"), ip("10.0.0.1"), ip("fd00::1")],
    )]))));
    let mut list = start("cores.test:7500,10.9.9.9:1", server(zone.clone()).await).await;
    becomes(&mut list, &["10.0.0.1:7500", "10.0.0.2:7500", "10.9.9.9:1", "[fd00::1]:7500"]).await;
    zone.lock().unwrap().as_mut().unwrap().insert("cores.test", vec![ip("10.0.0.3")]);
    becomes(&mut list, &["10.0.0.3:7500", "10.9.9.9:1"]).await;
}

#[tokio::test]
async fn an_outage_keeps_what_was_known() {
    let zone: Zone = Arc::new(Mutex::new(Some(HashMap::from([("cores.test", vec![ip("10.0.0.1")])]))));
    let mut list = start("cores.test:7500", server(zone.clone()).await).await;
    becomes(&mut list, &["10.0.0.1:7500"]).await;
    let (up, gone) = (zone.lock().unwrap().clone(), HashMap::new());
    for outage in [None, Some(gone)] {
        *zone.lock().unwrap() = outage;
        let changed = timeout(Duration::from_secs(2), list.changed()).await;
        assert!(changed.is_err(), "{:?}", list.borrow());
    }
    *zone.lock().unwrap() = up;
    zone.lock().unwrap().as_mut().unwrap().insert("cores.test", vec![ip("10.0.0.2")]);
    becomes(&mut list, &["10.0.0.2:7500"]).await;
}

#[tokio::test]
async fn services_have_ports_and_priorities() {
    let zone: Zone = Arc::new(Mutex::new(Some(HashMap::from([
        ("_m._tcp.test", vec![service(1, "a.test.", 1), service(1, "b.test.", 2), service(5, "c.test.", 3)]),
        ("a.test", vec![ip("10.0.0.1")]),
        ("b.test", vec![ip("10.0.0.2")]),
        ("c.test", vec![ip("10.0.0.3")]),
    ]))));
    let mut list = start("srv:_m._tcp.test", server(zone.clone()).await).await;
    becomes(&mut list, &["10.0.0.1:1", "10.0.0.2:2"]).await;
    let change = |name, data| drop(zone.lock().unwrap().as_mut().unwrap().insert(name, data));
    change("a.test", vec![]);
    becomes(&mut list, &["10.0.0.2:2"]).await;
    change("b.test", vec![]);
    becomes(&mut list, &["10.0.0.3:3"]).await;
}

#[tokio::test]
async fn addresses_need_no_name_server() {
    let places = vec!["10.0.0.2:1".parse().unwrap(), "10.0.0.1:1".parse().unwrap()];
    let (list, keeping) = Finder::new(places, Options::default()).unwrap().start();
    assert_eq!(*list.borrow(), ["10.0.0.1:1", "10.0.0.2:1"]);
    drop(list);
    timeout(ENOUGH, keeping).await.expect("ends with the last one who looks");
}
