//! Accepts connections on the gossip port and passes their frames to the loop. Looks into no frame, and bounds how
//! many connections and bytes wait.

use std::sync::Arc;
use std::time::Duration;

use annulus_core::limits::STREAM_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::{FrameError, FromStream, Listener, read_frame};

/// Connections served at one time; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of frames that are being received or wait for the loop.
const BYTES_MAX: usize = 4 * STREAM_BYTES_MAX;
/// A connection without a frame for so long is closed. Longer than the sender's, which closes first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, which usually means that no descriptor is left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves `listener` until `sink` is closed.
pub async fn serve_streams<L: Listener>(listener: L, sink: mpsc::Sender<FromStream>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let budget = Arc::new(Semaphore::new(BYTES_MAX));
    let pressure = Arc::new(Notify::new());
    loop {
        if slots.available_permits() == 0 {
            // A connection that sends nothing makes room for those that wait.
            pressure.notify_waiters();
        }
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
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
        let connection = Connection { from, sink: sink.clone(), budget: Arc::clone(&budget) };
        let pressure = Arc::clone(&pressure);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.serve(stream, &pressure).await {
                tracing::debug!(%from, %error, "gossip connection cut");
            }
        });
    }
}

struct Connection {
    from: std::net::SocketAddr,
    sink: mpsc::Sender<FromStream>,
    budget: Arc<Semaphore>,
}

impl Connection {
    /// Reads frames until the other end closes the connection, is silent for too long, or breaks a rule.
    async fn serve<S: AsyncRead + Unpin>(self, mut stream: S, pressure: &Notify) -> Result<(), FrameError> {
        loop {
            let mut first = [0];
            let begun = tokio::select! {
                biased;
                begun = timeout(IDLE_TIMEOUT, stream.read(&mut first)) => begun,
                () = pressure.notified() => return Ok(()),
                () = self.sink.closed() => return Ok(()),
            };
            match begun {
                Ok(Ok(0)) | Err(_) => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
            let (bytes, share) = read_frame(&mut stream, first[0], &self.budget).await?;
            if self.sink.send(FromStream::Frame { from: self.from, bytes, share }).await.is_err() {
                return Ok(());
            }
        }
    }
}
