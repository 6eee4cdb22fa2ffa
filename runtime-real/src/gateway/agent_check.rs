//! Tells load balancers which service may be sent work: HAProxy's agent check. Answers from the supervisor's present
//! state, and changes nothing.
//!
//! HAProxy connects, may send a line (`agent-send "web.default\n"`), and reads one line of words:
//!
//! | answer | when |
//! |---|---|
//! | `ready up` | the service takes work |
//! | `drain` | it takes no new work, what it has is finished: drained, being stopped, or its supervisor leaves |
//! | `maint` | an operator put it into maintenance |
//! | `down#reason` | it does not run, or its health check says that it does not work |
//!
//! A client that sends no line gets the answer for the whole host: that of its worst service. When the supervisor's
//! loop does not answer, the agent check does not either: the load balancer then keeps to what it knew, and its own
//! checks decide.

use std::time::Duration;

use annulus_core::{DesiredState, Health, ServiceState, ServiceView};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::arrivals::{self, Arrivals, Client};
use super::door::Limits;
use crate::supervisor::handle::DriverHandle;

/// A client that means one service sends its line at once; the agent check waits this long for it.
const LINE_TIMEOUT: Duration = Duration::from_millis(200);
/// The supervisor's loop must answer within this, and the client must take the answer within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest line that is read: a service group with its organization.
const LINE_BYTES_MAX: usize = 512;
/// Longest reason that is told.
const REASON_CHARS_MAX: usize = 80;
/// Clients at one time; one host cannot keep the others out, and one that still holds back its line makes room.
const CLIENTS: Limits = Limits { clients: 64, of_one_host: 32, of_one_user: 32, reserve: 0 };

/// Answers until the returned future is dropped. HAProxy's agent check knows no TLS.
pub async fn serve(arrivals: impl Arrivals, handle: DriverHandle) {
    arrivals::serve(arrivals, ("agent check", CLIENTS), None, move |mut stream, client| {
        let handle = handle.clone();
        async move {
            let answered = timeout(LINE_TIMEOUT + ANSWER_TIMEOUT, answer(&mut stream, &client, &handle));
            if answered.await.is_err() {
                tracing::debug!(peer = %client.peer, "agent check not answered in time");
            }
        }
    })
    .await;
}

async fn answer(io: &mut (impl AsyncRead + AsyncWrite + Unpin), client: &Client, handle: &DriverHandle) {
    let line = timeout(LINE_TIMEOUT, read_line(io)).await.unwrap_or_default();
    client.guest.is_known();
    let Ok(services) = handle.read(|node| node.services()).await else { return };
    let answer = match line.trim() {
        "" => of_host(&services),
        name => of_name(&services, name),
    };
    // The client may have gone.
    let _ = io.write_all(format!("{answer}\n").as_bytes()).await;
    let _ = io.shutdown().await;
}

/// One line, without what follows it. A line that is not text names no service.
async fn read_line(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    while line.len() < LINE_BYTES_MAX {
        match io.read_u8().await {
            Ok(b'\n') | Err(_) => break,
            Ok(byte) => line.push(byte),
        }
    }
    String::from_utf8_lossy(&line).into_owned()
}

/// The answer for the service of this group, with or without its organization, or of this name alone.
fn of_name(services: &[ServiceView], name: &str) -> String {
    let is_meant = |view: &&ServiceView| {
        let group = view.group.as_str();
        group == name || group.split('@').next() == Some(name) || view.group.service() == name
    };
    services.iter().find(is_meant).map_or_else(|| "down#not loaded here".to_owned(), of_service)
}

/// The worst answer of any service that is wanted up.
fn of_host(services: &[ServiceView]) -> String {
    let wanted = services.iter().filter(|view| view.spec.desired == DesiredState::Up);
    let worst = wanted.map(|view| (severity(view), view)).max_by_key(|(severity, _)| *severity);
    match worst {
        Some((_, view)) => {
            let answer = of_service(view);
            answer.strip_prefix("down#").map_or(answer.clone(), |why| down(&format!("{}: {why}", view.group)))
        }
        None => "down#no service is wanted up here".to_owned(),
    }
}

fn severity(view: &ServiceView) -> u8 {
    match of_service(view).as_str() {
        "ready up" => 0,
        "drain" => 1,
        "maint" => 2,
        _ => 3,
    }
}

