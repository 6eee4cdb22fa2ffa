//! How a new host and the member that invited it speak with each other: what is said in which order, and how each knows the other.
//! Knows nothing of sockets and of who may come.
//!
//! ```text
//! joiner   0xFF "AnnJn1\n", 32 bytes: a public key made for this connection (X25519), 32 bytes: a code of both and of the
//!          inviter's id, by the hash of the secret
//! inviter  32 bytes: another such key, 32 bytes: its member key (Ed25519), 64 bytes: its signature of all of that
//! joiner   a record: the secret itself, its member key, its signature of all of that
//! inviter  a record: the ring's keys and where members are, or why not
//! joiner   a record: it has stored them
//! inviter  a record: it knows
//! ```
//!
//! - A stranger learns nothing: without the code the inviter closes the connection without a word.
//! - Both directions are sealed (`records`) with keys that follow from the hash of the secret, both keys that were made for the
//!   connection and what both ends compute of them. So who recorded it and learns the line later reads nothing, and what was
//!   recorded opens no second connection, because the inviter makes another key.
//! - Who stands between them cannot sign for the member that the line names, and the joiner tells its secret to no other.
//! - The hash alone, as it lies on the inviter's disk, lets no host in: the secret is wanted too.

use std::io;

use annulus_core::{MemberId, PublicKey, Sign, Signature};
use prost::Message;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::line::{JoinSecret, SECRET_BYTES, Verifier};
use crate::keys::crypto::{BoxPublicKey, BoxSecretKey};
use crate::net::records::{Direction, unreadable};

/// What a joiner begins with, behind the byte that says that it is no member.
const GREETING: &[u8; 7] = b"AnnJn1\n";
/// The byte itself.
const FIRST_BYTE: u8 = 0xff;
const CODE_DOMAIN: &[u8] = b"annulus join hello v1\0";
const INVITER_DOMAIN: &[u8] = b"annulus join inviter v1\0";
const JOINER_DOMAIN: &[u8] = b"annulus join joiner v1\0";
const KEY_DOMAIN: &[u8] = b"annulus join 1 ";

/// What a joiner says of itself.
#[derive(Clone, PartialEq, Eq, Message)]
struct Ask {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
}

/// What an inviter answers.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Answer {
    /// The key of the ring as the text of its file; empty where the joiner is refused.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Where members are.
    #[prost(string, repeated, tag = "2")]
    pub peers: Vec<String>,
    /// Why it is refused; absent where it is not.
    #[prost(enumeration = "Refusal", optional, tag = "3")]
    pub refusal: Option<i32>,
    /// When what the refusal speaks of happened, in milliseconds since the epoch.
    #[prost(uint64, tag = "4")]
    pub at_ms: u64,
    /// The member that used the invitation.
    #[prost(bytes = "vec", tag = "5")]
    pub by: Vec<u8>,
    /// Older keys of the ring that members still open messages with, as the texts of their files.
    #[prost(string, repeated, tag = "6")]
    pub older: Vec<String>,
}

/// Why one who knows the secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Refusal {
    /// The inviter cannot say, or cannot store that it was used.
    Failed = 0,
    /// Its time is over.
    Expired = 1,
    /// An operator took it back.
    Revoked = 2,
    /// It was used.
    Used = 3,
    /// The inviter's clock was set back to before it was made.
    Clock = 4,
}

/// The joiner has stored what it got, and the inviter knows.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Stored {
    #[prost(bool, tag = "1")]
    stored: bool,
}

/// Why a joiner stops.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other end went away without a word.
    #[error("it closed the connection without a word")]
    Silent,
    /// It has another key than that of the member that invited.
    #[error("it has the key of another member, {0}")]
    Other(MemberId),
    /// Its signature is not right.
    #[error("what it says is not signed by the member whose key it shows")]
    Forged,
}

