//! `annulus-sim chaos`: random faults on real daemons in network namespaces, judged by what processes do.
//!
//! Every service process is a [`witness`] that writes to a shared file what it was told and that it acts as the leader.
//! The [`judge`] decides from these lines alone, [`watch`] from the list of processes, and at the end, when all faults
//! are over, [`finish`] asks whether the ring is whole again. No check trusts a supervisor's word about itself.
//!
//! | file | what |
//! |---|---|
//! | `fault` `schedule` | the kinds of fault; when each strikes, drawn from the seed |
//! | `home` `disk` `plans` `ring` `process` `operation` | folders, disks, packages, hosts, processes and commands of a run |
//! | `line` `tail` `witness` `judge` | what service processes say, how it is read, and what follows from it |
//! | `run` `strike` `watch` `announce` `finish` | a run under way: faults, checks of processes and peers, the end |
//! | `figures` `report` `evidence` | time without a leader; the table; what is kept when a promise was broken |
//! | `leftovers` | what a killed run left behind |

mod announce;
mod disk;
mod evidence;
mod fault;
mod figures;
mod finish;
mod home;
mod judge;
mod leftovers;
mod line;
mod operation;
mod plans;
mod process;
mod report;
mod ring;
mod run;
mod schedule;
mod strike;
mod tail;
mod watch;
pub(crate) mod witness;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::daemon;
use super::{BedError, interrupt};
use crate::exit::Exit;
pub(crate) use fault::Fault;
use home::Home;
use line::boot;
use ring::Ring;
use run::Run;
use schedule::Step;

/// Hosts that a ring may have: an election needs three, and real daemons need memory and processors.
pub(crate) const MEMBERS: std::ops::RangeInclusive<usize> = 3..=30;

/// Options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) members: usize,
    /// How long faults strike.
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) without: Vec<Fault>,
    /// Measure the time without a leader on a quiet ring, each fault so often, and do nothing else.
    pub(crate) figures: Option<usize>,
    /// Where evidence goes; none: a folder for temporary files.
    pub(crate) evidence: Option<PathBuf>,
    /// Keep evidence also when every promise was kept.
    pub(crate) keep: bool,
    pub(crate) json: bool,
    pub(crate) verbose: bool,
}

/// A run that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// The text to print.
    pub(crate) text: String,
    pub(crate) exit: Exit,
}

/// Performs a run. Everything that it made on this machine is removed again, but for evidence.
///
/// # Errors
/// See [`BedError`].
pub(crate) fn run(options: &Options) -> Result<Ended, BedError> {
    interrupt::watch();
    leftovers::remove();
    let program = daemon::program()?;
    let folder = leftovers::folder().map_err(BedError::io("a folder for the hosts"))?;
    let home = Home(folder.path().to_owned());
    for path in home.folders((0..options.members).map(ring::host_name)) {
        fs::create_dir_all(&path).map_err(BedError::io(path.display()))?;
    }
    let own = std::env::current_exe().map_err(BedError::io("this program's own path"))?;
    for (from, name) in [(&program, "annulus"), (&own, "annulus-sim")] {
        let to = home.program(name);
        fs::hard_link(from, &to)
            .or_else(|_| fs::copy(from, &to).map(drop))
            .map_err(BedError::io(to.display()))?;
    }
    let mut run = Run::new(Ring::new(home, options.members)?, options.verbose)?;
    run.ring.begin()?;
    run.began = boot();
    let result = match options.figures {
        Some(tries) => figures::run(&mut run, tries, options),
        None => perform(&mut run, options),
    };
    match result {
        Err(error) if !matches!(error, BedError::Interrupted) => {
            // The run cannot go on; what is known so far tells why.
            let at = evidence::keep(&run, options, &format!("{error}\n"))?;
            eprintln!("evidence is kept in {}", at.display());
            Err(error)
        }
        result => result,
    }
}

fn perform(run: &mut Run, options: &Options) -> Result<Ended, BedError> {
    // Ctrl-C ends the faults early, and what was seen until then is still judged.
    let faults = strike_all(run, options);
    match faults {
        Err(BedError::Interrupted) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    if interrupt::noticed() {
        return Err(BedError::Interrupted);
    }
    let finish = run.finish()?;
    run.end_ring()?;
    let report = report::Report::of(run, options, finish);
    let exit = report.exit();
    let mut text = if options.json { report.as_json() } else { report.as_text() };
    if options.keep || exit != Exit::Pass {
        let at = evidence::keep(run, options, &report.as_text())?;
        if options.json {
            eprintln!("evidence is kept in {}", at.display());
        } else {
            text.push_str(&format!("\nevidence is kept in {}\n", at.display()));
        }
    }
    Ok(Ended { text, exit })
}

fn strike_all(run: &mut Run, options: &Options) -> Result<(), BedError> {
    let at = |run: &Run, time: Duration| run.began + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    for step in schedule::draw(options.seed, options.length, &options.without) {
        run.go_on_until(at(run, step.at()))?;
        match step {
            Step::Strike(planned) => run.strike(&planned)?,
            Step::Calm(_) => {
                run.mend_all()?;
                run.note("all faults end for a while".to_owned());
            }
        }
    }
    run.go_on_until(at(run, options.length))
}
