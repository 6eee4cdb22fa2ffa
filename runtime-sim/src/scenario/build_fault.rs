//! `[[at]]`: faults with parameters of their own.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::build::{Context, directed};
use super::problem::Problems;
use super::schema::{At, SpannedNames};
use super::value::Time;
use crate::action::fault;
use crate::action::{Action, Burst, Capacity, Delay, HostId, Ratio};

/// What one of these words means.
pub(super) fn meaning(
    name: &str,
    at: &At,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Action> {
    match name {
        "burst" => burst(at, context, problems),
        "capacity" => capacity(at, context, problems),
        "slow" => {
            let delay = at.delay.as_ref().map(|d| Delay { min: d.get_ref().min, max: d.get_ref().max });
            each(&at.slow, context, problems, |host| Action::Slow { host, delay })
        }
        "clock_rate" => clock_rate(at, context, problems),
        "clock_jump" => match required(&at.clock_jump, &at.by_ms, "by_ms = -3600000", problems) {
            Some(by_ms) => each(&at.clock_jump, context, problems, |host| Action::ClockJump { host, by_ms }),
            None => Vec::new(),
        },
        "suspend" => match required(&at.suspend, &at.lasting, "lasting = \"30s\"", problems) {
            Some(Time(lasting)) => {
                each(&at.suspend, context, problems, |host| Action::Suspend { host, lasting })
            }
            None => Vec::new(),
        },
        "crash_at_sync" => each(&at.crash_at_sync, context, problems, Action::CrashAtSync),
        "crash_loop" => crash_loop(at, context, problems),
        _ => clone(at, context, problems),
    }
}

fn each(
    names: &Option<SpannedNames>,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
    action: impl Fn(HostId) -> Action,
) -> Vec<Action> {
    let Some(names) = names else { return Vec::new() };
    context.directory.hosts(names, problems).into_iter().map(action).collect()
}

/// A value without which the word says nothing.
fn required<T: Copy>(
    word: &Option<SpannedNames>,
    value: &Option<Spanned<T>>,
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    if let (None, Some(word)) = (value, word) {
        let key = example.split(' ').next().unwrap_or_default();
        problems.add(word.span(), format!("`{key}` is missing"), format!("add {example}"));
    }
    value.as_ref().map(|value| *value.get_ref())
}

fn links(
    names: &SpannedNames,
    at: &At,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Vec<(Vec<HostId>, Vec<HostId>)> {
    let from = context.directory.hosts(names, problems);
    let to = match &at.to {
        Some(names) => context.directory.hosts(names, problems),
        None => context.directory.all(),
    };
    directed(at.direction.as_ref().map(|d| *d.get_ref()).unwrap_or_default(), from, to)
}

/// Reports what the world would refuse at any time.
fn sound<E: std::fmt::Display>(checked: Result<(), E>, span: Range<usize>, problems: &mut Problems<'_>) {
    if let Err(error) = checked {
        problems.add(span, error.to_string(), "`annulus-sim list` shows an example");
    }
}

fn burst(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let Some(names) = &at.burst else { return Vec::new() };
    let burst = match (&at.bad, &at.good) {
        (None, None) => None,
        _ => {
            let good = required(&at.burst, &at.good, "good = \"2s\"", problems);
            let bad = required(&at.burst, &at.bad, "bad = \"300ms\"", problems);
            let loss = at.loss.as_ref().map_or(Ratio::percent(100), |loss| loss.get_ref().0);
            good.zip(bad).map(|(good, bad)| Burst { good: good.0, bad: bad.0, loss })
        }
    };
    sound(fault::check_burst(burst.as_ref()), names.span(), problems);
    let links = links(names, at, context, problems);
    links.into_iter().map(|(from, to)| Action::Burst { from, to, burst }).collect()
}

fn capacity(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    /// A few full datagrams.
    const QUEUE_BYTES: u32 = 16 * 1024;
    let Some(names) = &at.capacity else { return Vec::new() };
    let capacity = at.bytes_per_s.as_ref().map(|bytes_per_s| Capacity {
        bytes_per_s: *bytes_per_s.get_ref(),
        queue_bytes: at.queue_bytes.as_ref().map_or(QUEUE_BYTES, |bytes| *bytes.get_ref()),
    });
    sound(fault::check_capacity(capacity.as_ref()), names.span(), problems);
    let links = links(names, at, context, problems);
    links.into_iter().map(|(from, to)| Action::Capacity { from, to, capacity }).collect()
}

fn clock_rate(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let Some(ppm) = required(&at.clock_rate, &at.ppm, "ppm = -200000", problems) else { return Vec::new() };
    if let Some(word) = &at.ppm {
        sound(fault::check_rate(ppm), word.span(), problems);
    }
    each(&at.clock_rate, context, problems, |host| Action::ClockRate { host, ppm })
}

fn crash_loop(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let second = Duration::from_secs(1);
    let times = at.times.as_ref().map_or(5, |times| *times.get_ref());
    let up = at.up.as_ref().map_or(second, |time| time.get_ref().0);
    let down = at.down.as_ref().map_or(second, |time| time.get_ref().0);
    each(&at.crash_loop, context, problems, |host| Action::CrashLoop { host, times, up, down })
}

fn clone(at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let Some(names) = &at.clone else { return Vec::new() };
    let Some(of) = &at.disk_of else {
        problems.add(names.span(), "`disk_of` is missing", "add disk_of = \"ada\": whose disk is copied");
        return Vec::new();
    };
    let Some(of) = context.directory.host(of.span(), of.get_ref(), problems) else { return Vec::new() };
    each(&at.clone, context, problems, |host| Action::CloneDisk { host, of })
}
