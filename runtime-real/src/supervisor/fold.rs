//! Folds notices that come again and again into one line with their number and the time in which they came. Writes
//! nothing itself, and holds a bounded number of notices.
//!
//! Two lines are alike if level and message are, numbers aside: a service that ends every second says so with another
//! process each time. The first few of a minute are written as they come; the others are counted, and told once a minute
//! as long as they go on. What an operator asked for with `-v` is never folded.

use std::collections::BTreeMap;

use annulus_core::UnixTime;
use jiff::Timestamp;

use crate::launcher::record::Record;

/// So many alike lines are written as they come …
const SHOWN_MAX: u32 = 5;
/// … within this time, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// The remark on the last of them, without which a reader would take it for the last that happened.
const COUNTED: &str = "more like this are counted and told once a minute";
/// Different notices that are counted at once.
const NOTICES_MAX: usize = 256;

/// Counts notices.
#[derive(Debug, Default)]
pub(super) struct Fold {
    notices: BTreeMap<String, Notice>,
}

#[derive(Debug)]
struct Notice {
    since_ms: u64,
    shown: u32,
    hidden: u64,
    last: Record,
}

impl Fold {
    /// Gives a line on to `write`, or counts it.
    pub(super) fn take(&mut self, line: &[u8], now_ms: u64, wall: UnixTime, write: &mut dyn FnMut(&[u8])) {
        self.tell_due(now_ms, wall, write);
        let record = std::str::from_utf8(line).ok().and_then(|line| Record::parse(line.trim_end()));
        let Some(record) = record.filter(|record| matches!(record.level(), "ERROR" | "WARN" | "INFO")) else {
            return write(line);
        };
        let (shape, has_room) = (shape(&record), self.notices.len() < NOTICES_MAX);
        match self.notices.get_mut(&shape) {
            Some(notice) if notice.shown >= SHOWN_MAX => {
                notice.hidden += 1;
                notice.last = record;
                return;
            }
            Some(notice) => {
                notice.shown += 1;
                if notice.shown == SHOWN_MAX {
                    return write(format!("{}\n", record.remarked(COUNTED)).as_bytes());
                }
            }
            None if has_room => {
                let notice = Notice { since_ms: now_ms, shown: 1, hidden: 0, last: record };
                self.notices.insert(shape, notice);
            }
            None => {}
        }
        write(line);
    }

    /// Milliseconds until something is to be told; none while nothing is.
    pub(super) fn due_in_ms(&self, now_ms: u64) -> Option<u64> {
        let hiding = self.notices.values().filter(|notice| notice.hidden > 0);
        hiding.map(|notice| notice.since_ms.saturating_add(WINDOW_MS).saturating_sub(now_ms)).min()
    }

    /// Tells how many lines were counted in the windows that are over, and begins new ones.
    pub(super) fn tell_due(&mut self, now_ms: u64, wall: UnixTime, write: &mut dyn FnMut(&[u8])) {
        self.notices.retain(|_, notice| {
            if now_ms.saturating_sub(notice.since_ms) < WINDOW_MS {
                return true;
            }
            let goes_on = notice.hidden > 0;
            notice.tell(now_ms, wall, write);
            goes_on
        });
    }

    /// Tells everything that was counted so far.
    pub(super) fn finish(&mut self, now_ms: u64, wall: UnixTime, write: &mut dyn FnMut(&[u8])) {
        self.notices.values_mut().for_each(|notice| notice.tell(now_ms, wall, write));
    }
}

impl Notice {
    fn tell(&mut self, now_ms: u64, wall: UnixTime, write: &mut dyn FnMut(&[u8])) {
        if self.hidden > 0 {
            let ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
            let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
            let seconds = now_ms.saturating_sub(self.since_ms).div_ceil(1_000);
            let line = self.last.clone().repeated(&format!("{at:.3}"), self.hidden, seconds);
            write(format!("{line}\n").as_bytes());
        }
        (self.since_ms, self.hidden) = (now_ms, 0);
    }
}

