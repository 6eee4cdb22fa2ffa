//! The targets, one file for each. To add one: a file here with a `TARGET`, its module and its line in [`ALL`], a
//! `[[bin]]` of its name in `libfuzzer/Cargo.toml`, and `annulus-fuzz corpus` for its first inputs.

#[cfg(feature = "daemon")]
mod config;
#[cfg(feature = "daemon")]
mod ctl;
mod datagram;
mod frame;
#[cfg(feature = "daemon")]
mod hart;
#[cfg(feature = "daemon")]
mod join;
#[cfg(feature = "daemon")]
mod key_file;
#[cfg(feature = "daemon")]
mod launcher;
#[cfg(feature = "daemon")]
mod plan;
mod ring;
mod rows;
mod scenario;
#[cfg(feature = "daemon")]
mod spec;
#[cfg(feature = "daemon")]
mod template;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::mutate::Mutation;

/// What a target made of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The input got past the decoder.
    pub accepted: bool,
    /// Tells what was seen apart from other outcomes: an input with a new mark is kept and changed further.
    pub mark: u64,
}

impl Seen {
    /// The input was refused, for this reason.
    #[must_use]
    pub fn refused(why: &str) -> Self {
        // What messages quote, names and numbers, makes no outcomes of their own.
        let plain: String = why.split(['"', '`']).step_by(2).collect();
        let words: String = plain.chars().filter(|c| c.is_alphabetic() || *c == ' ').take(40).collect();
        Self { accepted: false, mark: hash(&words) }
    }

    /// The input was taken for this kind of thing.
    #[must_use]
    pub fn accepted(kind: &str, size: usize) -> Self {
        // Twice as many of something is another outcome; one more is not.
        Self {
            accepted: true,
            mark: hash(&format!("{kind} {}", size.checked_ilog2().map_or(0, |log| log + 1))),
        }
    }
}

/// The last line of a message that quotes its input before.
fn last_line(message: &str) -> &str {
    message.trim_end().rsplit('\n').next().unwrap_or(message)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Runs an input and says what happens, line by line.
pub type Tell = fn(&[u8], &mut dyn FnMut(String));

/// Something that reads bytes from outside.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is that of its file and of its folders of inputs.
    pub name: &'static str,
    /// What it reads, in a few words.
    pub about: &'static str,
    /// Reads an input. A panic is a failure.
    pub run: fn(&[u8]) -> Seen,
    /// How an input is changed.
    pub mutate: Mutation,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Tells the story of a run, where there is one.
    pub tell: Option<Tell>,
    /// Longest input that is tried, in bytes.
    pub bytes_max: usize,
    /// Memory that one run may take, in bytes.
    pub memory_max: usize,
}

/// Every target. Those of the daemon's own formats come with the feature `daemon`.
pub static ALL: &[Target] = &[
    ring::TARGET,
    ring::INSIDER,
    datagram::TARGET,
    frame::TARGET,
    rows::TARGET,
    scenario::TARGET,
    #[cfg(feature = "daemon")]
    hart::TARGET,
    #[cfg(feature = "daemon")]
    plan::TARGET,
    #[cfg(feature = "daemon")]
    spec::TARGET,
    #[cfg(feature = "daemon")]
    config::TARGET,
    #[cfg(feature = "daemon")]
    template::TARGET,
    #[cfg(feature = "daemon")]
    key_file::TARGET,
    #[cfg(feature = "daemon")]
    join::LINE,
    #[cfg(feature = "daemon")]
    join::HELLO,
    #[cfg(feature = "daemon")]
    ctl::TARGET,
    #[cfg(feature = "daemon")]
    launcher::REQUESTS,
    #[cfg(feature = "daemon")]
    launcher::MESSAGES,
];

const MIB: usize = 1024 * 1024;

/// The target of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_target_is_found_by_its_own() {
        let names: BTreeSet<&str> = ALL.iter().map(|target| target.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            assert_eq!(by_name(name).map(|target| target.name), Some(name));
        }
    }
}
