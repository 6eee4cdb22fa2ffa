//! A program with everything that it is started with, as one block of bytes in a file in memory: the launcher writes
//! it, and the process that becomes the program reads it without taking memory.
//!
//! ```text
//! words     [path] [dir] [arguments] [variables] [nofile soft, hard] [has owner, uid, gid] [groups, their bytes]
//!           [capabilities]
//! arrays    of offsets of texts, each with a zero at its end
//! texts     each with a zero byte at its end
//! ```

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::libc::rlim_t;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;

use crate::host::capabilities::Capabilities;
use crate::launcher::message::Owner;
use crate::launcher::sys;

/// Bytes of a word.
const WORD_BYTES: usize = 8;
/// Words at the beginning.
const HEAD_WORDS: usize = 12;

const PATH: usize = 0;
const DIR: usize = 1;
const ARGUMENTS: usize = 2;
const VARIABLES: usize = 3;
const NOFILE_SOFT: usize = 4;
const NOFILE_HARD: usize = 5;
const HAS_OWNER: usize = 6;
const UID: usize = 7;
const GID: usize = 8;
const GROUPS: usize = 9;
const GROUPS_BYTES: usize = 10;
const CAPABILITIES: usize = 11;

/// A program to start.
pub(crate) struct Program<'a> {
    /// Its path, absolute or from `dir`.
    pub(crate) path: &'a Path,
    /// Its working directory.
    pub(crate) dir: &'a Path,
    /// All its variables.
    pub(crate) env: Vec<Vec<u8>>,
    /// The user that it runs as; none for the launcher's own user.
    pub(crate) owner: Option<&'a Owner>,
    /// The capabilities that it keeps.
    pub(crate) capabilities: Capabilities,
    /// Limits of open files, soft and hard.
    pub(crate) nofile: (rlim_t, rlim_t),
}

impl Program<'_> {
    /// Writes the block.
    ///
    /// # Errors
    /// A text has a zero byte in it, or the system gives no memory.
    pub(crate) fn write(&self) -> std::io::Result<OwnedFd> {
        let path = self.path.as_os_str();
        let texts: Vec<&[u8]> = [path, self.dir.as_os_str()]
            .map(OsStr::as_bytes)
            .into_iter()
            .chain(self.env.iter().map(Vec::as_slice))
            .collect();
        if texts.iter().any(|text| text.contains(&0)) {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "a path or a variable has a zero byte in it",
            ));
        }
        let arguments_at = HEAD_WORDS * WORD_BYTES;
        let variables_at = arguments_at + 2 * WORD_BYTES;
        let groups_at = variables_at + (self.env.len() + 1) * WORD_BYTES;
        let groups: Vec<u8> =
            self.owner.iter().flat_map(|owner| &owner.groups).flat_map(|gid| gid.to_le_bytes()).collect();
        let mut at = groups_at + groups.len().next_multiple_of(WORD_BYTES);
        let mut offsets = Vec::with_capacity(texts.len());
        for text in &texts {
            offsets.push(at as u64);
            at += text.len() + 1;
        }
        let mut head = [0_u64; HEAD_WORDS];
        let (uid, gid) = self.owner.map_or((0, 0), |owner| (owner.uid, owner.gid));
        for (place, word) in [
            (PATH, offsets[0]),
            (DIR, offsets[1]),
            (ARGUMENTS, arguments_at as u64),
            (VARIABLES, variables_at as u64),
            (NOFILE_SOFT, self.nofile.0),
            (NOFILE_HARD, self.nofile.1),
            (HAS_OWNER, self.owner.is_some().into()),
            (UID, uid.into()),
            (GID, gid.into()),
            (GROUPS, groups_at as u64),
            (GROUPS_BYTES, groups.len() as u64),
            (CAPABILITIES, self.capabilities.bits()),
        ] {
            head[place] = word;
        }
        let words = head.iter().chain([&offsets[0], &0]).chain(&offsets[2..]).chain([&0]);
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend_from_slice(&groups);
        bytes.resize(groups_at + groups.len().next_multiple_of(WORD_BYTES), 0);
        for text in texts {
            bytes.extend_from_slice(text);
            bytes.push(0);
        }
        assert_eq!(bytes.len(), at, "a block is as long as its parts");
        let mut file = File::from(memfd_create(c"annulus-program", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&bytes)?;
        Ok(file.into())
    }
}

