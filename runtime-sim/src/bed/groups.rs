//! `annulus-sim bench --groups`: how fast a group of real members gets a configuration, and how fast it has a leader.
//!
//! A configuration counts as arrived when the rendered file is there; a leader counts as known when `/census` names
//! it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use annulus_core::Timings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};

use super::daemon::{BENCH_KEY, Daemon, Settings, program};
use super::loopback::free_places;
use super::{BedError, interrupt, observe};

/// A state that is not reached within this time never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at files, and at gateways.
const LOOK: Duration = Duration::from_millis(2);
const ASK: Duration = Duration::from_millis(10);
/// Configurations that are applied, and groups that elect.
const TRIES: usize = 5;
const ELECTIONS: usize = 3;
/// Time for the work that a start leaves behind.
const SETTLE: Duration = Duration::from_secs(2);

/// Options of the measurement.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Members of the group that gets configurations.
    pub(crate) members: usize,
    /// Whether the ring has a key.
    pub(crate) is_keyed: bool,
    pub(crate) json: bool,
}

/// Figures with their keys: the words for people, and the target that the README promises.
const FIGURES: [(&str, &str, Option<f64>); 7] = [
    ("apply_s", "s from the command until all members have the rendered file, median of 5", Some(0.5)),
    ("apply_s_max", "s of the slowest", None),
    ("answer_s", "s until the command ends, median", None),
    (
        "leader_s",
        "s from `svc load` on three members until all of them name one leader, median of 3",
        Some(1.0),
    ),
    ("up_s", "s until the service's process runs on all three, median", Some(1.5)),
    (
        "failover_s",
        "s from kill -9 of the leader's supervisor and service until both others name a new one, median",
        Some(4.0),
    ),
    ("failover_s_max", "s of the slowest", None),
];

type Column = [Option<f64>; FIGURES.len()];

/// Measures and returns the text to print.
pub(crate) fn run(options: &Options) -> Result<String, BedError> {
    interrupt::watch();
    let folder = tempfile::Builder::new().prefix("annulus-bench-").tempdir();
    let folder = folder.map_err(BedError::io("a folder for the supervisors"))?;
    let (mut applied, mut answered) = applies(&folder.path().join("apply"), options)?;
    let (mut leader, mut up, mut failover) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ELECTIONS {
        let times = election(&folder.path().join(format!("election{round}")), options.is_keyed)?;
        leader.push(times[0]);
        up.push(times[1]);
        failover.push(times[2]);
    }
    let column = [
        median(&mut applied),
        applied.last().copied(),
        median(&mut answered),
        median(&mut leader),
        median(&mut up),
        median(&mut failover),
        failover.last().copied(),
    ];
    Ok(if options.json { as_json(options, &column) } else { as_text(options, &column) })
}

/// The middle one; sorts them.
fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn as_text(options: &Options, column: &Column) -> String {
    let mut out =
        format!("{} members on loopback get a configuration; groups of three elect\n", options.members);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let _ = writeln!(out, "{:>12}{:>12}", "annulus", "target");
    for ((_, words, target), value) in FIGURES.iter().zip(column) {
        let _ = writeln!(out, "{:>12}{:>12}  {words}", number(*value), number(*target));
    }
    out
}

fn as_json(options: &Options, column: &Column) -> String {
    let mut object = Map::new();
    object.insert("members".to_owned(), options.members.into());
    for ((key, _, target), value) in FIGURES.iter().zip(column) {
        object.insert((*key).to_owned(), json!({ "value": value, "target": target }));
    }
    format!("{:#}", Value::Object(object))
}

/// A ring of daemons; dropped, all of it ends.
struct Ring {
    settings: Vec<Settings>,
    daemons: Vec<Option<Daemon>>,
    /// Service processes that a killed supervisor may leave behind.
    orphans: Vec<i32>,
}

