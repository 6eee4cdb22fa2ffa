//! Why a group is led by this member, or by none.

use annulus_core::{ElectionEvent, ElectionPurpose, EventKind};

use super::ExplainError;
use super::fate::time;
use super::load::{Event, Nanos, Packet, Trace};
use super::tale::Tale;
use super::tell::Story;
use crate::report::trace::Ballot;

/// How many candidates' attempts are told.
const CANDIDATES_MAX: usize = 6;

/// A time for which a member led the group.
struct Reign<'a> {
    host: &'a str,
    term: u64,
    from: Nanos,
    /// When it ended; none: it has not.
    to: Option<Nanos>,
}

/// Tells why a group is led as it is at a time.
pub(super) fn tell(trace: &Trace, group: &str, until: Nanos) -> Result<Story, ExplainError> {
    if !trace.elects(group) {
        return Err(ExplainError::NoGroup {
            asked: group.to_owned(),
            known: known(trace.groups_with_leader()),
        });
    }
    let reigns = reigns(trace, group, until);
    let now = reigns.last().filter(|reign| reign.to.is_none());
    let question = match now {
        Some(reign) => {
            format!("Why {} leads {group} in term {} since {}:", reign.host, reign.term, time(reign.from))
        }
        None => format!("Why {group} has no leader at {}:", time(until)),
    };
    let mut tale = Tale::new(trace, question);
    match now {
        Some(reign) => {
            won(&mut tale, group, reign);
            if let Some(before) = reigns.len().checked_sub(2).and_then(|place| reigns.get(place)) {
                ended(&mut tale, group, before, reign.from);
            }
        }
        None => {
            let since = reigns.last().map_or(0, |reign| reign.to.unwrap_or(until));
            if let Some(last) = reigns.last() {
                ended(&mut tale, group, last, until);
            } else {
                tale.story.push(until, "No member has ever led it.");
            }
            attempts(&mut tale, group, since, until);
        }
    }
    Ok(tale.end())
}

/// A list for an error.
pub(super) fn known(mut names: Vec<String>) -> String {
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { String::from("none") } else { names.join(", ") }
}

/// The leaders of a group one after the other, by what their supervisors held.
fn reigns<'a>(trace: &'a Trace, group: &str, until: Nanos) -> Vec<Reign<'a>> {
    let mut reigns: Vec<Reign<'a>> = Vec::new();
    for lead in trace.leads.iter().filter(|lead| lead.group == group && lead.t <= until) {
        let of = |reign: &&mut Reign<'a>| reign.host == lead.host && reign.term == lead.term;
        match (reigns.iter_mut().rev().find(of), lead.until) {
            (Some(reign), None) => reign.to = reign.to.or(Some(lead.t)),
            // A lease that is not renewed ends by itself.
            (Some(reign), Some(end)) => reign.to = (end <= until).then_some(end),
            (None, Some(end)) => reigns.push(Reign {
                host: &lead.host,
                term: lead.term,
                from: lead.t,
                to: (end <= until).then_some(end),
            }),
            (None, None) => {}
        }
    }
    reigns.sort_by_key(|reign| (reign.term, reign.from));
    reigns
}

fn is_step(event: &Event, group: &str) -> bool {
    matches!(&event.kind, EventKind::Election { election, .. }
        if election.group.as_str() == group && election.purpose == ElectionPurpose::Leader)
}

/// Tells how a leader was elected.
fn won<'a>(tale: &mut Tale<'a>, group: &str, reign: &Reign<'_>) {
    let trace = tale.trace;
    let is_win = |event: &&Event| {
        event.host == reign.host
            && is_step(event, group)
            && matches!(&event.kind, EventKind::Election { term, what: ElectionEvent::Won { .. }, .. } if *term == reign.term)
    };
    let Some(win) = trace.events.iter().find(is_win) else {
        let text = format!("{} went on leading {group}: its lease outlived its supervisor.", reign.host);
        tale.story.push(reign.from, text);
        return;
    };
    // How its predecessor came to lead is another question.
    let earlier = |event: &Event| {
        !std::ptr::eq(event, win)
            && matches!(&event.kind, EventKind::Election { what: ElectionEvent::Won { .. }, .. })
    };
    tale.follow_until(win, &earlier);
    let asked = |packet: &&Packet| {
        packet.from == reign.host
            && packet.t <= win.t
            && packet
                .ballot
                .as_ref()
                .is_some_and(|b| b.group == group && b.step == "vote" && b.term == reign.term)
    };
    let asked: Vec<&'a Packet> = trace.packets.values().filter(asked).collect();
    let details = answers(tale, &asked);
    if let Some(first) = asked.first() {
        let step =
            tale.story.push(first.t, format!("{} asked for votes in term {}.", reign.host, reign.term));
        step.details = details;
        step.packets.extend(asked.iter().map(|packet| packet.id));
    }
}

