//! The configuration and files that operators gave a group, as the census shows them. Their contents are left out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::model::id::{FileName, MemberId};
use crate::model::rumor::Version;

/// A group's configuration and files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CensusVersions {
    /// Its configuration.
    pub config: Option<CensusVersion>,
    /// Its files.
    pub files: BTreeMap<FileName, CensusVersion>,
    /// Its sealed configuration, whose size and hash are those of the box.
    pub sealed_config: Option<CensusVersion>,
    /// Its sealed files.
    pub sealed_files: BTreeMap<FileName, CensusVersion>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CensusVersion {
    /// Its number.
    pub incarnation: u64,
    /// Which member took it from an operator.
    pub writer: Option<MemberId>,
    /// Its size.
    pub bytes: usize,
    /// [`Version::hash_of`] its content.
    pub hash: u64,
    /// Members that answered for another content under this number, which is not in effect. Empty: no conflict.
    pub losers: Vec<MemberId>,
}

impl CensusVersions {
    /// Notes a configuration or a file that operators gave the group.
    pub(super) fn add(&mut self, file: Option<&FileName>, version: &Version, is_sealed: bool) {
        let version = CensusVersion::new(version);
        let (config, files) = match is_sealed {
            true => (&mut self.sealed_config, &mut self.sealed_files),
            false => (&mut self.config, &mut self.files),
        };
        match file {
            Some(name) => {
                files.insert(name.clone(), version);
            }
            None => *config = Some(version),
        }
    }
}

impl CensusVersion {
    fn new(version: &Version) -> Self {
        Self {
            incarnation: version.number,
            writer: version.writer,
            bytes: version.body.len(),
            hash: version.hash(),
            losers: version.losers().filter_map(|loser| loser.writer).collect(),
        }
    }
}
