//! Binds the listeners of a supervisor, and writes down where they are. Serves none of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::{Event, EventKind, MemberId, ServiceName, ServiceState, ServiceView};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::timeout;

use super::StartError;
use super::options::Settings;
use crate::gateway::ctl::local::LocalListener;
use crate::gateway::http::Announced;
use crate::host::lock;
use crate::host::root::SupDir;
use crate::net::{Listener as _, TokioDatagrams, TokioListener, TokioTransport, Transport as _, bind_gossip};
use crate::supervisor::handle::DriverHandle;

/// The addresses of the listeners.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) gossip: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) ctl: SocketAddr,
    pub(super) agent_check: Option<SocketAddr>,
}

/// The bound listeners and their addresses.
pub(super) struct Bound {
    pub(super) datagrams: TokioDatagrams,
    pub(super) gossip: TokioListener,
    pub(super) http: TokioListener,
    pub(super) ctl: TokioListener,
    pub(super) local: LocalListener,
    pub(super) agent_check: Option<TokioListener>,
    pub(super) at: Addresses,
}

impl Bound {
    /// Binds all listeners.
    ///
    /// # Errors
    /// One of the addresses, or the socket of the ctl gateway, cannot be listened on.
    pub(super) async fn bind(settings: &Settings, sup: &SupDir) -> Result<Self, StartError> {
        let error =
            |what, option, address| move |source| StartError::Listen { what, address, option, source };
        let gossip_error = error("the gossip listener", "--listen-gossip", settings.gossip);
        let (datagrams, gossip, gossip_at) = bind_gossip(&TokioTransport::default(), settings.gossip)
            .await
            .map_err(|(_, source)| gossip_error(source))?;
        let http_error = error("the HTTP gateway", "--listen-http", settings.http);
        let http = TokioTransport::default().listen(settings.http).await.map_err(http_error)?;
        let ctl_error = error("the ctl gateway", "--listen-ctl", settings.ctl);
        let ctl = TokioTransport::default().listen(settings.ctl).await.map_err(ctl_error)?;
        let local = LocalListener::bind(&sup.ctl_socket())?;
        let agent_check = match settings.agent_check {
            Some(at) => {
                let agent_error = error("the agent check", "--listen-agent-check", at);
                Some(TokioTransport::default().listen(at).await.map_err(agent_error)?)
            }
            None => None,
        };
        let at = Addresses {
            gossip: gossip_at,
            http: http.local_addr()?,
            ctl: ctl.local_addr()?,
            agent_check: agent_check.as_ref().map(|listener| listener.local_addr()).transpose()?,
        };
        Ok(Self { datagrams, gossip, http, ctl, local, agent_check, at })
    }
}

/// Logs which member runs at which addresses, as soon as the member's identity is on disk; whether that was said.
pub(super) fn announce(handle: &DriverHandle, sup: SupDir, at: (Addresses, bool)) -> Announced {
    let announced = Announced::default();
    tokio::spawn(announce_once(handle.events(), sup, at, announced.clone()));
    announced
}

async fn announce_once(
    mut events: broadcast::Receiver<Arc<Event>>,
    sup: SupDir,
    (at, has_tls): (Addresses, bool),
    announced: Announced,
) {
    let member = loop {
        match events.recv().await.map(|event| event.kind.clone()) {
            Ok(EventKind::Started { member, .. }) => break member,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    };
    // The loop runs already and must not wait for a disk. A panic in there has been printed already.
    let _ = tokio::task::spawn_blocking(move || write_down(&sup, member)).await;
    let Addresses { gossip, http, ctl, agent_check } = at;
    let scheme = if has_tls { "https" } else { "http" };
    let check = agent_check.map_or_else(String::new, |address| format!(", agent check on {address}"));
    let agent_check = agent_check.map(tracing::field::display);
    tracing::info!(
        ready = true, %member, %gossip, %http, %ctl, agent_check,
        "supervisor {member} is ready: gossip on {gossip} (UDP and TCP), HTTP on {scheme}://{http}, ctl on {ctl}{check}"
    );
    announced.now();
}

/// Longest time for which load balancers wait for an answer after a start.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(10);

/// Waits until the processes that outlived the last supervisor are taken over: until then a service that never stopped would
/// be told of as one that does not run. Who connects meanwhile waits for the answer.
pub(super) async fn taken_over(handle: DriverHandle, held: Arc<[ServiceName]>) {
    let mut events = handle.events();
    let is_over = async {
        loop {
            let held = Arc::clone(&held);
            let waits = move |view: &ServiceView| {
                let is_early = matches!(view.state, ServiceState::Loaded | ServiceState::Starting);
                is_early && held.contains(&view.spec.ident.service_name())
            };
            let some_wait = handle.read(move |node| node.services().iter().any(waits)).await;
            if !some_wait.unwrap_or(false) || matches!(events.recv().await, Err(RecvError::Closed)) {
                return;
            }
        }
    };
    let _ = timeout(TAKEN_OVER_MAX, is_over).await;
}

/// Writes the member's id and the supervisor's pid for people and scripts.
fn write_down(sup: &SupDir, member: MemberId) {
    if let Err(error) = lock::write_member_id(sup, member) {
        tracing::warn!(%error, "the member id could not be written down for people");
    }
    if let Err(error) = std::fs::write(sup.pid_file(), format!("{}\n", std::process::id())) {
        tracing::warn!(%error, "the supervisor's pid could not be written down for people");
    }
}
