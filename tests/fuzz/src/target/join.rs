//! Invitations: the line that is carried from host to host, and what both ends say on the connection. What goes over it is
//! sealed, so that the messages inside are looked at here as they are once they are opened.

use annulus::invite::handshake::{Answer, Hello, Inviter, Joiner, Refusal, joiner_of};
use annulus::invite::join;
use annulus::invite::line::{ADDRESSES_MAX, Address, JoinLine, SECRET_BYTES, Verifier, with_check};
use annulus::keys::{KeyFile, KeyKind};
use annulus_core::limits::OPEN_KEYS_MAX;
use annulus_core::{KeyedHash, Rng, Sign};
use prost::Message;
use tokio::io::AsyncWriteExt as _;

use super::{MIB, Seen, Target};
use crate::mutate::{bytes, protobuf, text};

pub(super) const LINE: Target = Target {
    name: "join_line",
    about: "the line of an invitation, with a round trip of what was read",
    run: read_line,
    mutate: change_line,
    seeds: lines,
    tell: None,
    bytes_max: 2 * 1024,
    memory_max: 4 * MIB,
};

pub(super) const HELLO: Target = Target {
    name: "join_hello",
    about: "what a joiner and the member that invited it say: greetings, records, asks and answers",
    run: hear,
    mutate: change_words,
    seeds: words,
    tell: None,
    bytes_max: 16 * 1024,
    memory_max: 16 * MIB,
};

fn read_line(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    match text.parse::<JoinLine>() {
        Err(error) => Seen::refused(&error.to_string()),
        Ok(line) => {
            let written = line.to_text();
            assert_eq!(written, text.trim(), "there is one way to write a line");
            assert!((1..=ADDRESSES_MAX).contains(&line.addresses.len()), "few addresses");
            for address in &line.addresses {
                let again = Address::new(address.host(), address.port());
                assert_eq!(again.as_ref(), Some(address), "an address survives");
            }
            let (id, secret) = (line.secret.verifier().id(), written.rsplit('/').nth(1).expect("a secret"));
            assert!(
                !format!("{line:?}").contains(secret) && !secret.contains(&id),
                "the secret is shown nowhere"
            );
            Seen::accepted(&line.addresses.len().to_string(), line.ring.len())
        }
    }
}

/// Mostly the last part checks what was changed, as in a line that another program made.
fn change_line(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    let Some((begin, _)) = std::str::from_utf8(input).ok().and_then(|text| text.trim().rsplit_once('/'))
    else {
        return text::mutate(rng, input, other);
    };
    if rng.chance(1, 4) {
        return text::mutate(rng, input, other);
    }
    let mut parts: Vec<Vec<u8>> = begin.split('/').map(|part| part.as_bytes().to_vec()).collect();
    let theirs: Vec<&[u8]> = other.split(|byte| *byte == b'/').collect();
    let at = rng.index(parts.len());
    let part = theirs.get(at).copied().unwrap_or_default();
    match rng.below(4) {
        0 => part.clone_into(&mut parts[at]),
        1 => parts[at] = [&parts[at][..], b",", part].concat(),
        _ => text::mutate(rng, &mut parts[at], part),
    }
    let begin = String::from_utf8_lossy(&parts.join(&b'/')).into_owned();
    *input = with_check(&begin).into_bytes();
}

const RING: &str = "blue";
const SECRET: [u8; SECRET_BYTES] = [0; SECRET_BYTES];
/// What stands for all that both ends said before.
const SAID: &[u8] = b"what was said before";

fn inviter() -> KeyedHash {
    KeyedHash::new([1; 32])
}

/// The invitation, whose secret these inputs know.
fn line() -> JoinLine {
    // Secrets are made by chance alone; that of a line is what its text says.
    let secret = "0".repeat(SECRET_BYTES * 8 / 5);
    let text = format!("annulus-join-1/{RING}/10.0.0.1:9638/{}/{secret}", inviter().id());
    with_check(&text).parse().expect("an invitation")
}

fn lines() -> Vec<Vec<u8>> {
    let (id, secret) = ("e6305a988a9b4b6984c4b4045be62e04", "7mk2".repeat(SECRET_BYTES * 2 / 5));
    let of = |ring: &str, addresses: &str| {
        with_check(&format!("annulus-join-1/{ring}/{addresses}/{id}/{secret}")).into_bytes()
    };
    vec![
        of("blue", "10.0.0.1:9638"),
        of("my-ring.2", "one.example.com:1,2001:db8::1:9638,10.0.0.3:65535,z:2"),
        line().to_text().into_bytes(),
        b"annulus-join-2/blue/later".to_vec(),
    ]
}

/// What a joiner says of itself, as it is read.
#[derive(Clone, PartialEq, Eq, Message)]
struct Ask {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
}

