//! A run: the ring, the faults that act on it now, the commands that are under way, and the checks that look at it.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use super::announce::Announcement;
use super::evidence;
use super::fault::Fault;
use super::judge::Judge;
use super::line::{Boot, boot};
use super::operation::{Operation, Outcome};
use super::plans::{SERVICES, Service};
use super::process::Process;
use super::ring::Ring;
use super::tail::Tail;
use super::watch::Watch;
use crate::bed::{BedError, interrupt};

/// Between two looks at lines, commands and ended launchers; and at all processes.
const LOOK: Duration = Duration::from_millis(30);
const LOOK_AT_PROCESSES: Boot = 300_000_000;
/// A launcher that ended by itself is started again after this, as a service manager would.
const START_AGAIN: Duration = Duration::from_millis(500);

/// How a fault ends.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    Mend(u64),
    /// These processes go on; with the service whose limit ends then, or none for the whole host's.
    Continue {
        host: usize,
        processes: Vec<Process>,
        limit: Option<Option<&'static str>>,
    },
    Start(usize),
    PowerOn(usize),
    Thaw(usize),
    HooksWork {
        host: usize,
        service: &'static str,
    },
    Ask {
        host: usize,
        service: &'static str,
        words: Vec<String>,
    },
}

/// A fault that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Struck {
    pub(crate) fault: Fault,
    pub(crate) at: Boot,
    /// Its planned end.
    pub(crate) until: Boot,
    pub(crate) host: usize,
    pub(crate) service: &'static str,
    /// The groups that the host led then.
    pub(crate) led: Vec<String>,
    pub(crate) text: String,
}

/// What operators want of a service on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Whether the latest command wants it to have no process.
    pub(crate) is_down: bool,
    /// Since when it has none, as the supervisor confirmed.
    pub(crate) down_since: Option<Boot>,
    /// Whether any command has changed it since the beginning.
    pub(crate) is_changed: bool,
}

/// Versions of a group's configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) asked: u64,
    /// The highest that a supervisor said it has stored.
    pub(crate) stored: u64,
}

/// Everything about a run.
pub(crate) struct Run {
    pub(crate) ring: Ring,
    pub(crate) judge: Judge,
    pub(crate) watch: Watch,
    pub(crate) tail: Tail,
    pub(crate) began: Boot,
    pub(crate) timeline: Vec<(Boot, String)>,
    pub(crate) struck: Vec<Struck>,
    pub(crate) skipped: BTreeMap<Fault, u64>,
    undo: Vec<(Boot, Undo)>,
    operations: Vec<Operation>,
    pub(crate) outcomes: BTreeMap<String, [u64; 3]>,
    pub(crate) wishes: BTreeMap<(usize, &'static str), Wish>,
    pub(crate) versions: BTreeMap<&'static str, Versions>,
    pub(crate) confirmed: u64,
    /// Hosts that were looked at after a confirmation, and those that faults excused.
    pub(crate) confirmed_at: [u64; 2],
    /// Stops whose announcement a peer is watched for.
    pub(crate) announcements: Vec<Announcement>,
    /// Stops of which it is known that the ring was told before the process, and those that cannot be judged.
    pub(crate) announced: [u64; 2],
    looked: Boot,
    start_at: BTreeMap<usize, Boot>,
    pub(crate) cuts: u64,
    pub(crate) is_verbose: bool,
}

impl Run {
    pub(crate) fn new(ring: Ring, is_verbose: bool) -> Result<Self, BedError> {
        let path = ring.home.lines();
        let tail = Tail::open(&path).map_err(BedError::io(path.display()))?;
        Ok(Self {
            ring,
            judge: Judge::default(),
            watch: Watch::default(),
            tail,
            began: boot(),
            timeline: Vec::new(),
            struck: Vec::new(),
            skipped: BTreeMap::new(),
            undo: Vec::new(),
            operations: Vec::new(),
            outcomes: BTreeMap::new(),
            wishes: BTreeMap::new(),
            versions: BTreeMap::new(),
            confirmed: 0,
            confirmed_at: [0; 2],
            announcements: Vec::new(),
            announced: [0; 2],
            looked: 0,
            start_at: BTreeMap::new(),
            cuts: 0,
            is_verbose,
        })
    }

