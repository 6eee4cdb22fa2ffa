//! The context in which one entry of a file is read.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use annulus_core::{ServiceGroup, ServiceName};
use toml::Spanned;

use super::SpannedNames;
use super::names::Directory;
use super::problem::Problems;
use super::value::{Direction, Time};
use crate::engine::host::HostId;
use crate::engine::link::LinkQuality;

/// The name of the group that a service is in where its `load` names no other.
pub(crate) const DEFAULT_GROUP: &str = "default";

/// The parts of a file that hold for all its entries.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) source: &'a str,
    pub(crate) directory: Directory,
    pub(crate) duration: Duration,
    /// The quality of links that no `[[link]]` mentions.
    pub(crate) quality: LinkQuality,
}

impl Context<'_> {
    /// The line of a byte of the file.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.source.get(..at).map_or(0, |before| before.matches('\n').count() + 1)
    }
}

/// One entry is being read: names are looked up, and mistakes are reported.
#[derive(Debug)]
pub(crate) struct Reading<'a, 'p> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) problems: &'a mut Problems<'p>,
}

/// The sets of hosts that an action stands between, senders first.
pub(crate) type Sides = (Vec<HostId>, Vec<HostId>);

impl Reading<'_, '_> {
    /// Reports a mistake.
    pub(crate) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.problems.add(span, message, help);
    }

    /// The hosts that these names stand for.
    pub(crate) fn hosts(&mut self, names: &SpannedNames) -> Vec<HostId> {
        self.context.directory.hosts(names, self.problems)
    }

    /// The one host that a name stands for.
    pub(crate) fn host(&mut self, name: &Spanned<String>) -> Option<HostId> {
        self.context.directory.host(name.span(), name.get_ref(), self.problems)
    }

    /// The same for each host.
    pub(crate) fn each<T>(&mut self, names: &SpannedNames, one: impl Fn(HostId) -> T) -> Vec<T> {
        self.hosts(names).into_iter().map(one).collect()
    }

    /// A value without which a word says nothing; the example begins with its key.
    pub(crate) fn required<T>(
        &mut self,
        word: Range<usize>,
        value: Option<Spanned<T>>,
        example: &str,
    ) -> Option<T> {
        if value.is_none() {
            let key = example.split(' ').next().unwrap_or_default();
            self.wrong(word, format!("`{key}` is missing"), format!("add {example}"));
        }
        value.map(Spanned::into_inner)
    }

    /// A value that has a grammar of its own; `what` and an example help an author who got it wrong.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        word: &Spanned<String>,
        what: &str,
        example: &str,
    ) -> Option<T> {
        match word.get_ref().parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let message = format!("\"{}\" cannot be {what}", word.get_ref());
                self.wrong(word.span(), message, format!("{error}, for example \"{example}\""));
                None
            }
        }
    }

    /// The group that a service's name stands for, which is its default one, or the group that is named.
    pub(crate) fn group(&mut self, word: &Spanned<String>) -> Option<ServiceGroup> {
        if word.get_ref().contains('.') {
            return self.parsed(word, "a service group", "redis.cache");
        }
        let service: ServiceName = self.parsed(word, "a service", "web")?;
        ServiceGroup::new(service.as_str(), DEFAULT_GROUP, None).ok()
    }

    /// Reports a value that would be refused at any time.
    pub(crate) fn sound<E: Display>(&mut self, checked: Result<(), E>, span: Range<usize>) {
        if let Err(error) = checked {
            self.wrong(span, error.to_string(), "`annulus-sim list` shows an example");
        }
    }

    /// The links that a word is about: from the named members to others, or to all.
    pub(crate) fn links(
        &mut self,
        from: &SpannedNames,
        to: Option<&SpannedNames>,
        direction: Option<Direction>,
    ) -> Vec<Sides> {
        let from = self.hosts(from);
        let to = match to {
            Some(names) => self.hosts(names),
            None => self.context.directory.all(),
        };
        directed(direction.unwrap_or_default(), from, to)
    }

    /// The named members, and the opposite side: named too, or all others.
    pub(crate) fn opposite(&mut self, side: &SpannedNames, other: Option<&SpannedNames>) -> Sides {
        let hosts = self.hosts(side);
        let (rest, span) = match other {
            Some(names) => (self.hosts(names), names.span()),
            None => (self.context.directory.except(&hosts), side.span()),
        };
        if let Some(both) = rest.iter().find(|host| hosts.contains(host)) {
            let message = format!("{} is on both sides", self.context.directory.name(*both));
            self.wrong(span, message, "name each member on one side only");
        } else if rest.is_empty() && !hosts.is_empty() {
            let help = "name fewer members, or name the others in `from`";
            self.wrong(span, "no member is on the other side", help);
        }
        (hosts, rest)
    }

    /// An instant of the run.
    pub(crate) fn within(&mut self, time: &Spanned<Time>) -> annulus_core::Instant {
        self.instant(time.span(), time.get_ref().0)
    }

    /// As `within`, for a time that is part of another value.
    pub(crate) fn instant(&mut self, span: Range<usize>, time: Duration) -> annulus_core::Instant {
        let duration = self.context.duration;
        if time > duration {
            let help = format!("make `duration` longer; it is {}s", duration.as_secs_f64());
            self.wrong(span, "this is after the end of the scenario", help);
        }
        annulus_core::Instant::ZERO + time
    }
}

/// The sets of senders and receivers that a direction means.
pub(crate) fn directed(direction: Direction, from: Vec<HostId>, to: Vec<HostId>) -> Vec<Sides> {
    match direction {
        Direction::Out => vec![(from, to)],
        Direction::In => vec![(to, from)],
        Direction::Both => vec![(from.clone(), to.clone()), (to, from)],
    }
}
