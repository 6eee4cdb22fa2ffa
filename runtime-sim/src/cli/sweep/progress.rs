//! How far a sweep is, on the standard error output: one line that changes on a terminal, a line now and then where
//! there is none.
#![allow(clippy::disallowed_types, reason = "people wait in real time")]

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Time between two lines of a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(500);
/// Time between two lines of a file or pipe.
const ELSEWHERE: Duration = Duration::from_secs(10);
/// A seed that takes longer than this is named while it is under way.
const LONG: Duration = Duration::from_secs(10);

/// The progress of a sweep.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    terminal: bool,
    all: usize,
    done: usize,
    failed: usize,
    began: Instant,
    next: Instant,
    /// The seeds that run now, and since when.
    under_way: BTreeMap<u64, Instant>,
}

impl Progress {
    /// The progress of so many seeds.
    pub(super) fn of(all: usize, quiet: bool, now: Instant) -> Self {
        let terminal = io::stderr().is_terminal();
        let next = now + if terminal { ON_TERMINAL } else { ELSEWHERE };
        let under_way = BTreeMap::new();
        Self { shown: !quiet, terminal, all, done: 0, failed: 0, began: now, next, under_way }
    }

    pub(super) fn began(&mut self, seed: u64, now: Instant) {
        self.under_way.insert(seed, now);
    }

    /// A seed has ended; returns how long it took. A failure is told at once, in a few words.
    pub(super) fn ended(&mut self, seed: u64, now: Instant, failure: Option<&str>) -> Duration {
        self.done += 1;
        let began = self.under_way.remove(&seed).unwrap_or(now);
        if let Some(why) = failure {
            self.failed += 1;
            let why = why.lines().next().unwrap_or_default();
            self.print(&format!("seed {seed} failed: {why}"), false);
        }
        now.saturating_duration_since(began)
    }

    /// Shows a line when it is time to.
    pub(super) fn show(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + if self.terminal { ON_TERMINAL } else { ELSEWHERE };
        self.print(&self.line(now), true);
    }

    /// The last line, which stays.
    pub(super) fn finish(&mut self, now: Instant) {
        self.print(&self.line(now), false);
    }

    fn line(&self, now: Instant) -> String {
        let took = now.saturating_duration_since(self.began).as_secs_f64();
        let rate = self.done as f64 / took.max(0.001);
        let mut line = format!("{} of {} seeds, {rate:.1} per second", self.done, self.all);
        if self.failed > 0 {
            line.push_str(&format!(", {} failed", self.failed));
        }
        if self.done == self.all {
            line.push_str(&format!(", in {}", span(took)));
        } else if self.done > 0 {
            line.push_str(&format!(", {} left", span((self.all - self.done) as f64 / rate)));
        }
        for (seed, since) in &self.under_way {
            let long = now.saturating_duration_since(*since);
            if long > LONG {
                line.push_str(&format!("; seed {seed} runs for {}", span(long.as_secs_f64())));
            }
        }
        line
    }

    /// `passing`: the next line may replace it.
    fn print(&self, line: &str, passing: bool) {
        if !self.shown {
            return;
        }
        let (start, end) = match (self.terminal, passing) {
            (true, true) => ("\r\x1b[K", ""),
            (true, false) => ("\r\x1b[K", "\n"),
            (false, _) => ("", "\n"),
        };
        // A reader of progress that has gone away is no reason to stop.
        let _ = io::stderr().write_all(format!("{start}{line}{end}").as_bytes());
    }
}

/// A time as people say it.
fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pool::now;
    use super::*;

    #[test]
    fn a_line_has_rate_time_left_and_what_takes_long() {
        let start = now();
        let after = |s| start + Duration::from_secs(s);
        let mut progress = Progress::of(100, true, start);
        for seed in 0..20 {
            progress.began(seed, start);
        }
        for seed in 0..19 {
            assert_eq!(progress.ended(seed, after(5), None), Duration::from_secs(5));
        }
        progress.ended(19, after(10), Some("no_false_death at 3.000s: a\nb"));
        assert_eq!(progress.line(after(10)), "20 of 100 seeds, 2.0 per second, 1 failed, 40 s left");
        progress.began(20, after(10));
        assert!(
            progress.line(after(75)).ends_with("; seed 20 runs for 1 min 5 s"),
            "{}",
            progress.line(after(75))
        );
    }
}