impl Drop for Ring {
    fn drop(&mut self) {
        // A supervisor that is asked to end takes its services with it.
        for daemon in self.daemons.iter().flatten() {
            daemon.signal(Signal::SIGTERM);
        }
        let until = Instant::now() + Duration::from_secs(10);
        for daemon in self.daemons.iter_mut().flatten() {
            while daemon.ended().is_none() && Instant::now() < until {
                thread::sleep(ASK);
            }
        }
        for pid in &self.orphans {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
    }
}

impl Ring {
    /// Starts so many, with the package installed on each, and waits until all know all.
    fn start(folder: &Path, count: usize, is_keyed: bool) -> Result<Self, BedError> {
        let (program, places) = (program()?, free_places(count)?);
        let first = places.first().map(|place| place.gossip);
        let settings: Vec<Settings> = places
            .into_iter()
            .enumerate()
            .map(|(index, place)| Settings {
                program: program.clone(),
                root: folder.join(index.to_string()),
                place,
                peers: first.filter(|_| index > 0).into_iter().collect(),
                permanent: false,
                timings: Timings::lan(),
                ring_key: is_keyed.then_some(BENCH_KEY),
            })
            .collect();
        let plan = folder.join("plan");
        write_plan(&plan).map_err(BedError::io(plan.display()))?;
        let mut ring = Self { settings, daemons: Vec::new(), orphans: Vec::new() };
        for settings in &ring.settings {
            fs::create_dir_all(&settings.root).map_err(BedError::io(settings.root.display()))?;
            let built = settings.root.join("built");
            settings.ask(&["pkg", "build", &plan.to_string_lossy(), "--output", &built.to_string_lossy()])?;
            let file = package(&built)?;
            settings.ask(&["pkg", "install", &file.to_string_lossy()])?;
            ring.daemons.push(Some(settings.start()?));
        }
        let all_alive = |text: &str| {
            let ring: Value = serde_json::from_str(text).unwrap_or_default();
            let health = ring["member"]["health"].as_object();
            health.is_some_and(|h| h.len() == count && h.values().all(|state| state == "Alive"))
        };
        ring.until("all know all", |ring| (0..count).all(|index| ring.says(index, "/butterfly", all_alive)))?;
        thread::sleep(SETTLE);
        Ok(ring)
    }

    fn says(&self, index: usize, path: &str, holds: impl Fn(&str) -> bool) -> bool {
        observe::get(&self.settings[index].place, path).is_ok_and(|text| holds(&text))
    }

