//! Puts one message into one frame on the stream port: a big-endian `u32` with the body's length, then the body. Knows
//! nothing of messages, and takes no memory for bytes that have not come.
//!
//! A frame's first byte is 0x00, because no body reaches 16 MiB, so a guest's connection, whose first byte is 0xFF, shares the
//! port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::limits::{SEAL_BYTES_MAX, STREAM_BYTES_MAX};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::budget::{PeerRoom, Share};
use super::guest::FIRST_BYTE;

/// Longest body: the longest message, sealed.
pub(super) const FRAME_BYTES_MAX: usize = STREAM_BYTES_MAX + SEAL_BYTES_MAX;
/// Bytes of the length prefix.
const PREFIX_BYTES: usize = 4;
/// Memory is taken for so many bytes at a time: a sender that announces much and sends little costs little.
const CHUNK_BYTES: usize = 64 * 1024;
/// A frame must be complete this long after its first byte …
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// … and later by as much as its length takes at this rate.
const BYTES_PER_SEC_MIN: usize = 64 * 1024;
/// Each piece of [`CHUNK_BYTES`] must have come so long after the one before: a sender that holds back the last byte of
/// a long frame does not hold its room for as long as the whole frame may take.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Each piece must have been taken by the other end within this. Longer, because the other end may wait for room.
const UNTAKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a connection was cut.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The body would be longer than any message.
    #[error("frame of {bytes} bytes exceeds the limit of {FRAME_BYTES_MAX}")]
    TooLong {
        /// The length that was announced.
        bytes: usize,
    },
    /// The first byte belongs to another protocol.
    #[error("not a frame of this protocol")]
    Foreign,
    /// The frame did not end in time.
    #[error("frame did not end within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The frame stopped in the middle.
    #[error("nothing of a frame moved for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The connection failed or ended in the middle.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The time that a body of `bytes` may take.
fn time_for(bytes: usize) -> Duration {
    FRAME_TIMEOUT + Duration::from_secs((bytes / BYTES_PER_SEC_MIN) as u64)
}

