//! The driver over a network in memory: a ring forms, and neither noise nor a flood holds up an operator.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use annulus_core::{Command, Effect, EventKind, KeyedHash, MemberId, State, Table, Timings, UnixTime, Write};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::net::Rejected;
use crate::net::memory::MemoryTransport;
use crate::supervisor::handle::Gone;

/// Effects with a disk and without processes.
struct TestEffects {
    done: mpsc::Sender<(EffectId, EffectResult)>,
    disk: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Effects for TestEffects {
    fn start(&mut self, id: EffectId, effect: Effect) {
        let result = match effect {
            Effect::Persist { writes, sync: _ } => {
                for Write { table, key, value } in writes {
                    match value {
                        Some(value) => self.disk.insert((table, key), value),
                        None => self.disk.remove(&(table, key)),
                    };
                }
                EffectResult::Persisted
            }
            other => EffectResult::PrepareFailed {
                kind: annulus_core::ObstacleKind::Package,
                reason: format!("no services here: {other:?}"),
            },
        };
        self.done.try_send((id, result)).expect("the loop keeps up");
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9638))
}

/// A ring on a network inside this test.
struct Ring {
    net: MemoryTransport,
}

struct Member {
    handle: DriverHandle,
    task: JoinHandle<ExitReason>,
    id: MemberId,
}

impl Ring {
    fn new() -> Self {
        Self { net: MemoryTransport::new(address(0)) }
    }

    async fn start(&self, last: u8, peers: &[u8]) -> Member {
        let transport = self.net.host(address(last));
        let (datagrams, listener, _) =
            crate::net::bind_gossip(&transport, address(last)).await.expect("free");
        let mut config = Config::new(9638);
        config.timings = Timings::local();
        config.advertise = Some(address(last).ip());
        config.peers = peers.iter().map(|peer| address(*peer)).collect();
        let (sender, done) = mpsc::channel(64);
        let parts = Parts {
            config,
            signer: Box::new(KeyedHash::new([last; 32])),
            restored: None,
            seed: [last; 32],
            clock: Clock::starting_at(UnixTime::from_millis(1_700_000_000_000)),
            transport,
            datagrams,
            listener,
            gate: GateParts::open(Rejected::new(Clock::host())),
            effects: TestEffects { done: sender, disk: BTreeMap::new() },
            done,
        };
        let (driver, handle) = Driver::new(parts);
        let id = driver.member_id();
        Member { handle, task: tokio::spawn(driver.run()), id }
    }
}

impl Member {
    async fn sees(&self, state: State, count: usize) {
        let seen = async {
            while self.handle.read(move |n| n.members().iter().filter(|m| m.state == state).count()).await
                != Ok(count)
            {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let seen = timeout(Duration::from_secs(60), seen).await;
        assert!(seen.is_ok(), "{:?}", self.handle.read(|n| n.members()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn three_members_find_each_other_and_notice_who_leaves_and_who_dies() {
    let ring = Ring::new();
    let a = ring.start(1, &[]).await;
    let mut events = a.handle.events();
    let b = ring.start(2, &[1]).await;
    let c = ring.start(3, &[1]).await;
    for member in [&a, &b, &c] {
        member.sees(State::Alive, 3).await;
    }
    let mut joined = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::MemberChanged { member, to: State::Alive, .. } = &event.kind {
            joined.push(*member);
        }
    }
    assert!(joined.contains(&b.id) && joined.contains(&c.id), "{joined:?}");

    assert_eq!(b.handle.command(Command::Leave { drain: true }).await, Reply::Done);
    assert_eq!(b.task.await.expect("no panic"), ExitReason::Left);
    assert_eq!(b.handle.ended().await, Ended::Exit(ExitReason::Left));
    assert_eq!(b.handle.read(|n| n.id()).await, Err(Gone));
    a.sees(State::Departed, 1).await;
    c.sees(State::Departed, 1).await;

    c.task.abort();
    a.sees(State::Confirmed, 1).await;
    assert_eq!(c.handle.ended().await, Ended::Dropped);
}

#[tokio::test(start_paused = true)]
async fn noise_changes_nothing() {
    let ring = Ring::new();
    let a = ring.start(1, &[]).await;
    a.sees(State::Alive, 1).await;
    let stranger = ring.net.host(address(9));
    let socket = stranger.bind(address(9)).await.expect("free");
    for len in 1..1_100_usize {
        let noise: Vec<u8> = (0..len).map(|i| (i * 31 + len) as u8).collect();
        socket.try_send(&noise, address(1)).expect("sent");
    }
    let mut stream = stranger.connect(address(1)).await.expect("listening");
    stream.write_all(&[0, 0, 0, 5, 1, 2, 3, 4, 5]).await.expect("open");
    stream.write_all(b"HTTP/1.1").await.expect("open");
    let errors = async {
        while a.handle.read(|n| n.metrics().decode_errors).await.expect("running") < 1_000 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), errors).await.expect("counted");
    a.sees(State::Alive, 1).await;
}

/// Effects that never end.
struct Stuck;

impl Effects for Stuck {
    fn start(&mut self, _: EffectId, _: Effect) {}
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_datagrams_keeps_no_operator_waiting() {
    let net = MemoryTransport::new(address(1));
    let (datagrams, listener, _) = crate::net::bind_gossip(&net, address(1)).await.expect("free");
    let (_sender, done) = mpsc::channel(1);
    let parts = Parts {
        config: Config::new(9638),
        signer: Box::new(KeyedHash::new([1; 32])),
        restored: None,
        seed: [1; 32],
        clock: Clock::starting_at(UnixTime::from_millis(0)),
        transport: net.clone(),
        datagrams,
        listener,
        gate: GateParts::open(Rejected::new(Clock::host())),
        effects: Stuck,
        done,
    };
    let (driver, handle) = Driver::new(parts);
    let flood = net.host(address(2)).bind(address(2)).await.expect("free");
    for _ in 0..100_000 {
        flood.try_send(b"noise", address(1)).expect("sent");
    }
    let task = tokio::spawn(driver.run());
    let received = |n: &Node| n.metrics().datagram_bytes_received;
    let first = handle.read(received).await.expect("running");
    assert!(first <= u64::from(INPUTS_PER_TURN) * 5 * 2, "{first} bytes were handled before the request");
    task.abort();
}
