//! The versions of group configuration and files that this member has had, with the time of each, for operators. No
//! decision may rest on them.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use prost::Message as _;

use crate::model::error::DecodeError;
use crate::model::id::{FileName, MemberId};
use crate::model::limits::HISTORY_MAX;
use crate::model::mutant::mutated;
use crate::model::rumor::{KeyParts, RumorKey, RumorKind, Version};
use crate::model::time::UnixTime;
use crate::wire::convert::{id_from_wire, id_to_wire};
use crate::wire::proto;

/// One version that was in effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its number. One that won against another body of the same number is an entry of its own.
    pub version: u64,
    /// When this member took it in.
    pub at: UnixTime,
    /// Which member took it from an operator.
    pub writer: Option<MemberId>,
    /// Its size.
    pub bytes: u64,
    /// [`Version::hash_of`] its body.
    pub hash: u64,
}

/// The latest versions of each group's configuration and files, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    of: BTreeMap<RumorKey, VecDeque<HistoryEntry>>,
}

impl History {
    /// The history that the disk holds.
    pub(crate) fn new(restored: Vec<(RumorKey, Vec<HistoryEntry>)>) -> Self {
        let entries = |entries: Vec<HistoryEntry>| entries.into_iter().take(HISTORY_MAX).collect();
        Self { of: restored.into_iter().map(|(key, of)| (key, entries(of))).collect() }
    }

    /// Notes the version that is in effect from now on.
    pub(crate) fn record(&mut self, wall: UnixTime, key: &RumorKey, version: &Version) {
        let entries = self.of.entry(key.clone()).or_default();
        let entry = HistoryEntry {
            version: version.number,
            at: wall,
            writer: version.writer,
            bytes: version.body.len() as u64,
            hash: version.hash(),
        };
        let is_last = |last: &HistoryEntry| {
            last.version == entry.version && mutated!(WinnerNotRemembered, last.hash == entry.hash, true)
        };
        if !entries.back().is_some_and(is_last) {
            entries.push_back(entry);
        }
        while entries.len() > HISTORY_MAX {
            entries.pop_front();
        }
        assert!(!entries.is_empty() && entries.len() <= HISTORY_MAX, "so many versions are remembered");
        assert!(
            entries.back().is_some_and(|last| last.version == version.number),
            "the version in effect is the last"
        );
    }

    /// The versions of one configuration or file, oldest first.
    pub(crate) fn of(&self, key: &RumorKey) -> Vec<HistoryEntry> {
        self.of.get(key).map(|entries| entries.iter().cloned().collect()).unwrap_or_default()
    }

    /// The same of one configuration or file alone.
    pub(crate) fn clone_of(&self, key: &RumorKey) -> Self {
        let entries = self.of.get(key).map(|entries| (key.clone(), entries.clone()));
        let alone = Self { of: entries.into_iter().collect() };
        assert!(alone.of.len() <= 1, "one configuration or file is taken out alone");
        alone
    }

    /// The row's value of one configuration or file; none for a rumor without history.
    pub(crate) fn encode(&self, key: &RumorKey) -> Option<Vec<u8>> {
        let entries = self.of.get(key)?;
        let parts = key.parts();
        let service_group = parts.group?.to_string();
        let file = mutated!(FileUnnamed, parts.file, None);
        let filename = file.map(ToString::to_string).unwrap_or_default();
        assert!(entries.len() <= HISTORY_MAX, "so many versions are remembered");
        let entries = entries.iter().map(|e| proto::HistoryEntry {
            version: e.version,
            at_ms: e.at.as_millis(),
            writer: e.writer.as_ref().map(id_to_wire).unwrap_or_default(),
            bytes: e.bytes,
            hash: e.hash,
        });
        Some(proto::History { service_group, filename, entries: entries.collect() }.encode_to_vec())
    }
}

/// Reads [`History::encode`] back: the row's key tells the kind, its value the parts.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<(RumorKey, Vec<HistoryEntry>), DecodeError> {
    let row = proto::History::decode(value).map_err(|_| DecodeError::Protobuf)?;
    let kind = RumorKind::of_encoded(key).ok_or(DecodeError::Invalid("rumor type"))?;
    let group = row.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
    let file: Option<FileName> = match row.filename.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|_| DecodeError::Invalid("filename"))?),
    };
    let parts = KeyParts { group: Some(&group), file: file.as_ref(), ..KeyParts::default() };
    let key = RumorKey::from_parts(kind, parts).ok_or(DecodeError::Invalid("history key"))?;
    let entry = |e: &proto::HistoryEntry| {
        let writer = if e.writer.is_empty() { None } else { Some(id_from_wire(&e.writer, "writer")?) };
        let at = UnixTime::from_millis(e.at_ms);
        Ok(HistoryEntry { version: e.version, at, writer, bytes: e.bytes, hash: e.hash })
    };
    let entries: Result<Vec<HistoryEntry>, DecodeError> = row.entries.iter().map(entry).collect();
    Ok((key, entries?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_versions_stay_and_survive_the_disk() {
        let key = RumorKey::ServiceConfig("redis.prod".parse().expect("valid"));
        let writer = Some(MemberId::from_bytes([3; 16]));
        let mut history = History::default();
        for n in 1..=HISTORY_MAX as u64 + 2 {
            let version = Version::new(n, alloc::vec![b'#'; n as usize], writer);
            for _ in 0..2 {
                history.record(UnixTime::from_millis(1_000 + n), &key, &version);
            }
        }
        let kept = history.of(&key);
        let numbers: Vec<u64> = kept.iter().map(|e| e.version).collect();
        assert_eq!(
            numbers,
            (3..=HISTORY_MAX as u64 + 2).collect::<Vec<_>>(),
            "each once, the oldest forgotten"
        );
        assert_eq!((kept[0].bytes, kept[0].at, kept[0].writer), (3, UnixTime::from_millis(1_003), writer));
        let row = history.encode(&key).expect("it has a history");
        assert_eq!(decode(&key.encode(), &row), Ok((key, kept)));
    }

    #[test]
    fn a_body_that_won_against_another_one_of_its_number_is_an_entry_of_its_own() {
        let file = "users.acl".parse().expect("a valid name");
        let key = RumorKey::given("redis.prod".parse().expect("valid"), Some(file));
        let mut history = History::default();
        for (at_ms, body) in [(1, &b"first"[..]), (2, b"won"), (3, b"won")] {
            let version = Version::new(4, body.to_vec(), None);
            history.record(UnixTime::from_millis(at_ms), &key, &version);
        }
        let kept = history.of(&key);
        let (numbers, hashes): (Vec<u64>, Vec<u64>) = kept.iter().map(|e| (e.version, e.hash)).unzip();
        assert_eq!((numbers, kept[1].at), (alloc::vec![4, 4], UnixTime::from_millis(2)));
        assert_ne!(hashes[0], hashes[1]);
        let row = history.encode(&key).expect("it has a history");
        assert_eq!(decode(&key.encode(), &row), Ok((key, kept)), "the row names the file");
    }
}