/// Level and message, numbers aside.
fn shape(record: &Record) -> String {
    let is_number = |word: &str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_digit() || c == '.')
            && word.matches('.').count() < 2
    };
    let words = record.message().split_whitespace().map(|word| if is_number(word) { "#" } else { word });
    [record.level()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: UnixTime = UnixTime::from_millis(1_769_860_800_000);

    fn line(level: &str, message: &str) -> String {
        format!(
            "{{\"timestamp\":\"2026-01-31T12:00:00.000Z\",\"level\":\"{level}\",\"message\":\"{message}\"}}\n"
        )
    }

    /// The messages that are written of these lines, each given at its time.
    fn written(fold: &mut Fold, lines: &[(u64, String)]) -> Vec<String> {
        let mut written = Vec::new();
        for (at_ms, line) in lines {
            fold.take(line.as_bytes(), *at_ms, WALL, &mut |line| written.push(message(line)));
        }
        written
    }

    fn message(line: &[u8]) -> String {
        let line = std::str::from_utf8(line).expect("text").trim_end();
        Record::parse(line).map_or_else(|| line.to_owned(), |record| record.message().to_owned())
    }

    #[test]
    fn a_notice_that_comes_again_is_counted() {
        let mut fold = Fold::default();
        let every_second = |range: std::ops::Range<u64>| -> Vec<(u64, String)> {
            range.map(|s| (s * 1_000, line("WARN", &format!("web ended: process {}", 100 + s)))).collect()
        };
        let first = written(&mut fold, &every_second(0..60));
        assert_eq!(first.len(), 5);
        assert_eq!(first[3], "web ended: process 103");
        assert_eq!(first[4], format!("web ended: process 104 ({COUNTED})"));
        assert_eq!(fold.due_in_ms(59_000), Some(1_000));
        let second = written(&mut fold, &every_second(60..150));
        assert_eq!(
            second,
            [
                "web ended: process 159 (55 more like this in 60 s)",
                "web ended: process 219 (60 more like this in 60 s)"
            ]
        );
        // It has stopped: the rest is told by itself, and the next one is written at once.
        let mut told = Vec::new();
        fold.tell_due(180_000, WALL, &mut |line| told.push(message(line)));
        assert_eq!(told, ["web ended: process 249 (30 more like this in 60 s)"]);
        assert_eq!(fold.due_in_ms(180_000), None);
        assert_eq!(
            written(&mut fold, &[(250_000, line("WARN", "web ended: process 7"))]),
            ["web ended: process 7"]
        );
    }

    #[test]
    fn different_notices_and_what_was_asked_for_are_not_folded() {
        let mut fold = Fold::default();
        let names = (0..100).map(|n| (0, line("INFO", &format!("service web{n} is up"))));
        let peers = (0..100).map(|n| (0, line("WARN", &format!("no answer from 10.0.0.{n}:9638"))));
        let debug = (0..100).map(|_| (0, line("DEBUG", "ping")));
        let odd = (0..100).map(|_| (0, "no object\n".to_owned()));
        for lines in [names.collect::<Vec<_>>(), peers.collect(), debug.collect(), odd.collect()] {
            assert_eq!(written(&mut fold, &lines).len(), 100);
        }
        let many = (0..1_000).map(|n| (0, line("INFO", &format!("m{n}")))).collect::<Vec<_>>();
        assert_eq!(written(&mut fold, &many).len(), 1_000);
        assert!(fold.notices.len() <= NOTICES_MAX);
    }

    #[test]
    fn nothing_that_was_counted_is_lost_at_the_end() {
        let mut fold = Fold::default();
        assert_eq!(written(&mut fold, &vec![(0, line("ERROR", "disk")); 9]).len(), 5);
        let mut told = Vec::new();
        fold.finish(2_500, WALL, &mut |line| told.push(message(line)));
        fold.finish(2_600, WALL, &mut |line| told.push(message(line)));
        assert_eq!(told, ["disk (4 more like this in 3 s)"]);
    }
}
