//! The frame that every ctl message travels in (as in Habitat). Knows nothing of the messages inside.
//!
//! ```text
//! u32 big-endian   bit 31 transaction follows · bits 26-30 zero · bits 20-25 length of the message id · bits 0-19 length of the body
//! u32 big-endian   bit 31 response · bit 30 last of its transaction · bits 0-29 transaction id   (only if announced)
//! message id, then body
//! ```

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest message id, in bytes: the largest number of six bits.
pub const ID_BYTES_MAX: usize = 0x3f;
/// Longest body, in bytes: the largest number of twenty bits.
pub const BODY_BYTES_MAX: usize = 0xf_ffff;

const HAS_TXN: u32 = 1 << 31;
const RESERVED: u32 = 0b1_1111 << 26;
const TXN_RESPONSE: u32 = 1 << 31;
const TXN_COMPLETE: u32 = 1 << 30;
const TXN_ID_MASK: u32 = TXN_COMPLETE - 1;

/// The transaction that ties a reply to its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// Chosen by the client; 30 bits.
    pub id: u32,
    /// Whether this is an answer.
    pub response: bool,
    /// Whether no more follows in this transaction.
    pub complete: bool,
}

impl Txn {
    /// The transaction of an answer to this request.
    #[must_use]
    pub const fn reply(self, complete: bool) -> Self {
        Self { id: self.id, response: true, complete }
    }
}

/// One message with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its transaction, if it belongs to one.
    pub txn: Option<Txn>,
    /// The name of the message's type.
    pub id: String,
    /// The message, protobuf.
    pub body: Vec<u8>,
}

/// Why bytes are not a frame, or a message does not fit into one.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The connection ended or failed within a frame.
    #[error("connection broke off: {0}")]
    Io(#[from] std::io::Error),
    /// A bit is set that no version of the protocol uses.
    #[error("not a ctl frame: a reserved bit is set in its header")]
    Reserved,
    /// The message id is empty, too long or not UTF-8.
    #[error("not a ctl frame: its message name is not 1 to 63 bytes of text")]
    Id,
    /// The body exceeds the format.
    #[error("message of {0} bytes does not fit into one ctl frame of at most 1048575")]
    TooLong(usize),
}

struct Header {
    has_txn: bool,
    id_len: usize,
    body_len: usize,
}

fn parse_header(word: u32) -> Result<Header, FrameError> {
    if word & RESERVED != 0 {
        return Err(FrameError::Reserved);
    }
    let id_len = (word >> 20) as usize & ID_BYTES_MAX;
    if id_len == 0 {
        return Err(FrameError::Id);
    }
    Ok(Header { has_txn: word & HAS_TXN != 0, id_len, body_len: word as usize & BODY_BYTES_MAX })
}

fn parse_txn(word: u32) -> Txn {
    Txn { id: word & TXN_ID_MASK, response: word & TXN_RESPONSE != 0, complete: word & TXN_COMPLETE != 0 }
}

impl Frame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// The name or the body exceeds the format.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        if self.id.is_empty() || self.id.len() > ID_BYTES_MAX {
            return Err(FrameError::Id);
        }
        if self.body.len() > BODY_BYTES_MAX {
            return Err(FrameError::TooLong(self.body.len()));
        }
        // Both lengths were just checked to fit into their bits.
        let mut word = ((self.id.len() as u32) << 20) | self.body.len() as u32;
        let mut bytes = Vec::with_capacity(8 + self.id.len() + self.body.len());
        if self.txn.is_some() {
            word |= HAS_TXN;
        }
        bytes.extend_from_slice(&word.to_be_bytes());
        if let Some(txn) = self.txn {
            let mut word = txn.id & TXN_ID_MASK;
            word |= if txn.response { TXN_RESPONSE } else { 0 };
            word |= if txn.complete { TXN_COMPLETE } else { 0 };
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }

    /// Reads one frame; none when the other end closed the connection before a frame began.
    ///
    /// # Errors
    /// The connection broke off within a frame, or the bytes are no frame.
    pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let mut first = [0];
        if io.read(&mut first).await? == 0 {
            return Ok(None);
        }
        Self::read_rest(first[0], io).await.map(Some)
    }

    /// Reads the rest of a frame that begins with `first`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_rest(first: u8, io: &mut (impl AsyncRead + Unpin)) -> Result<Self, FrameError> {
        let mut word = [first, 0, 0, 0];
        io.read_exact(&mut word[1..]).await?;
        let header = parse_header(u32::from_be_bytes(word))?;
        let mut txn = None;
        if header.has_txn {
            io.read_exact(&mut word).await?;
            txn = Some(parse_txn(u32::from_be_bytes(word)));
        }
        let mut id = vec![0; header.id_len];
        io.read_exact(&mut id).await?;
        let id = String::from_utf8(id).map_err(|_| FrameError::Id)?;
        let mut body = vec![0; header.body_len];
        io.read_exact(&mut body).await?;
        Ok(Self { txn, id, body })
    }

    /// Writes this frame.
    ///
    /// # Errors
    /// It exceeds the format, or the connection failed.
    pub async fn write(&self, io: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
        io.write_all(&self.encode()?).await?;
        Ok(io.flush().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(mut bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(Frame::read(&mut bytes))
    }

    #[test]
    fn layout_is_as_documented() {
        let txn = Some(Txn { id: 5, response: true, complete: true });
        let frame = Frame { txn, id: "NetOk".into(), body: vec![1, 2, 3] };
        let bytes = frame.encode().expect("fits");
        assert_eq!(bytes, [b"\x80\x50\x00\x03\xc0\x00\x00\x05NetOk" as &[u8], &[1, 2, 3]].concat());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let frame = Frame { txn: None, id: "A".into(), body: vec![0; BODY_BYTES_MAX + 1] };
        assert!(matches!(frame.encode(), Err(FrameError::TooLong(1_048_576))));
        let frame = Frame { txn: None, id: "A".repeat(64), body: vec![] };
        assert!(matches!(frame.encode(), Err(FrameError::Id)));
        assert!(matches!(read(&[0x04, 0x10, 0, 0]), Err(FrameError::Reserved)));
        assert!(matches!(read(&[0, 0, 0, 1, 9]), Err(FrameError::Id)));
    }

    proptest! {
        #[test]
        fn round_trips(
            id in "[A-Za-z]{1,63}",
            body in prop::collection::vec(any::<u8>(), 0..2000),
            txn in prop::option::of((0_u32..1 << 30, any::<bool>(), any::<bool>())),
        ) {
            let txn = txn.map(|(id, response, complete)| Txn { id, response, complete });
            let frame = Frame { txn, id, body };
            let bytes = frame.encode().expect("fits");
            prop_assert_eq!(read(&bytes).expect("a frame"), Some(frame.clone()));
            // A prefix of a frame is an incomplete frame, never another one.
            for cut in [1, 3, bytes.len() / 2, bytes.len() - 1] {
                prop_assert!(matches!(read(&bytes[..cut]), Err(FrameError::Io(_))));
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(frame)) = read(&bytes) {
                let again = frame.encode().expect("what was read can be written");
                prop_assert_eq!(&again[..], &bytes[..again.len()]);
            }
        }
    }
}
