//! Judges the lines of witnesses: which tree acts as a group's leader, in which term, and for how long none did. Trusts
//! no supervisor, and knows nothing of faults but the documented limits that it is told of.

use std::collections::{BTreeMap, BTreeSet};

use super::line::{Boot, Kind, Line, Part};

/// A leader that writes no line for longer than this does not act, though its processes may still live.
const GAP: Boot = 1_000_000_000;
/// A group whose last line is this old has no leader now: several periods, and a busy machine's delays.
const NOW: Boot = 200_000_000;
/// A host or guard that stood still has this long to notice; a documented limit.
const GRACE: Boot = 400_000_000;
/// Spans that ended so long ago cannot overlap with new lines.
const MEMORY: Boot = 60_000_000_000;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which promise, in a word or two.
    pub(crate) promise: &'static str,
    pub(crate) from: Boot,
    pub(crate) until: Boot,
    /// The group or service, and host.
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// A time in which one process surely acted as the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    host: String,
    tree: u32,
    pid: u32,
    term: u64,
    /// After its first line, and before its last.
    first: Boot,
    last: Boot,
    /// Ended by a line that says so.
    over: bool,
}

/// A time without a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) group: String,
    pub(crate) from: Boot,
    pub(crate) until: Boot,
    pub(crate) old: String,
    pub(crate) new: String,
}

#[derive(Clone, Debug, Default)]
struct Group {
    spans: Vec<Span>,
    /// For each term the host that led in it, and when that was first certain.
    terms: BTreeMap<u64, (String, Boot)>,
    leader: String,
    tree: u32,
    led_until: Boot,
}

/// A host or one service of it that stood still with its guard.
#[derive(Clone, Debug)]
struct Limit {
    host: String,
    service: Option<String>,
    from: Boot,
    until: Option<Boot>,
}

/// Everything that the lines have said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    groups: BTreeMap<String, Group>,
    limits: Vec<Limit>,
    found: BTreeMap<String, Violation>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) lines: u64,
    /// Lines of leaders within the documented limits.
    pub(crate) late: u64,
    /// The highest version that a process of a service was started with, or that a hook has told it.
    taken_in: BTreeMap<(String, String), u64>,
    /// When processes were asked to end, by host and service.
    asked: BTreeMap<(String, String), Vec<Boot>>,
    /// Starts in a group with a leader's topology while no leader was known.
    pub(crate) leaderless_starts: u64,
}

impl Judge {
    /// The host, or a service of it, stands still with all that watches it.
    pub(crate) fn stands_still(&mut self, host: &str, service: Option<&str>, from: Boot) {
        let service = service.map(str::to_owned);
        self.limits.push(Limit { host: host.to_owned(), service, from, until: None });
    }

    pub(crate) fn goes_on(&mut self, host: &str, service: Option<&str>, at: Boot) {
        for limit in &mut self.limits {
            if limit.host == host && limit.service.as_deref() == service && limit.until.is_none() {
                limit.until = Some(at);
            }
        }
    }

    fn is_within_limit(&self, line: &Line) -> bool {
        self.limits.iter().any(|limit| {
            let subject =
                limit.host == line.host && limit.service.as_ref().is_none_or(|s| *s == line.service);
            subject
                && line.after >= limit.from
                && limit.until.is_none_or(|until| line.before <= until + GRACE)
        })
    }

    /// Takes in a line.
    pub(crate) fn hear(&mut self, line: &Line, elects: bool) {
        self.lines += 1;
        self.note_commands(line);
        let group = format!("{}.{}", line.service, line.told.group);
        match (line.kind, line.plays) {
            (Kind::Acts, Part::Leads(_)) if self.is_within_limit(line) => self.late += 1,
            (Kind::Acts, Part::Leads(term)) => self.acts(group, line, term),
            (Kind::Sees, Part::Leads(_)) => {}
            (Kind::Born, _) => {
                self.end_spans(line);
                if elects && line.told.part == Part::None && !line.told.group.is_empty() {
                    self.leaderless_starts += 1;
                    let text = format!(
                        "{} on {} was started as process {} though its group had no leader",
                        line.service, line.host, line.pid
                    );
                    let subject = format!("{group} on {}", line.host);
                    self.report("start without leader", &subject, (line.before, line.after), text);
                }
            }
            (Kind::Sees, _) => self.end_spans(line),
            _ => {}
        }
    }