/// What both ends know once the greetings are said.
struct Greeted {
    joiner: [u8; 32],
    code: [u8; 32],
    inviter: [u8; 32],
    key: [u8; 32],
}

impl Greeted {
    fn by_inviter(&self) -> Vec<u8> {
        [INVITER_DOMAIN, &self.joiner, &self.code, &self.inviter].concat()
    }

    fn by_joiner(&self) -> Vec<u8> {
        [JOINER_DOMAIN, &self.joiner, &self.code, &self.inviter, &self.key].concat()
    }

    /// The directions of joiner and inviter.
    fn directions(&self, verifier: &Verifier, shared: &[u8; 32]) -> [Direction; 2] {
        let direction = |name: &[u8; 7]| {
            let parts: [&[u8]; 7] =
                [KEY_DOMAIN, name, &self.joiner, &self.code, &self.inviter, &self.key, shared];
            Direction::new(verifier.key().derive(&parts))
        };
        [direction(b"joiner "), direction(b"inviter")]
    }
}

/// The code by which an inviter knows that a joiner knows the hash of a secret.
fn code(verifier: &Verifier, inviter: &MemberId, joiner: &[u8; 32]) -> [u8; 32] {
    let mut code = [0; 32];
    code.copy_from_slice(verifier.key().derive(&[CODE_DOMAIN, inviter.as_bytes(), joiner]).as_bytes());
    code
}

fn public(key: &BoxSecretKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.public().as_bytes());
    bytes
}

fn agree(own: &BoxSecretKey, theirs: &[u8; 32]) -> io::Result<[u8; 32]> {
    BoxPublicKey::from_bytes(theirs).and_then(|theirs| own.agree(&theirs)).ok_or_else(unreadable)
}

async fn array<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn decode<T: Message + Default>(bytes: &[u8]) -> io::Result<T> {
    T::decode(bytes).map_err(|_| unreadable())
}

/// The joiner's end of a connection.
pub struct Joiner<S> {
    stream: S,
    inward: Direction,
    outward: Direction,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Joiner<S> {
    /// Greets the member that invited, and shows it the secret.
    ///
    /// # Errors
    /// It is another one, or the connection failed.
    pub async fn greet(
        mut stream: S,
        (inviter, secret): (&MemberId, &JoinSecret),
        own: &dyn Sign,
    ) -> Result<Self, HandshakeError> {
        let (verifier, once) = (secret.verifier(), BoxSecretKey::generate());
        let joiner = public(&once);
        let code = code(&verifier, inviter, &joiner);
        stream.write_all(&[&[FIRST_BYTE], &GREETING[..], &joiner, &code].concat()).await?;
        stream.flush().await?;
        let theirs: [u8; 32] = match array(&mut stream).await {
            Err(error) if went_away(&error) => return Err(HandshakeError::Silent),
            theirs => theirs?,
        };
        let (key, signature) = (array::<32>(&mut stream).await?, array::<64>(&mut stream).await?);
        let greeted = Greeted { joiner, code, inviter: theirs, key };
        let (key, signature) = (PublicKey(key), Signature(signature));
        if !own.verify(&key, &greeted.by_inviter(), &signature) {
            return Err(HandshakeError::Forged);
        }
        let shown = own.id_of(&key);
        if shown != *inviter {
            return Err(HandshakeError::Other(shown));
        }
        let shared = agree(&once, &greeted.inviter)?;
        let [mut outward, inward] = greeted.directions(&verifier, &shared);
        let ask = Ask {
            secret: secret.as_bytes().to_vec(),
            key: own.public_key().0.to_vec(),
            signature: own.sign(&greeted.by_joiner()).0.to_vec(),
        };
        outward.write(&mut stream, &ask.encode_to_vec()).await?;
        Ok(Self { stream, inward, outward })
    }

    /// What the inviter answers.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        decode(&self.inward.read(&mut self.stream).await?)
    }

