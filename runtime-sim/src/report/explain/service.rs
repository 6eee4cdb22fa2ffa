//! Why a process of a service was started anew, was ended, or does not run.

use annulus_core::{EventKind, ServiceState};

use super::ExplainError;
use super::fate::time;
use super::group::known;
use super::load::{Event, Nanos, Process, Trace};
use super::tale::Tale;
use super::tell::Story;

/// An end follows from a signal that came at most so long before it.
const STOPPING: Nanos = 60_000_000_000;

/// Tells why the latest process of a service on a host is there, or is not.
pub(super) fn tell(trace: &Trace, service: &str, host: &str, until: Nanos) -> Result<Story, ExplainError> {
    let of =
        |process: &&Process| process.host == host && process.service == service && process.started <= until;
    let processes: Vec<&Process> = trace.processes.iter().filter(of).collect();
    let is_change = |event: &&Event| {
        event.host == host
            && event.t <= until
            && matches!(&event.kind, EventKind::ServiceChanged { service: of, .. } if of.as_str() == service)
    };
    let changes: Vec<&Event> = trace.events.iter().filter(is_change).collect();
    if processes.is_empty() && changes.is_empty() {
        return Err(ExplainError::NoService {
            asked: service.to_owned(),
            host: host.to_owned(),
            known: known(trace.services_of(host)),
        });
    }
    let runs = |process: &&&Process| process.ended.as_ref().is_none_or(|(end, _)| *end > until);
    let latest = processes.last().filter(runs);
    let before = match latest {
        Some(_) => processes.len().checked_sub(2).and_then(|place| processes.get(place)),
        None => processes.last(),
    };
    let question = match (latest, before) {
        (Some(now), Some(_)) => {
            format!(
                "Why {service} on {host} runs as a new process, {}, since {}:",
                now.pid,
                time(now.started)
            )
        }
        (Some(now), None) => format!("Why {service} runs on {host} since {}:", time(now.started)),
        (None, Some(_)) => format!("Why {service} does not run on {host} at {}:", time(until)),
        (None, None) => format!("Why {service} has not run on {host} until {}:", time(until)),
    };
    let mut tale = Tale::new(trace, question);
    match latest {
        Some(now) => {
            // The change that came with the process is told with its causes.
            let up = |event: &&&Event| {
                event.t >= now.started
                    && matches!(&event.kind, EventKind::ServiceChanged { to: Some(ServiceState::Up), .. })
            };
            tale.story.push(now.started, format!("Process {} started.", now.pid));
            if let Some(up) = changes.iter().find(up) {
                tale.follow(up);
            }
        }
        None => {
            if let Some(last) = changes.last() {
                tale.follow(last);
            }
        }
    }
    if let Some(process) = before {
        ended(&mut tale, process, &changes);
    }
    Ok(tale.end())
}

/// Tells how a process ended.
fn ended<'a>(tale: &mut Tale<'a>, process: &'a Process, changes: &[&'a Event]) {
    let Some((end, status)) = &process.ended else { return };
    let (service, host, pid) = (&process.service, &process.host, process.pid);
    let trace = tale.trace;
    let signalled = process.signalled.filter(|at| at + STOPPING >= *end);
    if let Some(at) = process.killed_by_guard {
        let text = format!(
            "Process {pid} ended with {status}: its guard killed it at {}, because no supervisor had renewed its \
             lease until then.",
            time(at)
        );
        tale.story.push(*end, text);
        tale.blame_act(
            &["kill", "pause", "cut", "slow", "kill-launcher", "pause-launcher"],
            host,
            None,
            *end,
        );
    } else if let Some(at) = signalled {
        tale.story
            .push(*end, format!("Process {pid} ended with {status}; it was told to stop at {}.", time(at)));
        let stop = |event: &&&Event| {
            event.t <= at
                && matches!(&event.kind, EventKind::ServiceChanged { to: Some(ServiceState::Stopping), .. })
        };
        if let Some(stop) = changes.iter().rev().find(stop) {
            tale.follow(stop);
        }
    } else if let Some((since, why)) = trace.down(host, *end).filter(|(since, _)| *since <= *end) {
        tale.story.push(*end, format!("Process {pid} ended with {status}: its supervisor was gone ({why})."));
        tale.blame_act(&["crash", "kill", "kill-launcher", "leave", "depart"], host, None, since);
    } else {
        let text = format!("Process {pid} ended with {status} by itself; {host} had not told it to.");
        tale.story.push(*end, text);
        let names = ["crash-service", "kill-guard", "kill-launcher", "package"];
        tale.blame_act(&names, host, Some(service), *end);
    }
}
