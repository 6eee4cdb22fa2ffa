//! A host's disk: rows that survive, rows that may not, and transactions on their way. It lives in memory and touches
//! no file.

use std::collections::BTreeMap;

use annulus_core::{EffectId, KeyedHash, Rng, Snapshot, SnapshotError, Table, Write};

/// The rows that a host's disk holds when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAfter {
    /// Everything that was synced.
    Kept,
    /// Nothing: the host comes back as a new member.
    Lost,
    /// The rows of the host's first start: an old backup was restored.
    Old,
}

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// The rows that a supervisor stored.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Survives everything.
    synced: Rows,
    /// Committed without a promise, in order; the next promise covers them.
    unsynced: Vec<Write>,
    /// Promised and not yet kept, in order.
    on_the_way: Vec<(EffectId, Vec<Write>)>,
    /// The rows on the disk once the first promise was kept: an old backup.
    backup: Option<Rows>,
    /// The member's key, which lies in a file of its own.
    key: Option<KeyedHash>,
    /// The key that the backup holds.
    backup_key: Option<KeyedHash>,
    /// How often a supervisor was started from this disk, and from the backup: in a file of its own, raised before the first
    /// message.
    boot: u32,
    backup_boot: u32,
}

impl Disk {
    /// The member's key; this one where the disk holds none.
    pub(crate) fn key_or(&mut self, new: [u8; 32]) -> KeyedHash {
        *self.key.get_or_insert(KeyedHash::new(new))
    }

    /// The number of a start.
    pub(crate) fn raise_boot(&mut self) -> u32 {
        self.boot += 1;
        self.boot
    }

    /// The number of the last start.
    pub(crate) const fn boot(&self) -> u32 {
        self.boot
    }

    /// Puts a key on the disk.
    pub(crate) fn put_key(&mut self, key: KeyedHash) {
        self.key = Some(key);
    }

    /// A transaction whose answer promises nothing.
    pub(crate) fn write_unsynced(&mut self, writes: Vec<Write>) {
        self.unsynced.extend(writes);
    }

    /// A transaction that will be kept when [`Self::sync_done`] is called.
    pub(crate) fn write_synced(&mut self, effect: EffectId, writes: Vec<Write>) {
        self.on_the_way.push((effect, writes));
    }

    /// The transaction survives from now on, and with it everything before it.
    pub(crate) fn sync_done(&mut self, effect: EffectId) {
        self.flush();
        // Transactions are committed in order, so a later promise keeps the earlier ones as well.
        while !self.on_the_way.is_empty() {
            let (done, writes) = self.on_the_way.remove(0);
            apply(&mut self.synced, writes);
            if done == effect {
                break;
            }
        }
        if self.backup.is_none() {
            self.backup = Some(self.synced.clone());
            self.backup_key = self.key;
            self.backup_boot = self.boot;
        }
    }

    /// Everything committed is written: what an orderly exit does.
    pub(crate) fn flush(&mut self) {
        apply(&mut self.synced, std::mem::take(&mut self.unsynced));
    }

    /// The supervisor ended without a word. Unpromised writes are gone; of the transactions on the way, chance
    /// decides how many are found complete.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let kept = rng.index(self.on_the_way.len() + 1);
        for (_, writes) in self.on_the_way.drain(..).take(kept) {
            apply(&mut self.synced, writes);
        }
        self.unsynced.clear();
    }

    /// The rows that a copy of the disk holds.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.synced.clone_from(&other.synced);
        self.key = other.key;
        self.boot = other.boot;
        self.unsynced.clear();
        self.on_the_way.clear();
    }

    /// The disk is replaced by an empty one. The old backup lies elsewhere and stays.
    pub(crate) fn lose(&mut self) {
        self.synced.clear();
        self.key = None;
        self.boot = 0;
    }

    /// The old backup is restored.
    pub(crate) fn restore_backup(&mut self) {
        self.synced = self.backup.clone().unwrap_or_default();
        self.key = self.backup_key;
        self.boot = self.backup_boot;
    }

    /// The snapshot that a node starts from; none on an empty disk.
    pub(crate) fn snapshot(&self) -> Result<Option<Snapshot>, SnapshotError> {
        Snapshot::decode(
            self.synced.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_slice())),
        )
    }
}

fn apply(rows: &mut Rows, writes: Vec<Write>) {
    for Write { table, key, value } in writes {
        match value {
            Some(value) => rows.insert((table, key), value),
            None => rows.remove(&(table, key)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: u8, value: Option<u8>) -> Vec<Write> {
        vec![Write { table: Table::Member, key: vec![key], value: value.map(|v| vec![v]) }]
    }

    fn keys(disk: &Disk) -> Vec<u8> {
        disk.synced.keys().map(|(_, key)| key[0]).collect()
    }

    #[test]
    fn a_crash_keeps_what_was_promised_and_no_more() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut disk = Disk::default();
        disk.write_unsynced(write(1, Some(1)));
        disk.write_synced(EffectId(1), write(2, Some(2)));
        disk.sync_done(EffectId(1));
        disk.write_unsynced(write(3, Some(3)));
        disk.crash(&mut rng);
        assert_eq!(keys(&disk), [1, 2]);
    }

    #[test]
    fn a_transaction_on_its_way_is_found_whole_or_not_at_all_and_in_order() {
        let mut counts = [0; 3];
        for seed in 0..60 {
            let mut disk = Disk::default();
            disk.write_synced(EffectId(1), write(1, Some(1)));
            disk.write_synced(EffectId(2), write(2, Some(2)));
            disk.crash(&mut Rng::from_seed([seed; 32]));
            let found = keys(&disk);
            assert!(found == [] as [u8; 0] || found == [1] || found == [1, 2], "{found:?}");
            counts[found.len()] += 1;
        }
        assert!(counts.iter().all(|c| *c > 5), "{counts:?}");
    }

    #[test]
    fn the_backup_is_what_the_first_start_left() {
        let mut disk = Disk::default();
        disk.write_synced(EffectId(1), write(1, Some(1)));
        disk.sync_done(EffectId(1));
        disk.write_synced(EffectId(2), write(2, Some(2)));
        disk.sync_done(EffectId(2));
        disk.write_unsynced(write(1, None));
        disk.flush();
        assert_eq!(keys(&disk), [2]);
        disk.restore_backup();
        assert_eq!(keys(&disk), [1]);
        disk.lose();
        assert!(keys(&disk).is_empty());
    }
}