    /// Waits; how long it took, in seconds.
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<f64, BedError> {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > PATIENCE {
                return Err(BedError::Failed(format!("not within {} s: {what}", PATIENCE.as_secs())));
            }
            thread::sleep(ASK);
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// `svc load` on every member at the same time.
    fn load(&self, more: &[&str]) -> Result<(), BedError> {
        let arguments = [&["svc", "load", "sim/app", "--group", "bench"][..], more].concat();
        thread::scope(|scope| {
            let asked: Vec<_> = self
                .settings
                .iter()
                .map(|settings| scope.spawn(|| settings.ask(&arguments).map(drop)))
                .collect();
            asked.into_iter().try_for_each(|asked| {
                asked.join().unwrap_or_else(|_| Err(BedError::Failed("svc load panicked".to_owned())))
            })
        })
    }

    /// The group as a member's census has it.
    fn group(&self, index: usize) -> Value {
        let text = observe::get(&self.settings[index].place, "/census").unwrap_or_default();
        let census: Value = serde_json::from_str(&text).unwrap_or_default();
        census["census_groups"]["app.bench"].clone()
    }

    /// The leader that a member knows of, once an election is over.
    fn leader(&self, index: usize) -> Option<String> {
        let group = self.group(index);
        let finished = group["election_status"] == "ElectionFinished";
        group["leader_id"].as_str().filter(|_| finished).map(str::to_owned)
    }

    /// The service's process on a member.
    fn process(&self, index: usize) -> Option<i32> {
        let text = observe::get(&self.settings[index].place, "/services").ok()?;
        let services: Value = serde_json::from_str(&text).ok()?;
        services[0]["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
    }

    fn member(&self, index: usize) -> Option<String> {
        let text = observe::get(&self.settings[index].place, "/butterfly").ok()?;
        let ring: Value = serde_json::from_str(&text).ok()?;
        ring["local_member_id"].as_str().map(str::to_owned)
    }
}

fn package(folder: &Path) -> Result<PathBuf, BedError> {
    let entries = fs::read_dir(folder).map_err(BedError::io(folder.display()))?.flatten();
    let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == "hart");
    let found = entries.map(|entry| entry.path()).find(is_package);
    found.ok_or_else(|| BedError::Failed(format!("no package was built in {}", folder.display())))
}

/// A service that does nothing, and a file that shows which configuration it has.
fn write_plan(plan: &Path) -> io::Result<()> {
    fs::create_dir_all(plan.join("hooks"))?;
    fs::create_dir_all(plan.join("config"))?;
    fs::write(plan.join("plan.toml"), "origin = \"sim\"\nname = \"app\"\nversion = \"1.0.0\"\n")?;
    fs::write(plan.join("default.toml"), "number = 0\n")?;
    fs::write(plan.join("config/app.conf"), "{{cfg.number}}")?;
    for (hook, script) in [("run", "exec sleep 1000000"), ("reconfigure", "exit 0")] {
        let path = plan.join("hooks").join(hook);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Gives the group one configuration after the other, each through another member: until it is rendered everywhere, and
/// until the command ends.
fn applies(folder: &Path, options: &Options) -> Result<(Vec<f64>, Vec<f64>), BedError> {
    let members = options.members;
    let ring = Ring::start(folder, members, options.is_keyed)?;
    ring.load(&[])?;
    let population = |index: usize| ring.group(index)["population"].as_object().map_or(0, Map::len);
    ring.until("all are in the group", |_| (0..members).all(|index| population(index) == members))?;
    ring.until("all run", |ring| (0..members).all(|index| ring.process(index).is_some()))?;
    thread::sleep(SETTLE);
    let (mut applied, mut answered) = (Vec::new(), Vec::new());
    for number in 1..=TRIES {
        let text = folder.join("new.toml");
        fs::write(&text, format!("number = {number}\n")).map_err(BedError::io(text.display()))?;
        let (version, text) = (number.to_string(), text.to_string_lossy().into_owned());
        let settings = &ring.settings[number * 7 % members];
        let rendered = |settings: &Settings| {
            fs::read(settings.root.join("svc/app/config/app.conf"))
                .is_ok_and(|found| found == version.as_bytes())
        };
        let start = Instant::now();
        let times = thread::scope(|scope| {
            let asked = scope.spawn(|| {
                settings.ask(&["config", "apply", "app.bench", &version, &text])?;
                Ok(start.elapsed().as_secs_f64())
            });
            while !ring.settings.iter().all(rendered) && start.elapsed() < PATIENCE {
                thread::sleep(LOOK);
            }
            let all = start.elapsed();
            let answered: Result<f64, BedError> =
                asked.join().unwrap_or_else(|_| Err(BedError::Failed("config apply panicked".to_owned())));
            Ok::<_, BedError>((all, answered?))
        })?;
        if times.0 >= PATIENCE {
            return Err(BedError::Failed(format!("version {version} was not rendered by all members")));
        }
        applied.push(times.0.as_secs_f64());
        answered.push(times.1);
        thread::sleep(SETTLE / 2);
    }
    Ok((applied, answered))
}

/// A group of three: until all name a leader, until all run, until both others name a new leader.
fn election(folder: &Path, is_keyed: bool) -> Result<[f64; 3], BedError> {
    let mut ring = Ring::start(folder, 3, is_keyed)?;
    let start = Instant::now();
    ring.load(&["--topology", "leader"])?;
    let agreed = |ring: &Ring, among: &[usize], not: Option<&str>| {
        let leaders: Vec<Option<String>> = among.iter().map(|index| ring.leader(*index)).collect();
        let first = leaders.first().cloned().flatten();
        first.is_some() && first.as_deref() != not && leaders.iter().all(|leader| *leader == first)
    };
    ring.until("all name a leader", |ring| agreed(ring, &[0, 1, 2], None))?;
    let leader_s = start.elapsed().as_secs_f64();
    ring.until("all run", |ring| (0..3).all(|index| ring.process(index).is_some()))?;
    let up_s = start.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    let leader = ring.leader(0);
    let dead = (0..3).find(|index| ring.member(*index) == leader);
    let (Some(leader), Some(dead)) = (leader, dead) else {
        return Err(BedError::Failed("the leader has gone".to_owned()));
    };
    let process = ring.process(dead);
    ring.orphans.extend(process);
    let start = Instant::now();
    if let Some(mut daemon) = ring.daemons[dead].take() {
        daemon.kill();
    }
    if let Some(pid) = process {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let others: Vec<usize> = (0..3).filter(|index| *index != dead).collect();
    ring.until("the others name a new leader", |ring| agreed(ring, &others, Some(leader.as_str())))?;
    Ok([leader_s, up_s, start.elapsed().as_secs_f64()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_names_and_the_middle_is_the_middle() {
        let options = Options { members: 20, is_keyed: false, json: true };
        let column = [Some(0.2), Some(0.3), Some(0.05), None, None, None, None];
        let json: Value = serde_json::from_str(&as_json(&options, &column)).expect("JSON");
        assert_eq!((&json["members"], &json["apply_s"]["value"]), (&Value::from(20), &Value::from(0.2)));
        let text = as_text(&options, &column);
        assert!(text.contains("0.200       0.500  s from the command until all members"), "{text}");
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut []), None);
    }
}
