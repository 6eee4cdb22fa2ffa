//! `annulus-sim bench --supervisor`: what it costs to keep a hundred services running, and the same with Debian's
//! supervisord in the same run where it is installed.
//!
//! A service is a `sleep`. All times are taken by watching the system's list of processes from outside, the same
//! way for both.

mod kinds;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::{Map, Value, json};

use super::tree::{self, Pid, Services};
use super::{BedError, interrupt};
use kinds::{Annulus, Supervisord};

/// A state that is not reached within this time never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks. Looking takes processor time from the supervisors that are measured.
const LOOK: Duration = Duration::from_millis(2);
/// After a start, until memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two kills, so that each is the first for a while.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Services that are killed, and loaded one by one.
const TRIES: usize = 5;

/// Options of the measurement.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Services of each supervisor.
    pub(crate) services: usize,
    /// The supervisord to measure as well.
    pub(crate) rival: PathBuf,
    pub(crate) json: bool,
}

/// A kind of supervisor that can be measured.
trait Kind {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Starts it with every service that it is to run.
    fn start(&self) -> Result<Child, BedError>;
    /// Adds a service to the running supervisor, by the command that a user gives; none when it has no such command.
    fn load(&self, number: usize) -> Option<Result<(), BedError>>;
}

/// Figures with their names: in JSON, and for people.
const FIGURES: [(&str, &str, Option<f64>); 8] = [
    ("start_s", "s from launch until all services run", Some(0.5)),
    ("restart_s", "s from kill -9 of a service to its new process, median of 5", Some(0.1)),
    ("restart_s_max", "s of the slowest", None),
    ("load_s", "s from the command that loads one more service to its process, median of 5", Some(0.1)),
    ("load_s_max", "s of the slowest", None),
    ("stop_s", "s from TERM until the supervisor and all services are gone", Some(0.4)),
    ("resident_mib", "MiB resident, all of the supervisor's own processes together", Some(12.0)),
    ("share_mib", "MiB of it when pages that several use are split between them", None),
];

type Column = [Option<f64>; FIGURES.len()];

/// Measures and returns the text to print.
pub(crate) fn run(options: &Options) -> Result<String, BedError> {
    interrupt::watch();
    let folder = tempfile::Builder::new().prefix("annulus-bench-").tempdir();
    let folder = folder.map_err(BedError::io("a folder for the supervisors"))?;
    let ours = Annulus::new(&folder.path().join("annulus"), options.services, TRIES)?;
    let mut all = vec![(ours.name(), measure(&ours, options.services)?)];
    let mut skipped = None;
    match Supervisord::new(&options.rival, &folder.path().join("rival"), options.services) {
        Ok(rival) => all.push((rival.name(), measure(&rival, options.services)?)),
        Err(BedError::Skipped(why)) => skipped = Some(why),
        Err(error) => return Err(error),
    }
    Ok(if options.json {
        as_json(options, &all, skipped)
    } else {
        as_text(options, &all, skipped.as_deref())
    })
}

fn as_text(options: &Options, all: &[(&str, Column)], skipped: Option<&str>) -> String {
    let mut out = format!("{} services of one supervisor\n", options.services);
    let names: Vec<String> = all.iter().map(|(name, _)| format!("{name:>12}")).collect();
    let _ = writeln!(out, "{}{:>12}", names.concat(), "target");
    for (row, (_, words, target)) in FIGURES.iter().enumerate() {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let values =
            all.iter().map(|(_, column)| format!("{:>12}", number(column.get(row).copied().flatten())));
        let values: Vec<String> = values.collect();
        let _ = writeln!(out, "{}{:>12}  {words}", values.concat(), number(*target));
    }
    if let Some(why) = skipped {
        let _ = writeln!(out, "skipped: {why}");
    }
    out
}

fn as_json(options: &Options, all: &[(&str, Column)], skipped: Option<String>) -> String {
    let mut object = Map::new();
    object.insert("services".to_owned(), options.services.into());
    for (name, column) in all {
        let values = FIGURES.iter().zip(column).map(|((key, ..), value)| ((*key).to_owned(), json!(value)));
        object.insert((*name).to_owned(), Value::Object(values.collect()));
    }
    if let Some(why) = skipped {
        object.insert("skipped".to_owned(), why.into());
    }
    format!("{}\n", Value::Object(object))
}

