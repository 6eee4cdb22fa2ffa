//! Accepts connections on the gossip port and passes their frames through the gate to the loop. Bounds how many
//! connections and bytes wait.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::budget::{Budget, Entered, Limits};
use super::frame::{FRAME_BYTES_MAX, read_frame};
use super::guest::{FIRST_BYTE, Guest};
use super::{FrameError, FromStream, Gate, Listener, Way};

/// Connections served at one time; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 256;
/// Connections of one host; the others are left to the rest of the ring.
const CONNECTIONS_PER_HOST_MAX: usize = CONNECTIONS_MAX * 3 / 4;
/// Bytes of frames that are being received or wait for the loop. A host may have one of the longest at a time, and a
/// quarter of what short ones may take.
const LIMITS: Limits = Limits {
    large_bytes: 4 * FRAME_BYTES_MAX,
    peer_large_bytes: FRAME_BYTES_MAX,
    small_bytes: FRAME_BYTES_MAX / 2,
    peer_small_bytes: FRAME_BYTES_MAX / 8,
};
/// A connection without a frame for so long is closed. Longer than the sender's, which closes first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, which usually means that no descriptor is left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// While no further connection fits, one whose frame has been incomplete for so long makes room …
const HURRY: Duration = Duration::from_secs(5);
/// … and it is looked for one so often.
const PRESSURE_PERIOD: Duration = Duration::from_secs(1);

/// Whom a connection counts for: the host, or the network that one host has of its own where addresses are many.
pub(crate) fn host(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// Serves `listener` until `sink` is closed.
pub async fn serve_streams<L: Listener>(listener: L, sink: mpsc::Sender<FromStream>, gate: Gate) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let budget = Budget::new(LIMITS);
    let pressure = Arc::new(Notify::new());
    loop {
        let slot = loop {
            // A connection that sends nothing makes room for those that wait.
            if slots.available_permits() == 0 {
                pressure.notify_waiters();
            }
            match timeout(PRESSURE_PERIOD, Arc::clone(&slots).acquire_owned()).await {
                Ok(Ok(slot)) => break slot,
                Ok(Err(_)) => return,
                Err(_) => {}
            }
        };
        let accepted = tokio::select! {
            biased;
            () = sink.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a gossip connection; trying again");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(entered) = budget.of(host(from.ip())).enter(CONNECTIONS_PER_HOST_MAX) else {
            tracing::debug!(%from, "gossip connection refused: this host has too many");
            continue;
        };
        let connection = Connection { from, sink: sink.clone(), entered, gate: gate.clone() };
        let pressure = Arc::clone(&pressure);
        tokio::spawn(async move {
            let gate = connection.gate.clone();
            match connection.serve(stream, &pressure).await {
                Ok(None) => {}
                Ok(Some((stream, entered))) => {
                    gate.welcome(Guest { stream: Box::new(stream), from, _place: (slot, entered) });
                }
                Err(error) => tracing::debug!(%from, %error, "gossip connection cut"),
            }
        });
    }
}

struct Connection {
    from: SocketAddr,
    sink: mpsc::Sender<FromStream>,
    entered: Entered,
    gate: Gate,
}

impl Connection {
    /// Reads frames until the other end closes the connection, is silent for too long, or breaks a rule. The connection of a
    /// guest is given back.
    async fn serve<S: AsyncRead + Unpin>(
        self,
        mut stream: S,
        pressure: &Notify,
    ) -> Result<Option<(S, Entered)>, FrameError> {
        let mut may_be_guest = self.gate.has_guests();
        loop {
            let mut first = [0];
            let begun = tokio::select! {
                biased;
                begun = timeout(IDLE_TIMEOUT, stream.read(&mut first)) => begun,
                () = pressure.notified() => return Ok(None),
                () = self.sink.closed() => return Ok(None),
            };
            match begun {
                Ok(Ok(0)) | Err(_) => return Ok(None),
                Ok(Ok(_)) if may_be_guest && first[0] == FIRST_BYTE => {
                    return Ok(Some((stream, self.entered)));
                }
                Ok(Ok(_)) => may_be_guest = false,
                Ok(Err(error)) => return Err(error.into()),
            }
            let hurry = async {
                sleep(HURRY).await;
                pressure.notified().await;
            };
            let (bytes, share) = tokio::select! {
                biased;
                frame = read_frame(&mut stream, first[0], self.entered.room()) => frame?,
                () = hurry => return Err(FrameError::TooSlow(HURRY)),
            };
            // The connection of a stranger ends without a word.
            let Some(inward) = self.gate.inward(self.from, Way::Frame, &bytes) else { return Ok(None) };
            let (key, stamp, opened) = (inward.key, inward.stamp, inward.bytes);
            let opened = if let Cow::Owned(opened) = opened { Some(opened) } else { None };
            let bytes = opened.unwrap_or(bytes);
            if self.sink.send(FromStream::Frame { from: self.from, key, bytes, stamp, share }).await.is_err()
            {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_host_is_one_whichever_of_its_addresses_it_takes() {
        let host = |ip: &str| super::host(ip.parse().expect("an address"));
        assert_eq!(host("2001:db8:0:1::1"), host("2001:db8:0:1:ffff::2"));
        assert_ne!(host("2001:db8:0:1::1"), host("2001:db8:0:2::1"));
        assert_eq!(host("::ffff:10.0.0.1"), host("10.0.0.1"));
        assert_ne!(host("10.0.0.1"), host("10.0.0.2"));
    }
}
