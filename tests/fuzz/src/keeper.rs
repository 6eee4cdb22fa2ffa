//! Runs a loop in another process and keeps the input that ends that process or holds it up: a stack that overflows,
//! memory that is refused and a loop without end leave nothing behind that could be caught.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use crate::stopwatch::Stopwatch;

/// Between two looks at the loop.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// Before the input: the number of the run and the input's length.
const HEAD_BYTES: u64 = 16;

/// Where a loop writes each input before it runs it.
#[derive(Debug)]
pub struct Current(File);

impl Current {
    /// A new file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path).map(Self)
    }

    /// Notes the input of a run.
    ///
    /// # Errors
    /// The file takes no more.
    pub fn note(&self, run: u64, input: &[u8]) -> io::Result<()> {
        let mut bytes = run.to_le_bytes().to_vec();
        bytes.extend((input.len() as u64).to_le_bytes());
        bytes.extend(input);
        self.0.write_all_at(&bytes, 0)
    }

    fn number(&self) -> Option<u64> {
        let mut head = [0; 8];
        self.0.read_exact_at(&mut head, 0).ok()?;
        Some(u64::from_le_bytes(head))
    }

    fn input(&self) -> Option<Vec<u8>> {
        let mut len = [0; 8];
        self.0.read_exact_at(&mut len, 8).ok()?;
        let mut input = vec![0; usize::try_from(u64::from_le_bytes(len)).ok()?];
        self.0.read_exact_at(&mut input, HEAD_BYTES).ok()?;
        Some(input)
    }
}

/// How a loop in another process ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Exit(ExitStatus),
    /// The process died of this input.
    Died(ExitStatus, Vec<u8>),
    /// It was ended, because this input took longer than any may.
    Stuck(Duration, Vec<u8>),
}

/// Starts `command` and looks after it; `current` is what its loop writes into.
///
/// # Errors
/// The process cannot be started or waited for.
pub fn watch(command: &mut Command, current: &Current, longest: Duration) -> io::Result<Ended> {
    let mut child = command.spawn()?;
    let (mut number, mut since) = (current.number(), Stopwatch::start());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match (status.code(), current.input()) {
                (None, Some(input)) => Ended::Died(status, input),
                _ => Ended::Exit(status),
            });
        }
        let latest = current.number();
        if latest != number {
            (number, since) = (latest, Stopwatch::start());
        } else if since.elapsed() > longest && number.is_some() {
            end(&mut child)?;
            return Ok(Ended::Stuck(longest, current.input().unwrap_or_default()));
        }
        thread::sleep(LOOK_PERIOD);
    }
}

fn end(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> (tempfile::TempDir, Current) {
        let dir = tempfile::tempdir().expect("a folder");
        let current = Current::create(&dir.path().join("current")).expect("a file");
        current.note(3, b"the input").expect("room for it");
        (dir, current)
    }

    #[test]
    fn the_input_of_a_process_that_dies_is_kept() {
        let (_dir, current) = current();
        let ended =
            watch(Command::new("sh").args(["-c", "kill -SEGV $$"]), &current, Duration::from_secs(60));
        assert!(matches!(ended.expect("it runs"), Ended::Died(_, input) if input == b"the input"));
        let ended = watch(&mut Command::new("true"), &current, Duration::from_secs(60)).expect("it runs");
        assert!(matches!(ended, Ended::Exit(status) if status.success()));
    }

    #[test]
    fn a_process_that_gets_no_further_is_ended() {
        let (_dir, current) = current();
        let ended = watch(Command::new("sleep").arg("1000"), &current, Duration::ZERO).expect("it runs");
        assert!(matches!(ended, Ended::Stuck(_, input) if input == b"the input"));
    }
}
