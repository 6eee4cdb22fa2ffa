//! A connection to the ctl gateway that is sealed with the key of the ring. Moves bytes, and knows nothing of requests.
//!
//! ```text
//! client   "AnnulCt1", 32 bytes: a public key made for this connection (X25519)
//! server   32 bytes: another
//! then each: u32 big-endian, the length of a record · the record: crypto_secretbox of at most 16 KiB
//! ```
//!
//! Each direction has a key of its own: BLAKE2b, keyed with the ring's key, of the direction, both public keys and what both
//! ends compute of them. So a connection that was recorded opens no second one, no record counts in the other direction, and
//! who learns the ring's key later cannot read what was recorded before. The nonce is the number of the record in its
//! direction: none can be left out, repeated or put elsewhere. An empty record is the end.
//!
//! While a ring changes its key, a supervisor has several, and a client one of them: its first record tells which. The client
//! speaks first, so the supervisor waits for that record and goes on with the key that opens it.
//!
//! No frame of ctl in the clear begins with `A`, in which a bit is set that no header has.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};

use crate::keys::crypto::{BoxPublicKey, BoxSecretKey, SharedKey};
use crate::keys::{HeldKeys, OpenedWith};
use crate::net::Unreadable;
use crate::net::records::{Direction, RECORD_BYTES_MAX, is_unreadable, record, unreadable};

/// What a client begins with.
pub(super) const GREETING: &[u8; 8] = b"AnnulCt1";
/// Bytes that wait between the two ends of the seal.
const BUFFER_BYTES: usize = 2 * RECORD_BYTES_MAX;

/// Why a client is not heard.
#[derive(Debug)]
pub(super) enum NotHeard {
    /// The connection ended, or what came is no connection of this kind.
    Io(io::Error),
    /// Its key opens nothing here.
    Key(Unreadable),
}

impl From<io::Error> for NotHeard {
    fn from(error: io::Error) -> Self {
        if is_unreadable(&error) { Self::Key(Unreadable::UnknownKey) } else { Self::Io(error) }
    }
}

/// A connection on which both ends have agreed on keys. The client does not know yet whether the server has the ring's.
pub(super) struct Sealed<S> {
    stream: S,
    inward: Direction,
    outward: Direction,
    /// The first record, which was read already; none at a client.
    first: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sealed<S> {
    /// The client's end.
    pub(super) async fn client(mut stream: S, ring: &SharedKey) -> io::Result<Self> {
        let own = BoxSecretKey::generate();
        stream.write_all(&[&GREETING[..], own.public().as_bytes()].concat()).await?;
        stream.flush().await?;
        let mut theirs = [0; 32];
        stream.read_exact(&mut theirs).await?;
        let agreed = Agreed::new(&own, &theirs, |own, theirs| (own, theirs))?;
        let [client, server] = agreed.directions(ring);
        Ok(Self { stream, inward: server, outward: client, first: None })
    }

    /// The server's end, after the greeting was read: the client's first record tells which of the keys it has.
    pub(super) async fn server(mut stream: S, ring: &HeldKeys) -> Result<Self, NotHeard> {
        let own = BoxSecretKey::generate();
        let mut theirs = [0; 32];
        stream.read_exact(&mut theirs).await?;
        stream.write_all(own.public().as_bytes()).await?;
        stream.flush().await?;
        let agreed = Agreed::new(&own, &theirs, |own, theirs| (theirs, own))?;
        let record = record(&mut stream).await?;
        let opened = ring.open(|key| agreed.directions(key)[0].opened(&record));
        let (key, first) = match opened {
            Some(OpenedWith::Held(key, first)) => (key, first),
            Some(OpenedWith::Dropped(_)) => return Err(NotHeard::Key(Unreadable::RetiredKey)),
            None => return Err(NotHeard::Key(Unreadable::UnknownKey)),
        };
        let directions = ring.with(&key, |key| agreed.directions(key));
        let [mut client, server] = directions.ok_or(NotHeard::Key(Unreadable::RetiredKey))?;
        client.pass(1);
        Ok(Self { stream, inward: client, outward: server, first: Some(first) })
    }

    /// The stream of plain bytes, and what carries them as long as it is polled.
    pub(super) fn open(self) -> (DuplexStream, impl Future<Output = io::Result<()>>) {
        let (near, far) = duplex(BUFFER_BYTES);
        (near, self.carry(far))
    }

    async fn carry(self, plain: DuplexStream) -> io::Result<()> {
        let Self { stream, mut inward, mut outward, mut first } = self;
        let (mut from, mut to) = tokio::io::split(stream);
        let (mut plain_from, mut plain_to) = tokio::io::split(plain);
        let write = async {
            let mut buffer = vec![0; RECORD_BYTES_MAX];
            loop {
                let len = plain_from.read(&mut buffer).await?;
                if len == 0 {
                    // The other end may have closed already, and then needs no word of the end.
                    let _ = outward.write(&mut to, &[]).await;
                    let _ = to.shutdown().await;
                    return io::Result::Ok(());
                }
                outward.write(&mut to, buffer.get(..len).unwrap_or_default()).await?;
            }
        };
        let read = async {
            loop {
                let record = match first.take() {
                    Some(record) => record,
                    None => match inward.read(&mut from).await {
                        Ok(record) => record,
                        // The other end went away without a word; what it said so far stands.
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Vec::new(),
                        Err(error) => return Err(error),
                    },
                };
                if record.is_empty() {
                    return plain_to.shutdown().await;
                }
                plain_to.write_all(&record).await?;
            }
        };
        // A server that has answered closes, whatever the client still means to say.
        let mut read = std::pin::pin!(read);
        let mut write = std::pin::pin!(write);
        tokio::select! {
            written = &mut write => written,
            done = &mut read => match done {
                Ok(()) => write.await,
                Err(error) => Err(error),
            },
        }
    }
}

/// What both ends have computed of the keys that they made for this connection.
struct Agreed {
    client: [u8; 32],
    server: [u8; 32],
    shared: [u8; 32],
}

impl Agreed {
    fn new(
        own: &BoxSecretKey,
        theirs: &[u8; 32],
        in_order: impl Fn([u8; 32], [u8; 32]) -> ([u8; 32], [u8; 32]),
    ) -> io::Result<Self> {
        let other = BoxPublicKey::from_bytes(theirs).ok_or_else(unreadable)?;
        let shared = own.agree(&other).ok_or_else(unreadable)?;
        let public: [u8; 32] = own.public().as_bytes().try_into().map_err(io::Error::other)?;
        let (client, server) = in_order(public, *theirs);
        Ok(Self { client, server, shared })
    }

