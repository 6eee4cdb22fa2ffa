//! Carries log lines to standard error. A reader that stops reading must not stop the supervisor: the loop gives lines
//! to a thread that writes them, and drops and counts them while that thread is stuck.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::fold::Fold;
use crate::host::clock;

/// Lines that may wait.
const LINES_MAX: usize = 1_024;
/// At the end, the lines that wait get this long.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

enum Job {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes lines and never waits.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    jobs: SyncSender<Job>,
    lost: Arc<AtomicU64>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Line(_)) { "Line" } else { "Flush" })
    }
}

impl LogQueue {
    /// The queue to standard error; its thread is started with the first call.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn stderr() -> io::Result<Self> {
        if let Some(queue) = QUEUE.get() {
            return Ok(queue.clone());
        }
        let (queue, waiting) = Self::new();
        let lost = Arc::clone(&queue.lost);
        let run = move || write_all(&waiting, &lost, io::stderr());
        std::thread::Builder::new().name("log".to_owned()).spawn(run)?;
        Ok(QUEUE.get_or_init(|| queue).clone())
    }

    fn new() -> (Self, Receiver<Job>) {
        let (jobs, waiting) = sync_channel(LINES_MAX);
        (Self { jobs, lost: Arc::default() }, waiting)
    }
}

/// Waits a bounded time until the lines so far are written.
pub(crate) fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (written, wait) = sync_channel(1);
    if queue.jobs.try_send(Job::Flush(written)).is_ok() {
        let _ = wait.recv_timeout(FLUSH_TIMEOUT);
    }
}

fn write_all(waiting: &Receiver<Job>, lost: &AtomicU64, mut to: impl Write) {
    let mut fold = Fold::default();
    loop {
        let job = match fold.due_in_ms(clock::boot_ms()) {
            Some(ms) => waiting.recv_timeout(Duration::from_millis(ms)),
            None => waiting.recv().map_err(RecvTimeoutError::from),
        };
        // Without a reader the lines are not missed.
        let mut write = |line: &[u8]| drop(to.write_all(line));
        match job {
            Ok(Job::Line(line)) => fold.take(&line, clock::boot_ms(), clock::wall(), &mut write),
            Ok(Job::Flush(written)) => {
                fold.finish(clock::boot_ms(), clock::wall(), &mut write);
                let _ = written.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return fold.finish(clock::boot_ms(), clock::wall(), &mut write);
            }
        }
        fold.tell_due(clock::boot_ms(), clock::wall(), &mut write);
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::warn!(
                lost = count,
                "{count} log lines were lost, because their reader did not take them in time"
            );
        }
    }
}

impl Write for LogQueue {
    /// The subscriber calls this once per line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.jobs.try_send(Job::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order_and_what_finds_no_room_is_counted() {
        let (mut queue, waiting) = LogQueue::new();
        let lines: Vec<String> = (0..LINES_MAX + 3).map(|number| format!("{number}\n")).collect();
        for line in &lines {
            queue.write_all(line.as_bytes()).expect("it never fails");
        }
        assert_eq!(queue.lost.load(Ordering::Relaxed), 3);
        let lost = Arc::clone(&queue.lost);
        drop(queue);
        let mut out = Vec::new();
        write_all(&waiting, &lost, &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), lines[..LINES_MAX].concat());
        assert_eq!(lost.load(Ordering::Relaxed), 0, "told");
    }
}
