//! What a launcher tells a guard, and a guard its launcher: notes of one length, each a message of a socket that keeps
//! their borders. Descriptors come beside a note.

/// Bytes of a note.
pub(super) const NOTE_BYTES: usize = 32;

/// An order to a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Start a program: its block, output, errors and the pipe for a failure come beside.
    Start {
        /// A number for it, which is not given twice.
        id: u64,
        /// Which further descriptors come beside: the file by which a process joins a control group, …
        joins: bool,
        /// … and the one by which all that is in it is killed.
        kills: bool,
        /// For a hook, its deadline in milliseconds since boot; none for the service's first process.
        deadline_ms: Option<u64>,
    },
    /// Signal the process group of the service's first process, unless that one has been waited for.
    Signal {
        /// The signal's number.
        number: i32,
    },
    /// Kill everything.
    Kill,
    /// Kill a hook and all that it started.
    EndHook {
        /// Its number.
        id: u64,
    },
    /// The same for every hook.
    EndHooks,
}

/// News from a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A process was made, which becomes the program or says into its pipe why not. For a hook it is the hook's own
    /// guard.
    Started { id: u64, pid: i32 },
    /// No process could be made.
    Refused { id: u64, errno: i32 },
    /// A hook has ended, and all that it started.
    HookEnded { id: u64, status: i32, timed_out: bool },
    /// The deadline has passed: everything is killed.
    Expired,
    /// No process is left, after so many orders to start one.
    Empty { starts: u64 },
}

/// In place of a deadline: none.
const NONE: u64 = u64::MAX;

impl Order {
    pub(super) fn encode(self) -> [u8; NOTE_BYTES] {
        note(match self {
            Self::Start { id, joins, kills, deadline_ms } => {
                let flags = u64::from(joins) | u64::from(kills) << 1;
                [1, id, flags, deadline_ms.map_or(NONE, |at| at.min(NONE - 1))]
            }
            Self::Kill => [2, 0, 0, 0],
            Self::EndHook { id } => [3, id, 0, 0],
            Self::EndHooks => [4, 0, 0, 0],
            Self::Signal { number } => [5, u64::from(number as u32), 0, 0],
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(match words(bytes)? {
            [1, id, flags, deadline] => Self::Start {
                id,
                joins: flags & 1 != 0,
                kills: flags & 2 != 0,
                deadline_ms: (deadline != NONE).then_some(deadline),
            },
            [2, ..] => Self::Kill,
            [3, id, ..] => Self::EndHook { id },
            [4, ..] => Self::EndHooks,
            [5, number, ..] => Self::Signal { number: number as u32 as i32 },
            _ => return None,
        })
    }
}

impl News {
    pub(super) fn encode(self) -> [u8; NOTE_BYTES] {
        let word = |number: i32| u64::from(number as u32);
        note(match self {
            Self::Started { id, pid } => [1, id, word(pid), 0],
            Self::Refused { id, errno } => [2, id, word(errno), 0],
            Self::HookEnded { id, status, timed_out } => [3, id, word(status), timed_out.into()],
            Self::Expired => [4, 0, 0, 0],
            Self::Empty { starts } => [5, starts, 0, 0],
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |word: u64| word as u32 as i32;
        Some(match words(bytes)? {
            [1, id, pid, _] => Self::Started { id, pid: number(pid) },
            [2, id, errno, _] => Self::Refused { id, errno: number(errno) },
            [3, id, status, late] => Self::HookEnded { id, status: number(status), timed_out: late != 0 },
            [4, ..] => Self::Expired,
            [5, starts, ..] => Self::Empty { starts },
            _ => return None,
        })
    }
}

fn note(words: [u64; 4]) -> [u8; NOTE_BYTES] {
    let mut bytes = [0; NOTE_BYTES];
    for (place, word) in bytes.chunks_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn words(bytes: &[u8]) -> Option<[u64; 4]> {
    let bytes: &[u8; NOTE_BYTES] = bytes.try_into().ok()?;
    let mut words = [0; 4];
    for (word, part) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(part.try_into().ok()?);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for order in [
            Order::Start { id: 7, joins: true, kills: false, deadline_ms: None },
            Order::Start { id: 8, joins: false, kills: true, deadline_ms: Some(12) },
            Order::Kill,
            Order::EndHook { id: 3 },
            Order::EndHooks,
            Order::Signal { number: 15 },
        ] {
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
        for news in [
            News::Started { id: 7, pid: 4_242 },
            News::Refused { id: 7, errno: 11 },
            News::HookEnded { id: 7, status: -1, timed_out: true },
            News::Expired,
            News::Empty { starts: 2 },
        ] {
            assert_eq!(News::decode(&news.encode()), Some(news));
        }
        assert_eq!(
            (Order::decode(&[0; 32]), News::decode(&[9; 32]), News::decode(&[1; 8])),
            (None, None, None)
        );
    }
}
