//! `[[expect]]`: from the words of a file to what must hold when.

use std::ops::Range;
use std::time::Duration;

use annulus_core::{Instant, ServiceName, State};
use toml::Spanned;

use super::build_group;
use super::plan::{Expectation, Leads, TimedAction, What, When, Who};
use super::reference;
use super::schema::{Expect, IdentityWord, IncarnationWord, StateWord};
use crate::form::SpannedNames;
use crate::form::problem::Problems;
use crate::form::reading::Context;

/// All expectations in the order of the file.
pub(crate) fn expectations(
    entries: &[Spanned<Expect>],
    context: &Context<'_>,
    actions: &[TimedAction],
    problems: &mut Problems<'_>,
) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for entry in entries {
        let Some((name, text)) = one_statement(entry, context, problems) else { continue };
        let when = when(name, entry, context, actions, problems);
        let what = what(name, entry.get_ref(), context, problems);
        if let (Some(when), Some(what)) = (when, what) {
            expectations.push(Expectation { line: context.line(entry.span().start), text, when, what });
        }
    }
    expectations
}

/// The keys of one entry that are given, with the places of their values.
fn given(expect: &Expect) -> Vec<(&'static str, Range<usize>)> {
    macro_rules! keys {
        ($($key:ident),+) => {
            [$((stringify!($key), expect.$key.as_ref().map(Spanned::span))),+]
        };
    }
    let keys = keys!(
        all_alive,
        one_view,
        alive,
        suspect,
        confirmed,
        departed,
        unknown,
        running,
        stopped,
        split,
        count,
        service_up,
        service_down,
        leader,
        one_leader,
        no_leader,
        requests_lost,
        version_held,
        incarnation,
        identity,
        occurred,
        never,
        seen_by,
        of,
        state,
        on,
        since,
        group,
        file,
        of_service
    );
    keys.into_iter().filter_map(|(key, span)| span.map(|span| (key, span))).collect()
}