    /// Notes an entry of the timeline.
    pub(crate) fn note(&mut self, text: String) {
        let now = boot();
        if self.is_verbose {
            println!("{:>9.3}  {text}", (now.saturating_sub(self.began)) as f64 / 1e9);
        }
        self.timeline.push((now, text));
    }

    /// Looks after everything until this time.
    pub(crate) fn go_on_until(&mut self, until: Boot) -> Result<(), BedError> {
        loop {
            self.turn()?;
            let now = boot();
            if now >= until {
                return Ok(());
            }
            thread::sleep(LOOK.min(Duration::from_nanos(until - now)));
        }
    }

    /// Reads lines, ends faults whose time is over, and looks at commands and processes.
    pub(crate) fn turn(&mut self) -> Result<(), BedError> {
        if interrupt::noticed() {
            return Err(BedError::Interrupted);
        }
        self.read_lines()?;
        let now = boot();
        let due: Vec<Undo> = self.undo.extract_if(.., |(at, _)| *at <= now).map(|(_, undo)| undo).collect();
        for undo in due {
            self.undo(undo)?;
        }
        self.look_at_operations();
        self.look_at_announcements();
        self.look_at_launchers()?;
        if now >= self.looked + LOOK_AT_PROCESSES {
            self.looked = now;
            self.look_at_processes();
        }
        Ok(())
    }

    pub(crate) fn read_lines(&mut self) -> Result<(), BedError> {
        while let Some(line) = self.tail.next().map_err(BedError::io("the lines of witnesses"))? {
            let elects = SERVICES.iter().any(|service| service.name == line.service && service.elects);
            self.judge.hear(&line, elects);
        }
        if self.tail.is_long() {
            let around = super::report::violations(self)
                .into_iter()
                .map(|v| (v.from.saturating_sub(evidence::AROUND), v.until.saturating_add(evidence::AROUND)))
                .collect::<Vec<_>>();
            self.tail.shorten(&around);
        }
        Ok(())
    }

    /// Has a fault end after a while.
    pub(crate) fn later(&mut self, lasts: Duration, undo: Undo) {
        let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        self.undo.push((boot().saturating_add(lasts), undo));
    }

    /// Ends every fault now.
    pub(crate) fn mend_all(&mut self) -> Result<(), BedError> {
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.undo(undo)?;
        }
        // Nothing lasts longer than this, whatever was planned.
        let now = boot();
        self.struck.iter_mut().for_each(|struck| struck.until = struck.until.min(now));
        Ok(())
    }

    fn undo(&mut self, undo: Undo) -> Result<(), BedError> {
        match undo {
            Undo::Mend(cut) => {
                self.ring.mend(cut)?;
                self.note("the cut is mended".to_owned());
            }
            Undo::Continue { host, processes, limit } => self.let_go_on(host, &processes, limit),
            Undo::Start(host) => {
                if self.ring.hosts[host].launcher.is_none() {
                    self.ring.start(host)?;
                    let name = self.ring.hosts[host].name.clone();
                    self.note(format!("{name}: the launcher is started again"));
                }
            }
            Undo::PowerOn(host) => {
                self.ring.power_on(host)?;
                let name = self.ring.hosts[host].name.clone();
                self.note(format!("{name} has power again"));
            }
            Undo::Thaw(host) => {
                let entry = &mut self.ring.hosts[host];
                if let Some(disk) = &mut entry.disk {
                    disk.thaw()?;
                }
                let name = entry.name.clone();
                self.note(format!("{name}: the disk takes writes again"));
            }
            Undo::HooksWork { host, service } => {
                let name = self.ring.hosts[host].name.clone();
                let _ = fs::remove_file(self.ring.home.control(&name, service));
                self.note(format!("{name}: hooks of {service} work again"));
            }
            Undo::Ask { host, service, words } => self.ask(host, service, words),
        }
        Ok(())
    }

    fn let_go_on(&mut self, host: usize, processes: &[Process], limit: Option<Option<&'static str>>) {
        // What watches goes on before what is watched, as on a host that wakes up all at once the timers fire first.
        for process in processes {
            super::process::signal(process, nix::sys::signal::Signal::SIGCONT);
        }
        let name = self.ring.hosts[host].name.clone();
        if let Some(service) = limit {
            self.judge.goes_on(&name, service, boot());
        }
        self.note(format!("{name}: {} processes that stood still go on", processes.len()));
    }

