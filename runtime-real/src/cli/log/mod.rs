//! `annulus svc log` and `annulus sup log`: show what a service or a supervisor wrote. They read the files and need no
//! running supervisor.

pub(super) mod read;

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{CliError, Outcome};
use crate::cli::log::read::{Follower, Kind, Line, Since, since};
use crate::host::clock;
use crate::host::terminal::has_colours;

/// Pause between two looks at a log that is followed.
const LOOK: Duration = Duration::from_millis(100);
/// A command that follows a log without `--lines` or `--since` begins with so many lines of the past.
const FOLLOWED_LINES: usize = 10;

/// The options that choose lines and their form.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Lines {
    /// Go on with lines as they are written, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines [default: all; 10 with --follow]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Only lines since then: how long ago, as in 10m, or a time in UTC, as in "2026-01-31 12:00"
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Since>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Since, String> {
    since(text, clock::wall())
}

/// Shows the log at `path`.
pub(super) fn show(path: &Path, kind: Kind, args: &Lines) -> Outcome {
    match write(path, kind, args, &mut Output(io::BufWriter::new(io::stdout().lock()))) {
        Ok(()) => Ok(0),
        Err(error) => match lost_output(&error) {
            // The reader of the output has enough, as `head` does.
            Some(lost) if lost.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Some(lost) => Err(CliError::io("standard output")(lost)),
            None => Err(CliError::io(path.display().to_string())(error)),
        },
    }
}

/// Standard output, whose errors are told from those of the file that is read.
struct Output<W: io::Write>(W);

/// What standard output did not take.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}")]
struct Lost(io::Error);

fn lost(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Lost(error))
}

/// The system's error where standard output is what failed.
fn lost_output(error: &io::Error) -> Option<io::Error> {
    let Lost(lost) = error.get_ref()?.downcast_ref()?;
    Some(lost.raw_os_error().map_or_else(|| lost.kind().into(), io::Error::from_raw_os_error))
}

impl<W: io::Write> io::Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(lost)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(lost)
    }
}

fn write(path: &Path, kind: Kind, args: &Lines, out: &mut impl io::Write) -> io::Result<()> {
    let has_colours = has_colours(&io::stdout());
    let show = |out: &mut dyn io::Write, line: Line<'_>| {
        if args.json {
            writeln!(out, "{}", line.to_json(kind))
        } else {
            writeln!(out, "{}", line.to_text(kind, has_colours))
        }
    };
    let mut follower = Follower::new(path);
    let last = args.lines.or_else(|| (args.follow && args.since.is_none()).then_some(FOLLOWED_LINES));
    follower.past(last, args.since.as_ref(), &mut |line| show(out, line))?;
    out.flush()?;
    while args.follow && is_read_for(LOOK) {
        follower.new_lines(&mut |line| show(out, line))?;
        out.flush()?;
    }
    Ok(())
}

/// Waits; false as soon as the reader of standard output is gone.
fn is_read_for(time: Duration) -> bool {
    let out = io::stdout();
    let mut end = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    let gone = poll(&mut end, time).is_ok_and(|count| count > 0);
    !gone
}
