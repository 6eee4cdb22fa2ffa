//! `annulus-sim bench --daemons N`: figures of real daemons on loopback, and of a rival in the same run.
//!
//! No daemon is asked anything while it is measured, because answering would cost it time: a daemon's knowledge is
//! read from the log lines that it writes anyway, and the time is that at which its line arrives here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::rival::Serf;
use super::supervisors::Annulus;
use super::{BedError, interrupt, tree};

/// A ring that does not reach a state within this time never will.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time for the work that a start leaves behind, after all daemons know all.
const SETTLE: Duration = Duration::from_secs(8);
/// How long an idle ring is watched.
const IDLE: Duration = Duration::from_secs(10);
/// Starts of a single daemon.
const STARTS: usize = 5;

/// The content of a daemon's log line about a member, by the member's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The name of the daemon itself.
    Is(String),
    /// Another daemon is alive.
    Alive(String),
    /// Another daemon is dead.
    Dead(String),
}

/// A kind of daemon that can be measured.
pub(super) trait Kind {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Starts number `index`, with its log on a pipe; all but the first join through the first.
    fn start(&self, index: usize) -> Result<Child, BedError>;
    /// Reads a line of its log.
    fn read(&self, line: &str) -> Option<Said>;
    /// Whether number `index` answers clients.
    fn answers(&self, index: usize) -> bool;
}

/// One measured figure of every kind of daemon.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    key: &'static str,
    words: &'static str,
    target: Option<f64>,
    value: Option<f64>,
}

/// Options of the measurement.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) daemons: usize,
    pub(crate) kills: usize,
    /// Whether our ring has a key.
    pub(crate) is_keyed: bool,
    /// The serf to measure as well.
    pub(crate) rival: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Measures and returns the text to print.
pub(crate) fn run(options: &Options) -> Result<String, BedError> {
    interrupt::watch();
    let folder = tempfile::Builder::new().prefix("annulus-bench-").tempdir();
    let folder = folder.map_err(BedError::io("a folder for the daemons"))?;
    let ours = measure(&Annulus::new(folder.path(), options.daemons, options.is_keyed)?, options)?;
    let mut all = vec![("annulus", ours)];
    let mut skipped = None;
    if let Some(program) = &options.rival {
        match Serf::new(program, rival_folder(&folder)?, options.daemons) {
            Ok(serf) => all.push((serf.name(), measure(&serf, options)?)),
            Err(BedError::Skipped(why)) => skipped = Some(why),
            Err(error) => return Err(error),
        }
    }
    Ok(if options.json { as_json(options, &all, skipped) } else { as_text(options, &all, skipped) })
}

fn rival_folder(folder: &TempDir) -> Result<PathBuf, BedError> {
    let path = folder.path().join("rival");
    fs::create_dir_all(&path).map_err(BedError::io(path.display()))?;
    Ok(path)
}

fn as_text(options: &Options, all: &[(&str, Vec<Figure>)], skipped: Option<String>) -> String {
    let keyed = if options.is_keyed { ", a ring with a key" } else { "" };
    let mut out = format!("{} daemons on loopback{keyed}, {} kills\n", options.daemons, options.kills);
    let names: Vec<String> = all.iter().map(|(name, _)| format!("{name:>12}")).collect();
    let _ = writeln!(out, "{}{:>12}", names.concat(), "target");
    for (row, figure) in all.first().map_or(&[][..], |(_, figures)| figures).iter().enumerate() {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let values: Vec<String> = all
            .iter()
            .map(|(_, figures)| format!("{:>12}", number(figures.get(row).and_then(|figure| figure.value))))
            .collect();
        let _ = writeln!(out, "{}{:>12}  {}", values.concat(), number(figure.target), figure.words);
    }
    if let Some(why) = skipped {
        let _ = writeln!(out, "skipped: {why}");
    }
    out
}

fn as_json(options: &Options, all: &[(&str, Vec<Figure>)], skipped: Option<String>) -> String {
    let mut object = Map::new();
    object.insert("daemons".to_owned(), options.daemons.into());
    object.insert("kills".to_owned(), options.kills.into());
    object.insert("keyed".to_owned(), options.is_keyed.into());
    for (name, figures) in all {
        let values = figures.iter().map(|figure| (figure.key.to_owned(), json!(figure.value)));
        object.insert((*name).to_owned(), Value::Object(values.collect()));
    }
    if let Some(why) = skipped {
        object.insert("skipped".to_owned(), why.into());
    }
    format!("{}\n", Value::Object(object))
}

