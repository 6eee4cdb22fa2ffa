//! What asks a supervisor to end or to start again, beside the ring and its operators.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

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
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// What asks this process for something, beside the ring and its operators.
pub(super) struct Asked {
    pub(super) signals: Signals,
    pub(super) restart: Arc<Notify>,
    pub(super) launcher: Client,
}

/// What it asks for.
pub(super) enum Ask {
    /// To end, by the signal of this name.
    End(&'static str),
    /// To be started again by the launcher, while services go on.
    Restart(&'static str),
    /// Nothing any more: the launcher is gone, and nothing can be done for services without it.
    Alone,
}

impl Asked {
    pub(super) async fn next(&mut self) -> Ask {
        let Signals { terminate, interrupt, quit, hang_up } = &mut self.signals;
        tokio::select! {
            biased;
            _ = terminate.recv() => Ask::End("SIGTERM"),
            _ = interrupt.recv() => Ask::End("SIGINT"),
            _ = quit.recv() => Ask::End("SIGQUIT"),
            _ = hang_up.recv() => Ask::Restart("SIGHUP"),
            () = self.restart.notified() => Ask::Restart("sup restart"),
            () = self.launcher.closed() => Ask::Alone,
        }
    }
}
