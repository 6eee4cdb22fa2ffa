//! The command line of `annulus-fuzz`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use annulus_fuzz::keeper::{Current, Ended, watch};
use annulus_fuzz::session::{Found, Session};
use annulus_fuzz::stopwatch::Stopwatch;
use annulus_fuzz::target::{self, Target};
use annulus_fuzz::{corpus, guarded, reduce};
use clap::{Args, Parser, Subcommand};
use thiserror::Error;

/// A failing input is reduced for so long at most.
const REDUCE_FOR: Duration = Duration::from_secs(30);

/// Runs everything that reads bytes from outside on changed inputs, and keeps those that fail.
#[derive(Debug, Parser)]
#[command(name = "annulus-fuzz", version)]
#[command(after_help = "Exit codes: 0 nothing failed, 1 an input failed and was kept, 2 wrong use.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the targets.
    List,
    /// Run the loop on targets, all of them by default.
    Run(RunArgs),
    /// Run a target on files, and say how each ends.
    Replay {
        /// The target.
        target: String,
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Tell what happens, where the target has a story.
        #[arg(long)]
        narrate: bool,
    },
    /// Make the first inputs of every target anew.
    Corpus,
    #[command(hide = true)]
    Work(WorkArgs),
}

#[derive(Clone, Debug, Args)]
struct LoopArgs {
    /// How long, such as 60s, 10min or 2h.
    #[arg(long = "for", default_value = "60s", value_parser = time)]
    lasting: Duration,
    /// End after so many inputs, however long that takes.
    #[arg(long)]
    runs: Option<u64>,
    /// Everything follows from it: the same seed gives the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Inputs to begin with, besides those of the repository.
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Where inputs that fail are kept.
    #[arg(long, default_value = "fuzz-failures")]
    failures: PathBuf,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The targets.
    targets: Vec<String>,
    /// Targets at one time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// An input that takes longer fails.
    #[arg(long, default_value = "20s", value_parser = time)]
    longest: Duration,
    #[command(flatten)]
    how: LoopArgs,
}

#[derive(Debug, Args)]
struct WorkArgs {
    target: String,
    #[arg(long)]
    current: PathBuf,
    #[command(flatten)]
    how: LoopArgs,
}

#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("there is no target {0:?}; `annulus-fuzz list` names them")]
    Target(String),
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn time(text: &str) -> Result<Duration, String> {
    annulus_sim::scenario::parse_time(text).map_err(|error| error.to_string())
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}

fn find(name: &str) -> Result<&'static Target, Error> {
    target::by_name(name).ok_or_else(|| Error::Target(name.to_owned()))
}

impl Cli {
    pub(crate) fn run(self) -> Result<ExitCode, Error> {
        match self.command {
            What::List => {
                for target in target::ALL {
                    println!("{:18} {}", target.name, target.about);
                }
                Ok(ExitCode::SUCCESS)
            }
            What::Run(args) => run(&args),
            What::Replay { target, files, narrate } => replay(find(&target)?, &files, narrate),
            What::Corpus => {
                for (name, count) in corpus::make().map_err(io_error(&corpus::home()))? {
                    println!("{name:18} {count} inputs");
                }
                Ok(ExitCode::SUCCESS)
            }
            What::Work(args) => work(&args),
        }
    }
}

