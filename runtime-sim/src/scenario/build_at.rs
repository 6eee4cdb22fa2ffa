//! `[[at]]`: from the words of a file to actions on the world.

use std::ops::Range;

use annulus_core::{Instant, ServiceName};
use toml::Spanned;

use super::build::{Context, directed};
use super::build_fault;
use super::build_group;
use super::build_package;
use super::plan::TimedAction;
use super::problem::Problems;
use super::reference;
use super::schema::{At, Direction, Disk, SpannedNames, TopologyWord};
use crate::action::{Action, DiskAfter, HostId, LinkQuality};
use crate::engine::lead::Load;

/// All actions in the order of the file.
pub(crate) fn actions(
    entries: &[Spanned<At>],
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Vec<TimedAction> {
    let mut actions = Vec::new();
    for entry in entries {
        let at = entry.get_ref();
        let time = at.time.get_ref().0;
        if time > context.duration {
            problems.add(
                at.time.span(),
                "this is after the end of the scenario",
                format!("make `duration` longer; it is {}s", context.duration.as_secs_f64()),
            );
        }
        if let Some(name) = one_action(entry, problems) {
            for action in meaning(name, at, context, problems) {
                let line = Some(context.line(at.time.span().start));
                actions.push(TimedAction { time: Instant::ZERO + time, line, action });
            }
        }
    }
    actions
}

/// The places of the values of some keys.
macro_rules! keys {
    ($at:ident: $($key:ident),+ $(,)?) => {
        vec![$((stringify!($key), $at.$key.as_ref().map(Spanned::span))),+]
    };
}

/// The keys of one entry that are given, with the places of their values.
fn given(at: &At) -> Vec<(&'static str, Range<usize>)> {
    let keys = given_early(at).into_iter().chain(given_late(at));
    keys.filter_map(|(key, span)| span.map(|span| (key, span))).collect()
}

fn given_early(at: &At) -> Vec<(&'static str, Option<Range<usize>>)> {
    keys!(at:
        join,
        leave,
        depart,
        crash,
        kill,
        restart,
        pause,
        resume,
        partition,
        heal,
        calm,
        burst,
        capacity,
        slow,
        clock_rate,
        clock_jump,
        suspend,
        crash_at_sync,
        crash_loop,
        clone,
        link,
        load,
        unload,
        start,
        stop,
        crash_service,
    )
}

fn given_late(at: &At) -> Vec<(&'static str, Option<Range<usize>>)> {
    keys!(at:
        disk,
        operator,
        from,
        to,
        direction,
        latency,
        loss,
        duplicate,
        reorder,
        on,
        code,
        good,
        bad,
        bytes_per_s,
        queue_bytes,
        delay,
        ppm,
        by_ms,
        lasting,
        times,
        up,
        down,
        disk_of,
        apply_config,
        put_file,
        version,
        file,
        text,
        bytes,
        topology,
        quorum,
        suitability,
        package,
        balance,
        hooks,
        hanging,
        failing,
        lives,
        health,
        drain,
        bind,
        survives,
        configured,
        check,
        every,
    )
}

/// The one action that an entry names; reports none, several, and keys that belong to another action.
fn one_action(entry: &Spanned<At>, problems: &mut Problems<'_>) -> Option<&'static str> {
    let given = given(entry.get_ref());
    let is_action = |key: &str| reference::ACTIONS.iter().any(|action| action.key == key);
    let (named, parts): (Vec<_>, Vec<_>) = given.into_iter().partition(|(key, _)| is_action(key));
    match named.as_slice() {
        [] => {
            problems.add(
                entry.span(),
                "this entry names no action",
                "add one, for example crash = \"bob\"; `annulus-sim list` shows all",
            );
            None
        }
        [(name, _)] => {
            reference::check_parts(name, reference::ACTIONS, &parts, problems);
            Some(name)
        }
        [(first, _), (second, span), ..] => {
            problems.add(
                span.clone(),
                format!("this entry names two actions, `{first}` and `{second}`"),
                "give each action its own [[at]]; entries of one time are done in the order of the file",
            );
            None
        }
    }
}

fn meaning(name: &str, at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let mut hosts = |names: &Option<SpannedNames>| {
        names.as_ref().map_or_else(Vec::new, |names| context.directory.hosts(names, problems))
    };
    let each = |hosts: Vec<HostId>, action: fn(HostId) -> Action| hosts.into_iter().map(action).collect();
    match name {
        "join" => each(hosts(&at.join), Action::Join),
        "leave" => each(hosts(&at.leave), Action::Leave),
        "crash" => each(hosts(&at.crash), Action::Crash),
        "kill" => each(hosts(&at.kill), Action::Kill),
        "pause" => each(hosts(&at.pause), Action::Pause),
        "resume" => each(hosts(&at.resume), Action::Resume),
        "restart" => {
            let disk = match at.disk.as_ref().map(|disk| *disk.get_ref()).unwrap_or_default() {
                Disk::Kept => DiskAfter::Kept,
                Disk::Lost => DiskAfter::Lost,
                Disk::Old => DiskAfter::Old,
            };
            hosts(&at.restart).into_iter().map(|host| Action::Restart(host, disk)).collect()
        }
        "depart" => depart(at, context, problems),
        "partition" => {
            let (side, rest) = sides(&at.partition, &at.from, context, problems);
            let direction = at.direction.as_ref().map(|d| *d.get_ref()).unwrap_or_default();
            vec![match direction {
                Direction::Both => Action::Cut { from: side, to: rest, both: true },
                Direction::Out => Action::Cut { from: side, to: rest, both: false },
                Direction::In => Action::Cut { from: rest, to: side, both: false },
            }]
        }
        "heal" => {
            let everything = at.from.is_none()
                && at.heal.as_ref().is_some_and(|names| {
                    names.get_ref().at(&names.span()).iter().any(|(_, word)| *word == "all")
                });
            if everything {
                return vec![Action::Heal];
            }
            let (from, to) = sides(&at.heal, &at.from, context, problems);
            vec![Action::Mend { from, to }]
        }
        "calm" => calm(at, problems),
        "link" => link(at, context, problems),
        "burst" | "capacity" | "slow" | "clock_rate" | "clock_jump" | "suspend" | "crash_at_sync"
        | "crash_loop" | "clone" => build_fault::meaning(name, at, context, problems),
        "apply_config" | "put_file" => build_group::given(name, at, context, problems),
        "package" | "balance" => build_package::meaning(name, at, context, problems),
        _ => services(name, at, context, problems),
    }
}

/// The members that are named, and those opposite: named too, or everybody else.
fn sides(
    side: &Option<SpannedNames>,
    other: &Option<SpannedNames>,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> (Vec<HostId>, Vec<HostId>) {
    let Some(side) = side else { return (Vec::new(), Vec::new()) };
    let hosts = context.directory.hosts(side, problems);
    let (rest, span) = match other {
        Some(names) => (context.directory.hosts(names, problems), names.span()),
        None => (context.directory.except(&hosts), side.span()),
    };
    if let Some(both) = rest.iter().find(|host| hosts.contains(host)) {
        problems.add(
            span,
            format!("{} is on both sides", context.directory.name(*both)),
            "name each member on one side only",
        );
    } else if rest.is_empty() && !hosts.is_empty() {
        problems.add(span, "nobody is on the other side", "name fewer members, or name the others in `from`");
    }
    (hosts, rest)
}

fn depart(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let Some(names) = &at.depart else { return Vec::new() };
    let Some(operator) = &at.operator else {
        problems.add(
            names.span(),
            "`depart` does not say where the operator types",
            "add operator = \"ada\" with the name of a member that runs then",
        );
        return Vec::new();
    };
    let Some(by) = context.directory.host(operator.span(), operator.get_ref(), problems) else {
        return Vec::new();
    };
    let hosts = context.directory.hosts(names, problems);
    hosts.into_iter().map(|host| Action::Depart { by, host }).collect()
}

fn calm(at: &At, problems: &mut Problems<'_>) -> Vec<Action> {
    if let Some(word) = at.calm.as_ref().filter(|word| !*word.get_ref()) {
        problems.add(word.span(), "calm = false does nothing", "write calm = true, or remove this entry");
    }
    vec![Action::Calm]
}

fn link(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let Some(names) = &at.link else { return Vec::new() };
    let from = context.directory.hosts(names, problems);
    let to = match &at.to {
        Some(names) => context.directory.hosts(names, problems),
        None => context.directory.all(),
    };
    // What is not given goes back to what [links] says, which is how a disturbance ends.
    let base = context.quality;
    let quality = LinkQuality {
        latency_min: at.latency.as_ref().map_or(base.latency_min, |latency| latency.get_ref().min),
        latency_max: at.latency.as_ref().map_or(base.latency_max, |latency| latency.get_ref().max),
        loss: at.loss.as_ref().map_or(base.loss, |percent| percent.get_ref().0),
        duplicate: at.duplicate.as_ref().map_or(base.duplicate, |percent| percent.get_ref().0),
        reorder: at.reorder.as_ref().map_or(base.reorder, |percent| percent.get_ref().0),
    };
    let direction = at.direction.as_ref().map(|d| *d.get_ref()).unwrap_or_default();
    directed(direction, from, to)
        .into_iter()
        .map(|(from, to)| Action::SetLink { from, to, quality })
        .collect()
}

fn services(name: &str, at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let service = match name {
        "load" => &at.load,
        "unload" => &at.unload,
        "start" => &at.start,
        "stop" => &at.stop,
        _ => &at.crash_service,
    };
    let Some(word) = service else { return Vec::new() };
    let Some(service) = service_name(word, problems) else { return Vec::new() };
    let Some(on) = &at.on else {
        problems.add(
            word.span(),
            format!("`{name}` does not say where"),
            "add on = \"ada\", or on = \"all\"",
        );
        return Vec::new();
    };
    let code = at.code.as_ref().map_or(1, |code| *code.get_ref());
    let action = |host| {
        let service = service.as_str().to_owned();
        match name {
            "load" => Action::LoadService { host, service, how: how_loaded(at) },
            "unload" => Action::UnloadService { host, service },
            "start" => Action::StartService { host, service },
            "stop" => Action::StopService { host, service },
            _ => Action::CrashService { host, service, code },
        }
    };
    context.directory.hosts(on, problems).into_iter().map(action).collect()
}

fn how_loaded(at: &At) -> Load {
    Load {
        leader: at.topology.as_ref().is_some_and(|word| *word.get_ref() == TopologyWord::Leader),
        quorum: at.quorum.as_ref().map(|quorum| *quorum.get_ref()),
        suitability: at.suitability.as_ref().map(|suitability| *suitability.get_ref()),
    }
}

/// A service's name.
pub(crate) fn service_name(word: &Spanned<String>, problems: &mut Problems<'_>) -> Option<ServiceName> {
    match word.get_ref().parse() {
        Ok(name) => Some(name),
        Err(error) => {
            problems.add(
                word.span(),
                format!("\"{}\" cannot be a service", word.get_ref()),
                format!("{error}, for example \"web\""),
            );
            None
        }
    }
}