/// The one statement that an entry makes, and its text for messages.
fn one_statement(
    entry: &Spanned<Expect>,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<(&'static str, String)> {
    let given = given(entry.get_ref());
    let is_statement = |key: &str| reference::EXPECTATIONS.iter().any(|statement| statement.key == key);
    let (named, parts): (Vec<_>, Vec<_>) = given.into_iter().partition(|(key, _)| is_statement(key));
    match named.as_slice() {
        [] => {
            problems.add(
                entry.span(),
                "this entry states nothing",
                "add a statement, for example alive = \"all\"; `annulus-sim list` shows all",
            );
            None
        }
        [(name, span)] => {
            reference::check_parts(name, reference::EXPECTATIONS, &parts, problems);
            let said = |span: &Range<usize>| context.source.get(span.clone()).unwrap_or_default().to_owned();
            let mut text = format!("{name} = {}", said(span));
            for (key, span) in &parts {
                text.push_str(&format!(", {key} = {}", said(span)));
            }
            Some((name, text))
        }
        [(first, _), (second, span), ..] => {
            problems.add(
                span.clone(),
                format!("this entry makes two statements, `{first}` and `{second}`"),
                "give each its own [[expect]]",
            );
            None
        }
    }
}

fn when(
    name: &str,
    entry: &Spanned<Expect>,
    context: &Context<'_>,
    actions: &[TimedAction],
    problems: &mut Problems<'_>,
) -> Option<When> {
    let expect = entry.get_ref();
    let end = Instant::ZERO + context.duration;
    let mut instant = |span: Range<usize>, time: Duration| {
        if time > context.duration {
            problems.add(
                span,
                "this is after the end of the scenario",
                format!("make `duration` longer; it is {}s", context.duration.as_secs_f64()),
            );
        }
        Instant::ZERO + time
    };
    let when = match (&expect.by, &expect.at, &expect.always) {
        (Some(by), None, None) => {
            let by_time = instant(by.span(), by.get_ref().0);
            let after = match &expect.after {
                Some(after) => instant(after.span(), after.get_ref().0),
                None => last_action(actions, by_time),
            };
            if after >= by_time {
                problems.add(by.span(), "`by` is not later than `after`", "leave some time between the two");
            }
            When::By { after, by: by_time }
        }
        (None, Some(at), None) => When::At(instant(at.span(), at.get_ref().0)),
        (None, None, Some(always)) => {
            let range = always.get_ref();
            let from = instant(always.span(), range.from);
            let until = range.until.map_or(end, |until| instant(always.span(), until));
            When::Always { from, until }
        }
        (None, None, None) if name == "never" => When::Always { from: Instant::ZERO, until: end },
        (None, None, None) => {
            problems.add(
                entry.span(),
                "this entry does not say when",
                "add by = \"10s\", at = \"10s\" or always = \"5s..20s\"",
            );
            return None;
        }
        _ => {
            problems.add(
                entry.span(),
                "this entry says more than once when",
                "use one of `by`, `at` and `always`",
            );
            return None;
        }
    };
    if let (Some(after), false) = (&expect.after, matches!(when, When::By { .. })) {
        problems.add(after.span(), "`after` belongs to `by`", "remove it");
    }
    suits(name, when, entry, problems).then_some(when)
}

/// `occurred` needs a span that ends, `never` one in which nothing may happen.
fn suits(name: &str, when: When, entry: &Spanned<Expect>, problems: &mut Problems<'_>) -> bool {
    let help = match (name, when) {
        ("occurred" | "one_view", When::By { .. }) | ("never", When::Always { .. }) => return true,
        ("one_view", _) => "one view comes about and then lasts: use `by`",
        ("occurred", _) => {
            "an event occurs at an instant of a span: use `by`, and `after` if it has to be late"
        }
        ("never", _) => "use always = \"5s..20s\", or no time at all for the whole scenario",
        _ => return true,
    };
    problems.add(entry.span(), format!("`{name}` cannot be asked at this time"), help);
    false
}

/// The last action before `by`: what is expected by then is expected because of it.
fn last_action(actions: &[TimedAction], by: Instant) -> Instant {
    actions.iter().map(|timed| timed.time).filter(|time| *time < by).max().unwrap_or(Instant::ZERO)
}

fn what(name: &str, expect: &Expect, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<What> {
    let seen_by = who(&expect.seen_by, context, problems);
    let state = match name {
        "alive" => return in_state(&expect.alive, Some(State::Alive), seen_by, context, problems),
        "suspect" => return in_state(&expect.suspect, Some(State::Suspect), seen_by, context, problems),
        "confirmed" => {
            return in_state(&expect.confirmed, Some(State::Confirmed), seen_by, context, problems);
        }
        "departed" => return in_state(&expect.departed, Some(State::Departed), seen_by, context, problems),
        "unknown" => return in_state(&expect.unknown, None, seen_by, context, problems),
        _ => expect.state.as_ref().map(|state| *state.get_ref()),
    };
    let mut hosts = |names: &Option<SpannedNames>| {
        names.as_ref().map_or_else(Vec::new, |names| context.directory.hosts(names, problems))
    };
    match name {
        "all_alive" => {
            let word = expect.all_alive.as_ref()?;
            if !*word.get_ref() {
                problems.add(
                    word.span(),
                    "all_alive = false says nothing useful",
                    "write all_alive = true, or state with `confirmed` or `suspect` who is not alive",
                );
            }
            Some(What::AllAlive)
        }
        "one_view" => Some(What::OneView { lasting: expect.one_view.as_ref()?.get_ref().0 }),
        "running" => Some(What::Running { on: hosts(&expect.running), running: true }),
        "stopped" => Some(What::Running { on: hosts(&expect.stopped), running: false }),
        "split" => split(expect, context, problems),
        "count" => {
            let count = expect.count.as_ref()?.get_ref();
            let state = match state {
                Some(StateWord::Alive) | None => Some(State::Alive),
                Some(StateWord::Suspect) => Some(State::Suspect),
                Some(StateWord::Confirmed) => Some(State::Confirmed),
                Some(StateWord::Departed) => Some(State::Departed),
                Some(StateWord::Any) => None,
            };
            Some(What::Count { least: count.least, most: count.most, state, seen_by })
        }
        "service_up" | "service_down" => service(name, expect, context, problems),
        "leader" | "one_leader" | "no_leader" => leader(expect, seen_by, context, problems),
        "requests_lost" => {
            let count = expect.requests_lost.as_ref()?.get_ref();
            Some(What::Lost { least: count.least, most: count.most })
        }
        "version_held" => build_group::version_held(expect, seen_by, problems),
        "incarnation" | "identity" => compared(name, expect, context, problems),
        _ => {
            let word = expect.occurred.as_ref().or(expect.never.as_ref())?;
            let of = who(&expect.of, context, problems);
            Some(What::Event { event: *word.get_ref(), of, seen_by, occurred: name == "occurred" })
        }
    }
}

fn who(names: &Option<SpannedNames>, context: &Context<'_>, problems: &mut Problems<'_>) -> Who {
    match names {
        None => Who::Running,
        Some(names) if words(names) == ["running"] => Who::Running,
        Some(names) => Who::Hosts(context.directory.hosts(names, problems)),
    }
}

fn words(names: &SpannedNames) -> Vec<&str> {
    names.get_ref().0.iter().map(|name| name.get_ref().as_str()).collect()
}

fn in_state(
    names: &Option<SpannedNames>,
    state: Option<State>,
    seen_by: Who,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<What> {
    let of = who(&Some(names.as_ref()?.clone()), context, problems);
    Some(What::InState { of, state, seen_by })
}

fn split(expect: &Expect, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<What> {
    let split = expect.split.as_ref()?;
    if split.get_ref().len() < 2 {
        problems.add(
            split.span(),
            "a split needs two groups at least",
            "write split = [\"east\", \"west\"] or split = [[\"ada\", \"bob\"], \"cyd\"]",
        );
    }
    let mut groups = Vec::new();
    let mut seen = Vec::new();
    for names in split.get_ref() {
        let group = context.directory.hosts(names, problems);
        if let Some(twice) = group.iter().find(|host| seen.contains(*host)) {
            problems.add(
                names.span(),
                format!("{} is in two groups", context.directory.name(*twice)),
                "name each member in one group only",
            );
        }
        seen.extend(group.iter().copied());
        groups.push(group);
    }
    Some(What::Split(groups))
}

fn service(name: &str, expect: &Expect, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<What> {
    let word = expect.service_up.as_ref().or(expect.service_down.as_ref())?;
    let Some(on) = &expect.on else {
        problems.add(
            word.span(),
            format!("`{name}` does not say where"),
            "add on = \"ada\", or on = \"all\"",
        );
        return None;
    };
    let on = context.directory.hosts(on, problems);
    let seen_by = expect.seen_by.is_some().then(|| who(&expect.seen_by, context, problems));
    Some(What::Service { service: service_name(word, problems)?, up: name == "service_up", on, seen_by })
}

fn leader(expect: &Expect, seen_by: Who, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<What> {
    if let Some(name) = &expect.leader {
        let Some(service) = &expect.of_service else {
            problems.add(name.span(), "`leader` does not say of which service", "add of_service = \"redis\"");
            return None;
        };
        let host = context.directory.host(name.span(), name.get_ref(), problems)?;
        return Some(What::Leader { service: service_name(service, problems)?, wanted: Leads::Host(host) });
    }
    let (word, wanted) = match (&expect.one_leader, &expect.no_leader) {
        (Some(word), _) => (word, Leads::OneSeenBy(seen_by)),
        (None, Some(word)) => (word, Leads::Nobody),
        (None, None) => return None,
    };
    Some(What::Leader { service: service_name(word, problems)?, wanted })
}

fn compared(name: &str, expect: &Expect, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<What> {
    let span = expect.incarnation.as_ref().map(Spanned::span);
    let span = span.or_else(|| expect.identity.as_ref().map(Spanned::span))?;
    let (Some(of), Some(since)) = (&expect.of, &expect.since) else {
        problems.add(
            span,
            format!("`{name}` does not say whose, compared with when"),
            "add of = \"bob\" and since = \"5s\"",
        );
        return None;
    };
    let of = context.directory.hosts(of, problems);
    let since = Instant::ZERO + since.get_ref().0;
    match (&expect.incarnation, &expect.identity) {
        (Some(word), _) => {
            Some(What::Incarnation { of, raised: *word.get_ref() == IncarnationWord::Raised, since })
        }
        (None, Some(word)) => Some(What::Identity { of, new: *word.get_ref() == IdentityWord::New, since }),
        (None, None) => None,
    }
}

/// A service's name.
fn service_name(word: &Spanned<String>, problems: &mut Problems<'_>) -> Option<ServiceName> {
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