fn measure(kind: &dyn Kind, options: &Options) -> Result<Vec<Figure>, BedError> {
    let start = single_start(kind)?;
    let mut ring = Ring::start(kind, options.daemons)?;
    let began = ring.began;
    ring.until("all daemons know all", Ring::complete)?;
    let converged = began.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    let (before, watched) = (ring.cpu_s(), Instant::now());
    thread::sleep(IDLE);
    let idle = (ring.cpu_s() - before) / watched.elapsed().as_secs_f64() / options.daemons as f64 * 100.0;
    let status = |key| ring.status(key);
    let (resident, anonymous, threads) = (status("VmRSS:"), status("RssAnon:"), status("Threads:"));
    let kib = |values: &[f64]| mean(values).map(|kib| kib / 1024.0);
    let most = resident.iter().copied().reduce(f64::max).map(|kib| kib / 1024.0);
    let mut figures = vec![
        figure("join_s", "s from the first launch until all see all", Some(1.0), Some(converged)),
        figure("resident_mib", "MiB resident per daemon, mean", Some(12.0), kib(&resident)),
        figure("resident_mib_max", "MiB resident, the largest daemon", Some(12.0), most),
        figure("anonymous_mib", "MiB of it that is not the program's file", None, kib(&anonymous)),
        figure("threads", "threads per daemon", None, mean(&threads)),
        figure("idle_cpu_percent", "% of a core per idle daemon", None, Some(idle)),
        figure(
            "start_ms",
            "ms from launch to the first answer to a client, alone, median",
            Some(100.0),
            start,
        ),
    ];
    let mut kills = Vec::new();
    let mut last = Vec::new();
    for kill in 0..options.kills {
        // The kills must not keep step with any period of the daemons.
        thread::sleep(Duration::from_millis(1_000 + kill as u64 * 377 % 1_000));
        let (all, false_deaths) = ring.kill(1 + kill % (options.daemons - 1))?;
        kills.push(all);
        last.push(false_deaths);
    }
    kills.sort_by(f64::total_cmp);
    figures.push(figure(
        "kill_s",
        "s from kill -9 until all others hold it dead, median",
        Some(3.0),
        middle(&kills),
    ));
    figures.push(figure("kill_s_max", "s of the slowest", None, kills.last().copied()));
    figures.push(figure(
        "false_deaths",
        "others held dead by any daemon meanwhile",
        Some(0.0),
        Some(last.iter().sum()),
    ));
    Ok(figures)
}

fn figure(key: &'static str, words: &'static str, target: Option<f64>, value: Option<f64>) -> Figure {
    Figure { key, words, target, value }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The middle one of sorted values.
fn middle(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

/// How long a daemon takes until it answers, in milliseconds; none when it has no such interface.
fn single_start(kind: &dyn Kind) -> Result<Option<f64>, BedError> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut child = Running(kind.start(0)?);
        let out = (child.0.stdout.take(), child.0.stderr.take());
        let reader = thread::spawn(move || drain(out));
        while !kind.answers(0) {
            if began.elapsed() > PATIENCE {
                return Err(BedError::Failed(format!("{} does not answer", kind.name())));
            }
            thread::sleep(Duration::from_millis(1));
        }
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
        drop(child);
        let _ = reader.join();
    }
    times.sort_by(f64::total_cmp);
    Ok(middle(&times))
}

fn drain((stdout, stderr): (Option<ChildStdout>, Option<ChildStderr>)) {
    let pipes =
        [stdout.map(|pipe| Box::new(pipe) as Box<dyn io::Read>), stderr.map(|pipe| Box::new(pipe) as _)];
    for mut pipe in pipes.into_iter().flatten() {
        let _ = io::copy(&mut pipe, &mut io::sink());
    }
}

/// A child that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Agent {
    running: Running,
    name: Option<String>,
    alive: BTreeSet<String>,
    dead: BTreeSet<String>,
}

type Line = (usize, String);

struct Ring<'k> {
    kind: &'k dyn Kind,
    agents: Vec<Agent>,
    lines: (Sender<Line>, Receiver<Line>),
    began: Instant,
}

impl<'k> Ring<'k> {
    fn start(kind: &'k dyn Kind, count: usize) -> Result<Self, BedError> {
        let mut ring = Self { kind, agents: Vec::new(), lines: mpsc::channel(), began: Instant::now() };
        for index in 0..count {
            let agent = ring.agent(index)?;
            ring.agents.push(agent);
        }
        Ok(ring)
    }

