//! A line of a witness: what one process believed at one instant. Written and read here, decided upon elsewhere.
//!
//! Each line has two times of the clock that runs since boot, in nanoseconds: before and after the process read its
//! rendered file. So a line proves that its process acted at some instant between them, and two lines with the same
//! belief that it acted from the later time of the first to the earlier time of the second.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, also those in which the host slept.
pub(crate) type Boot = u64;

/// The time since boot, now.
pub(crate) fn boot() -> Boot {
    // Linux has this clock since 2.6.39, and it is never before zero.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or((0, 0), |now| (now.tv_sec(), now.tv_nsec()));
    u64::try_from(now.0).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.1).unwrap_or(0)
}

/// The reason for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The process began.
    Born,
    /// It believes something else than before.
    Sees,
    /// It acts as the leader, at this instant.
    Acts,
    /// It was asked to end.
    Asked,
    /// A hook began.
    Hook,
    /// A reconfigure hook has told every process what the file says.
    Done,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Born, "born"),
    (Kind::Sees, "sees"),
    (Kind::Acts, "acts"),
    (Kind::Asked, "asked"),
    (Kind::Hook, "hook"),
    (Kind::Done, "done"),
];

/// The part that the rendered file gives to a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// No election has spoken, or the service needs none.
    #[default]
    None,
    Follows,
    /// In this term.
    Leads(u64),
}

/// The contents of the rendered file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) part: Part,
    /// The group's name, the part behind the dot.
    pub(crate) group: String,
    /// The id of the member that leads; empty when none does.
    pub(crate) leader: String,
    /// The number that configurations carry.
    pub(crate) version: u64,
}

impl Told {
    /// Reads a rendered file; none while it is not whole.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut told = Self::default();
        let (mut word, mut term, mut whole) = ("", 0, false);
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "part" => word = value,
                "term" => term = value.parse().ok()?,
                "group" => value.clone_into(&mut told.group),
                "leader" => value.trim_matches('-').clone_into(&mut told.leader),
                "version" => told.version = value.parse().ok()?,
                "end" => whole = true,
                _ => return None,
            }
        }
        told.part = match word {
            "leads" => Part::Leads(term),
            "follows" => Part::Follows,
            "none" => Part::None,
            _ => return None,
        };
        whole.then_some(told)
    }
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) before: Boot,
    pub(crate) after: Boot,
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) service: String,
    /// The process that the service was started as, of whose tree this one is; 0 for hooks.
    pub(crate) tree: u32,
    pub(crate) told: Told,
    /// The part that it plays, which may be an older one than the file says now.
    pub(crate) plays: Part,
}

fn part(part: Part) -> (&'static str, u64) {
    match part {
        Part::None => ("none", 0),
        Part::Follows => ("follows", 0),
        Part::Leads(term) => ("leads", term),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("?", |(_, word)| word);
        let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let Self { before, after, pid, host, service, tree, told, .. } = self;
        let ((told_part, told_term), (plays, term)) = (part(told.part), part(self.plays));
        write!(
            f,
            "{kind} {before} {after} {pid} {host} {service} {} {tree} {plays} {term} {told_part} {told_term} {} {}",
            dash(&told.group),
            told.version,
            dash(&told.leader),
        )
    }
}

impl Line {
    /// Reads a line; none when it is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut word = || words.next();
        let kind = word()?;
        let kind = KINDS.iter().find(|(_, name)| *name == kind).map(|(kind, _)| *kind)?;
        let (before, after, pid) = (word()?.parse().ok()?, word()?.parse().ok()?, word()?.parse().ok()?);
        let (host, service, group) = (word()?.to_owned(), word()?.to_owned(), word()?.to_owned());
        let tree = word()?.parse().ok()?;
        let plays = read_part(word()?, word()?)?;
        let part = read_part(word()?, word()?)?;
        let version = word()?.parse().ok()?;
        let leader = word()?.trim_matches('-').to_owned();
        Some(Self {
            kind,
            before,
            after,
            pid,
            host,
            service,
            tree,
            told: Told { part, group, leader, version },
            plays,
        })
    }
}

fn read_part(word: &str, term: &str) -> Option<Part> {
    match word {
        "none" => Some(Part::None),
        "follows" => Some(Part::Follows),
        "leads" => Some(Part::Leads(term.parse().ok()?)),
        _ => None,
    }
}

/// The file that all witnesses of a run write to.
#[derive(Debug)]
pub(crate) struct Lines(File);

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // One write of a line at the file's end: lines of different processes never mix.
        Ok(Self(File::options().append(true).create(true).open(path)?))
    }

    pub(crate) fn write(&mut self, line: &Line) -> io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            kind: Kind::Acts,
            before: 17,
            after: 19,
            pid: 4_711,
            host: "ada".to_owned(),
            service: "steady".to_owned(),
            tree: 4_700,
            told: Told {
                part: Part::Follows,
                group: "default".to_owned(),
                leader: "ab12".to_owned(),
                version: 7,
            },
            plays: Part::Leads(3),
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        assert_eq!(Line::read(&line().to_string()), Some(line()));
        let bare = Line { told: Told::default(), plays: Part::None, kind: Kind::Hook, ..line() };
        assert_eq!(Line::read(&bare.to_string()).map(|read| read.told.leader), Some(String::new()));
        assert_eq!(Line::read("acts 1 2 3"), None);
        assert_eq!(Line::read("runs 17 19 4711 ada steady default 1 leads 3 none 0 7 -"), None);
    }

    #[test]
    fn a_rendered_file_counts_only_when_it_is_whole() {
        let whole = "part leads\nterm 12\ngroup default\nleader ab12\nversion 3\nend\n";
        let told = Told::read(whole).expect("whole");
        assert_eq!((told.part, told.version, told.leader.as_str()), (Part::Leads(12), 3, "ab12"));
        assert_eq!(Told::read("part leads\nterm 12\ngroup default\n"), None);
        assert_eq!(Told::read(""), None);
        let none = "part none\nterm 0\ngroup default\nleader -\nversion 0\nend\n";
        assert_eq!(Told::read(none).map(|told| (told.part, told.leader)), Some((Part::None, String::new())));
    }

    #[test]
    fn the_clock_only_grows() {
        let first = boot();
        assert!(first > 0 && boot() >= first);
    }
}