fn hear(input: &[u8]) -> Seen {
    let Some((kind, bytes)) = input.split_first() else { return Seen::refused("nothing") };
    match kind % 4 {
        0 => ask(bytes),
        1 => answer(bytes),
        2 => connection(bytes, true),
        _ => connection(bytes, false),
    }
}

fn ask(bytes: &[u8]) -> Seen {
    match joiner_of(bytes, SAID, &Verifier::of(&SECRET), &inviter()) {
        Err(error) => Seen::refused(&error.to_string()),
        Ok(joiner) => {
            let ask = Ask::decode(bytes).expect("it was read");
            assert_eq!(ask.secret, SECRET, "who does not know the secret is not let in");
            Seen::accepted("ask", joiner.as_bytes().len())
        }
    }
}

fn answer(bytes: &[u8]) -> Seen {
    let Ok(answer) = Answer::decode(bytes) else { return Seen::refused("no answer") };
    if let Some(refusal) = answer.refusal {
        return Seen::accepted(&format!("{:?}", Refusal::try_from(refusal)), 0);
    }
    let reached = Address::new("10.0.0.1", 9638).expect("an address");
    let peers = join::peers(&reached, &answer.peers);
    assert!((1..=32).contains(&peers.len()), "{} peers of an answer", peers.len());
    match join::keys(&answer, RING) {
        Err(error) => Seen::refused(&error),
        Ok((current, older)) => {
            assert!(older.len() < OPEN_KEYS_MAX, "a member opens few keys");
            for key in older.iter().chain([&current]) {
                assert!(key.kind == KeyKind::Shared && key.id.name() == RING, "a key of that ring");
                assert!(key.id.revision() <= current.id.revision(), "what is newer is not older");
            }
            Seen::accepted(&format!("answer {}", older.len()), peers.len())
        }
    }
}

/// All that one end hears on a connection, the greeting included.
fn connection(bytes: &[u8], at_inviter: bool) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (line, own) = (line(), inviter());
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        far.write_all(bytes).await.expect("there is room");
        far.shutdown().await.expect("open");
        if !at_inviter {
            let greeted = Joiner::greet(near, (&line.inviter, &line.secret), &KeyedHash::new([2; 32])).await;
            let Err(error) = greeted else { panic!("a signature for a key that was just made") };
            return Seen::refused(&error.to_string());
        }
        let mut near = near;
        let hello = match Hello::read(&mut near).await {
            Err(error) => return Seen::refused(&error.to_string()),
            Ok(hello) => hello,
        };
        assert!(!hello.knows(&line.secret.verifier(), &own.id()), "without the secret there is no code");
        let greeted = Inviter::greet(near, &hello, &line.secret.verifier(), &own).await;
        assert!(greeted.is_err(), "nothing opens that is sealed with no key of this connection");
        Seen::accepted("hello", bytes.len())
    })
}

fn change_words(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    let Some((kind, mut inside)) = input.split_first().map(|(kind, inside)| (*kind, inside.to_vec())) else {
        return bytes::mutate(rng, input, other);
    };
    let theirs = other.get(1..).unwrap_or_default();
    match kind % 4 {
        0 | 1 if rng.chance(7, 8) => protobuf::mutate(rng, &mut inside, theirs),
        _ => bytes::mutate(rng, &mut inside, theirs),
    }
    *input = [&[kind][..], &inside].concat();
}

fn words() -> Vec<Vec<u8>> {
    let joiner = KeyedHash::new([2; 32]);
    let ask = Ask {
        secret: SECRET.to_vec(),
        key: joiner.public_key().0.to_vec(),
        signature: joiner.sign(SAID).0.to_vec(),
    };
    let key = |revision: &str, fill: u8| {
        let id = format!("{RING}-{revision}").parse().expect("a name of a key");
        KeyFile::new(KeyKind::Shared, id, &[fill; 32]).to_text()
    };
    let peers = vec!["10.0.0.2:9638".to_owned(), "[2001:db8::1]:7".to_owned(), "0.0.0.0:1".to_owned()];
    let older = vec![key("20260101000000", 1), key("20260201000000", 2)];
    let granted = Answer { key: key("20260301000000", 3), peers, older, ..Answer::default() };
    let by = inviter().id().as_bytes().to_vec();
    let refused = Answer { refusal: Some(Refusal::Used.into()), at_ms: 7, by, ..Answer::default() };
    let of = |kind: u8, bytes: Vec<u8>| [&[kind][..], &bytes].concat();
    let hello = [&b"AnnJn1\n"[..], &[9; 64], &64_u32.to_be_bytes(), &[5; 64]].concat();
    vec![
        of(0, ask.encode_to_vec()),
        of(1, granted.encode_to_vec()),
        of(1, refused.encode_to_vec()),
        of(2, hello),
        of(3, vec![3; 128]),
    ]
}
