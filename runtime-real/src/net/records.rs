//! Records on a stream: a big-endian `u32` with the length, then `crypto_secretbox` of at most 16 KiB. Each direction has a key of
//! its own, and the nonce is the number of the record in its direction: none can be left out, repeated or put elsewhere. How
//! both ends come by the keys, others know.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::keys::crypto::{Nonce, SharedKey};

/// Bytes of a record before it is sealed.
pub(crate) const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What the seal of a record adds.
const SEAL_BYTES: usize = 16;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Direction {
    key: SharedKey,
    next: u64,
}

impl Direction {
    /// A direction with this key, on which nothing was said yet.
    pub(crate) const fn new(key: SharedKey) -> Self {
        Self { key, next: 0 }
    }

    /// So many records have been read by others.
    pub(crate) const fn pass(&mut self, records: u64) {
        self.next = records;
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 24];
        nonce[16..].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        Nonce(nonce)
    }

    pub(crate) async fn write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> io::Result<()> {
        let nonce = self.nonce();
        let sealed = self.key.seal(&nonce, bytes);
        let len = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes(), &sealed[..]].concat()).await?;
        stream.flush().await
    }

    pub(crate) fn opened(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        let nonce = self.nonce();
        self.key.open(&nonce, record)
    }

    pub(crate) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
        let record = record(stream).await?;
        self.opened(&record).ok_or_else(unreadable)
    }
}

/// The next record, still sealed.
pub(crate) async fn record(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let len = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if !(SEAL_BYTES..=RECORD_BYTES_MAX + SEAL_BYTES).contains(&len) {
        return Err(unreadable());
    }
    let mut sealed = vec![0; len];
    stream.read_exact(&mut sealed).await?;
    Ok(sealed)
}

pub(crate) fn unreadable() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it is not sealed with this ring's key, or was changed on its way",
    )
}

/// Whether an error says that the other end has not the key, or that what it sent was changed.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
