//! One run of a target, from which nothing escapes: a panic and memory beyond the bound become a [`Failure`].

use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::memory;
use crate::target::{Seen, Target};

/// Why an input fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The code panicked.
    Panic {
        /// File and line.
        place: String,
        /// What it said.
        message: String,
    },
    /// More memory was in use than the target allows.
    Memory {
        /// Bytes at the highest.
        bytes: usize,
        /// Bytes that are allowed.
        bound: usize,
    },
}

impl Failure {
    /// Whether both are one defect: a panic at the same place, or memory.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Panic { place: a, message: m }, Self::Panic { place: b, message: n }) => {
                // A statement about a ring is made in one place of the target: its first words tell defects apart.
                a == b && words(m) == words(n)
            }
            (Self::Memory { .. }, Self::Memory { .. }) => true,
            (Self::Panic { .. } | Self::Memory { .. }, _) => false,
        }
    }
}

/// The message without what differs from input to input: numbers, and everything after the first colon.
fn words(message: &str) -> String {
    let head = message.split(':').next().unwrap_or_default();
    head.chars().filter(|c| !c.is_ascii_digit()).take(48).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { place, message } => write!(f, "panic at {place}: {message}"),
            Self::Memory { bytes, bound } => write!(f, "{bytes} bytes of memory in use, {bound} are allowed"),
        }
    }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
            let payload = info.payload();
            let said = payload.downcast_ref::<&str>().copied();
            let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let said = said.unwrap_or("it said nothing").to_owned();
            LAST_PANIC.set(Some((place, said)));
        }));
    });
}

/// Runs a target on one input.
///
/// # Errors
/// How the input fails.
pub fn run(target: &Target, input: &[u8]) -> Result<Seen, Failure> {
    catch_quietly();
    let (ended, bytes) = memory::measured(|| panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    match ended {
        Ok(_) if bytes > target.memory_max => Err(Failure::Memory { bytes, bound: target.memory_max }),
        Ok(seen) => Ok(seen),
        Err(_) => {
            let (place, message) = LAST_PANIC.take().unwrap_or_default();
            Err(Failure::Panic { place, message })
        }
    }
}