    /// Says that it is stored, and waits until the inviter knows.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn stored(mut self) -> io::Result<()> {
        self.outward.write(&mut self.stream, &Stored { stored: true }.encode_to_vec()).await?;
        decode::<Stored>(&self.inward.read(&mut self.stream).await?).map(drop)
    }
}

fn went_away(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// How a joiner begins.
pub struct Hello {
    joiner: [u8; 32],
    code: [u8; 32],
}

impl Hello {
    /// Reads it, behind its first byte.
    ///
    /// # Errors
    /// The connection failed, or something else came.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let greeting: [u8; GREETING.len()] = array(stream).await?;
        if greeting != *GREETING {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "no greeting of a joiner of this version",
            ));
        }
        Ok(Self { joiner: array(stream).await?, code: array(stream).await? })
    }

    /// Whether the joiner knows the secret of this hash.
    #[must_use]
    pub fn knows(&self, verifier: &Verifier, inviter: &MemberId) -> bool {
        code(verifier, inviter, &self.joiner).ct_eq(&self.code).into()
    }
}

/// The member that a joiner says it is, where it shows the secret of this hash and has signed what was `said` before.
///
/// # Errors
/// It is not so, or no such message.
pub fn joiner_of(ask: &[u8], said: &[u8], verifier: &Verifier, own: &dyn Sign) -> io::Result<MemberId> {
    let ask: Ask = decode(ask)?;
    let shown = Verifier::of(&ask.secret);
    let is_right = bool::from(shown.key().as_bytes().ct_eq(verifier.key().as_bytes()));
    let (key, signature) = (ask.key.try_into(), ask.signature.try_into());
    let (Ok(key), Ok(signature)) = (key.map(PublicKey), signature.map(Signature)) else {
        return Err(unreadable());
    };
    if !is_right || ask.secret.len() != SECRET_BYTES || !own.verify(&key, said, &signature) {
        return Err(unreadable());
    }
    Ok(own.id_of(&key))
}

/// The inviter's end of a connection, on which the joiner has shown its secret.
pub struct Inviter<S> {
    stream: S,
    inward: Direction,
    outward: Direction,
    /// The member that joins.
    pub joiner: MemberId,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inviter<S> {
    /// Answers one that knows the hash of the secret, and hears whether it knows the secret and who it is.
    ///
    /// # Errors
    /// It does not know the secret, it is not who it says, or the connection failed.
    pub async fn greet(
        mut stream: S,
        hello: &Hello,
        verifier: &Verifier,
        own: &dyn Sign,
    ) -> io::Result<Self> {
        let once = BoxSecretKey::generate();
        let shared = agree(&once, &hello.joiner)?;
        let Hello { joiner, code } = *hello;
        let greeted = Greeted { joiner, code, inviter: public(&once), key: own.public_key().0 };
        let signature = own.sign(&greeted.by_inviter());
        stream.write_all(&[&greeted.inviter[..], &greeted.key, &signature.0].concat()).await?;
        stream.flush().await?;
        let [mut inward, outward] = greeted.directions(verifier, &shared);
        let ask = inward.read(&mut stream).await?;
        let joiner = joiner_of(&ask, &greeted.by_joiner(), verifier, own)?;
        Ok(Self { stream, inward, outward, joiner })
    }

    /// Answers.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        self.outward.write(&mut self.stream, &answer.encode_to_vec()).await
    }

    /// Waits until the joiner says that it has stored the answer.
    ///
    /// # Errors
    /// It does not say so.
    pub async fn wait_stored(&mut self) -> io::Result<()> {
        let stored: Stored = decode(&self.inward.read(&mut self.stream).await?)?;
        if stored.stored { Ok(()) } else { Err(unreadable()) }
    }

    /// Tells the joiner that this is known.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn known(mut self) -> io::Result<()> {
        self.outward.write(&mut self.stream, &Stored { stored: true }.encode_to_vec()).await?;
        self.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests;
