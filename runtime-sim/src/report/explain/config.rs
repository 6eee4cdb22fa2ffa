//! Why a version of a group's configuration arrived everywhere, or did not.

use annulus_core::{EventKind, RumorKey};

use super::ExplainError;
use super::fate::time;
use super::group::known;
use super::load::{Event, Nanos, Packet, Trace};
use super::tale::Tale;
use super::tell::Story;

/// Hosts of which the story of the missing version is told.
const HOSTS_MAX: usize = 6;

/// Tells how far the latest version of a group's configuration has come, and why not farther.
pub(super) fn tell(trace: &Trace, group: &str, until: Nanos) -> Result<Story, ExplainError> {
    let of =
        |key: &RumorKey| key.name() == "service_config" && key.group().is_some_and(|g| g.as_str() == group);
    let held: Vec<(Nanos, &str, u64)> = trace
        .holds
        .iter()
        .filter(|hold| hold.t <= until && of(&hold.key))
        .map(|hold| (hold.t, hold.host.as_str(), hold.version))
        .collect();
    let Some(version) = held.iter().map(|(_, _, version)| *version).max() else {
        return Err(ExplainError::NoConfig {
            asked: group.to_owned(),
            known: known(trace.configured_groups()),
        });
    };
    let first_held =
        |host: &str| held.iter().find(|(_, h, v)| *h == host && *v == version).map(|(t, _, _)| *t);
    let running = trace.running(until);
    let missing: Vec<&str> = running.iter().copied().filter(|host| first_held(host).is_none()).collect();
    let given = held.iter().filter(|(_, _, v)| *v == version).map(|(t, _, _)| *t).min().unwrap_or(until);
    let question = match missing.as_slice() {
        [] => format!("How version {version} of the configuration of {group} came to every running member:"),
        hosts => format!(
            "Why version {version} of the configuration of {group} has not come to {} by {}:",
            hosts.join(", "),
            time(until)
        ),
    };
    let mut tale = Tale::new(trace, question);
    for host in missing.iter().take(HOSTS_MAX) {
        lacks(&mut tale, (&of, version), host, (given, until));
    }
    if missing.is_empty() {
        let last = running.iter().filter_map(|host| Some((first_held(host)?, *host))).max();
        if let Some((t, host)) = last {
            let after = time(t.saturating_sub(given));
            tale.story.push(t, format!("{host} was the last to hold it, {after} after the first."));
            if let Some(event) = accepted(trace, &of, host, t) {
                tale.follow(event);
            }
            late(&mut tale, (&of, version), host, (given, t));
        }
    }
    // Where it was given, and by whom.
    let source = held.iter().find(|(t, _, v)| *v == version && *t == given).map(|(_, host, _)| *host);
    if let Some(host) = source
        && let Some(event) = accepted(trace, &of, host, given)
    {
        tale.follow(event);
    }
    Ok(tale.end())
}

/// The event with which a host took a version.
fn accepted<'a>(trace: &'a Trace, of: &dyn Fn(&RumorKey) -> bool, host: &str, t: Nanos) -> Option<&'a Event> {
    trace.events.iter().find(|event| {
        event.host == host
            && event.t == t
            && matches!(&event.kind, EventKind::RumorAccepted { key, .. } if of(key))
    })
}

fn carrying<'a>(
    trace: &'a Trace,
    (of, version): (&dyn Fn(&RumorKey) -> bool, u64),
    host: &str,
    (from, to): (Nanos, Nanos),
) -> Vec<&'a Packet> {
    let fits = |packet: &&Packet| {
        packet.to.as_deref() == Some(host)
            && (from..=to).contains(&packet.t)
            && packet.carries.iter().any(|held| of(&held.key) && held.version == version)
    };
    trace.packets.values().filter(fits).collect()
}

/// Tells why a host lacks a version.
fn lacks(
    tale: &mut Tale<'_>,
    wanted: (&dyn Fn(&RumorKey) -> bool, u64),
    host: &str,
    (given, until): (Nanos, Nanos),
) {
    let packets = carrying(tale.trace, wanted, host, (given, until));
    if packets.is_empty() {
        let silent = tale.trace.cuts_to(host, until);
        let text = match silent.as_slice() {
            [] => format!("No member has sent {host} a packet that carried it."),
            _ => format!(
                "No member has sent {host} a packet that carried it; the network between them is cut."
            ),
        };
        tale.faults.extend(silent);
        tale.story.push(until, text);
        return;
    }
    let details = tale.fates(&packets, &|packet| format!("arrived at {host}, from {}", packet.from));
    let text = match packets.len() {
        1 => format!("One packet that carried it was sent to {host}."),
        more => format!("{more} packets that carried it were sent to {host}."),
    };
    let step = tale.story.push(packets.first().map_or(given, |packet| packet.t), text);
    step.details = details;
    step.packets.extend(packets.iter().map(|packet| packet.id));
}

/// Tells of the packets that should have brought a version earlier.
fn late(
    tale: &mut Tale<'_>,
    wanted: (&dyn Fn(&RumorKey) -> bool, u64),
    host: &str,
    (given, came): (Nanos, Nanos),
) {
    let packets = carrying(tale.trace, wanted, host, (given, came));
    let lost: Vec<&Packet> =
        packets.into_iter().filter(|packet| tale.trace.trouble(packet).is_some()).collect();
    if lost.is_empty() {
        return;
    }
    let details = tale.fates(&lost, &|_| String::new());
    let step =
        tale.story.push(given, format!("Packets that would have brought it to {host} earlier were lost."));
    step.details = details;
    step.packets.extend(lost.iter().map(|packet| packet.id));
}