/// Tells how a leader's time ended.
fn ended<'a>(tale: &mut Tale<'a>, group: &str, reign: &Reign<'a>, by: Nanos) {
    let trace = tale.trace;
    let end = reign.to.unwrap_or(by);
    let is_end = |event: &&Event| {
        event.host == reign.host
            && (reign.from..=by).contains(&event.t)
            && is_step(event, group)
            && matches!(
                &event.kind,
                EventKind::Election {
                    what: ElectionEvent::Lost { .. } | ElectionEvent::HandedOver { .. },
                    ..
                }
            )
    };
    if let Some((since, why)) = trace.down(reign.host, by).filter(|(since, _)| *since >= reign.from) {
        let text = format!(
            "{} led {group} in term {} from {} on. Its supervisor ended ({why}), and no voter hears of that: each \
             keeps its promise until it has run out.",
            reign.host,
            reign.term,
            time(reign.from)
        );
        tale.story.push(since, text);
        tale.blame_act(&["crash", "kill", "leave", "depart", "kill-launcher"], reign.host, None, since);
        return;
    }
    let said = trace.events.iter().rfind(is_end);
    match said {
        Some(event) => {
            let won = |event: &Event| {
                matches!(&event.kind, EventKind::Election { what: ElectionEvent::Won { .. }, .. })
            };
            tale.follow_until(event, &won);
        }
        None => {
            let text = format!("{}'s lease of term {} ran out.", reign.host, reign.term);
            tale.story.push(end, text);
        }
    }
    // The renewals that were not answered in its last lease.
    let lost = said.is_none()
        || said.is_some_and(|event| {
            matches!(&event.kind, EventKind::Election { what: ElectionEvent::Lost { .. }, .. })
        });
    let last = trace.leads.iter().rfind(|lead| {
        lead.group == group && lead.host == reign.host && lead.term == reign.term && lead.until.is_some()
    });
    let from = last.map_or(reign.from, |lead| lead.t);
    let unanswered = |packet: &&Packet| {
        packet.from == reign.host
            && (from..=end).contains(&packet.t)
            && packet.ballot.as_ref().is_some_and(|b| b.group == group && b.step == "renew")
    };
    let renewals: Vec<&'a Packet> = trace.packets.values().filter(unanswered).collect();
    if lost && !renewals.is_empty() {
        let details = answers(tale, &renewals);
        let text = format!(
            "{} asked its voters to renew the lease that it had had since {}.",
            reign.host,
            time(from)
        );
        let step = tale.story.push(from, text);
        step.details = details;
        step.packets.extend(renewals.iter().map(|packet| packet.id));
    }
    if let Some((index, act)) = trace.frozen(reign.host, by) {
        tale.faults.insert(index);
        tale.story.push(act.t, format!("{} was frozen and renewed nothing.", reign.host));
    }
}

/// Tells what became of every candidate's requests since a group has no leader.
fn attempts<'a>(tale: &mut Tale<'a>, group: &str, since: Nanos, until: Nanos) {
    let trace = tale.trace;
    let asks = |packet: &&Packet| {
        (since..=until).contains(&packet.t)
            && packet
                .ballot
                .as_ref()
                .is_some_and(|b| b.group == group && matches!(b.step.as_str(), "ask" | "vote"))
    };
    let asked: Vec<&'a Packet> = trace.packets.values().filter(asks).collect();
    let mut candidates: Vec<&str> = asked.iter().map(|packet| packet.from.as_str()).collect();
    candidates.sort_unstable();
    candidates.dedup();
    if candidates.is_empty() {
        let since = time(since);
        let text = format!(
            "No member has asked for votes since {since}: none that runs can lead it, or knows of the group."
        );
        tale.story.push(until, text);
        return;
    }
    for candidate in candidates.into_iter().take(CANDIDATES_MAX) {
        let own: Vec<&'a Packet> = asked.iter().copied().filter(|packet| packet.from == candidate).collect();
        let details = answers(tale, &own);
        let text = format!("{candidate} asked for votes {} times since {}.", own.len(), time(since));
        let step = tale.story.push(own.first().map_or(until, |packet| packet.t), text);
        step.details = details;
        step.packets.extend(own.iter().map(|packet| packet.id));
    }
}

