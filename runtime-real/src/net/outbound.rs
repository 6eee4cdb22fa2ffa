//! Sends frames: one connection per destination, kept while there are frames to send. Never holds up the loop: a frame
//! that finds no room is dropped.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use annulus_core::limits::STREAM_BYTES_MAX;
use annulus_core::{RingKeyId, Stamp};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::budget::{Budget, Limits, Share};
use super::frame::write_frame;
use super::{FrameError, FromStream, Gate, Transport};

/// Connections open at one time.
const CONNECTIONS_MAX: usize = 256;
/// Frames that may wait for one destination.
const QUEUE_MAX: usize = 16;
/// Bytes that may wait; for a destination that takes none, as many as the others can spare.
const LIMITS: Limits = Limits {
    large_bytes: 8 * STREAM_BYTES_MAX,
    peer_large_bytes: 2 * STREAM_BYTES_MAX,
    small_bytes: STREAM_BYTES_MAX,
    peer_small_bytes: STREAM_BYTES_MAX / 8,
};
/// A host that does not answer a connection request within this is taken for absent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An unused connection is closed after this. Shorter than the receiver's, so that no frame meets a closing one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

type Frame = (RingKeyId, Vec<u8>, Option<Stamp>, Share);

/// The sending side of the gossip port. Like datagrams, frames may get lost, and the sender is not told of success.
#[derive(Debug)]
pub struct Outbound<T: Transport> {
    transport: T,
    queues: BTreeMap<SocketAddr, mpsc::Sender<Frame>>,
    budget: Budget<SocketAddr>,
    refusals: mpsc::Sender<FromStream>,
    gate: Gate,
}

impl<T: Transport> Outbound<T> {
    /// Refused connections are reported to `refusals`. Frames pass the gate when they are sent.
    #[must_use]
    pub fn new(transport: T, refusals: mpsc::Sender<FromStream>, gate: Gate) -> Self {
        Self { transport, queues: BTreeMap::new(), budget: Budget::new(LIMITS), refusals, gate }
    }

    /// Queues one frame; drops it when too many wait already.
    pub fn send(&mut self, to: SocketAddr, key: RingKeyId, bytes: Vec<u8>, stamp: Option<Stamp>) {
        let Some(share) = self.budget.of(to).try_reserve(bytes.len()) else {
            tracing::warn!(%to, "gossip message dropped: too many bytes wait to be sent");
            return;
        };
        let mut frame = (key, bytes, stamp, share);
        if let Some(queue) = self.queues.get(&to) {
            match queue.try_send(frame) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    tracing::debug!(%to, "gossip message dropped: too many wait for this member");
                    return;
                }
                // The connection has just ended; the frame goes out on a new one.
                Err(mpsc::error::TrySendError::Closed(back)) => frame = back,
            }
        }
        self.queues.retain(|_, queue| !queue.is_closed());
        if self.queues.len() >= CONNECTIONS_MAX {
            tracing::warn!(%to, "gossip message dropped: too many connections are open");
            return;
        }
        let (queue, frames) = mpsc::channel(QUEUE_MAX);
        // A new queue has room.
        let _ = queue.try_send(frame);
        self.queues.insert(to, queue);
        let (transport, refusals, gate) = (self.transport.clone(), self.refusals.clone(), self.gate.clone());
        let peer = Peer { to, transport, frames, refusals, gate };
        tokio::spawn(peer.run());
    }
}

struct Peer<T: Transport> {
    to: SocketAddr,
    transport: T,
    frames: mpsc::Receiver<Frame>,
    refusals: mpsc::Sender<FromStream>,
    gate: Gate,
}

impl<T: Transport> Peer<T> {
    async fn run(mut self) {
        match self.deliver().await {
            Ok(()) => {}
            Err(FrameError::Io(e)) if e.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = self.refusals.send(FromStream::Refused { to: self.to }).await;
            }
            Err(error) => tracing::debug!(to = %self.to, %error, "gossip connection failed"),
        }
    }

    /// Sends frames until none has come for a while. When a connection fails the waiting frames are dropped: the node
    /// sends again what is true then.
    async fn deliver(&mut self) -> Result<(), FrameError> {
        let mut stream = self.connect().await?;
        let mut reused = false;
        while let Some((key, bytes, stamp, _share)) = self.next(&mut stream, reused).await {
            match self.write(&mut stream, (&key, stamp), &bytes).await {
                // The other end may have restarted since the last frame; it gets one more chance.
                Err(FrameError::Io(_)) if reused => {
                    stream = self.connect().await?;
                    self.write(&mut stream, (&key, stamp), &bytes).await?;
                }
                result => result?,
            }
            reused = true;
        }
        Ok(())
    }

    /// The next frame to send, or none when this connection is to end: it is idle, or the other end closed it.
    async fn next(&mut self, stream: &mut T::Stream, reused: bool) -> Option<Frame> {
        if !self.frames.is_closed() {
            let mut byte = [0];
            let waited = tokio::select! {
                biased;
                frame = timeout(IDLE_TIMEOUT, self.frames.recv()) => frame,
                // The other end never sends on this connection, so a read that completes means its end.
                _ = stream.read(&mut byte), if reused => Ok(None),
            };
            if let Ok(Some(frame)) = waited {
                return Some(frame);
            }
            // From now on a new frame opens a new connection; a frame that was queued in between is still sent.
            self.frames.close();
        }
        self.frames.recv().await
    }

    /// Each try has the number of the first: a receiver that has the message drops it.
    async fn write(
        &self,
        stream: &mut T::Stream,
        (key, stamp): (&RingKeyId, Option<Stamp>),
        bytes: &[u8],
    ) -> Result<(), FrameError> {
        match self.gate.outward(key, stamp, bytes) {
            Some(sealed) => write_frame(stream, &sealed).await,
            None => Ok(()),
        }
    }

    async fn connect(&self) -> Result<T::Stream, FrameError> {
        let connected = timeout(CONNECT_TIMEOUT, self.transport.connect(self.to)).await;
        Ok(connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
    }
}