/// A block in the memory of the process that becomes its program.
pub(super) struct Block {
    bytes: &'static mut [u8],
}

impl Block {
    pub(super) fn open(file: impl AsFd) -> Result<Self, Errno> {
        let length = usize::try_from(fstat(file.as_fd())?.st_size).map_err(|_| Errno::EFAULT)?;
        Ok(Self { bytes: sys::map_copy(file, length)? })
    }

    fn word_at(&self, at: usize) -> u64 {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    fn word(&self, place: usize) -> u64 {
        self.word_at(place * WORD_BYTES)
    }

    fn offset(&self, place: usize) -> usize {
        usize::try_from(self.word(place)).unwrap_or(usize::MAX)
    }

    pub(super) fn dir(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(self.bytes.get(self.offset(DIR)..)?).ok()
    }

    pub(super) fn nofile(&self) -> (rlim_t, rlim_t) {
        (self.word(NOFILE_SOFT), self.word(NOFILE_HARD))
    }

    /// The capabilities that the program keeps.
    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities::from_bits(self.word(CAPABILITIES))
    }

    /// User, group and the bytes of all groups.
    pub(super) fn owner(&self) -> Option<(u32, u32, &[u8])> {
        if self.word(HAS_OWNER) == 0 {
            return None;
        }
        let (from, length) = (self.offset(GROUPS), self.offset(GROUPS_BYTES));
        let groups = self.bytes.get(from..from.checked_add(length)?)?;
        Some((self.word(UID) as u32, self.word(GID) as u32, groups))
    }

    /// Makes addresses of the offsets in the arrays; says where path, arguments and variables are.
    pub(super) fn link(&mut self) -> [usize; 3] {
        let base = self.bytes.as_ptr() as u64;
        for array in [ARGUMENTS, VARIABLES] {
            let mut at = self.offset(array);
            while let offset @ 1.. = self.word_at(at) {
                if let Some(place) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                    *place = (base + offset).to_ne_bytes();
                }
                at += WORD_BYTES;
            }
        }
        [PATH, ARGUMENTS, VARIABLES].map(|place| self.offset(place))
    }

    /// Becomes the program; only an error returns.
    pub(super) fn execute(&self, at: [usize; 3]) -> Errno {
        sys::execute(self.bytes, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_everything_about_its_program() {
        let owner = Owner { uid: 1_000, gid: 100, groups: vec![100, 7, 9] };
        let env = vec![b"A=1".to_vec(), b"B=two".to_vec()];
        let program = Program {
            path: Path::new("/bin/true"),
            dir: Path::new("/tmp"),
            env,
            owner: Some(&owner),
            capabilities: Capabilities::TO_SWITCH,
            nofile: (10, 20),
        };
        let mut block = Block::open(program.write().expect("written")).expect("read");
        assert_eq!(block.dir(), Some(c"/tmp"));
        assert_eq!(block.nofile(), (10, 20));
        assert_eq!(block.capabilities(), Capabilities::TO_SWITCH);
        let (uid, gid, groups) = block.owner().expect("an owner");
        assert_eq!((uid, gid, groups), (1_000, 100, &[100, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0][..]));
        let [path, arguments, variables] = block.link();
        assert_eq!(CStr::from_bytes_until_nul(&block.bytes[path..]), Ok(c"/bin/true"));
        let base = block.bytes.as_ptr() as u64;
        assert_eq!(block.word_at(arguments), base + path as u64);
        assert_eq!(block.word_at(arguments + 8), 0);
        let second = usize::try_from(block.word_at(variables + 8) - base).expect("an offset");
        assert_eq!(CStr::from_bytes_until_nul(&block.bytes[second..]), Ok(c"B=two"));
        assert_eq!(block.word_at(variables + 16), 0);
    }

    #[test]
    fn a_text_that_would_end_early_is_refused() {
        let env = vec![b"A=\0B".to_vec()];
        let program = Program {
            path: Path::new("/bin/true"),
            dir: Path::new("/"),
            env,
            owner: None,
            capabilities: Capabilities::NONE,
            nofile: (1, 1),
        };
        assert_eq!(program.write().expect_err("refused").kind(), std::io::ErrorKind::InvalidInput);
    }
}