    fn agent(&self, index: usize) -> Result<Agent, BedError> {
        let mut child = self.kind.start(index)?;
        let pipes: [Option<Box<dyn io::Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in pipes.into_iter().flatten() {
            let to = self.lines.0.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines() {
                    let Ok(line) = line else { return };
                    if to.send((index, line)).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Agent { running: Running(child), name: None, alive: BTreeSet::new(), dead: BTreeSet::new() })
    }

    /// Reads log lines until a condition holds.
    fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) -> Result<(), BedError> {
        let began = Instant::now();
        while !so(self) {
            if interrupt::noticed() {
                return Err(BedError::Interrupted);
            }
            match self.lines.1.recv_timeout(Duration::from_millis(100)) {
                Ok((index, line)) => self.hear(index, &line),
                Err(RecvTimeoutError::Timeout) if began.elapsed() < PATIENCE => {}
                Err(_) => return Err(BedError::Failed(format!("{}: not yet so: {what}", self.kind.name()))),
            }
        }
        Ok(())
    }

    fn hear(&mut self, index: usize, line: &str) {
        let agent = &mut self.agents[index];
        match self.kind.read(line) {
            Some(Said::Is(name)) => agent.name = Some(name),
            Some(Said::Alive(name)) => {
                agent.dead.remove(&name);
                agent.alive.insert(name);
            }
            Some(Said::Dead(name)) => {
                agent.alive.remove(&name);
                agent.dead.insert(name);
            }
            None => {}
        }
    }

    fn complete(&self) -> bool {
        let names: Option<BTreeSet<&String>> = self.agents.iter().map(|agent| agent.name.as_ref()).collect();
        let Some(names) = names else { return false };
        self.agents.iter().all(|agent| {
            let seen: BTreeSet<&String> = agent.alive.iter().chain(agent.name.as_ref()).collect();
            seen.is_superset(&names)
        })
    }

    /// Kills one daemon and starts it again: the time until all others hold it dead, and how many other daemons were
    /// held dead by any meanwhile.
    fn kill(&mut self, victim: usize) -> Result<(f64, f64), BedError> {
        while let Ok((index, line)) = self.lines.1.try_recv() {
            self.hear(index, &line);
        }
        let Some(name) = self.agents[victim].name.clone() else {
            return Err(BedError::Failed("a daemon has not said who it is".to_owned()));
        };
        for agent in &mut self.agents {
            agent.dead.clear();
        }
        let began = Instant::now();
        let _ = self.agents[victim].running.0.kill();
        let all = |ring: &Self| {
            let mut others = ring.agents.iter().enumerate().filter(|(index, _)| *index != victim);
            others.all(|(_, agent)| agent.dead.contains(&name))
        };
        self.until("all others hold the killed one dead", all)?;
        let took = began.elapsed().as_secs_f64();
        let false_deaths: BTreeSet<&String> =
            self.agents.iter().flat_map(|agent| &agent.dead).filter(|dead| **dead != name).collect();
        let false_deaths = false_deaths.len() as f64;
        let _ = self.agents[victim].running.0.wait();
        self.agents[victim] = self.agent(victim)?;
        // The killed daemon's memory of the others comes from its disk and makes no log line, so it is not waited
        // for.
        let back = |ring: &Self| {
            let mut others = ring.agents.iter().enumerate().filter(|(index, _)| *index != victim);
            ring.agents[victim].name.is_some() && others.all(|(_, agent)| agent.alive.contains(&name))
        };
        self.until("all others hold the killed one alive again", back)?;
        Ok((took, false_deaths))
    }

    /// A number of every process's status.
    fn status(&self, key: &str) -> Vec<f64> {
        let read = |pid: tree::Pid| -> Option<f64> {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        // A launcher and its supervisor are one daemon.
        let sum = |agent: &Agent| agent.processes().into_iter().filter_map(read).sum();
        self.agents.iter().map(sum).collect()
    }

    /// Seconds of processor time that all of them have used.
    fn cpu_s(&self) -> f64 {
        let of_thread = |task: io::Result<fs::DirEntry>| -> Option<f64> {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        let pids = self.agents.iter().flat_map(Agent::processes);
        let tasks = pids.filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten();
        tasks.filter_map(of_thread).sum::<f64>() / 1e9
    }
}

impl Agent {
    fn processes(&self) -> BTreeSet<tree::Pid> {
        let first = self.running.0.id();
        let mut all = tree::below(first);
        all.insert(first);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_printed_side_by_side() {
        let options = Options { daemons: 3, kills: 1, is_keyed: true, rival: None, json: false };
        let row = |value| vec![figure("kill_s", "s to notice", Some(3.0), Some(value))];
        let text = as_text(&options, &[("annulus", row(2.5)), ("serf", row(8.5))], None);
        assert!(text.contains("       2.500       8.500       3.000  s to notice"), "{text}");
        let json: Value =
            serde_json::from_str(&as_json(&options, &[("annulus", row(2.5))], Some("no serf".to_owned())))
                .expect("JSON");
        assert_eq!((&json["annulus"]["kill_s"], &json["skipped"]), (&json!(2.5), &json!("no serf")));
    }
}