    /// The directions of client and server under one key of the ring.
    fn directions(&self, ring: &SharedKey) -> [Direction; 2] {
        let direction = |name: &[u8; 6]| {
            let key = ring.derive(&[b"annulus ctl 1 ", name, &self.client, &self.server, &self.shared]);
            Direction::new(key)
        };
        [direction(b"client"), direction(b"server")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::HeldKey;

    fn key() -> SharedKey {
        SharedKey::from_bytes(&[7; 32]).expect("32 bytes")
    }

    /// The keys of a supervisor, the oldest first.
    fn held(keys: &[SharedKey]) -> HeldKeys {
        let key = |(at, key): (usize, &SharedKey)| HeldKey {
            id: format!("prod-{}", 20_260_101_000_001_usize + at).parse().expect("an id"),
            key: key.clone(),
        };
        HeldKeys::new(keys.iter().enumerate().map(key), false)
    }

    /// Greets as the gateway does.
    async fn served(stream: DuplexStream, ring: SharedKey) -> Result<Vec<u8>, NotHeard> {
        served_by(stream, &held(&[ring])).await
    }

    async fn served_by(mut stream: DuplexStream, ring: &HeldKeys) -> Result<Vec<u8>, NotHeard> {
        let mut greeting = [0; 8];
        stream.read_exact(&mut greeting).await?;
        assert_eq!(&greeting, GREETING);
        let (mut near, carry) = Sealed::server(stream, ring).await?.open();
        let answer = async {
            let mut asked = Vec::new();
            while asked.last() != Some(&b'.') {
                asked.push(near.read_u8().await?);
            }
            near.write_all(&asked.repeat(3)).await?;
            near.shutdown().await?;
            Ok(asked)
        };
        let (carried, asked) = tokio::join!(carry, answer);
        carried.and(asked).map_err(NotHeard::Io)
    }

    async fn ask(stream: DuplexStream, ring: SharedKey, text: &[u8]) -> io::Result<Vec<u8>> {
        let (mut near, carry) = Sealed::client(stream, &ring).await?.open();
        let asking = async {
            near.write_all(text).await?;
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await?;
            near.shutdown().await?;
            Ok(answer)
        };
        let (carried, answer) = tokio::join!(carry, asking);
        carried?;
        answer
    }

    #[tokio::test]
    async fn both_ends_with_the_key_understand_each_other() {
        for len in [1, 5, 16_383, 16_384, 16_385, 1_000_000] {
            let (near, far) = duplex(1_000);
            let mut text = vec![b'x'; len];
            text.push(b'.');
            let (asked, answer) = tokio::join!(served(far, key()), ask(near, key(), &text));
            assert_eq!(asked.expect("heard"), text);
            assert_eq!(answer.expect("answered"), text.repeat(3));
        }
    }

    #[tokio::test]
    async fn another_key_is_noticed_before_a_word_is_believed() {
        let (near, far) = duplex(1_000);
        let other = SharedKey::from_bytes(&[8; 32]).expect("32 bytes");
        let (asked, answer) = tokio::join!(served(far, key()), ask(near, other, b"order."));
        assert!(matches!(asked, Err(NotHeard::Key(Unreadable::UnknownKey))), "{asked:?}");
        assert!(!answer.is_ok_and(|answer| !answer.is_empty()), "no answer either");
    }

    #[tokio::test]
    async fn a_supervisor_hears_clients_with_each_key_that_it_has() {
        let keys: Vec<SharedKey> =
            [6, 7, 8].map(|fill| SharedKey::from_bytes(&[fill; 32]).expect("32 bytes")).to_vec();
        let ring = held(&keys);
        for key in &keys {
            let (near, far) = duplex(1_000);
            let (asked, answer) = tokio::join!(served_by(far, &ring), ask(near, key.clone(), b"order."));
            assert_eq!(asked.expect("heard"), b"order.");
            assert_eq!(answer.expect("answered"), b"order.".repeat(3));
        }
        let oldest = ring.list()[0].ring_id();
        ring.drop_key(&oldest);
        let (near, far) = duplex(1_000);
        let (asked, _) = tokio::join!(served_by(far, &ring), ask(near, keys[0].clone(), b"order."));
        assert!(matches!(asked, Err(NotHeard::Key(Unreadable::RetiredKey))), "{asked:?}");
    }

    /// Keeps what one end sends, and passes it on.
    async fn recorded(text: &[u8]) -> Vec<u8> {
        let ((near, mut tap), (mut pass, far)) = (duplex(100_000), duplex(100_000));
        let tapped = async {
            let (mut recorded, mut buffer) = (Vec::new(), [0; 1_000]);
            loop {
                tokio::select! {
                    read = tap.read(&mut buffer) => match read {
                        Ok(len) if len > 0 => {
                            recorded.extend_from_slice(&buffer[..len]);
                            pass.write_all(&buffer[..len]).await.expect("open");
                        }
                        _ => return recorded,
                    },
                    byte = pass.read_u8() => match byte {
                        Ok(byte) => tap.write_all(&[byte]).await.expect("open"),
                        Err(_) => return recorded,
                    },
                }
            }
        };
        let (recorded, asked, _) = tokio::join!(tapped, served(far, key()), ask(near, key(), text));
        assert_eq!(asked.expect("heard"), text);
        recorded
    }

    #[tokio::test]
    async fn a_connection_that_was_recorded_cannot_be_played_again() {
        let recorded = recorded(b"order.").await;
        let seen = recorded.windows(5).any(|window| window == b"order");
        assert!(recorded.starts_with(GREETING) && !seen, "and shows nothing");
        let (mut near, far) = duplex(100_000);
        near.write_all(&recorded).await.expect("open");
        let heard = served(far, key()).await;
        let not_heard = matches!(heard, Err(NotHeard::Key(Unreadable::UnknownKey)));
        assert!(not_heard, "the server has made another key: {heard:?}");
    }

    #[tokio::test]
    async fn a_record_counts_once_in_its_place_and_direction() {
        let own = BoxSecretKey::generate();
        let theirs = BoxSecretKey::generate().public().as_bytes().try_into().expect("32 bytes");
        let agreed = Agreed::new(&own, &theirs, |own, theirs| (own, theirs)).expect("keys");
        let directions = || agreed.directions(&key());
        let [mut client, _] = directions();
        let mut sent = Vec::new();
        client.write(&mut sent, b"one").await.expect("written");
        let one = sent.clone();
        client.write(&mut sent, b"two").await.expect("written");
        let two = sent[one.len()..].to_vec();
        let [mut reader, mut reflected] = directions();
        assert_eq!(reader.read(&mut &one[..]).await.expect("the first"), b"one");
        assert!(is_unreadable(&reader.read(&mut &one[..]).await.expect_err("again")));
        let [mut reader, _] = directions();
        assert!(is_unreadable(&reader.read(&mut &two[..]).await.expect_err("the first was left out")));
        assert!(is_unreadable(&reflected.read(&mut &one[..]).await.expect_err("sent back")));
        for bad in [[0, 0, 0, 15], [0, 0, 64, 17], [255, 255, 255, 255]] {
            assert!(is_unreadable(&reader.read(&mut &bad[..]).await.expect_err("no length of a record")));
        }
    }

    #[test]
    fn a_public_key_that_makes_the_secret_known_is_refused() {
        let own = BoxSecretKey::generate();
        assert!(Agreed::new(&own, &[0; 32], |own, theirs| (own, theirs)).is_err());
    }
}
