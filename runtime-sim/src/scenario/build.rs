//! From the form of a file to its meaning: members, zones, peers, timings, links.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{ConfigError, Instant, Timings};

use super::plan::{Expectation, LinkChange, Plan, PlannedHost, TimedAction};
use super::schema::{File, Impossible, Links};
use super::{build_at, build_expect, sense};
use crate::action::{Action, HostId, Join, LinkQuality, Ratio};
use crate::expect::{Applied, When, Who};
use crate::form::entry::Entry;
use crate::form::names::Directory;
use crate::form::problem::Problems;
use crate::form::reading::{Context, Reading, directed};
use crate::form::value::{Latency, Names};

/// Most members of a scenario.
const MEMBERS_MAX: u32 = 10_000;
/// Members that no action starts join one after the other within this time.
const START_DEFAULT: Duration = Duration::from_secs(1);
/// A network of one data centre.
const LATENCY_DEFAULT: Latency = Latency { min: Duration::from_micros(200), max: Duration::from_millis(2) };

/// Understands a file; none when it has a mistake, which is in `problems` then.
pub(crate) fn plan(
    file: &str,
    source: &str,
    parsed: &File,
    (acts, expects): (Vec<Entry<'_>>, Vec<Entry<'_>>),
    problems: &mut Problems<'_>,
) -> Option<Plan> {
    if parsed.about.get_ref().trim().len() < 20 {
        problems.add(
            parsed.about.span(),
            "`about` says too little",
            "tell in a sentence or more what the scenario shows and why it ends as it does",
        );
    }
    let duration = parsed.duration.get_ref().0;
    if duration.is_zero() {
        problems.add(parsed.duration.span(), "`duration` is zero", "write how long the scenario runs");
    }
    let directory = directory(parsed, problems);
    let context = Context { source, directory, duration, quality: quality(&parsed.links) };
    let hosts = hosts(parsed, &context, problems);
    let timings = timings(parsed, problems);
    let links = links(parsed, &context, problems);
    let nothing_expected = expects.is_empty();
    let (mut actions, places, acts) = build_at::actions(acts, &context, problems);
    let (mut expectations, their) = build_expect::expectations(expects, &context, &acts, problems);
    let is_drawn = parsed.impossible.unwrap_or_default() == Impossible::Skip;
    let mut reading = Reading { context: &context, problems };
    sense::check((&actions, &places), (&expectations, &their), is_drawn, &mut reading);
    for (expectation, place) in actions.iter().map(awaited).zip(&places) {
        // What chance has drawn may never be in effect: its operators wait, and nothing is expected.
        let Some(expectation) = expectation.filter(|_| !is_drawn) else { continue };
        if let Some((_, end)) = expectation.when.span() {
            reading.instant(place.clone(), end.saturating_since(Instant::ZERO));
        }
        expectations.push(expectation);
    }
    if nothing_expected {
        problems.add(
            parsed.about.span(),
            "nothing is expected",
            "add at least one [[expect]]; `annulus-sim list` shows what can be expected",
        );
    }
    let start = parsed.members.get_ref().start.as_ref().map_or(START_DEFAULT, |start| start.get_ref().0);
    let mut all = start_joins(&hosts, &actions, start);
    all.append(&mut actions);
    // A stable sort: entries of one time are done in the order of the file.
    all.sort_by_key(|timed| timed.time);
    problems.is_empty().then(|| Plan {
        file: file.to_owned(),
        about: parsed.about.get_ref().trim().to_owned(),
        seed: parsed.seed.as_ref().map_or(1, |seed| *seed.get_ref()),
        duration,
        planted: annulus_core::Planted::default(),
        skip_impossible: is_drawn,
        ring_key: parsed.members.get_ref().ring_key,
        start,
        hosts,
        timings,
        quality: context.quality,
        links,
        actions: all,
        expectations,
    })
}

/// The expectation of an operator that waits until the version that it gave is in effect.
pub(crate) fn awaited(timed: &TimedAction) -> Option<Expectation> {
    let (host, given, wait) = match &timed.action {
        Action::ApplyConfig(give) => (give.host, &give.given, give.wait?),
        Action::PutFile(give) => (give.host, &give.given, give.wait?),
        _ => return None,
    };
    let what = Applied {
        group: given.group.clone(),
        file: given.file.clone(),
        version: given.version,
        seen_by: Who::Hosts(vec![host]),
    };
    Some(Expectation {
        line: timed.line.unwrap_or(0),
        text: format!("wait for {}", given.words()),
        when: When::By { after: timed.time, by: timed.time + wait },
        what: what.into(),
    })
}

