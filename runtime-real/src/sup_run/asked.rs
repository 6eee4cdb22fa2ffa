//! Waits for signals and for the launcher's end, which ask the supervisor to end or to start again. Orders from the
//! ring and from operators come on other ways.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::gateway::tls::{Tls, TlsError};
use crate::launcher::client::Client;

/// Signals that ask this process to end.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        // These ask for nothing, and must not end a supervisor by their default. A handler stays when its receiver goes.
        for kind in [SignalKind::user_defined1(), SignalKind::user_defined2(), SignalKind::alarm()] {
            drop(signal(kind)?);
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// The sources from which this process can be asked to end or to restart.
pub(super) struct Asked {
    pub(super) signals: Signals,
    pub(super) restart: Arc<Notify>,
    pub(super) launcher: Client,
    pub(super) tls: Option<Tls>,
}

/// A request to the process.
pub(super) enum Ask {
    /// The signal of this name asks it to end.
    End(&'static str),
    /// The signal of this name asks for a restart by the launcher, while services go on.
    Restart(&'static str),
    /// A restart was asked for, with files of TLS that the next supervisor could not start with.
    Useless(&'static str, TlsError),
    /// The launcher is gone, and without it this process can do nothing for services.
    Alone,
}

impl Asked {
    pub(super) async fn next(&mut self) -> Ask {
        let Signals { terminate, interrupt, quit, hang_up } = &mut self.signals;
        let ask = tokio::select! {
            biased;
            _ = terminate.recv() => Ask::End("SIGTERM"),
            _ = interrupt.recv() => Ask::End("SIGINT"),
            _ = quit.recv() => Ask::End("SIGQUIT"),
            _ = hang_up.recv() => Ask::Restart("SIGHUP"),
            () = self.restart.notified() => Ask::Restart("sup restart"),
            () = self.launcher.closed() => Ask::Alone,
        };
        match (ask, &self.tls) {
            (Ask::Restart(name), Some(tls)) => match tls.check() {
                Ok(()) => Ask::Restart(name),
                Err(error) => Ask::Useless(name, error),
            },
            (ask, _) => ask,
        }
    }
}