    fn note_commands(&mut self, line: &Line) {
        let place = || (line.host.clone(), line.service.clone());
        match line.kind {
            Kind::Born | Kind::Done => {
                let version = self.taken_in.entry(place()).or_default();
                *version = line.told.version.max(*version);
            }
            Kind::Asked => {
                let asked = self.asked.entry(place()).or_default();
                asked.retain(|at| *at + MEMORY > line.before);
                asked.push(line.before);
            }
            Kind::Sees | Kind::Acts | Kind::Hook => {}
        }
    }

    /// The highest version that the processes of a service have surely taken in.
    pub(crate) fn taken_in(&self, host: &str, service: &str) -> u64 {
        self.taken_in.get(&(host.to_owned(), service.to_owned())).copied().unwrap_or(0)
    }

    /// When the processes of a service were first asked to end since then.
    pub(crate) fn asked_since(&self, host: &str, service: &str, since: Boot) -> Option<Boot> {
        let asked = self.asked.get(&(host.to_owned(), service.to_owned()))?;
        asked.iter().copied().filter(|at| *at >= since).min()
    }

    /// A process does not act any more, or is another one with the same number.
    fn end_spans(&mut self, line: &Line) {
        for group in self.groups.values_mut() {
            for span in group.spans.iter_mut().filter(|s| s.pid == line.pid && s.host == line.host) {
                span.over = true;
            }
        }
    }

    fn acts(&mut self, name: String, line: &Line, term: u64) {
        let group = self.groups.entry(name.clone()).or_default();
        // Another tree took over, or there was none for a while.
        let is_new = group.leader != line.host || (group.tree != line.tree && line.tree > 0);
        // The same processes act again in the same term: only the machine was busy.
        let pause = if is_new { 0 } else { GAP };
        if group.led_until > 0 && line.before > group.led_until + pause {
            self.gaps.push(Gap {
                group: name.clone(),
                from: group.led_until,
                until: line.after,
                old: group.leader.clone(),
                new: line.host.clone(),
            });
        }
        if line.before >= group.led_until {
            group.led_until = line.before;
            group.leader.clone_from(&line.host);
            group.tree = if line.tree > 0 { line.tree } else { group.tree };
        }
        let is_mine = |span: &Span| {
            let same =
                (&span.host, span.tree, span.pid, span.term) == (&line.host, line.tree, line.pid, term);
            same && !span.over
        };
        let at = match group.spans.iter().position(is_mine) {
            Some(at) => {
                group.spans[at].last = group.spans[at].last.max(line.before);
                at
            }
            None => {
                group.spans.retain(|span| span.last + MEMORY > line.before);
                let (host, tree, pid) = (line.host.clone(), line.tree, line.pid);
                let (first, last) = (line.after, line.before);
                group.spans.push(Span { host, tree, pid, term, first, last, over: false });
                group.spans.len() - 1
            }
        };
        let mut findings = overlaps(&name, &group.spans, at);
        findings.extend(term_findings(&name, group, line, term));
        for (key, violation) in findings {
            self.found.insert(key, violation);
        }
    }

    /// Notes a violation once for each promise and subject, with its latest text.
    pub(crate) fn report(
        &mut self,
        promise: &'static str,
        subject: &str,
        (from, until): (Boot, Boot),
        text: String,
    ) {
        let key = format!("{promise} {subject} {from}");
        let subject = subject.to_owned();
        self.found.entry(key).or_insert(Violation { promise, from, until, subject, text });
    }

    pub(crate) fn violations(&self) -> Vec<&Violation> {
        let mut all: Vec<&Violation> = self.found.values().collect();
        all.sort_by_key(|violation| violation.from);
        all
    }

    /// The host that acts as the leader now, by its lines; none when none does.
    pub(crate) fn leader(&self, group: &str, now: Boot) -> Option<&str> {
        let group = self.groups.get(group)?;
        (group.led_until + NOW > now).then_some(group.leader.as_str())
    }

    /// The hosts on which any process acted as the leader since a time.
    pub(crate) fn acting_since(&self, group: &str, since: Boot) -> BTreeSet<String> {
        let spans = self.groups.get(group).into_iter().flat_map(|group| &group.spans);
        spans.filter(|span| span.last >= since).map(|span| span.host.clone()).collect()
    }