fn directory(parsed: &File, problems: &mut Problems<'_>) -> Directory {
    let mut directory = Directory::default();
    let members = parsed.members.get_ref();
    for name in &members.names {
        if let Err((message, help)) = directory.add_member(name.get_ref()) {
            problems.add(name.span(), message, help);
        }
    }
    if let Some(count) = &members.count {
        if *count.get_ref() == 0 || *count.get_ref() > MEMBERS_MAX {
            problems.add(
                count.span(),
                format!("{} members cannot be simulated", count.get_ref()),
                format!("use 1 to {MEMBERS_MAX}"),
            );
        }
        for number in 1..=(*count.get_ref()).min(MEMBERS_MAX) {
            if let Err((message, help)) = directory.add_member(&format!("m{number}")) {
                problems.add(count.span(), message, help);
            }
        }
    }
    if members.names.is_empty() && members.count.is_none() {
        problems.add(
            parsed.members.span(),
            "there are no members",
            "write names = [\"ada\", \"bob\"], or count = 5 for m1 to m5, or both",
        );
    }
    let zones: Vec<_> =
        parsed.zones.iter().map(|(name, members)| (name, directory.hosts(members, problems))).collect();
    for (name, members) in zones {
        if let Err((message, help)) = directory.add_zone(name.get_ref(), members) {
            problems.add(name.span(), message, help);
        }
    }
    directory
}

fn hosts(parsed: &File, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<PlannedHost> {
    let directory = &context.directory;
    let members = parsed.members.get_ref();
    let permanent =
        members.permanent.as_ref().map_or_else(Vec::new, |names| directory.hosts(names, problems));
    let peers =
        members.peers.as_ref().map_or_else(|| vec![HostId(0)], |names| directory.hosts(names, problems));
    let mut hosts: Vec<PlannedHost> = directory
        .all()
        .into_iter()
        .map(|id| PlannedHost {
            name: directory.name(id).to_owned(),
            zone: directory.zone(id).to_owned(),
            permanent: permanent.contains(&id),
            peers: peers.clone(),
        })
        .collect();
    for (whose, names) in &parsed.peers {
        let one = toml::Spanned::new(whose.span(), Names(vec![whose.clone()]));
        let peers = directory.hosts(names, problems);
        for host in directory.hosts(&one, problems) {
            if let Some(planned) = hosts.get_mut(host.0 as usize) {
                planned.peers.clone_from(&peers);
            }
        }
    }
    for (host, planned) in directory.all().into_iter().zip(&mut hosts) {
        planned.peers.retain(|peer| *peer != host);
    }
    hosts
}

fn timings(parsed: &File, problems: &mut Problems<'_>) -> Timings {
    let Some(table) = &parsed.timings else { return Timings::lan() };
    let timings = table.get_ref().timings();
    if let Err(error) = timings.validate() {
        let (name, value, why) = match &error {
            ConfigError::Timing { name, value_ms, why } => (*name, *value_ms, *why),
            ConfigError::Count { name, value, why } => (*name, *value, *why),
        };
        let span = table.get_ref().span_of(name).unwrap_or_else(|| table.span());
        problems.add(span, format!("{name} = {value} does not work with the other timings"), why);
    }
    timings
}

/// The quality of links that no `[[link]]` mentions.
fn quality(links: &Links) -> LinkQuality {
    let latency = links.latency.unwrap_or(LATENCY_DEFAULT);
    LinkQuality {
        latency_min: latency.min,
        latency_max: latency.max,
        loss: links.loss.map_or(Ratio::ZERO, |percent| percent.0),
        duplicate: links.duplicate.map_or(Ratio::ZERO, |percent| percent.0),
        reorder: links.reorder.map_or(Ratio::ZERO, |percent| percent.0),
    }
}

fn links(parsed: &File, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<LinkChange> {
    let mut changes = Vec::new();
    for link in &parsed.link {
        let link = link.get_ref();
        let from = context.directory.hosts(&link.from, problems);
        let to = context.directory.hosts(&link.to, problems);
        let base = context.quality;
        let quality = LinkQuality {
            latency_min: link.latency.map_or(base.latency_min, |latency| latency.min),
            latency_max: link.latency.map_or(base.latency_max, |latency| latency.max),
            loss: link.loss.map_or(base.loss, |percent| percent.0),
            duplicate: link.duplicate.map_or(base.duplicate, |percent| percent.0),
            reorder: link.reorder.map_or(base.reorder, |percent| percent.0),
        };
        for (from, to) in directed(link.direction.unwrap_or_default(), from, to) {
            changes.push(LinkChange { from, to, quality });
        }
    }
    changes
}

/// Members that no action starts join by themselves, spread evenly, the first at once.
pub(crate) fn start_joins(
    hosts: &[PlannedHost],
    actions: &[TimedAction],
    within: Duration,
) -> Vec<TimedAction> {
    let ids = (0..u32::try_from(hosts.len()).unwrap_or(u32::MAX)).map(HostId);
    let later: BTreeSet<HostId> = actions
        .iter()
        .filter_map(|timed| if let Action::Join(Join { host }) = timed.action { Some(host) } else { None })
        .collect();
    let joining: Vec<HostId> = ids.filter(|id| !later.contains(id)).collect();
    let count = u32::try_from(joining.len()).unwrap_or(u32::MAX).max(1);
    joining
        .into_iter()
        .zip(0_u32..)
        .map(|(host, index)| TimedAction {
            time: Instant::ZERO + within / count * index,
            line: None,
            action: Join { host }.into(),
            refused: None,
        })
        .collect()
}
