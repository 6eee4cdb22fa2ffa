//! Prints the demonstration: steps, remarks and events with their times. Asks no supervisor.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use annulus_core::Instant;

use super::plan;
use super::supervisor::Supervisor;
use super::watch::{self, Seen};
use crate::cli::output;
use crate::host::clock::{self, Clock};

/// Prints the story, and keeps its time and the count of its lines.
pub(super) struct Story {
    clock: Clock,
    started: Instant,
    started_unix_ms: u64,
    told: u64,
    last_line: Instant,
    /// Rumors that were told. Each comes again with every change of its content; once is enough for a story.
    rumors: BTreeSet<(usize, String)>,
    /// Whether a step was announced and has not ended.
    open_step: bool,
}

/// A step that has begun.
pub(super) struct Step(Instant);

impl Story {
    pub(super) fn new() -> Self {
        let clock = Clock::host();
        Self {
            clock,
            started: clock.now(),
            started_unix_ms: clock::wall().as_millis(),
            told: 0,
            last_line: clock.now(),
            rumors: BTreeSet::new(),
            open_step: false,
        }
    }

    pub(super) fn title(&self) {
        output::line(
            "Annulus demonstration: a ring of three supervisors on this machine, removed at the end.\n",
        );
    }

    pub(super) fn redis_title(&self) {
        output::line(
            "Annulus demonstration: Redis on three supervisors of this machine, one of which leads; removed at the end.\n",
        );
    }

    pub(super) fn keys_title(&self) {
        output::line(
            "Annulus demonstration: a ring with a key on three supervisors of this machine, removed at the end.\n",
        );
    }

    /// Prints a command that an operator would type on this host.
    pub(super) fn command(&mut self, host: &str, args: &str) {
        self.told += 1;
        output::line(format_args!("  {host}$ annulus {args}"));
    }

    /// Prints a line that a command printed.
    pub(super) fn quote(&mut self, line: &str) {
        output::line(format_args!("      {line}"));
    }

    /// Prints something worth knowing between two steps.
    pub(super) fn remark(&mut self, text: &str) {
        self.told += 1;
        output::line(format_args!("  · {text}"));
    }

    /// Announces a step before it is done, so that the user sees what the demonstration waits for.
    pub(super) fn step(&mut self, what: &str) -> Step {
        if std::mem::replace(&mut self.open_step, true) {
            output::line("not done");
        }
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "  {what:<62} ").and_then(|()| out.flush());
        Step(self.clock.now())
    }

    pub(super) fn done(&mut self, step: Step) {
        self.open_step = false;
        let took = self.clock.now().saturating_since(step.0);
        output::line(format_args!("{:>6.2} s", took.as_secs_f64()));
    }

    pub(super) fn who_is_who(&self, supervisors: &[Supervisor]) {
        let rows: Vec<_> = supervisors
            .iter()
            .map(|s| {
                vec![
                    format!("  {}", s.name),
                    s.member.chars().take(8).collect(),
                    s.addrs.gossip.to_string(),
                    format!("http://{}", s.addrs.http),
                    s.addrs.ctl.to_string(),
                    format!("http://{}", s.addrs.service),
                ]
            })
            .collect();
        let head = ["  name", "member", "gossip", "http gateway", "ctl gateway", "service"];
        output::line("");
        output::table(&head, &rows);
    }

    pub(super) fn try_next(&self, supervisors: &[Supervisor], program: &Path) {
        let (Some(first), Some(last)) = (supervisors.first(), supervisors.last()) else { return };
        let annulus = program_text(program);
        let root = first.root.path().display();
        output::line("\nTry these in another terminal:");
        output::line(format_args!("  {annulus} svc status {} --root {root}", plan::RESPONDER.ident));
        output::line(format_args!("  curl http://{}/census", first.addrs.http));
        output::line(format_args!("  {annulus} sup depart {} --root {root}", last.member));
    }

    pub(super) fn begin(&mut self, time: Option<Duration>) {
        let until = match time {
            Some(time) => format!("the demonstration ends after {} s, or with Ctrl-C", time.as_secs_f64()),
            None => "Ctrl-C ends this and removes everything".to_owned(),
        };
        output::line(format_args!("\nWhat happened so far and happens now, and who saw it ({until}):"));
        self.last_line = self.clock.now();
    }

    pub(super) fn event(&mut self, supervisors: &[Supervisor], seen: &Seen) {
        let names: Vec<(&str, &str)> = supervisors.iter().map(|s| (s.name, s.member.as_str())).collect();
        let Some(by) = supervisors.get(seen.by) else { return };
        if let Some(text) = watch::sentence(seen, &names) {
            let about = format!("{} {}", seen.event["member"], seen.event["service_group"]);
            if seen.event["kind"] == "rumor_accepted" && !self.rumors.insert((seen.by, about)) {
                return;
            }
            let at_ms = seen.at_unix_ms().saturating_sub(self.started_unix_ms);
            self.print(at_ms, by.name, &text);
        }
    }

    /// Prints a line of the demonstration's own among those of the supervisors.
    pub(super) fn line(&mut self, who: &str, text: &str) {
        let at_ms = clock::wall().as_millis().saturating_sub(self.started_unix_ms);
        self.print(at_ms, who, text);
    }

    fn print(&mut self, at_ms: u64, who: &str, text: &str) {
        output::line(format_args!("  {:>6.1} s  {who:<6} {text}", at_ms as f64 / 1000.0));
        self.told += 1;
        self.last_line = self.clock.now();
    }

    pub(super) fn quiet_for(&self, time: Duration) -> bool {
        self.clock.now().saturating_since(self.last_line) >= time
    }

    pub(super) fn farewell(&self, died: bool, in_order: bool, kept: Option<&Path>) {
        let seconds = self.clock.now().saturating_since(self.started).as_secs_f64();
        let told = self.told;
        output::line(format_args!("\nThe demonstration took {seconds:.1} s and told {told} things."));
        if died {
            output::line("A supervisor died, so this counts as failed: exit code 1.");
        }
        if !in_order {
            output::line("A supervisor did not end in time and was killed.");
        }
        match kept {
            Some(dir) => {
                output::line(format_args!("Nothing is left running; its files are in {}.", dir.display()))
            }
            None => output::line("Nothing is left running, and its files are removed."),
        }
    }
}

/// How the user calls this program from the current directory.
fn program_text(program: &Path) -> String {
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|dir| program.parent() == Some(&dir) && program.ends_with("annulus"))
    });
    if on_path {
        return "annulus".to_owned();
    }
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| program.strip_prefix(here).ok().map(Path::to_owned));
    let text = match &short {
        // The shell would look up a bare name on the PATH.
        Some(short) if short.components().count() == 1 => format!("./{}", short.display()),
        Some(short) => short.display().to_string(),
        None => program.display().to_string(),
    };
    if text.contains(|c: char| c.is_whitespace() || c == '\'') { format!("{text:?}") } else { text }
}