fn of_service(view: &ServiceView) -> String {
    let has_process = view.pid.is_some();
    if view.maintenance.is_some() {
        "maint".to_owned()
    } else if has_process && (view.draining || view.state == ServiceState::Stopping) {
        "drain".to_owned()
    } else if view.state != ServiceState::Up {
        down(view.state.name())
    } else if view.health == Health::Critical {
        down(&format!("critical {}", view.health_note))
    } else if view.accepting {
        "ready up".to_owned()
    } else {
        down("takes no work")
    }
}

/// The reason extends to the end of the line, so it must not hold a line end.
fn down(reason: &str) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { ' ' };
    let reason: String = reason.trim().chars().map(printable).take(REASON_CHARS_MAX).collect();
    format!("down#{}", reason.trim_end())
}

#[cfg(test)]
mod tests {
    use annulus_core::{Instant, ServiceGroup, ServiceSpec, UnixTime};

    use super::*;

    fn view(name: &str) -> ServiceView {
        let spec = ServiceSpec::new(format!("acme/{name}").parse().expect("an ident"));
        ServiceView {
            group: ServiceGroup::new(name, "default", Some("acme")).expect("a group"),
            spec,
            state: ServiceState::Up,
            running: None,
            pid: Some(7),
            since: Instant::ZERO,
            since_wall: UnixTime::from_millis(0),
            restarts: 0,
            last_exit: None,
            last_error: None,
            next_start: None,
            stop_ends: None,
            health: Health::Ok,
            health_note: String::new(),
            accepting: true,
            draining: false,
            maintenance: None,
            role: None,
            waiting_for: None,
            hooks: Vec::new(),
            obstacles: Vec::new(),
            update: annulus_core::UpdateView::default(),
        }
    }

    #[test]
    fn every_state_has_its_word() {
        let up = view("web");
        assert_eq!(of_service(&up), "ready up");
        assert_eq!(of_service(&ServiceView { health: Health::Unknown, ..up.clone() }), "ready up");
        assert_eq!(of_service(&ServiceView { draining: true, accepting: false, ..up.clone() }), "drain");
        let stopping = ServiceView { state: ServiceState::Stopping, accepting: false, ..up.clone() };
        assert_eq!(of_service(&stopping), "drain");
        assert_eq!(of_service(&ServiceView { pid: None, ..stopping }), "down#stopping");
        let maintained = ServiceView { maintenance: Some("disk".into()), accepting: false, ..up.clone() };
        assert_eq!(of_service(&maintained), "maint");
        let backoff = ServiceView { state: ServiceState::Backoff, pid: None, accepting: false, ..up.clone() };
        assert_eq!(of_service(&backoff), "down#backoff");
        let sick =
            ServiceView { health: Health::Critical, health_note: "no\ndisk\u{7}\n".into(), ..up.clone() };
        assert_eq!(of_service(&sick), "down#critical no disk");
        assert_eq!(of_service(&ServiceView { accepting: false, ..up }), "down#takes no work");
    }

    #[test]
    fn a_service_is_named_by_group_or_name() {
        let services = [view("web"), view("db")];
        for name in ["web", "web.default", "web.default@acme"] {
            assert_eq!(of_name(&services, name), "ready up", "{name}");
        }
        for name in ["we", "web.prod", "web.default@other", "\u{fffd}"] {
            assert_eq!(of_name(&services, name), "down#not loaded here", "{name}");
        }
    }

    #[test]
    fn a_host_is_as_good_as_its_worst_service() {
        let drained = ServiceView { draining: true, accepting: false, ..view("db") };
        let mut failed = ServiceView { state: ServiceState::Backoff, pid: None, ..view("job") };
        assert_eq!(of_host(&[view("web")]), "ready up");
        assert_eq!(of_host(&[view("web"), drained.clone()]), "drain");
        assert_eq!(of_host(&[failed.clone(), drained]), "down#job.default@acme: backoff");
        failed.spec.desired = DesiredState::Down;
        assert_eq!(of_host(&[view("web"), failed.clone()]), "ready up");
        assert_eq!(of_host(&[failed]), "down#no service is wanted up here");
    }
}