/// The length that a prefix announces.
fn body_len(prefix: [u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
    if prefix[0] == FIRST_BYTE {
        return Err(FrameError::Foreign);
    }
    let bytes = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if bytes > FRAME_BYTES_MAX { Err(FrameError::TooLong { bytes }) } else { Ok(bytes) }
}

/// Reads the frame that begins with `first`. It takes part of its sender's `room` until the loop has handled it.
///
/// # Errors
/// See [`FrameError`]. The connection is of no use afterwards.
pub(super) async fn read_frame<R: AsyncRead + Unpin>(
    reader: &mut R,
    first: u8,
    room: &Arc<PeerRoom>,
) -> Result<(Vec<u8>, Share), FrameError> {
    let mut prefix = [first, 0, 0, 0];
    let rest = timeout(FRAME_TIMEOUT, reader.read_exact(&mut prefix[1..]));
    rest.await.map_err(|_| FrameError::TooSlow(FRAME_TIMEOUT))??;
    let len = body_len(prefix)?;
    let time = time_for(len);
    timeout(time, read_body(reader, len, room)).await.map_err(|_| FrameError::TooSlow(time))?
}

async fn read_body<R: AsyncRead + Unpin>(
    reader: &mut R,
    len: usize,
    room: &Arc<PeerRoom>,
) -> Result<(Vec<u8>, Share), FrameError> {
    let share = room.reserve(len).await;
    let mut body = Vec::new();
    while body.len() < len {
        let chunk = CHUNK_BYTES.min(len - body.len());
        body.reserve_exact(chunk);
        let mut piece = (&mut *reader).take(chunk as u64);
        let read = timeout(STALL_TIMEOUT, piece.read_to_end(&mut body)).await;
        if read.map_err(|_| FrameError::Stalled(STALL_TIMEOUT))?? < chunk {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok((body, share))
}

/// Writes one frame.
///
/// # Errors
/// The body is beyond the limit, the other end does not take it in time, or the connection failed.
pub(super) async fn write_frame<W: AsyncWrite + Unpin>(
    writer: &mut W,
    body: &[u8],
) -> Result<(), FrameError> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let prefix = len.to_be_bytes();
    body_len(prefix)?;
    let time = time_for(body.len());
    let write = async {
        if body.len() <= CHUNK_BYTES {
            // A small frame goes out in one segment.
            let mut frame = Vec::with_capacity(PREFIX_BYTES + body.len());
            frame.extend_from_slice(&prefix);
            frame.extend_from_slice(body);
            writer.write_all(&frame).await?;
        } else {
            writer.write_all(&prefix).await?;
            for piece in body.chunks(CHUNK_BYTES) {
                let taken = timeout(UNTAKEN_TIMEOUT, writer.write_all(piece)).await;
                taken.map_err(|_| FrameError::Stalled(UNTAKEN_TIMEOUT))??;
            }
        }
        writer.flush().await.map_err(FrameError::Io)
    };
    timeout(time, write).await.map_err(|_| FrameError::TooSlow(time))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;
    use crate::net::budget::{Budget, Limits};

    fn room() -> Arc<PeerRoom> {
        Budget::new(Limits {
            large_bytes: FRAME_BYTES_MAX,
            peer_large_bytes: FRAME_BYTES_MAX,
            small_bytes: CHUNK_BYTES,
            peer_small_bytes: CHUNK_BYTES,
        })
        .of(())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(future)
    }

    async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Vec<u8>, FrameError> {
        let first = reader.read_u8().await?;
        read_frame(reader, first, &room()).await.map(|(body, _)| body)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_survive_any_cut_of_the_stream(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 1..5),
            pipe_bytes in 1_usize..5_000,
        ) {
            block_on(async {
                let (mut near, mut far) = duplex(pipe_bytes);
                let sent = bodies.clone();
                let writer = tokio::spawn(async move {
                    for body in &sent {
                        write_frame(&mut near, body).await.expect("written");
                    }
                });
                for body in &bodies {
                    assert_eq!(&read(&mut far).await.expect("read"), body);
                }
                writer.await.expect("finished");
                assert!(matches!(read(&mut far).await, Err(FrameError::Io(_))), "then it ends");
            });
        }

        #[test]
        fn random_bytes_give_frames_or_errors_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            block_on(async {
                let mut reader = bytes.as_slice();
                let mut read_bytes = 0;
                while let Ok(body) = read(&mut reader).await {
                    read_bytes += PREFIX_BYTES + body.len();
                }
                assert!(read_bytes <= bytes.len());
            });
        }

        #[test]
        fn a_prefix_within_the_limit_begins_with_zero(len in 0..=FRAME_BYTES_MAX) {
            let prefix = u32::try_from(len).expect("small").to_be_bytes();
            prop_assert_eq!(prefix[0], 0);
            prop_assert_eq!(body_len(prefix).expect("allowed"), len);
        }
    }

    #[test]
    fn foreign_and_endless_frames_are_cut_at_the_prefix() {
        block_on(async {
            let mut foreign: &[u8] = &[0xff, 0, 0, 1, 9];
            assert!(matches!(read(&mut foreign).await, Err(FrameError::Foreign)));
            let mut endless = [0x00, 0x80, 0x00, 0x30].as_slice().chain(tokio::io::repeat(7));
            assert!(matches!(read(&mut endless).await, Err(FrameError::TooLong { bytes: 0x0080_0030 })));
            let mut out = Vec::new();
            let long = vec![0; FRAME_BYTES_MAX + 1];
            assert!(matches!(write_frame(&mut out, &long).await, Err(FrameError::TooLong { .. })));
            assert!(out.is_empty(), "nothing of a frame that cannot be sent");
        });
    }

    #[test]
    fn a_frame_that_is_not_read_to_its_end_gives_its_room_back() {
        block_on(async {
            let room = room();
            let announced = u32::try_from(FRAME_BYTES_MAX).expect("small").to_be_bytes();
            let (mut near, mut far) = duplex(1024);
            near.write_all(&announced[1..]).await.expect("written");
            near.write_all(&[1; 100]).await.expect("written");
            let reading = read_frame(&mut far, announced[0], &room);
            assert!(timeout(Duration::from_millis(50), reading).await.is_err(), "still incomplete");
            assert!(room.try_reserve(FRAME_BYTES_MAX).is_some(), "all given back");
        });
    }

    #[test]
    fn time_grows_with_length_and_is_bounded() {
        assert_eq!(time_for(0), FRAME_TIMEOUT);
        assert!(time_for(FRAME_BYTES_MAX) < Duration::from_secs(200));
    }
}
