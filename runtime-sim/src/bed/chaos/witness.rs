//! The processes that chaos runs as services and hooks. A witness trusts no other process: it writes what it was told
//! and what it does because of that, and the checker decides from these lines alone.
//!
//! A witness acts as the leader from the moment at which its rendered file says so, until its end or until the
//! `reconfigure` hook has told it something else, as a real service does. So a process that has to be restarted to
//! stop acting acts until it is gone, also while its file says already that it follows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

use super::home::{self, Owner};
use super::line::{Kind, Line, Lines, Part, Told, boot};
use crate::bed::BedError;

/// Between two looks at the file, and two lines of a leader.
pub(crate) const PERIOD: Duration = Duration::from_millis(15);
/// A hook waits for so long until every process has heard it.
const HEARD_MAX: Duration = Duration::from_secs(8);
/// A process that does not answer a hook is told again.
const AGAIN: Duration = Duration::from_millis(60);

static TOLD: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_told(_: i32) {
    TOLD.store(true, Ordering::Relaxed);
}

extern "C" fn on_asked(_: i32) {
    ASKED.store(true, Ordering::Relaxed);
}

#[allow(unsafe_code)]
fn listen() {
    // SAFETY: the handlers store to atomics and do nothing else.
    unsafe {
        let _ = signal(Signal::SIGHUP, SigHandler::Handler(on_told));
        let _ = signal(Signal::SIGTERM, SigHandler::Handler(on_asked));
    }
}

/// A process and what it believes.
struct Witness {
    owner: Owner,
    part: PathBuf,
    /// 0 for a hook, which no other hook tells anything.
    tree: u32,
    lines: Lines,
    told: Option<Told>,
    plays: Part,
    /// The group in which it plays that part; its file may name another one already.
    group: String,
}

impl Witness {
    fn new(part: &Path, tree: u32) -> Result<Self, BedError> {
        let owner = home::owner(part).ok_or_else(|| {
            BedError::Failed(format!("{} is no rendered file of a chaos run", part.display()))
        })?;
        let path = owner.home.lines();
        let lines = Lines::open(&path).map_err(BedError::io(path.display()))?;
        Ok(Self {
            owner,
            part: part.to_owned(),
            tree,
            lines,
            told: None,
            plays: Part::None,
            group: String::new(),
        })
    }

    fn write(&mut self, kind: Kind, before: u64, after: u64) {
        let mut told = self.told.clone().unwrap_or_default();
        if matches!(self.plays, Part::Leads(_)) {
            told.group.clone_from(&self.group);
        }
        let line = Line {
            kind,
            before,
            after,
            pid: std::process::id(),
            host: self.owner.host.clone(),
            service: self.owner.service.clone(),
            tree: self.tree,
            told,
            plays: self.plays,
        };
        // A disk that is full ends the run elsewhere; a witness has no other place to complain.
        let _ = self.lines.write(&line);
    }

    /// Looks at the file once. A hook that told it makes it play what the file says.
    fn look(&mut self, is_told: bool) {
        let before = boot();
        let text = fs::read_to_string(&self.part).unwrap_or_default();
        let told = Told::read(&text);
        let after = boot();
        if let Some(told) = told {
            let (earlier, is_new) = (self.plays, self.told.as_ref() != Some(&told));
            let promoted = matches!(told.part, Part::Leads(_));
            if promoted || is_told || !matches!(self.plays, Part::Leads(_)) {
                self.plays = told.part;
                self.group.clone_from(&told.group);
            }
            self.told = Some(told);
            if is_new || earlier != self.plays {
                self.write(Kind::Sees, before, after);
            }
            if is_told && self.tree > 0 {
                let seen = self.owner.home.seen(&self.owner.host, &self.owner.service);
                let _ = fs::write(seen.join(std::process::id().to_string()), text);
            }
        }
        if matches!(self.plays, Part::Leads(_)) {
            self.write(Kind::Acts, before, after);
        }
    }

    /// The run is over and its folder removed: a process that was left behind ends.
    fn is_abandoned(&self) -> bool {
        !self.owner.home.lines().exists()
    }
}

/// Runs as a service's process, for ever. Asked to end, it acts for `linger` more.
pub(crate) fn serve(part: &Path, tree: u32, linger: Duration) -> Result<(), BedError> {
    listen();
    let mut witness = Witness::new(part, tree)?;
    let seen = witness.owner.home.seen(&witness.owner.host, &witness.owner.service);
    let _ = fs::create_dir_all(&seen);
    let _ = fs::write(seen.join(std::process::id().to_string()), "");
    let now = boot();
    witness.told = fs::read_to_string(part).ok().and_then(|text| Told::read(&text));
    witness.write(Kind::Born, now, boot());
    witness.told = None;
    println!("process {} of tree {tree} runs", std::process::id());
    let mut end: Option<Instant> = None;
    for turn in 0_u64.. {
        witness.look(TOLD.swap(false, Ordering::Relaxed));
        if end.is_none() && ASKED.load(Ordering::Relaxed) {
            let now = boot();
            witness.write(Kind::Asked, now, now);
            end = Some(Instant::now() + linger);
        }
        if end.is_some_and(|end| end <= Instant::now()) || (turn % 64 == 0 && witness.is_abandoned()) {
            break;
        }
        thread::sleep(PERIOD);
    }
    let _ = fs::remove_file(seen.join(std::process::id().to_string()));
    Ok(())
}

