//! What the entries of a file need of each other: a service that is ordered about is loaded, a leader that is expected
//! can be elected, a version that is to be held is given. Each entry is right by itself when it is looked at here.

use std::ops::Range;

use annulus_core::{FileName, Instant, ServiceGroup, Topology};

use super::plan::{Expectation, TimedAction};
use crate::action::{Action, HostId};
use crate::form::need::Need;
use crate::form::problem::listed;
use crate::form::reading::{Context, Reading};

/// Reports every entry that needs what no other entry does. The places are those of the entries' words.
pub(super) fn check(
    (actions, their): (&[TimedAction], &[Range<usize>]),
    (expectations, places): (&[Expectation], &[Range<usize>]),
    is_drawn: bool,
    reading: &mut Reading<'_, '_>,
) {
    let done = Done::of(actions);
    // A schedule that chance has drawn may ask for what has not been prepared.
    for (timed, place) in actions.iter().zip(their).filter(|_| !is_drawn) {
        // A command that is to be refused may be about anything.
        let needs = if timed.refused.is_some() { Vec::new() } else { timed.action.needs() };
        done.report(&needs, Some(timed.time), place, reading);
    }
    for (expectation, place) in expectations.iter().zip(places) {
        let end = expectation.when.span().map(|(_, end)| end);
        done.report(&expectation.what.needs(), end, place, reading);
    }
}

/// A service that an entry loads, or that gets there with a disk.
struct Loaded<'a> {
    time: Instant,
    host: HostId,
    service: &'a str,
    group: Option<ServiceGroup>,
    led: bool,
}

/// All that the actions of a file prepare.
struct Done<'a> {
    loaded: Vec<Loaded<'a>>,
    given: Vec<(ServiceGroup, Option<FileName>, u64)>,
    balanced: bool,
}

impl<'a> Done<'a> {
    fn of(actions: &'a [TimedAction]) -> Self {
        let mut done = Self { loaded: Vec::new(), given: Vec::new(), balanced: false };
        for TimedAction { time, action, .. } in actions {
            match action {
                Action::LoadService(load) => done.loaded.push(Loaded {
                    time: *time,
                    host: load.host,
                    service: &load.service,
                    group: load.group(),
                    led: load.how.leader,
                }),
                Action::ApplyConfig(give) => done.give(&give.given),
                Action::PutFile(give) => done.give(&give.given),
                Action::Balance(_) => done.balanced = true,
                _ => {}
            }
        }
        // What changes a loaded service, or brings it to another host, is looked at when all loads are known.
        for TimedAction { time, action, .. } in actions {
            let mut more: Vec<Loaded<'a>> = Vec::new();
            match action {
                Action::UpdateService(update) => {
                    let of = |l: &&Loaded<'a>| l.host == update.host && l.service == update.service;
                    more.extend(done.loaded.iter().filter(of).map(|loaded| Loaded {
                        time: *time,
                        group: update.new_group().or_else(|| loaded.group.clone()),
                        led: update.topology.map_or(loaded.led, |topology| topology == Topology::Leader),
                        ..*loaded
                    }));
                }
                Action::CloneDisk(clone) => {
                    let there = done.loaded.iter().filter(|loaded| loaded.host == clone.of);
                    more.extend(there.map(|loaded| Loaded {
                        time: *time,
                        host: clone.host,
                        group: loaded.group.clone(),
                        ..*loaded
                    }));
                }
                _ => {}
            }
            done.loaded.append(&mut more);
        }
        done
    }

    fn give(&mut self, given: &crate::action::Given) {
        self.given.push((given.group.clone(), given.file.clone(), given.version));
    }

    fn report(
        &self,
        needs: &[Need],
        by: Option<Instant>,
        place: &Range<usize>,
        reading: &mut Reading<'_, '_>,
    ) {
        for need in needs {
            if let Some((message, help)) = self.lacks(need, by, reading.context) {
                reading.wrong(place.clone(), message, help);
                return;
            }
        }
    }

    /// What is wrong with a need, and the advice; none when it is met.
    fn lacks(&self, need: &Need, by: Option<Instant>, context: &Context<'_>) -> Option<(String, String)> {
        match need {
            Need::Loaded { service, host } => {
                let of = |loaded: &&Loaded<'_>| {
                    loaded.service == service && host.is_none_or(|host| loaded.host == host)
                };
                let first = self.loaded.iter().filter(of).map(|loaded| loaded.time).min();
                let on =
                    host.map_or_else(String::new, |host| format!(" on {}", context.directory.name(host)));
                match (first, by) {
                    (None, _) => Some((
                        format!("no entry loads {service}{on}"),
                        format!("add an [[at]] with load = {service:?}; {}", self.services()),
                    )),
                    (Some(first), Some(by)) if first > by => Some((
                        format!("{service} is loaded{on} only at {first}"),
                        String::from("load it earlier, or ask for it later"),
                    )),
                    _ => None,
                }
            }
            Need::Led { group, host } => self.unled(group, *host, context),
            Need::Given { group, file, version } => {
                let of =
                    |given: &&(ServiceGroup, Option<FileName>, u64)| given.0 == *group && given.1 == *file;
                let numbers: Vec<u64> = self.given.iter().filter(of).map(|(_, _, number)| *number).collect();
                if numbers.contains(version) {
                    return None;
                }
                let what = match file {
                    Some(file) => format!("the file {file} of {group}"),
                    None => format!("the configuration of {group}"),
                };
                let given: Vec<String> = numbers.iter().map(u64::to_string).collect();
                Some((
                    format!("no entry gives version {version} of {what}"),
                    match given.is_empty() {
                        true => String::from("add an [[at]] with apply_config or put_file"),
                        false => format!("there is {}", listed(given.iter().map(String::as_str))),
                    },
                ))
            }
            Need::Balanced if self.balanced => None,
            Need::Balanced => Some((
                String::from("no client sends a request"),
                String::from("add an [[at]] with balance = \"web\" and on = \"all\""),
            )),
        }
    }

    /// Why no member, or not this one, can lead the group.
    fn unled(
        &self,
        group: &ServiceGroup,
        host: Option<HostId>,
        context: &Context<'_>,
    ) -> Option<(String, String)> {
        let of = |loaded: &&Loaded<'_>| {
            loaded.group.as_ref() == Some(group) && host.is_none_or(|host| loaded.host == host)
        };
        let mut members = self.loaded.iter().filter(of).peekable();
        let on = host.map_or_else(String::new, |host| format!(" on {}", context.directory.name(host)));
        if members.peek().is_none() {
            let service = group.service();
            let help = format!("add an [[at]] with load = {service:?}; {}", self.services());
            return Some((format!("no entry loads {service} into the group {group}{on}"), help));
        }
        if members.any(|loaded| loaded.led) {
            return None;
        }
        let message =
            format!("the group {group} has no leader: {} is loaded standalone{on}", group.service());
        Some((message, String::from("add topology = \"leader\" to its load")))
    }

    fn services(&self) -> String {
        let mut names: Vec<&str> = self.loaded.iter().map(|loaded| loaded.service).collect();
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [] => String::from("this file loads no service"),
            names => format!("this file loads {}", listed(names.iter().copied())),
        }
    }
}