    /// The highest term that acted.
    pub(crate) fn term(&self, group: &str) -> u64 {
        self.groups.get(group).and_then(|group| group.terms.keys().next_back()).copied().unwrap_or(0)
    }

    /// How long a group had no leader between two times.
    pub(crate) fn without_leader(&self, group: &str, from: Boot, until: Boot) -> Boot {
        let gaps = self.gaps.iter().filter(|gap| gap.group == group);
        let closed: Boot = gaps.map(|gap| gap.until.min(until).saturating_sub(gap.from.max(from))).sum();
        let led_until = self.groups.get(group).map_or(0, |group| group.led_until);
        let open = if led_until + NOW < until { until.saturating_sub(led_until.max(from)) } else { 0 };
        closed + open
    }
}

fn ms(time: Boot) -> f64 {
    time as f64 / 1e6
}

/// Other trees that acted while this span's did.
fn overlaps(name: &str, spans: &[Span], at: usize) -> Vec<(String, Violation)> {
    let Some(mine) = spans.get(at) else { return Vec::new() };
    // A hook, whose tree is not known, belongs to the tree of its host.
    let others = spans.iter().filter(|other| {
        let is_hook = other.tree == 0 || mine.tree == 0;
        other.host != mine.host || (other.tree != mine.tree && !is_hook)
    });
    let both = others.filter_map(|other| {
        let (from, until) = (mine.first.max(other.first), mine.last.min(other.last));
        (from < until).then(|| {
            let (a, b) = if other.first <= mine.first { (other, mine) } else { (mine, other) };
            let text = format!(
                "{name}: process {} (tree {}) on {} acted as leader of term {} and process {} (tree {}) on {} as that of \
                 term {}, both for {:.0} ms",
                a.pid, a.tree, a.host, a.term, b.pid, b.tree, b.host, b.term, ms(until - from)
            );
            let key = format!("two {name} {} {} {} {}", a.host, a.tree, b.host, b.tree);
            (key, Violation { promise: "two leaders", from, until, subject: name.to_owned(), text })
        })
    });
    both.collect()
}

