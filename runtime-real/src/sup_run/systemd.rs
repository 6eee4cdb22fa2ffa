//! Tells a service manager about this supervisor, with the messages of systemd's `sd_notify`, through its launcher
//! (`launcher::notify`). Takes no orders from it.
//!
//! | told | when |
//! |---|---|
//! | `READY=1` | the listeners are bound and the member's identity is on disk |
//! | `STATUS=…` | whenever the text has changed |
//! | `WATCHDOG=1` | twice per `WATCHDOG_USEC`, each time after the supervisor's loop has answered |
//! | `RELOADING=1` | the supervisor is about to be replaced, its services run on |
//! | `STOPPING=1` | the supervisor is leaving |
//! | `EXTEND_TIMEOUT_USEC=…` | while services drain and stop, as long as the loop answers |

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use annulus_core::{Event, EventKind, Node, ServiceState, State};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::supervisor::handle::DriverHandle;

/// Where the service manager listens.
pub const SOCKET_ENV: &str = "NOTIFY_SOCKET";
/// How long the service manager waits between signs of life, in microseconds.
pub const WATCHDOG_ENV: &str = "WATCHDOG_USEC";
/// How often the status is looked at, unless a watchdog needs it more often.
const LOOK_PERIOD: Duration = Duration::from_secs(5);
/// How often the supervisor asks for more time while it leaves, …
const EXTEND_PERIOD: Duration = Duration::from_secs(1);
/// … and for how much: several tries fit in.
const EXTEND_BY: Duration = Duration::from_secs(15);

/// The connection to the service manager.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The service manager that the environment names; none when no service manager started this process.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let path = env::var(SOCKET_ENV).ok().filter(|path| !path.is_empty())?;
        let watchdog = env::var(WATCHDOG_ENV).ok().and_then(|us| us.parse().ok()).filter(|us| *us > 0);
        match Self::new(&path, watchdog.map(Duration::from_micros)) {
            Ok(notifier) => Some(notifier),
            Err(error) => {
                tracing::warn!(%error, "{SOCKET_ENV}={path} cannot be used; the service manager is told nothing");
                None
            }
        }
    }

    /// The service manager that listens at this path; a path that begins with `@` has no place in the file system.
    ///
    /// # Errors
    /// The path is too long, or the system has no sockets left.
    pub fn new(path: &str, watchdog: Option<Duration>) -> io::Result<Self> {
        let manager = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not stop the supervisor.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, manager, watchdog })
    }

    /// Sends these assignments, one per line.
    pub fn send(&self, lines: &[String]) {
        if let Err(error) = self.socket.send_to_addr(lines.join("\n").as_bytes(), &self.manager) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }

    /// Tells that another supervisor is about to take over, which will report when it is ready. `now_us` is the
    /// system's monotonic clock.
    pub fn reloading(&self, now_us: u64) {
        self.send(&[
            "RELOADING=1".to_owned(),
            format!("MONOTONIC_USEC={now_us}"),
            "STATUS=restarting".to_owned(),
        ]);
    }

    /// How often the loop has to answer.
    fn period(&self) -> Duration {
        self.watchdog.map_or(LOOK_PERIOD, |watchdog| (watchdog / 2).min(LOOK_PERIOD))
    }
}