/// What became of requests: lost on the way, or answered so.
fn answers<'a>(tale: &mut Tale<'a>, requests: &[&'a Packet]) -> Vec<String> {
    let trace = tale.trace;
    let answer_to = |packet: &Packet| -> Option<&'a Packet> {
        let (_, life, input) = packet.read?;
        let to = packet.to.clone()?;
        let term = packet.ballot.as_ref()?.round;
        // The voter may have had to store its vote first, and then answers in a later input.
        let at_once = trace.sent.get(&(to.clone(), life, input)).map_or(&[][..], Vec::as_slice);
        let mut all = at_once.iter().filter_map(|id| trace.packets.get(id));
        let fits = |p: &&Packet| p.to.as_deref() == Some(packet.from.as_str()) && is_answer(p, packet);
        all.find(fits).or_else(|| {
            let later = trace.packets.range(packet.id..).map(|(_, p)| p);
            let mut near = later.take_while(|p| p.t <= packet.t + NEAR).filter(|p| p.from == to);
            near.find(|p| fits(p) && p.ballot.as_ref().is_some_and(|b| b.round == term))
        })
    };
    let mut words = Vec::new();
    let (mut arrived, mut lost): (Vec<&'a Packet>, Vec<&'a Packet>) = (Vec::new(), Vec::new());
    for packet in requests {
        if trace.trouble(packet).is_some() { lost.push(packet) } else { arrived.push(packet) }
    }
    words.extend(tale.fates(&lost, &|_| String::new()));
    let mut on_the_way = Vec::new();
    let told = tale.fates(&arrived, &|packet| {
        let to = packet.to.as_deref().unwrap_or("no host");
        match answer_to(packet) {
            None => format!("{to} read it and did not answer"),
            Some(answer) if trace.trouble(answer).is_some() => {
                format!("{to} answered, and the answer was lost")
            }
            Some(answer) => match &answer.ballot {
                Some(ballot) => format!("{to} answered: {}", verdict(ballot)),
                None => format!("{to} answered"),
            },
        }
    });
    on_the_way
        .extend(arrived.iter().filter_map(|packet| answer_to(packet)).filter(|a| trace.trouble(a).is_some()));
    words.extend(told);
    words.extend(
        tale.fates(&on_the_way, &|_| String::new()).into_iter().map(|fate| format!("of the answers, {fate}")),
    );
    words
}

/// An answer that waited for a disk comes at most so long after the request.
const NEAR: Nanos = 1_000_000_000;

fn is_answer(answer: &Packet, request: &Packet) -> bool {
    match (&answer.ballot, &request.ballot) {
        (Some(answer), Some(request)) => {
            answer.verdict.is_some() && answer.group == request.group && answer.round == request.round
        }
        _ => false,
    }
}

/// A voter's verdict in words.
fn verdict(ballot: &Ballot) -> String {
    match (ballot.verdict.as_deref(), ballot.wait_ms) {
        (Some("yes"), _) => String::from("yes"),
        (Some("wait"), Some(ms)) if ms >= 1_000 => {
            format!(
                "it has promised itself to another leader, or just started, and is bound for some {} s more",
                ms / 1_000
            )
        }
        (Some("wait"), _) => String::from(
            "it has promised itself to another leader, or just started, and is bound for less than a second more",
        ),
        (Some("better"), _) => String::from("a better candidate asks"),
        (Some("stale"), _) => String::from("it knows a higher term, or has voted in this one"),
        (Some("outdated"), _) => String::from("it knows a later list of voters"),
        (Some("missing"), _) => String::from("it knows members of the group that the candidate does not"),
        (Some(other), _) => other.to_owned(),
        (None, _) => String::from("nothing"),
    }
}
