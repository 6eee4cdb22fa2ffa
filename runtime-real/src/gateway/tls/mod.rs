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
mod version_1;
mod wire;

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use annulus_core::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use client::{ClientFiles, Names, explain};
use files::{Age, Lifetime};
pub use files::{Files, TlsError};
pub use wire::Wire;

use crate::gateway::disk;
use crate::host::clock::Clock;

/// A client must have finished its handshake within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether the files have changed.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// A certificate that nothing renews is told of so often.
const TOLD_PERIOD: Duration = Duration::from_secs(6 * 60 * 60);

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
    /// From when to when its certificate counts.
    lifetime: Option<Lifetime>,
    /// Why the files as they are now cannot be used.
    trouble: Option<String>,
}

impl From<(ServerConfig, Lifetime)> for State {
    fn from((config, lifetime): (ServerConfig, Lifetime)) -> Self {
        Self { config: Some(Arc::new(config)), lifetime: Some(lifetime), trouble: None }
    }
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
        let loaded = files.load(clock.wall())?;
        Ok(Self::new(files, clock, loaded.into()))
    }

    /// As [`Self::load`]; where the files cannot be used, both gateways are closed until they can.
    #[must_use]
    pub fn load_or_close(files: Files, clock: Clock) -> Self {
        let state = match files.load(clock.wall()) {
            Ok(loaded) => loaded.into(),
            Err(error) => State { config: None, lifetime: None, trouble: Some(error.to_string()) },
        };
        Self::new(files, clock, state)
    }

    fn new(files: Files, clock: Clock, state: State) -> Self {
        Self(Arc::new(Shared { files, clock, state: RwLock::new(state) }))
    }

    /// What an operator has to mend; none when the files can be used, and will be for a while.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.trouble().or_else(|| self.expires(self.age()?))
    }

    /// Why the files cannot be used.
    fn trouble(&self) -> Option<String> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        let meanwhile = if state.config.is_some() {
            "those before them stay in use"
        } else {
            "both gateways are closed for other hosts until they can, and commands on this host go on"
        };
        state.trouble.as_ref().map(|why| format!("the TLS files cannot be used, and {meanwhile}: {why}"))
    }

    /// How the certificate that is in use stands.
    fn age(&self) -> Option<Age> {
        let lifetime = self.0.state.read().unwrap_or_else(PoisonError::into_inner).lifetime?;
        Some(lifetime.age(self.0.clock.wall()))
    }

    /// What is to be said of a certificate at this age; both gateways take a new one while they run.
    fn expires(&self, age: Age) -> Option<String> {
        let cert = self.0.files.cert.display();
        match age {
            Age::Fresh => None,
            Age::Late(left_s) => {
                let left = match left_s {
                    172_800.. => format!("{} days", left_s / 86_400),
                    7_200.. => format!("{} hours", left_s / 3_600),
                    120.. => format!("{} minutes", left_s / 60),
                    _ => format!("{left_s} seconds"),
                };
                Some(format!(
                    "TLS certificate {cert} expires in {left}, and nothing has renewed it; put a new one there"
                ))
            }
            Age::Expired => Some(format!(
                "TLS certificate {cert} has expired, so clients refuse both gateways; put a new one there"
            )),
        }
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

    /// Takes in changed files until the returned future is dropped.
    pub async fn follow(self) {
        let mut looks = interval(LOOK_PERIOD);
        let shared = &self.0;
        let stamps = || {
            let files = shared.files.clone();
            disk::read(move || files.stamps())
        };
        if let Some(trouble) = self.trouble() {
            tracing::error!("{trouble}");
        }
        let Ok(mut taken) = stamps().await else { return };
        let mut last = taken.clone();
        let mut told: Option<(bool, Instant)> = None;
        loop {
            looks.tick().await;
            told = self.tell_age(told);
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

    /// Says that the certificate expires soon, once in a while, and once more when it has. `told` is whether the last was
    /// that of an expired one, and when.
    fn tell_age(&self, told: Option<(bool, Instant)>) -> Option<(bool, Instant)> {
        let age = self.age()?;
        let text = self.expires(age)?;
        let (now, is_expired) = (self.0.clock.now(), age == Age::Expired);
        let is_due = told.is_none_or(|(was_expired, at)| {
            was_expired != is_expired || now.saturating_since(at) >= TOLD_PERIOD
        });
        match is_due {
            false => told,
            true if is_expired => {
                tracing::error!("{text}");
                Some((true, now))
            }
            true => {
                tracing::warn!("{text}");
                Some((false, now))
            }
        }
    }

    /// Takes files that were read again.
    fn take(&self, read: Result<(ServerConfig, Lifetime), TlsError>) {
        let before = self.trouble();
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(loaded) => {
                *state = loaded.into();
                tracing::info!("the changed TLS files are in use; connections that are open go on");
            }
            Err(error) => {
                state.trouble = Some(error.to_string());
                drop(state);
                let trouble = self.trouble();
                if trouble != before {
                    tracing::error!("{}", trouble.unwrap_or_default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