    /// Starts a command of an operator.
    pub(crate) fn ask(&mut self, host: usize, service: &'static str, words: Vec<String>) {
        let wish = self.wishes.entry((host, service)).or_default();
        wish.is_changed = true;
        match words.get(1).map(String::as_str) {
            Some("start" | "load") => (wish.is_down, wish.down_since) = (false, None),
            Some("stop" | "unload") => wish.is_down = true,
            _ => {}
        }
        let operation = self.ring.ask(host, &words);
        self.note(format!("{}: annulus {}", operation.host, words.join(" ")));
        self.operations.push(operation);
    }

    fn look_at_operations(&mut self) {
        let all = std::mem::take(&mut self.operations);
        for operation in all {
            match operation.poll() {
                None => self.operations.push(operation),
                Some(outcome) => self.after(&operation, &outcome),
            }
        }
    }

    fn after(&mut self, operation: &Operation, outcome: &Outcome) {
        let words: Vec<&str> = operation.words.iter().map(String::as_str).collect();
        let command = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let took = (boot() - operation.began) as f64 / 1e9;
        self.note(format!("{}: annulus {} after {took:.2} s: {outcome}", operation.host, words.join(" ")));
        let counts = self.outcomes.entry(command).or_default();
        counts[match outcome {
            Outcome::Done => 0,
            Outcome::Failed(..) => 1,
            Outcome::GivenUp => 2,
        }] += 1;
        let host = self.ring.index(&operation.host);
        let service = |word: &str| {
            SERVICES.iter().find(|s| {
                word.ends_with(&format!("/{}", s.name)) || word.starts_with(&format!("{}.", s.name))
            })
        };
        let Some((host, service)) = host.zip(words.get(2).and_then(|word| service(word))) else { return };
        match words.get(1).copied() {
            Some("stop" | "unload") if outcome.is_done() => {
                let wish = self.wishes.entry((host, service.name)).or_default();
                wish.down_since = wish.is_down.then(boot);
            }
            Some("apply") => self.after_apply(service, &words, outcome),
            _ => {}
        }
    }

    fn after_apply(&mut self, service: &'static Service, words: &[&str], outcome: &Outcome) {
        let Some(version) = words.get(3).and_then(|word| word.parse().ok()) else { return };
        // Exit code 9: stored, and not everywhere in time.
        let is_stored = matches!(outcome, Outcome::Done | Outcome::Failed(9, _));
        if is_stored {
            let versions = self.versions.entry(service.name).or_default();
            versions.stored = versions.stored.max(version);
        }
        if outcome.is_done() && words.contains(&"--wait") {
            self.confirmed += 1;
            self.expect_confirmed(service, version);
        }
    }

    /// A launcher that ends by itself is started again, and noted.
    fn look_at_launchers(&mut self) -> Result<(), BedError> {
        for host in 0..self.ring.hosts.len() {
            if let Some(code) = self.ring.ended(host) {
                let name = self.ring.hosts[host].name.clone();
                self.note(format!("{name}: the launcher ended by itself with exit code {code}"));
                self.watch.ended_by_itself(&name, code, boot());
                let again = boot() + u64::try_from(START_AGAIN.as_nanos()).unwrap_or(0);
                self.start_at.insert(host, again);
            }
        }
        let now = boot();
        let due: Vec<usize> =
            self.start_at.iter().filter(|(_, at)| **at <= now).map(|(host, _)| *host).collect();
        for host in due {
            self.start_at.remove(&host);
            let is_waiting = self
                .undo
                .iter()
                .any(|(_, undo)| matches!(undo, Undo::Start(h) | Undo::PowerOn(h) if *h == host));
            if self.ring.hosts[host].launcher.is_none() && !is_waiting {
                self.ring.start(host)?;
            }
        }
        Ok(())
    }

    /// Whether the host has a launcher that runs.
    pub(crate) fn is_up(&self, host: usize) -> bool {
        self.ring.hosts[host].launcher.is_some()
    }

    pub(crate) fn has_operations(&self) -> bool {
        !self.operations.is_empty()
    }
}