/// Follows the supervisor until it has ended.
pub async fn follow(
    notifier: Arc<Notifier>,
    handle: DriverHandle,
    mut events: broadcast::Receiver<Arc<Event>>,
) {
    let mut phase = Phase::Starting;
    let mut told = String::new();
    let mut look = interval(notifier.period());
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event.map(|event| event.kind.clone()) {
                Ok(EventKind::Started { .. }) => {
                    phase = Phase::Running;
                    notifier.send(&["READY=1".to_owned()]);
                }
                Ok(EventKind::Leaving) => {
                    phase = Phase::Leaving;
                    notifier.send(&["STOPPING=1".to_owned()]);
                    look = interval(EXTEND_PERIOD.min(notifier.period()));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            _ = look.tick() => {}
            _ = handle.ended() => return,
        }
        // A watchdog is there for a loop that does not answer, so it is told nothing then.
        let Ok(Ok(summary)) = timeout(notifier.period(), handle.read(Summary::of)).await else { continue };
        let mut lines = Vec::new();
        if notifier.watchdog.is_some() {
            lines.push("WATCHDOG=1".to_owned());
        }
        if phase == Phase::Leaving {
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros()));
        }
        let status = format!("STATUS={}", summary.text(phase));
        if status != told {
            lines.push(status.clone());
            told = status;
        }
        if !lines.is_empty() {
            notifier.send(&lines);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Leaving,
}

/// The facts for the line in `systemctl status`.
#[derive(Debug, Default)]
struct Summary {
    members: usize,
    up: usize,
    services: usize,
    with_process: usize,
    failing: Vec<String>,
    draining: Vec<String>,
}

impl Summary {
    fn of(node: &Node) -> Self {
        let alive = |state| matches!(state, State::Alive | State::Suspect);
        let mut summary =
            Self { members: node.members().iter().filter(|m| alive(m.state)).count(), ..Self::default() };
        for view in node.services() {
            let name = view.spec.name().to_string();
            summary.services += 1;
            summary.up += usize::from(view.state == ServiceState::Up);
            summary.with_process += usize::from(view.pid.is_some());
            if matches!(view.state, ServiceState::Backoff | ServiceState::Failed) {
                summary.failing.push(name.clone());
            }
            if view.draining {
                summary.draining.push(name);
            }
        }
        summary
    }

    fn text(&self, phase: Phase) -> String {
        let list = |names: &[String]| match names {
            [] => String::new(),
            [first] => first.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        match phase {
            Phase::Starting => "starting".to_owned(),
            Phase::Leaving if !self.draining.is_empty() => {
                format!(
                    "leaving: draining {}, {} services still run",
                    list(&self.draining),
                    self.with_process
                )
            }
            Phase::Leaving => format!("leaving: {} services still run", self.with_process),
            Phase::Running => {
                let failing = match list(&self.failing) {
                    names if names.is_empty() => names,
                    names => format!(", failing: {names}"),
                };
                format!(
                    "{} of {} services up{failing}; {} members in the ring",
                    self.up, self.services, self.members
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let bytes = manager.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..bytes].to_vec()).expect("text")
    }

    #[test]
    fn messages_reach_a_path_and_an_abstract_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("bound");
        let notifier = Notifier::new(path.to_str().expect("text"), None).expect("usable");
        notifier.send(&["READY=1".into(), "STATUS=x".into()]);
        assert_eq!(received(&manager), "READY=1\nSTATUS=x");
        drop(manager);
        notifier.send(&["no manager listens".into()]);

        let name = format!("annulus-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name"));
        let notifier = Notifier::new(&format!("@{name}"), None).expect("usable");
        notifier.send(&["STOPPING=1".into()]);
        assert_eq!(received(&manager.expect("bound")), "STOPPING=1");
        assert!(Notifier::new(&"x".repeat(200), None).is_err());
    }

    #[test]
    fn a_status_fits_on_one_line() {
        let mut summary = Summary { members: 5, up: 2, services: 3, with_process: 2, ..Summary::default() };
        assert_eq!(summary.text(Phase::Running), "2 of 3 services up; 5 members in the ring");
        summary.failing = vec!["web".into(), "db".into()];
        assert_eq!(
            summary.text(Phase::Running),
            "2 of 3 services up, failing: web and 1 more; 5 members in the ring"
        );
        assert_eq!(summary.text(Phase::Leaving), "leaving: 2 services still run");
        summary.draining = vec!["web".into()];
        assert_eq!(summary.text(Phase::Leaving), "leaving: draining web, 2 services still run");
    }
}
