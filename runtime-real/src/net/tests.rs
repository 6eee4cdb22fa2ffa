//! The stream port over a network in memory: connections are kept, bounded and cut.

#![expect(clippy::disallowed_methods, reason = "a test of deadlines asks the runtime's virtual clock")]
use std::net::SocketAddr;
use std::time::Duration;

use annulus_core::RingKeyId;
use annulus_core::UnixTime;
use annulus_core::limits::STREAM_BYTES_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::memory::MemoryTransport;
use super::{
    FromStream, Gate, GateParts, INBOUND_MAX, Listener as _, Outbound, Rejected, Transport as _,
    serve_streams,
};
use crate::host::clock::Clock;

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9638))
}

/// Of an open ring.
fn gate() -> Gate {
    let clock = Clock::starting_at(UnixTime::from_millis(0));
    GateParts::open(Rejected::new(clock)).into_gate()
}

struct Bed {
    net: MemoryTransport,
    received: mpsc::Receiver<FromStream>,
}

impl Bed {
    /// Host 1 serves its gossip port.
    async fn new() -> Self {
        let net = MemoryTransport::new(address(1));
        let listener = net.listen(address(1)).await.expect("free");
        let (sink, received) = mpsc::channel(INBOUND_MAX);
        tokio::spawn(serve_streams(listener, sink, gate()));
        Self { net, received }
    }

    fn sender(&self, last: u8) -> (Outbound<MemoryTransport>, mpsc::Receiver<FromStream>) {
        let (sink, refusals) = mpsc::channel(INBOUND_MAX);
        (Outbound::new(self.net.host(address(last)), sink, gate()), refusals)
    }

    async fn body(&mut self) -> (SocketAddr, Vec<u8>) {
        match timeout(Duration::from_secs(600), self.received.recv()).await {
            Ok(Some(FromStream::Frame { from, bytes, .. })) => (from, bytes),
            other => panic!("no frame: {other:?}"),
        }
    }
}

