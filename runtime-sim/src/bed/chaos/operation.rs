//! A command of an operator, run beside everything else and ended when it takes too long.

use std::fmt;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::line::{Boot, boot};
use crate::bed::daemon::{Settings, inside};

/// An operator gives up after this.
const PATIENCE: Duration = Duration::from_secs(25);
const LOOK: Duration = Duration::from_millis(10);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// With this exit code and these words.
    Failed(i32, String),
    /// It was ended because it took too long.
    GivenUp,
}

impl Outcome {
    pub(crate) fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(code, why) => write!(f, "exit code {code}: {why}"),
            Self::GivenUp => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) host: String,
    pub(crate) words: Vec<String>,
    pub(crate) began: Boot,
    outcome: Receiver<Outcome>,
}

impl Operation {
    pub(crate) fn start(settings: &Settings, host: &str, words: &[String]) -> Self {
        let (tell, outcome) = mpsc::channel();
        let mut command = settings.command();
        command.args(words).stdout(Stdio::null()).stderr(Stdio::piped());
        let netns = settings.place.netns.clone();
        let began = boot();
        thread::spawn(move || {
            let outcome = match inside(netns.as_deref(), || command.spawn()) {
                Ok(child) => finish(child),
                Err(error) => Outcome::Failed(-1, error.to_string()),
            };
            let _ = tell.send(outcome);
        });
        Self { host: host.to_owned(), words: words.to_vec(), began, outcome }
    }

    /// How it ended; none while it runs.
    pub(crate) fn poll(&self) -> Option<Outcome> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Outcome::GivenUp),
        }
    }

    pub(crate) fn wait(self) -> Outcome {
        self.outcome.recv().unwrap_or(Outcome::GivenUp)
    }
}

fn finish(mut child: Child) -> Outcome {
    let begin = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begin.elapsed() < PATIENCE => thread::sleep(LOOK),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Outcome::GivenUp;
            }
        }
    };
    if status.success() {
        return Outcome::Done;
    }
    let mut why = String::new();
    if let Some(mut errors) = child.stderr.take() {
        let _ = errors.read_to_string(&mut why);
    }
    Outcome::Failed(status.code().unwrap_or(-1), why.trim().replace('\n', "; "))
}
