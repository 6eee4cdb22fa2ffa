//! TLS of the HTTP and ctl gateways: one certificate, one key, and, where client certificates are demanded, the authorities
//! that count. Decides nothing about what a client may do.
//!
//! Files that cannot be used are named before the supervisor listens. They are looked at every two seconds: what has changed,
//! and then stayed the same for one look, is taken if it can be used; if not, the files before it stay in force, and a line in
//! the log says so. Connections that are open go on.
//!
//! Handshakes have the limits of the door: a client that stalls in one has not shown what it wants.

mod client;
mod files;
mod wire;

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use client::{ClientFiles, Names, explain};
pub use files::{Files, TlsError};
pub use wire::Wire;

use crate::gateway::disk;
use crate::host::clock::Clock;

/// A client must have finished its handshake within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether the files have changed.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// TLS of a supervisor's gateways. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    clock: Clock,
    config: RwLock<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// Reads the files, and checks that they can be used together and now.
    ///
    /// # Errors
    /// Names the file, what is wrong with it, and what to do.
    pub fn load(files: Files, clock: Clock) -> Result<Self, TlsError> {
        let config = files.load(clock.wall())?;
        Ok(Self(Arc::new(Shared { files, clock, config: RwLock::new(Arc::new(config)) })))
    }

    /// Checks whether the files could be read again.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.0.files.load(self.0.clock.wall()).map(drop)
    }

    /// Does the handshake with a client.
    pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<Wire<S>> {
        let config = Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner));
        let stream = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Wire::Tls(Box::new(stream.into())))
    }

    /// Takes in changed files until the returned future is dropped.
    pub async fn follow(self) {
        let mut looks = interval(LOOK_PERIOD);
        let shared = &self.0;
        let stamps = || {
            let files = shared.files.clone();
            disk::read(move || files.stamps())
        };
        let Ok(mut taken) = stamps().await else { return };
        let mut last = taken.clone();
        loop {
            looks.tick().await;
            let Ok(now) = stamps().await else { return };
            // Several files are replaced one after the other: those that still change are not looked into.
            let is_settled = now == last;
            last = now;
            if !is_settled || last == taken {
                continue;
            }
            taken.clone_from(&last);
            let (files, wall) = (shared.files.clone(), shared.clock.wall());
            match disk::read(move || files.load(wall)).await {
                Ok(Ok(config)) => {
                    *shared.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    tracing::info!("the changed TLS files are in use; connections that are open go on");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "the changed TLS files cannot be used; those before them stay in use");
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