fn measure(kind: &dyn Kind, services: usize) -> Result<Column, BedError> {
    let began = Instant::now();
    let mut running = Running { child: kind.start()?, services: Services::default() };
    running.until(kind, "all services run", |found| found.len() >= services)?;
    let start = began.elapsed().as_secs_f64();
    thread::sleep(SETTLE);
    let (resident, share) = tree::memory_kib(running.own());
    let mut restarts = Vec::new();
    for _ in 0..TRIES {
        restarts.push(running.restart(kind)?);
        thread::sleep(PAUSE);
    }
    let mut loads = Vec::new();
    for number in 0..TRIES {
        let (before, began) = (running.look(), Instant::now());
        match kind.load(number) {
            None => break,
            Some(loaded) => loaded?,
        }
        running.until(kind, "the loaded service runs", |found| found.difference(&before).next().is_some())?;
        loads.push(began.elapsed().as_secs_f64());
    }
    let stop = running.stop(kind)?;
    let (restart, restart_max) = middle_and_last(restarts);
    let (load, load_max) = middle_and_last(loads);
    let mib = |kib: f64| Some(kib / 1024.0);
    Ok([Some(start), restart, restart_max, load, load_max, Some(stop), mib(resident), mib(share)])
}

fn middle_and_last(mut values: Vec<f64>) -> (Option<f64>, Option<f64>) {
    values.sort_by(f64::total_cmp);
    (values.get(values.len() / 2).copied(), values.last().copied())
}

/// A supervisor and the processes below it. Dropping it ends them all.
struct Running {
    child: Child,
    services: Services,
}

impl Running {
    fn look(&mut self) -> BTreeSet<Pid> {
        self.services.look(self.child.id()).clone()
    }

    /// The supervisor's own processes.
    fn own(&mut self) -> Vec<Pid> {
        let services = self.look();
        let mut own = tree::below(self.child.id());
        own.insert(self.child.id());
        own.difference(&services).copied().collect()
    }

    fn until(
        &mut self,
        kind: &dyn Kind,
        what: &str,
        so: impl Fn(&BTreeSet<Pid>) -> bool,
    ) -> Result<(), BedError> {
        let began = Instant::now();
        while !so(self.services.look(self.child.id())) {
            if interrupt::noticed() {
                return Err(BedError::Interrupted);
            }
            if began.elapsed() > PATIENCE {
                return Err(BedError::Failed(format!("{}: not yet so: {what}", kind.name())));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Kills the service that has run for longest; the seconds until another process has taken its place.
    fn restart(&mut self, kind: &dyn Kind) -> Result<f64, BedError> {
        let before = self.look();
        let victim = before.first().copied();
        let victim = victim.ok_or_else(|| BedError::Failed(format!("{}: nothing runs", kind.name())))?;
        let began = Instant::now();
        signal(victim, Signal::SIGKILL);
        self.until(kind, "the killed service runs again", |found| {
            found.difference(&before).next().is_some()
        })?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Ends the supervisor politely; the seconds until no process of it is left.
    fn stop(&mut self, kind: &dyn Kind) -> Result<f64, BedError> {
        let all = tree::below(self.child.id());
        let began = Instant::now();
        signal(self.child.id(), Signal::SIGTERM);
        while !matches!(self.child.try_wait(), Ok(Some(_))) || all.iter().copied().any(tree::lives) {
            if began.elapsed() > PATIENCE {
                return Err(BedError::Failed(format!("{}: it does not end", kind.name())));
            }
            thread::sleep(LOOK);
        }
        Ok(began.elapsed().as_secs_f64())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let all = tree::below(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The services that the supervisor would have ended, had it been asked.
        for pid in all {
            signal(pid, Signal::SIGKILL);
        }
    }
}

fn signal(pid: Pid, what: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(nix::unistd::Pid::from_raw(pid), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_side_by_side() {
        let options = Options { services: 3, rival: PathBuf::new(), json: false };
        let column = [Some(0.25), Some(0.05), None, None, None, Some(0.5), Some(8.0), None];
        let text = as_text(&options, &[("annulus", column)], Some("no supervisord"));
        assert!(text.contains("       0.250       0.500  s from launch"), "{text}");
        assert!(text.ends_with("skipped: no supervisord\n"), "{text}");
        let json: Value =
            serde_json::from_str(&as_json(&options, &[("annulus", column)], None)).expect("JSON");
        assert_eq!((&json["annulus"]["restart_s"], &json["services"]), (&json!(0.05), &json!(3)));
    }
}
