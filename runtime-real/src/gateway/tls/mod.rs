//! TLS of the HTTP and ctl gateways: one certificate, one key, and, where client certificates are demanded, the authorities
//! that count. Decides nothing about what a client may do.
//!
//! Files that cannot be used are named before the supervisor listens. They are looked at every two seconds: what has changed,
//! and then stayed the same for one look, is taken if it can be used; if not, the files before it stay in force, and a line in
//! the log says so. Connections that are open go on. A supervisor that is started again after a crash begins also without
//! files that it can use: its services need it more than its gateways, which stay closed until the files are mended.
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

/// Between two looks how long the certificate still counts.
const EXPIRY_PERIOD: Duration = Duration::from_secs(6 * 60 * 60);

/// TLS of a supervisor's gateways. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    clock: Clock,
    state: RwLock<State>,
}

struct State {
    /// None while no files could be used yet; then no handshake succeeds.
    config: Option<Arc<ServerConfig>>,
    /// Why the files as they are now cannot be used.
    trouble: Option<String>,
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
        Ok(Self::new(files, clock, State { config: Some(Arc::new(config)), trouble: None }))
    }

    /// As [`Self::load`]; where the files cannot be used, both gateways are closed until they can.
    #[must_use]
    pub fn load_or_close(files: Files, clock: Clock) -> Self {
        let state = match files.load(clock.wall()) {
            Ok(config) => State { config: Some(Arc::new(config)), trouble: None },
            Err(error) => State { config: None, trouble: Some(error.to_string()) },
        };
        Self::new(files, clock, state)
    }

    fn new(files: Files, clock: Clock, state: State) -> Self {
        Self(Arc::new(Shared { files, clock, state: RwLock::new(state) }))
    }

    /// What an operator has to mend; none when the files can be used.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        let meanwhile = if state.config.is_some() {
            "those before them stay in use"
        } else {
            "both gateways are closed for other hosts until they can, and commands on this host go on"
        };
        state.trouble.as_ref().map(|why| format!("the TLS files cannot be used, and {meanwhile}: {why}"))
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
        let config = self.0.state.read().unwrap_or_else(PoisonError::into_inner).config.clone();
        let config = config.ok_or(io::ErrorKind::ConnectionRefused)?;
        let stream = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Wire::Tls(Box::new(stream.into())))
    }

    /// Says now and then that the certificate expires soon, until the returned future is dropped.
    pub async fn watch_expiry(self) {
        let mut looks = interval(EXPIRY_PERIOD);
        loop {
            looks.tick().await;
            let (files, wall) = (self.0.files.clone(), self.0.clock.wall());
            if let Ok(Some(soon)) = disk::read(move || files.expires_soon(wall)).await {
                tracing::warn!("{soon}");
            }
        }
    }

    /// Takes in changed files until the returned future is dropped.
    pub async fn follow(self) {
        let mut looks = interval(LOOK_PERIOD);
        let shared = &self.0;
        let stamps = || {
            let files = shared.files.clone();
            disk::read(move || files.stamps())
        };
        if let Some(problem) = self.problem() {
            tracing::error!("{problem}");
        }
        let Ok(mut taken) = stamps().await else { return };
        let mut last = taken.clone();
        loop {
            looks.tick().await;
            let Ok(now) = stamps().await else { return };
            // Several files are replaced one after the other: those that still change are not looked into.
            let is_settled = now == last;
            last = now;
            let is_closed = shared.state.read().unwrap_or_else(PoisonError::into_inner).config.is_none();
            // The reason why none can be used may also pass by itself, as that of a certificate which is not valid yet.
            if !is_settled || (last == taken && !is_closed) {
                continue;
            }
            taken.clone_from(&last);
            let (files, wall) = (shared.files.clone(), shared.clock.wall());
            let Ok(read) = disk::read(move || files.load(wall)).await else { return };
            self.take(read);
        }
    }

    /// Takes files that were read again.
    fn take(&self, read: Result<ServerConfig, TlsError>) {
        let before = self.problem();
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                *state = State { config: Some(Arc::new(config)), trouble: None };
                tracing::info!("the changed TLS files are in use; connections that are open go on");
            }
            Err(error) => {
                state.trouble = Some(error.to_string());
                drop(state);
                let problem = self.problem();
                if problem != before {
                    tracing::error!("{}", problem.unwrap_or_default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
