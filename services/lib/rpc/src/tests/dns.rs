//! Discovery against a real DNS server of a few lines.

use std::net::Ipv4Addr;

use parking_lot::Mutex;
use tokio::net::UdpSocket;

use super::*;
use crate::{config::Dns, timing::Timing};

#[derive(Clone, Default)]
struct Zone(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    a: Vec<Ipv4Addr>,
    srv_port: u16,
}

const A: u16 = 1;
const SRV: u16 = 33;

impl Zone {
    async fn serve(&self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = self.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                socket.send_to(&zone.answer(&buffer[..length]), from).await.unwrap();
            }
        });
        address
    }

    fn set(&self, a: &[[u8; 4]]) {
        self.0.lock().a = a.iter().map(|ip| Ipv4Addr::from(*ip)).collect();
    }

    /// RFC 1035: header, the question as it was asked, the answers pointing to its name.
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let mut end = 12;
        while query[end] != 0 {
            end += usize::from(query[end]) + 1;
        }
        let question = &query[12..end + 5];
        let kind = u16::from_be_bytes([query[end + 1], query[end + 2]]);
        let records = self.0.lock();
        let data: Vec<Vec<u8>> = match kind {
            A => records.a.iter().map(|ip| ip.octets().to_vec()).collect(),
            SRV => {
                let target = b"\x04room\x04test\x00";
                let head = [0, 0, 0, 0, (records.srv_port >> 8) as u8, records.srv_port as u8];
                vec![[&head[..], target].concat()]
            }
            _ => Vec::new(),
        };
        let mut answer = vec![query[0], query[1], 0x85, 0x80, 0, 1, 0, data.len() as u8, 0, 0, 0, 0];
        answer.extend_from_slice(question);
        for data in data {
            answer.extend_from_slice(&[0xc0, 12]);
            answer.extend_from_slice(&kind.to_be_bytes());
            answer.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
            answer.extend_from_slice(&(data.len() as u16).to_be_bytes());
            answer.extend_from_slice(&data);
        }
        answer
    }
}

/// Two replicas on the same port of two loopback addresses, as the pods of a headless service are.
async fn pair() -> (TestReplica, TestReplica) {
    loop {
        let a = TestReplica::start_at("127.0.0.1:0".parse().unwrap(), Router::new()).await;
        let second = SocketAddr::from(([127, 0, 0, 2], a.address.port()));
        if TcpListener::bind(second).await.is_ok() {
            return (a, TestReplica::start_at(second, Router::new()).await);
        }
    }
}

async fn peers_of(zone: &Zone, name: String) -> Peers {
    let config = Config {
        dns: Dns { room: Some(name.parse().unwrap()), ..Dns::default() },
        name_server: Some(zone.serve().await),
        ..Config::default()
    };
    let timing = Timing { resolve: Duration::from_millis(100), ..Timing::default() };
    Peers::with_timing(&config, HashMap::new(), &Shutdown::new(), timing)
}

#[tokio::test]
async fn a_change_in_dns_moves_new_calls_and_drops_none() {
    let (a, b) = pair().await;
    let zone = Zone::default();
    zone.set(&[[127, 0, 0, 1]]);
    let peers = peers_of(&zone, format!("room.test:{}", a.address.port())).await;
    let rpc = peers.role(Role::Room);
    // The name is not even resolved yet: the call waits.
    assert_eq!(text(&rpc, get("/echo")).await, a.behaviour.name);
    let parked = tokio::spawn({
        let rpc = rpc.clone();
        async move { text(&rpc, post("/park", "{}")).await }
    });
    a.wait_begun(2).await;

    zone.set(&[[127, 0, 0, 1], [127, 0, 0, 2]]);
    wait_for(&peers, |peers| peers.ready(Role::Room).len() == 2).await;
    zone.set(&[[127, 0, 0, 2]]);
    wait_for(&peers, |peers| peers.replicas(Role::Room).len() == 1).await;
    for _ in 0..10 {
        assert_eq!(text(&rpc, post("/echo", "{}")).await, b.behaviour.name);
    }
    assert_eq!(a.begun(), 2);
    a.behaviour.release.send_replace(true);
    assert_eq!(parked.await.unwrap(), a.behaviour.name);

    // An empty answer does not take away what is known to work.
    zone.set(&[]);
    for _ in 0..10 {
        assert_eq!(text(&rpc, post("/echo", "{}")).await, b.behaviour.name);
    }
}

#[tokio::test]
async fn srv_records_carry_the_port() {
    let a = TestReplica::start().await;
    let zone = Zone::default();
    zone.set(&[[127, 0, 0, 1]]);
    zone.0.lock().srv_port = a.address.port();
    let peers = peers_of(&zone, "_rpc._tcp.room.test".to_owned()).await;
    assert_eq!(text(&peers.role(Role::Room), get("/echo")).await, a.behaviour.name);
    assert_eq!(peers.replicas(Role::Room)[0].address, a.address.to_string());
}