/// A term that was led by two hosts, or an older term that acted after a newer one.
fn term_findings(name: &str, group: &mut Group, line: &Line, term: u64) -> Vec<(String, Violation)> {
    let mut findings = Vec::new();
    let (host, since) = group.terms.entry(term).or_insert_with(|| (line.host.clone(), line.after)).clone();
    if host != line.host {
        let text = format!("{name}: both {host} and {} acted as leader of term {term}", line.host);
        let subject = name.to_owned();
        let violation =
            Violation { promise: "one winner of a term", from: since, until: line.before, subject, text };
        findings.push((format!("winner {name} {term} {}", line.host), violation));
    }
    let newer = group.terms.range(term + 1..).find(|(_, (_, since))| *since < line.before);
    if let Some((newer, (host, since))) = newer {
        let text = format!(
            "{name}: process {} on {} acted in term {term} {:.0} ms after {host} had acted in term {newer}",
            line.pid,
            line.host,
            ms(line.before - since)
        );
        let subject = name.to_owned();
        let violation =
            Violation { promise: "terms only grow", from: *since, until: line.before, subject, text };
        findings.push((format!("term {name} {term} {} {}", line.host, line.tree), violation));
    }
    // The other way round, should the newer term's line be read later.
    let older = group.spans.iter().find(|span| span.term < term && span.last > line.after);
    if let Some(older) = older {
        let text = format!(
            "{name}: process {} on {} acted in term {} {:.0} ms after {} had acted in term {term}",
            older.pid,
            older.host,
            older.term,
            ms(older.last - line.after),
            line.host
        );
        let (from, until, subject) = (line.after, older.last, name.to_owned());
        let key = format!("term {name} {} {} {}", older.term, older.host, older.tree);
        findings.push((key, Violation { promise: "terms only grow", from, until, subject, text }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::chaos::line::Told;

    const MS: Boot = 1_000_000;

    fn acts(host: &str, at_ms: Boot, term: u64) -> Line {
        let told = Told { part: Part::Leads(term), group: "default".to_owned(), ..Told::default() };
        Line {
            kind: Kind::Acts,
            before: at_ms * MS,
            after: at_ms * MS + 1_000,
            pid: u32::from(host.as_bytes()[0]),
            host: host.to_owned(),
            service: "steady".to_owned(),
            tree: u32::from(host.as_bytes()[0]),
            told,
            plays: Part::Leads(term),
        }
    }

    fn judge(lines: &[Line]) -> Judge {
        let mut judge = Judge::default();
        lines.iter().for_each(|line| judge.hear(line, true));
        judge
    }

    fn promises(judge: &Judge) -> Vec<&'static str> {
        judge.violations().iter().map(|violation| violation.promise).collect()
    }

    #[test]
    fn one_leader_after_the_other_is_right_and_leaves_a_gap() {
        let judge =
            judge(&[acts("ada", 10, 1), acts("ada", 500, 1), acts("bob", 2_500, 2), acts("bob", 2_515, 2)]);
        assert_eq!(promises(&judge), [""; 0]);
        let gap = judge.gaps.last().expect("a gap");
        assert_eq!((gap.old.as_str(), gap.new.as_str()), ("ada", "bob"));
        assert_eq!(judge.without_leader("steady.default", 0, 10_000 * MS) / MS, 2_000 + 7_485);
        assert_eq!(
            (judge.leader("steady.default", 2_600 * MS), judge.term("steady.default")),
            (Some("bob"), 2)
        );
    }

    #[test]
    fn two_trees_at_once_are_found_in_whatever_order_lines_arrive() {
        let lines = [acts("ada", 10, 1), acts("ada", 400, 1), acts("bob", 200, 2), acts("bob", 300, 2)];
        let mut backwards = lines.clone();
        backwards.rotate_left(2);
        for lines in [lines, backwards] {
            let judge = judge(&lines);
            assert!(promises(&judge).contains(&"two leaders"), "{:?}", judge.violations());
            assert!(promises(&judge).contains(&"terms only grow") || judge.violations().len() == 1);
        }
    }

    #[test]
    fn a_single_line_proves_no_span() {
        let judge = judge(&[acts("ada", 10, 1), acts("ada", 400, 1), acts("bob", 200, 2)]);
        assert_eq!(promises(&judge), ["terms only grow"]);
    }

    #[test]
    fn a_process_that_said_so_acts_no_longer() {
        let mut over = acts("ada", 150, 1);
        (over.kind, over.plays, over.told.part) = (Kind::Sees, Part::Follows, Part::Follows);
        let judge =
            judge(&[acts("ada", 10, 1), over, acts("bob", 200, 2), acts("bob", 250, 2), acts("ada", 400, 3)]);
        assert_eq!(promises(&judge), [""; 0]);
    }

    #[test]
    fn a_hook_acts_for_its_host() {
        let hook = |at, host: &str| Line { tree: 0, pid: 9, ..acts(host, at, 1) };
        let own = [acts("ada", 10, 1), acts("ada", 400, 1), hook(100, "ada"), hook(200, "ada")];
        assert_eq!(promises(&judge(&own)), [""; 0]);
        let other = [acts("ada", 10, 1), acts("ada", 400, 1), hook(100, "bob"), hook(200, "bob")];
        assert!(promises(&judge(&other)).contains(&"two leaders"));
    }

    #[test]
    fn one_term_has_one_winner() {
        let judge = judge(&[acts("ada", 10, 5), acts("bob", 900, 5)]);
        assert_eq!(promises(&judge), ["one winner of a term"]);
    }

    #[test]
    fn a_host_that_stood_still_as_a_whole_is_late_for_a_moment_only() {
        let mut judge =
            judge(&[acts("ada", 10, 1), acts("ada", 20, 1), acts("bob", 5_000, 2), acts("bob", 9_000, 2)]);
        judge.stands_still("ada", None, 30 * MS);
        judge.goes_on("ada", None, 8_000 * MS);
        judge.hear(&acts("ada", 8_010, 1), true);
        assert_eq!((promises(&judge).len(), judge.late), (0, 1), "{:?}", judge.violations());
        judge.hear(&acts("ada", 8_900, 1), true);
        assert!(promises(&judge).contains(&"two leaders"));
    }
}