/// Runs the targets, some at one time, each in a process of its own.
fn run(args: &RunArgs) -> Result<ExitCode, Error> {
    let mut names = args.targets.clone();
    if names.is_empty() {
        names.extend(target::ALL.iter().map(|target| target.name.to_owned()));
    }
    for name in &names {
        find(name)?;
    }
    names.reverse();
    let (todo, failed) = (Mutex::new(names), Mutex::new(Vec::new()));
    let dir = tempfile::tempdir().map_err(io_error(Path::new("a temporary folder")))?;
    thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(name) = todo.lock().ok().and_then(|mut todo| todo.pop()) else { return };
                    let whole = one(args, &name, &dir.path().join(&name)).unwrap_or_else(|error| {
                        eprintln!("{name}: {error}");
                        false
                    });
                    if !whole && let Ok(mut failed) = failed.lock() {
                        failed.push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("failed: {}", failed.join(", "));
    Ok(ExitCode::from(1))
}

/// One target in a process of its own; whether nothing failed.
fn one(args: &RunArgs, name: &str, current: &Path) -> Result<bool, Error> {
    let failed = io_error(current);
    let program = std::env::current_exe().map_err(io_error(Path::new("this program")))?;
    let how = &args.how;
    let mut command = Command::new(program);
    command.args(["work", name, "--current"]).arg(current);
    command.args(["--for", &format!("{}ms", how.lasting.as_millis()), "--seed", &how.seed.to_string()]);
    command.arg("--failures").arg(&how.failures);
    command.args(how.runs.iter().flat_map(|runs| ["--runs".to_owned(), runs.to_string()]));
    if let Some(corpus) = &how.corpus {
        command.arg("--corpus").arg(corpus);
    }
    let noted = Current::create(current).map_err(io_error(current))?;
    let (why, input) = match watch(&mut command, &noted, args.longest).map_err(failed)? {
        Ended::Exit(status) => return Ok(status.success()),
        Ended::Died(status, input) => (format!("the process ended with {status}"), input),
        Ended::Stuck(time, input) => (format!("an input takes more than {} s", time.as_secs()), input),
    };
    let folder = how.failures.join(name);
    let path = corpus::keep(&folder, &input).map_err(io_error(&folder))?;
    println!("{name:18} FAILED: {why}\n  kept as {}", path.display());
    Ok(false)
}

/// The loop itself, in the process that is watched.
fn work(args: &WorkArgs) -> Result<ExitCode, Error> {
    let target = find(&args.target)?;
    let how = &args.how;
    let current = Current::create(&args.current).map_err(io_error(&args.current))?;
    let folders = [corpus::folder(target), corpus::regression(target)];
    let given = how.corpus.iter().map(|corpus| corpus.join(target.name));
    let inputs: Vec<Vec<u8>> = folders
        .into_iter()
        .chain(given)
        .flat_map(|folder| corpus::read(&folder))
        .map(|(_, input)| input)
        .collect();
    let mut session = Session::new(target, how.seed, inputs);
    let begun = Stopwatch::start();
    let mut found = None;
    while begun.elapsed() < how.lasting && how.runs.is_none_or(|runs| session.figures().runs < runs) {
        let input = session.next_input();
        current.note(session.figures().runs, &input).map_err(io_error(&args.current))?;
        if let Err(failure) = session.run(input) {
            found = Some(failure);
            break;
        }
    }
    let (figures, took) = (session.figures(), begun.elapsed().as_secs_f64());
    println!(
        "{:18} {took:6.1} s  {:9} runs  {:8.0} /s  {:5.1} % past the decoder  {:5} outcomes",
        target.name,
        figures.runs,
        figures.runs as f64 / took.max(0.001),
        figures.accepted as f64 * 100.0 / figures.runs.max(1) as f64,
        figures.outcomes
    );
    let Some(found) = found else { return Ok(ExitCode::SUCCESS) };
    report(target, &found, how, &current)?;
    Ok(ExitCode::from(1))
}

/// Reduces an input that failed, keeps it and says how to repeat it.
fn report(target: &Target, found: &Found, how: &LoopArgs, current: &Current) -> Result<(), Error> {
    let folder = how.failures.join(target.name);
    let whole = corpus::keep(&folder, &found.input).map_err(io_error(&folder))?;
    let reducing = Stopwatch::start();
    let mut tries = found.run;
    let reduced = reduce::reduce(&found.input, |input| {
        // Noted, so that the process that looks on sees that it goes on.
        tries += 1;
        let _ = current.note(tries, input);
        reducing.elapsed() < REDUCE_FOR
            && guarded::run(target, input).is_err_and(|failure| failure.is_like(&found.failure))
    });
    let path = corpus::keep(&folder, &reduced).map_err(io_error(&folder))?;
    println!(
        "{:18} FAILED in run {} of seed {}: {}\n  kept as {}, {} bytes, and reduced as {}, {} bytes\n  \
         repeat: annulus-fuzz replay {} {}",
        target.name,
        found.run,
        how.seed,
        found.failure,
        whole.display(),
        found.input.len(),
        path.display(),
        reduced.len(),
        target.name,
        path.display()
    );
    Ok(())
}

/// Runs files, and says how each ends.
fn replay(target: &Target, files: &[PathBuf], narrate: bool) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    for path in files {
        let input = fs::read(path).map_err(io_error(path))?;
        if narrate && let Some(tell) = target.tell {
            // Its end may be a panic, which the run below reports.
            let _ = std::panic::catch_unwind(|| tell(&input, &mut |line| println!("{line}")));
        }
        match guarded::run(target, &input) {
            Ok(seen) => {
                let word = if seen.accepted { "past the decoder" } else { "refused" };
                println!("{}: passes, {word}", path.display());
            }
            Err(failure) => {
                println!("{}: fails: {failure}", path.display());
                code = ExitCode::from(1);
            }
        }
    }
    Ok(code)
}
