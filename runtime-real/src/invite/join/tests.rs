//! The new host's end over a network in memory, on virtual time.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::invite::handshake::{Hello, Inviter};
use crate::invite::line::JoinSecret;
use crate::net::Listener as _;
use crate::net::memory::MemoryTransport;
use crate::supervisor::identity::MemberKey;

const KEY: &str = "SYM-SEC-1\nblue-20261122015215\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=";

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9638))
}

fn line(inviter: MemberId, hosts: &[u8]) -> JoinLine {
    let at = |last: &u8| Address::new(&address(*last).ip().to_string(), 9638).expect("an address");
    JoinLine {
        ring: "blue".to_owned(),
        addresses: hosts.iter().map(at).collect(),
        inviter,
        secret: JoinSecret::generate().expect("entropy"),
    }
}

async fn tried(net: &MemoryTransport, line: &JoinLine) -> Result<(Vec<KeyFile>, Vec<String>), JoinError> {
    let granted = join(&net.host(address(9)), line, &MemberKey::generate(), Clock::host()).await?;
    let keys = granted.older.iter().chain([&granted.key]).cloned().collect();
    let got = (keys, granted.peers.clone());
    granted.confirm().await;
    Ok(got)
}

/// A member at the address that gives each this answer.
async fn answers(net: MemoryTransport, at: u8, line: JoinLine, own: MemberKey, answer: Answer) {
    let listener = net.listen(address(at)).await.expect("free");
    while let Ok((mut stream, _)) = listener.accept().await {
        stream.read_u8().await.expect("a byte");
        let hello = Hello::read(&mut stream).await.expect("greeted");
        let Ok(mut inviter) = Inviter::greet(stream, &hello, &line.secret.verifier(), &own).await else {
            continue;
        };
        inviter.answer(&answer).await.expect("answered");
        if inviter.wait_stored().await.is_ok() {
            let _ = inviter.known().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_there_is_tried_again_and_given_up() {
    let net = MemoryTransport::new(address(1));
    let error =
        tried(&net, &line(MemberKey::generate().id(), &[1, 2])).await.expect_err("not there").to_string();
    assert!(error.contains("10.0.0.1:9638, 10.0.0.2:9638") && error.contains("tried for 30 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_address_at_which_it_is_reached_counts_and_later_too() {
    let (net, own) = (MemoryTransport::new(address(1)), MemberKey::generate());
    let line = line(own.id(), &[1, 2]);
    let peers =
        ["10.0.0.2:9638", "10.0.0.3:7", "0.0.0.0:9", "[::1]:0", "nonsense"].map(str::to_owned).to_vec();
    let older = vec![KEY.replace("20261122", "20260801"), KEY.replace("20261122", "20260701")];
    let answer = Answer { key: KEY.to_owned(), older, peers, ..Answer::default() };
    let (at, to) = (net.clone(), line.clone());
    tokio::spawn(async move {
        sleep(Duration::from_secs(4)).await;
        answers(at, 2, to, own, answer).await;
    });
    let (keys, peers) = tried(&net, &line).await.expect("joined");
    assert_eq!(peers, ["10.0.0.2:9638", "10.0.0.3:7"]);
    let revisions: Vec<&str> = keys.iter().map(|key| key.id.revision()).collect();
    assert_eq!(
        revisions,
        ["20260701015215", "20260801015215", "20261122015215"],
        "the current one is the last"
    );
    assert_eq!(keys[2].to_text(), KEY);
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_another_supervisor() {
    let net = MemoryTransport::new(address(1));
    let listener = net.listen(address(1)).await.expect("free");
    let count = tokio::spawn(async move {
        let mut count = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_u8().await.expect("a byte");
            count += 1;
            if count == SILENT_MAX {
                break;
            }
        }
        count
    });
    let error = tried(&net, &line(MemberKey::generate().id(), &[1])).await.expect_err("silent");
    assert!(matches!(error, JoinError::Silent { .. }), "{error}");
    assert_eq!(count.await.expect("counted"), SILENT_MAX);
}

#[tokio::test(start_paused = true)]
async fn noise_and_other_keys_are_no_answer() {
    let net = MemoryTransport::new(address(1));
    let listener = net.listen(address(1)).await.expect("free");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(&[b'x'; 500]).await.expect("open");
            drop(stream.read(&mut [0; 500]).await);
        }
    });
    let error = tried(&net, &line(MemberKey::generate().id(), &[1])).await.expect_err("noise");
    assert!(matches!(error, JoinError::Other { found: HandshakeError::Forged, .. }), "{error}");
    let (net, thief) = (MemoryTransport::new(address(1)), MemberKey::generate());
    let (line, shown) = (line(MemberKey::generate().id(), &[1]), thief.id());
    tokio::spawn(answers(net.clone(), 1, line.clone(), thief, Answer::default()));
    let error = tried(&net, &line).await.expect_err("another member").to_string();
    assert!(error.contains(&shown.to_string()) && error.contains(&line.inviter.to_string()), "{error}");
    assert!(error.contains("nothing was told to it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_says_why_and_what_to_do() {
    let by = MemberKey::generate().id().as_bytes().to_vec();
    let other_ring = KEY.replace("blue", "green");
    let newer = KEY.replace("20261122015215", "20261231000000");
    for (answer, why) in [
        (Answer { refusal: Some(Refusal::Expired.into()), ..Answer::default() }, "expired at 1970-01-01"),
        (Answer { refusal: Some(Refusal::Revoked.into()), ..Answer::default() }, "took it back"),
        (Answer { refusal: Some(Refusal::Used.into()), by, ..Answer::default() }, "a stranger had the line"),
        (Answer { refusal: Some(Refusal::Clock.into()), ..Answer::default() }, "set the clock there"),
        (Answer { refusal: Some(99), ..Answer::default() }, "its log says why"),
        (Answer { key: other_ring.clone(), ..Answer::default() }, "it is of ring \"green\""),
        (Answer { key: "x".to_owned(), ..Answer::default() }, "no key of ring"),
        (
            Answer { key: KEY.to_owned(), older: vec![other_ring], ..Answer::default() },
            "it is of ring \"green\"",
        ),
        (
            Answer { key: KEY.to_owned(), older: vec![newer], ..Answer::default() },
            "it calls blue-20261231000000 older",
        ),
        (Answer { key: KEY.to_owned(), older: vec![KEY.to_owned(); 9], ..Answer::default() }, "9 older keys"),
    ] {
        let (net, own) = (MemoryTransport::new(address(1)), MemberKey::generate());
        let line = line(own.id(), &[1]);
        tokio::spawn(answers(net.clone(), 1, line.clone(), own, answer));
        let error = tried(&net, &line).await.expect_err("refused").to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}