/// The behaviour that the run asks of hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Works,
    Fails,
    Hangs,
    /// Does nothing for so long, then works.
    Waits(Duration),
}

impl Control {
    /// Reads a control file.
    pub(crate) fn read(text: &str) -> Self {
        match text.trim().split_once(' ').unwrap_or((text.trim(), "")) {
            ("fails", _) => Self::Fails,
            ("hangs", _) => Self::Hangs,
            ("waits", ms) => Self::Waits(Duration::from_millis(ms.parse().unwrap_or(0))),
            _ => Self::Works,
        }
    }
}

/// Runs as a hook; the hook `reconfigure` tells all processes of its service to read the file again, and ends when
/// they have. Returns whether the hook succeeds.
pub(crate) fn hook(name: &str, part: &Path) -> Result<bool, BedError> {
    let mut witness = Witness::new(part, 0)?;
    let now = boot();
    witness.told = fs::read_to_string(part).ok().and_then(|text| Told::read(&text));
    witness.write(Kind::Hook, now, boot());
    witness.told = None;
    let control = witness.owner.home.control(&witness.owner.host, &witness.owner.service);
    match Control::read(&fs::read_to_string(control).unwrap_or_default()) {
        Control::Works => {}
        Control::Fails => return Ok(false),
        Control::Hangs => act_for(&mut witness, Duration::MAX),
        Control::Waits(time) => act_for(&mut witness, time),
    }
    if name != "reconfigure" {
        return Ok(true);
    }
    // What is told is at least as new as this.
    let told = fs::read_to_string(part).ok().and_then(|text| Told::read(&text));
    let heard = tell(&witness.owner, part);
    if heard {
        let now = boot();
        (witness.told, witness.plays) = (told, Part::None);
        witness.write(Kind::Done, now, now);
    }
    Ok(heard)
}

/// A hook that is slow is a process of its service, and acts as one.
fn act_for(witness: &mut Witness, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time && !witness.is_abandoned() {
        // What a hook was told it was told by its text; it does not read the file as a service does.
        witness.look(true);
        thread::sleep(PERIOD);
    }
}

/// Tells every process of the service; true once each has heard it or is gone.
fn tell(owner: &Owner, part: &Path) -> bool {
    let start = Instant::now();
    let seen = owner.home.seen(&owner.host, &owner.service);
    let mut last: Option<Instant> = None;
    while start.elapsed() < HEARD_MAX {
        let text = fs::read_to_string(part).unwrap_or_default();
        let waiting: Vec<i32> = fs::read_dir(&seen)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| fs::read_to_string(entry.path()).is_ok_and(|heard| heard != text))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| is_witness(*pid, part))
            .collect();
        if waiting.is_empty() {
            return true;
        }
        if last.is_none_or(|last| last.elapsed() > AGAIN) {
            last = Some(Instant::now());
            for pid in waiting {
                let _ = kill(Pid::from_raw(pid), Signal::SIGHUP);
            }
        }
        thread::sleep(Duration::from_millis(3));
    }
    false
}

/// Whether a process is a witness of this file, and not a later one with its number.
fn is_witness(pid: i32, part: &Path) -> bool {
    let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    arguments.split(|byte| *byte == 0).any(|argument| argument == part.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let home = home::Home(folder.path().to_owned());
        let part = home.part("ada", "steady");
        for dir in [part.parent().expect("a folder"), &home.seen("ada", "steady"), &home.0.join("control")] {
            fs::create_dir_all(dir).expect("made");
        }
        (folder, part)
    }

    fn render(part: &Path, word: &str, term: u64) {
        let text = format!("part {word}\nterm {term}\ngroup default\nleader -\nversion 0\nend\n");
        fs::write(part, text).expect("written");
    }

    #[test]
    fn only_a_hook_ends_what_the_file_began() {
        let (_folder, part) = run();
        let mut witness = Witness::new(&part, 7).expect("a witness");
        witness.look(false);
        assert_eq!(witness.plays, Part::None, "there is no file yet");
        render(&part, "leads", 3);
        witness.look(false);
        assert_eq!(witness.plays, Part::Leads(3), "promotion is read from the file");
        render(&part, "follows", 0);
        witness.look(false);
        assert_eq!(witness.plays, Part::Leads(3), "no hook has told it yet");
        witness.look(true);
        assert_eq!(witness.plays, Part::Follows);
        let lines = fs::read_to_string(witness.owner.home.lines()).expect("lines");
        let acts = lines.lines().filter_map(Line::read).filter(|line| line.kind == Kind::Acts).count();
        assert_eq!(acts, 2, "{lines}");
    }

    #[test]
    fn a_hook_does_what_its_control_says() {
        let (folder, part) = run();
        render(&part, "none", 0);
        assert!(hook("reconfigure", &part).expect("it runs"), "no process has to hear it");
        let control = home::Home(folder.path().to_owned()).control("ada", "steady");
        fs::write(&control, "fails").expect("written");
        assert!(!hook("reconfigure", &part).expect("it runs"));
        fs::write(&control, "waits 20").expect("written");
        assert!(hook("health-check", &part).expect("it runs"));
        assert_eq!(Control::read("hangs\n"), Control::Hangs);
        assert_eq!(Control::read(""), Control::Works);
    }
}