/// The time for which the other end keeps a connection without a complete frame; it must send nothing meanwhile.
async fn cut_after(stream: &mut tokio::io::DuplexStream) -> Duration {
    let begun = Instant::now();
    let end = timeout(Duration::from_secs(3_600), stream.read_to_end(&mut Vec::new())).await.expect("cut");
    assert_eq!(end.expect("closed in order"), 0);
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn frames_arrive_in_order_on_one_connection_which_ends_when_idle() {
    let mut bed = Bed::new().await;
    let (mut outbound, _refusals) = bed.sender(2);
    for size in [0_usize, 1, 100_000, 3] {
        outbound.send(address(1), RingKeyId::CLEAR, vec![7; size], None);
    }
    for size in [0_usize, 1, 100_000, 3] {
        assert_eq!(bed.body().await, (address(2), vec![7; size]));
    }
    sleep(Duration::from_secs(1)).await;
    outbound.send(address(1), RingKeyId::CLEAR, vec![8], None);
    assert_eq!(bed.body().await.1, [8]);
    assert_eq!(bed.net.connections(), 1);
    sleep(Duration::from_secs(60)).await;
    outbound.send(address(1), RingKeyId::CLEAR, vec![9], None);
    assert_eq!(bed.body().await.1, [9]);
    assert_eq!(bed.net.connections(), 2, "the idle one was closed");
}

#[tokio::test(start_paused = true)]
async fn a_host_without_listener_refuses() {
    let bed = Bed::new().await;
    let (mut outbound, mut refusals) = bed.sender(2);
    outbound.send(address(9), RingKeyId::CLEAR, vec![1], None);
    let refused = timeout(Duration::from_secs(10), refusals.recv()).await.expect("in time");
    assert!(matches!(refused, Some(FromStream::Refused { to }) if to == address(9)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_for_one_member_is_bounded() {
    let mut bed = Bed::new().await;
    let (mut outbound, _refusals) = bed.sender(2);
    for i in 0..200_u8 {
        outbound.send(address(1), RingKeyId::CLEAR, vec![i], None);
    }
    let mut arrived = Vec::new();
    while let Ok(Some(FromStream::Frame { bytes, .. })) =
        timeout(Duration::from_secs(5), bed.received.recv()).await
    {
        arrived.extend(bytes);
    }
    assert_eq!(arrived, (0..16).collect::<Vec<u8>>(), "the rest was dropped");
}

#[tokio::test(start_paused = true)]
async fn silence_trickle_and_noise_are_cut_and_cost_no_other_peer() {
    let mut bed = Bed::new().await;
    let mut silent = bed.net.connect(address(1)).await.expect("listening");
    assert_eq!(cut_after(&mut silent).await.as_secs(), 30);

    let mut half_prefix = bed.net.connect(address(1)).await.expect("listening");
    half_prefix.write_all(&[0, 0]).await.expect("open");
    assert_eq!(cut_after(&mut half_prefix).await.as_secs(), 10);

    let mut noise = bed.net.connect(address(1)).await.expect("listening");
    noise.write_all(b"GET / HTTP/1.1\r\n").await.expect("open");
    assert_eq!(cut_after(&mut noise).await, Duration::ZERO);

    // One byte each second of a frame of 1,000.
    let (mut reader, mut writer) = tokio::io::split(bed.net.connect(address(1)).await.expect("listening"));
    writer.write_all(&[0, 0, 3, 232]).await.expect("open");
    let begun = Instant::now();
    let trickle = async move {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await
        }
    };
    let end = async { reader.read_to_end(&mut Vec::new()).await };
    tokio::select! {
        () = trickle => {}
        _ = end => {}
        () = sleep(Duration::from_secs(3_600)) => panic!("still open"),
    }
    assert!(begun.elapsed() <= Duration::from_secs(12), "{:?}", begun.elapsed());

    let (mut outbound, _refusals) = bed.sender(2);
    outbound.send(address(1), RingKeyId::CLEAR, vec![5; 10], None);
    assert_eq!(bed.body().await.1, [5; 10]);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_make_room_for_new_ones() {
    let mut bed = Bed::new().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(bed.net.connect(address(1)).await.expect("listening"));
    }
    let begun = Instant::now();
    let (mut outbound, _refusals) = bed.sender(2);
    outbound.send(address(1), RingKeyId::CLEAR, vec![5], None);
    assert_eq!(bed.body().await.1, [5]);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// The other end of a connection that announces a frame of the longest kind, sends all but its last byte, and waits.
async fn hold_back(net: &MemoryTransport, last: u8) -> tokio::io::DuplexStream {
    let mut stream = net.host(address(last)).connect(address(1)).await.expect("listening");
    let len = u32::try_from(STREAM_BYTES_MAX).expect("small");
    stream.write_all(&len.to_be_bytes()).await.expect("open");
    stream
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_held_back_stop_no_other_peer() {
    let mut bed = Bed::new().await;
    let mut held = Vec::new();
    for last in 10..14 {
        for _ in 0..40 {
            held.push(hold_back(&bed.net, last).await);
        }
        let stream = held.last_mut().expect("just made");
        // What is sent beyond the room is not read, and waits.
        let _ = timeout(Duration::from_millis(10), stream.write_all(&vec![1; STREAM_BYTES_MAX - 1])).await;
    }
    let begun = Instant::now();
    let (mut outbound, _refusals) = bed.sender(2);
    outbound.send(address(1), RingKeyId::CLEAR, vec![5; 40_000], None);
    assert_eq!(bed.body().await.1.len(), 40_000);
    assert_eq!(begun.elapsed(), Duration::ZERO, "a short frame has room of its own");
    outbound.send(address(1), RingKeyId::CLEAR, vec![6; STREAM_BYTES_MAX], None);
    assert_eq!(bed.body().await.1.len(), STREAM_BYTES_MAX);
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn long_frames_of_many_do_not_wait_for_each_other() {
    let mut bed = Bed::new().await;
    let mut senders: Vec<_> = (10..30).map(|last| bed.sender(last)).collect();
    let begun = Instant::now();
    for (outbound, _) in &mut senders {
        outbound.send(address(1), RingKeyId::CLEAR, vec![6; STREAM_BYTES_MAX], None);
    }
    for _ in 10..30 {
        assert_eq!(bed.body().await.1.len(), STREAM_BYTES_MAX);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn connections_that_never_end_a_frame_make_room() {
    let mut bed = Bed::new().await;
    let mut held = Vec::new();
    for last in 10..14 {
        for _ in 0..100 {
            held.push(hold_back(&bed.net, last).await);
        }
    }
    let begun = Instant::now();
    let (mut outbound, _refusals) = bed.sender(2);
    outbound.send(address(1), RingKeyId::CLEAR, vec![5], None);
    assert_eq!(bed.body().await.1, [5]);
    assert!(begun.elapsed() <= Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_takes_nothing_costs_no_other_its_messages() {
    let mut bed = Bed::new().await;
    // It accepts connections and reads none.
    let deaf = bed.net.listen(address(3)).await.expect("free");
    let (mut outbound, _refusals) = bed.sender(2);
    for _ in 0..16 {
        outbound.send(address(3), RingKeyId::CLEAR, vec![7; STREAM_BYTES_MAX], None);
    }
    let _open = deaf.accept().await.expect("connected");
    outbound.send(address(1), RingKeyId::CLEAR, vec![9; STREAM_BYTES_MAX], None);
    assert_eq!(bed.body().await.1.len(), STREAM_BYTES_MAX);
}
