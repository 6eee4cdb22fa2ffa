//! The store of all rumors but the members' records, by key, with their digest. It joins, bounds and collects rumors;
//! it may not decide whether a rumor is believed.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::room::is_spent;
use super::shares::{Shares, Taken};
use crate::model::digest::{Digest, hash_bytes};
use crate::model::id::{MemberId, ServiceGroup};
use crate::model::identity::Vouch;
use crate::model::limits::{
    DATAGRAM_BYTES_MIN, OPAQUES_BYTES_MAX, OPAQUES_MAX, RUMORS_BYTES_MAX, RUMORS_MAX,
};
use crate::model::mutant::mutated;
use crate::model::rumor::{Rumor, RumorKey, RumorKind, ServiceRumor, Told};
use crate::model::time::Instant;
use crate::wire::{told_bytes, version_hash};

/// The outcome of offering a rumor to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The rumor was new and is kept.
    New,
    /// The store holds this rumor already.
    Known,
    /// The store's own rumor prevails; the sender lags behind.
    Stale,
    /// There is no room for it.
    Refused,
}

#[derive(Debug)]
pub(super) struct Entry {
    rumor: Rumor,
    /// The word of its author.
    pub(super) vouch: Option<Box<Vouch>>,
    /// It as it is told: the bytes that it was read from where they say more than this version reads, else its
    /// encoding where that is short.
    told: Option<Arc<[u8]>>,
    /// Whether it is told in the bytes that it was read from.
    is_verbatim: bool,
    /// The hash of these bytes, all of them.
    told_hash: u64,
    hashes: (u64, u64),
    /// Its size as it is told.
    told_len: usize,
    /// What it takes of the limit.
    pub(super) bytes: usize,
    /// Since when it is a tombstone; such entries are not in the digest, so that no member learns them anew.
    dead_since: Option<Instant>,
}

/// Rumors that travel by datagram are kept as they are told, beside what they say: each is told and heard many times.
const KEPT_BYTES_MAX: usize = DATAGRAM_BYTES_MIN;

/// Rumors by key.
#[derive(Debug, Default)]
pub(crate) struct RumorStore {
    pub(super) entries: BTreeMap<RumorKey, Entry>,
    /// The bytes of entries that are kept as they are told, by their hash.
    kept: BTreeMap<u64, Arc<[u8]>>,
    digest: Digest,
    /// How many there are of each kind.
    counts: BTreeMap<RumorKind, usize>,
    tombstones: usize,
    pub(super) bytes: usize,
    opaque_bytes: usize,
    /// Whose they are.
    pub(super) shares: Shares,
    /// Rumors of unknown kinds, and versions that were taken back, that had to make room for others, until the node takes
    /// the figure.
    pub(super) pushed_out: Vec<RumorKey>,
    /// Whether there have been more of them than there is room for, and it was said.
    overflowed: bool,
}

impl RumorStore {
    /// Joins a rumor into the store.
    pub(crate) fn insert(&mut self, now: Instant, told: &Told<'_>) -> Inserted {
        let key = told.rumor().key();
        assert!(key.kind() != RumorKind::Member, "members' records are kept by membership");
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.insert_unknown(now, key, told);
        };
        if entry.is(told) {
            return Inserted::Known;
        }
        let Some(new) = entry.joined(now, told) else { return Inserted::Stale };
        let (held, grown) = (entry.weight(), new.weight());
        let opaque_bytes = self.opaque_bytes - held.opaque_bytes() + grown.opaque_bytes();
        if self.bytes - held.bytes + grown.bytes > RUMORS_BYTES_MAX || opaque_bytes > OPAQUES_BYTES_MAX {
            return Inserted::Refused;
        }
        assert!(grown.hashes.0 == held.hashes.0, "a rumor stays under its key");
        let before = core::mem::replace(entry, new);
        let kept = entry.kept();
        self.forget_bytes(&before);
        self.keep_bytes(kept);
        self.count_out(held);
        self.count_in(grown);
        self.check();
        Inserted::New
    }

    fn insert_unknown(&mut self, now: Instant, key: RumorKey, told: &Told<'_>) -> Inserted {
        let entry = Entry::new(now, told.rumor().clone(), told.vouch(), told.bytes());
        let kind = key.kind();
        if !self.make_room_for_given(&key, &entry) || !self.make_room_for_opaque(&key, &entry) {
            return Inserted::Refused;
        }
        while !kind.room().is_own && self.is_full_for(&entry) {
            if !self.drop_one_tombstone() {
                return Inserted::Refused;
            }
        }
        *self.counts.entry(kind).or_default() += 1;
        self.count_in(entry.weight());
        self.keep_bytes(entry.kept());
        let before = self.entries.insert(key, entry);
        assert!(before.is_none(), "an unknown rumor was not held");
        self.check();
        Inserted::New
    }

    /// The counters stay within their limits.
    fn check(&self) {
        let fits = |(kind, count): (&RumorKind, &usize)| {
            kind.room().in_ring.is_none_or(|bound| *count <= bound.max * kind.room().times())
        };
        assert!(self.counts.iter().all(fits), "a kind with a limit is within it");
        assert!(self.entries.len() - self.count_apart() <= RUMORS_MAX, "rumors have a limit");
        assert!(
            self.tombstones + self.digest.records() as usize == self.entries.len(),
            "a rumor lives or is gone"
        );
        assert!(self.counts.values().sum::<usize>() == self.entries.len(), "kinds are parts of the whole");
        let opaques = self.count(RumorKind::Opaque);
        assert!(
            opaques <= OPAQUES_MAX && self.opaque_bytes <= OPAQUES_BYTES_MAX,
            "what is not understood has a limit"
        );
    }

    /// What is not understood makes room among its like: the greatest keys go, or do not come in.
    fn make_room_for_opaque(&mut self, key: &RumorKey, entry: &Entry) -> bool {
        if key.kind() != RumorKind::Opaque {
            return true;
        }
        assert!(entry.bytes <= OPAQUES_BYTES_MAX, "one that is read fits where nothing else is");
        while self.count(RumorKind::Opaque) >= OPAQUES_MAX
            || self.opaque_bytes + entry.bytes > OPAQUES_BYTES_MAX
        {
            let greatest = self.entries.last_key_value().map(|(key, _)| key.clone());
            let greatest = greatest.filter(|greatest| greatest > key);
            let Some(greatest) = greatest else { return false };
            assert!(greatest.kind() == RumorKind::Opaque, "keys of opaque rumors are the last in order");
            self.take_out(&greatest);
            self.pushed_out.push(greatest);
        }
        true
    }

    /// Which rumors had to make room since this was asked last.
    pub(crate) fn take_pushed_out(&mut self) -> Vec<RumorKey> {
        core::mem::take(&mut self.pushed_out)
    }

    /// Whether it is news that there is no room for more of what is not understood: not again before half of it is gone.
    pub(crate) const fn overflow_is_news(&mut self) -> bool {
        let is_news = !self.overflowed;
        self.overflowed = true;
        is_news
    }

    /// How many rumors of this kind there are.
    pub(crate) fn count(&self, kind: RumorKind) -> usize {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// How many rumors there are that take no room from the others.
    fn count_apart(&self) -> usize {
        self.counts.iter().filter(|(kind, _)| kind.room().is_own).map(|(_, count)| count).sum()
    }

    /// The rumors of one kind about one group, in order of key.
    pub(crate) fn of_kind<'a>(
        &'a self,
        kind: RumorKind,
        group: &ServiceGroup,
    ) -> impl Iterator<Item = &'a Rumor> + use<'a> {
        self.entries_of(kind, group).map(|(_, entry)| &entry.rumor)
    }

    pub(super) fn entries_of<'a>(
        &'a self,
        kind: RumorKind,
        group: &ServiceGroup,
    ) -> impl Iterator<Item = (&'a RumorKey, &'a Entry)> + use<'a> {
        let first = RumorKey::first_of(kind, group);
        let following = first.into_iter().flat_map(|first| self.entries.range(first..));
        let group = group.clone();
        following.take_while(move |(key, _)| key.kind() == kind && key.group() == Some(&group))
    }

    fn is_full_for(&self, entry: &Entry) -> bool {
        self.entries.len() - self.count_apart() >= RUMORS_MAX || self.bytes + entry.bytes > RUMORS_BYTES_MAX
    }

    fn count_in(&mut self, held: Weight) {
        self.bytes += held.bytes;
        self.opaque_bytes += held.opaque_bytes();
        held.taken.into_iter().for_each(|taken| self.shares.count_in(taken));
        if held.dead {
            self.tombstones += 1;
        } else {
            self.digest.add(held.hashes.0, held.hashes.1);
        }
    }

    fn count_out(&mut self, held: Weight) {
        assert!(self.bytes >= held.bytes, "a rumor that is taken out was counted in");
        self.bytes -= held.bytes;
        self.opaque_bytes -= held.opaque_bytes();
        held.taken.into_iter().for_each(|taken| self.shares.count_out(taken));
        self.overflowed &=
            self.count(RumorKind::Opaque) > OPAQUES_MAX / 2 || self.opaque_bytes > OPAQUES_BYTES_MAX / 2;
        if held.dead {
            assert!(self.tombstones > 0, "a tombstone that is taken out was taken in");
            self.tombstones -= 1;
        } else {
            self.digest.remove(held.hashes.0, held.hashes.1);
        }
    }

    pub(super) fn take_out(&mut self, key: &RumorKey) -> bool {
        assert!(!key.kind().room().is_own, "rumors with room of their own are never taken out");
        let Some(entry) = self.entries.remove(key) else { return false };
        self.forget_bytes(&entry);
        self.count_out(entry.weight());
        let count = self.counts.get_mut(&key.kind()).expect("a rumor that is taken out was counted in");
        assert!(*count > 0, "no more is taken out than was put in");
        *count -= 1;
        true
    }

    /// Two rumors whose bytes have one hash share a place: the later one has it, and the other one is read each time.
    fn keep_bytes(&mut self, kept: Option<(u64, Arc<[u8]>)>) {
        self.kept.extend(kept);
    }

    fn forget_bytes(&mut self, entry: &Entry) {
        self.kept.remove(&entry.told_hash);
    }

    /// Whether a rumor is held that is told in exactly these bytes, so that to hear it changes nothing.
    pub(crate) fn knows(&self, bytes: &[u8]) -> bool {
        self.kept.get(&hash_bytes(bytes)).is_some_and(|kept| **kept == *bytes)
    }

    /// Makes room at the expense of the oldest tombstone, which others still hold.
    fn drop_one_tombstone(&mut self) -> bool {
        let oldest = self
            .entries
            .iter()
            .filter_map(|(key, entry)| entry.dead_since.map(|since| (since, key)))
            .min_by_key(|(since, _)| {
                mutated!(NewestTombstoneFirst, *since, Instant::from_nanos(u64::MAX - since.as_nanos()))
            })
            .map(|(_, key)| key.clone());
        oldest.is_some_and(|key| self.take_out(&key))
    }

    pub(crate) fn get(&self, key: &RumorKey) -> Option<&Rumor> {
        self.entries.get(key).map(|entry| &entry.rumor)
    }

    /// The facts that services may know of one group.
    pub(crate) fn facts_of<'a>(&'a self, group: &ServiceGroup) -> impl Iterator<Item = &'a Rumor> + use<'a> {
        let group = group.clone();
        let kinds = RumorKind::ALL.into_iter().filter(|kind| kind.is_fact());
        kinds.flat_map(move |kind| self.of_kind(kind, &group))
    }

    /// A rumor as it is told and stored: with what this version does not read of it.
    pub(crate) fn told(&self, key: &RumorKey) -> Option<Vec<u8>> {
        self.entries.get(key).map(Entry::told)
    }

    /// The word that is held for it.
    pub(crate) fn vouch(&self, key: &RumorKey) -> Option<&Vouch> {
        self.entries.get(key).and_then(|entry| entry.vouch.as_deref())
    }

    /// How long it is then.
    pub(crate) fn told_len(&self, key: &RumorKey) -> Option<usize> {
        self.entries.get(key).map(|entry| entry.told_len)
    }

    /// Whether exactly this is held, down to what this version does not read of it.
    pub(crate) fn holds(&self, told: &Told<'_>) -> bool {
        self.entries.get(&told.rumor().key()).is_some_and(|entry| entry.is(told))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rumor> {
        self.entries.values().map(|entry| &entry.rumor)
    }

    /// The statements about a group's services, withdrawn ones included.
    pub(crate) fn services_of<'a>(
        &'a self,
        group: &ServiceGroup,
    ) -> impl Iterator<Item = &'a ServiceRumor> + use<'a> {
        let told = self.of_kind(RumorKind::Service, group);
        told.filter_map(|rumor| if let Rumor::Service(told) = rumor { Some(told) } else { None })
    }

    /// What holds of the store's own books, whatever happens.
    pub(crate) fn check_invariants(&self) {
        let opaque = self.entries.values().filter(|entry| matches!(entry.rumor, Rumor::Opaque(_)));
        let (count, bytes) = opaque.fold((0, 0), |(n, bytes), entry| (n + 1, bytes + entry.bytes));
        assert!(
            (self.count(RumorKind::Opaque), self.opaque_bytes) == (count, bytes),
            "opaque rumors are counted"
        );
        assert!(count <= OPAQUES_MAX && bytes <= OPAQUES_BYTES_MAX, "more opaque rumors than the limit");
        assert!(self.bytes <= RUMORS_BYTES_MAX, "more bytes of rumors than the limit");
        assert!(self.pushed_out.is_empty(), "who was pushed out is forgotten everywhere");
        let held: BTreeMap<u64, &[u8]> = self
            .entries
            .values()
            .filter_map(|entry| Some((entry.told_hash, entry.told.as_deref()?)))
            .collect();
        let is_held = |(hash, kept): (&u64, &Arc<[u8]>)| held.get(hash).is_some_and(|told| **told == **kept);
        assert!(self.kept.iter().all(is_held), "bytes are kept of rumors that are held");
    }

    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Key hash and version hash of all entries that digests cover.
    pub(crate) fn digested(&self) -> impl Iterator<Item = (u64, u64)> {
        self.entries.values().filter(|entry| entry.dead_since.is_none()).map(|entry| entry.hashes)
    }

    /// Those of them whose key hash is wanted, as they are told.
    pub(crate) fn told_where(&self, is_wanted: impl Fn(u64) -> bool) -> impl Iterator<Item = Vec<u8>> {
        let living = self
            .entries
            .values()
            .filter(|entry| mutated!(TombstoneInDigest, entry.dead_since.is_none(), true));
        living.filter(move |entry| is_wanted(entry.hashes.0)).map(Entry::told)
    }

    /// Key hash of all entries that digests leave out, and the rumor as it is told.
    pub(crate) fn tombstones(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let dead = self
            .entries
            .values()
            .filter(|entry| mutated!(TombstonesNotTold, entry.dead_since.is_some(), false));
        dead.map(|entry| (entry.hashes.0, entry.told()))
    }

    /// Forgets tombstones older than `age`; returns their keys.
    pub(crate) fn collect(&mut self, now: Instant, age: Duration) -> Vec<RumorKey> {
        let old = |entry: &Entry| entry.dead_since.is_some_and(|since| since + age <= now);
        let keys: Vec<RumorKey> =
            self.entries.iter().filter(|(_, e)| old(e)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.take_out(key);
        }
        self.check();
        assert!(keys.is_empty() || now >= Instant::ZERO + age, "only old tombstones are forgotten");
        keys
    }

    /// Forgets rumors that only a departed owner could have changed; returns the keys.
    pub(crate) fn forget_owned_by(&mut self, owner: &MemberId) -> Vec<RumorKey> {
        assert!(self.entries.len() >= self.tombstones, "tombstones are entries too");
        let owned = |entry: &Entry| mutated!(OwnedByNone, entry.rumor.owner().as_ref() == Some(owner), false);
        let keys: Vec<RumorKey> =
            self.entries.iter().filter(|(_, e)| owned(e)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.take_out(key);
        }
        self.check();
        keys
    }

    /// Forgets one rumor. False where it was not held.
    pub(crate) fn forget(&mut self, key: &RumorKey) -> bool {
        let was_held = self.take_out(key);
        self.check();
        was_held
    }

    /// Whether a tombstone waits to be collected.
    pub(crate) fn has_tombstones(&self) -> bool {
        self.tombstones > 0
    }
}

/// What an entry counts for.
#[derive(Clone, Copy, Debug)]
struct Weight {
    hashes: (u64, u64),
    bytes: usize,
    dead: bool,
    opaque: bool,
    /// What it takes of its author's share, where it has a bound.
    taken: Option<Taken>,
}

impl Weight {
    const fn opaque_bytes(self) -> usize {
        if self.opaque { self.bytes } else { 0 }
    }
}

impl Entry {
    fn new(now: Instant, rumor: Rumor, vouch: Option<&Vouch>, bytes: Option<&[u8]>) -> Self {
        let dead_since = rumor.is_tombstone().then_some(now);
        let encoded = told_bytes(&rumor, vouch);
        assert!(!encoded.is_empty(), "a rumor says something");
        let verbatim = bytes.filter(|bytes| **bytes != *encoded);
        let told: &[u8] = verbatim.unwrap_or(&encoded);
        let hashes = (rumor.key().hash(), version_hash(told));
        let (told_len, told_hash, is_verbatim) = (told.len(), hash_bytes(told), verbatim.is_some());
        let bytes = encoded.len() + verbatim.map_or(0, <[u8]>::len);
        let told = (is_verbatim || told_len <= KEPT_BYTES_MAX).then(|| Arc::from(told));
        assert!(told_len > 0 && bytes >= encoded.len(), "what is kept is counted");
        let vouch = vouch.copied().map(Box::new);
        Self { rumor, vouch, told, is_verbatim, told_hash, hashes, told_len, bytes, dead_since }
    }

    /// The bytes that it was read from, where they say more than this version reads.
    fn verbatim(&self) -> Option<&[u8]> {
        self.told.as_deref().filter(|_| self.is_verbatim)
    }

    /// What is kept of it as it is told, with its hash.
    fn kept(&self) -> Option<(u64, Arc<[u8]>)> {
        let short = self.told.clone().filter(|_| self.told_len <= KEPT_BYTES_MAX);
        short.map(|told| (self.told_hash, told))
    }

    /// Whether it is exactly what was told. Whose word is held for it makes no difference, as long as there is one.
    fn is(&self, told: &Told<'_>) -> bool {
        if self.rumor != *told.rumor() || (self.vouch.is_none() && told.vouch().is_some()) {
            return false;
        }
        match (self.verbatim(), told.bytes()) {
            (None, None) => true,
            (Some(_), None) => false,
            // What says the same in other bytes carries something that this version does not read.
            (_, Some(bytes)) => match &self.told {
                Some(told) if **told == *bytes => true,
                Some(_) | None => version_hash(bytes) == self.hashes.1,
            },
        }
    }

    /// It with what was told; none when that changes nothing. Bytes belong to what exactly they say: they stay with the
    /// side that prevails, the greater ones where both say the same, and what the join composes anew has none.
    fn joined(&self, now: Instant, told: &Told<'_>) -> Option<Self> {
        let rumor = told.rumor();
        if self.rumor == *rumor {
            let theirs = Self::new(now, rumor.clone(), told.vouch(), told.bytes());
            let is_first_word = self.vouch.is_none() && theirs.vouch.is_some();
            let prevails = is_first_word || theirs.verbatim() > self.verbatim();
            return prevails.then(|| {
                let dead_since = mutated!(TombstoneYoungAgain, self.dead_since, theirs.dead_since);
                Self { dead_since, ..theirs }
            });
        }
        let mut join = self.rumor.clone();
        if !join.merge(rumor) {
            return None;
        }
        let is_theirs = join == *rumor;
        let bytes = told.bytes().filter(|_| is_theirs);
        // The word for a body goes with it, whatever else the join notes beside.
        let proof = join.version().map(|version| version.proof().map(|proof| proof.vouch));
        let vouch = proof.unwrap_or_else(|| told.vouch().copied());
        assert!(is_theirs || proof.is_some(), "of what is told as a whole one side prevails");
        Some(Self::new(now, join, vouch.as_ref(), bytes))
    }

    fn told(&self) -> Vec<u8> {
        let encode = || told_bytes(&self.rumor, self.vouch.as_deref());
        self.told.as_ref().map_or_else(encode, |bytes| bytes.to_vec())
    }

    pub(super) fn is_spent(&self) -> bool {
        is_spent(&self.rumor)
    }

    fn weight(&self) -> Weight {
        let kind = self.rumor.key().kind();
        let is_bounded = kind.room().in_ring.is_some() && !self.is_spent();
        let by = self.vouch.as_ref().map(|vouch| vouch.key);
        let bytes = if self.rumor.version().is_some() { self.bytes } else { 0 };
        Weight {
            hashes: self.hashes,
            bytes: self.bytes,
            dead: self.dead_since.is_some(),
            opaque: matches!(self.rumor, Rumor::Opaque(_)),
            taken: is_bounded.then_some(Taken { kind, by, bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::SysInfo;
    use crate::model::id::Incarnation;
    use crate::model::identity::{KeyedHash, PublicKey, Sign as _};
    use crate::model::limits::{
        GROUP_BYTES_BY_ONE_MAX, GROUP_BYTES_MAX, Limit, RUMOR_BYTES_MAX, SERVICE_CONFIGS_BY_ONE_MAX,
        SERVICE_CONFIGS_MAX,
    };
    use crate::model::rumor::Proof;
    use crate::model::rumor::ServiceRumor;
    use crate::model::rumor::tests::any_trio;
    use crate::model::statement::{Author, Statement};
    use alloc::collections::BTreeSet;
    use alloc::vec;
    use proptest::prelude::*;

    /// A rumor as a later version tells it: with a field that this one does not know.
    fn with_more(rumor: &Rumor, more: &[u8]) -> Vec<u8> {
        let mut bytes = rumor.encode();
        if !more.is_empty() {
            prost::encoding::bytes::encode(150, &more.to_vec(), &mut bytes);
        }
        bytes
    }

    fn held(store: &RumorStore) -> (Digest, Vec<Vec<u8>>) {
        store.check_invariants();
        (store.digest().clone(), store.entries.values().map(Entry::told).collect())
    }

    proptest! {
        /// Commutative, associative and idempotent, with what this version does not understand of it.
        #[test]
        fn in_whatever_order_rumors_are_heard_the_same_is_held(
            trio in any_trio(),
            more in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2), 3),
        ) {
            prop_assume!(trio[0].key().kind() != RumorKind::Member);
            let told: Vec<Vec<u8>> = trio.iter().zip(&more).map(|(r, more)| with_more(r, more)).collect();
            let heard = |order: &[usize]| {
                let mut store = RumorStore::default();
                for n in order {
                    store.insert(Instant::from_millis(1), &Told::decode(&told[*n]).expect("a rumor"));
                }
                // A member that hears all of it from this one holds the same as if it had heard it from each.
                let mut other = RumorStore::default();
                for bytes in held(&store).1 {
                    other.insert(Instant::from_millis(2), &Told::decode(&bytes).expect("a rumor"));
                }
                assert_eq!(held(&store), held(&other));
                held(&store)
            };
            let first = heard(&[0, 1, 2]);
            for order in [&[2, 1, 0][..], &[1, 0, 2], &[2, 0, 1, 1, 0, 2], &[0, 0, 1, 2, 2, 1]] {
                prop_assert_eq!(&heard(order), &first);
            }
        }
    }

    proptest! {
        /// However statements of one subject meet on their way, what any member tells on has its author's word, and that
        /// word is for just what is told on.
        #[test]
        fn what_is_relayed_is_vouched_for_at_every_hop(
            trio in any_trio(),
            more in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2), 3),
            hops in proptest::collection::vec((0_usize..3, any::<bool>()), 1..8),
        ) {
            // What names no author is believed by none.
            prop_assume!(trio.iter().all(|r| matches!(r.author(), Author::Only(_) | Author::Any)));
            let signer = KeyedHash::new([7; 32]);
            let signed: Vec<Vec<u8>> = trio.iter().zip(&more).map(|(rumor, more)| {
                let plain = Told::decode(&with_more(rumor, more)).expect("a rumor").into_owned();
                let content = content_of(&plain, &signer);
                let word = Statement::new(&rumor.key(), rumor.number(), content).vouch(&signer);
                let mut bytes = with_more(rumor, more);
                prost::encoding::bytes::encode(200, &word.to_bytes().to_vec(), &mut bytes);
                bytes
            }).collect();
            let mut store = RumorStore::default();
            for (n, is_next) in hops {
                // The next member hears what this one tells, and one statement from elsewhere.
                let told: Vec<Vec<u8>> = store.entries.values().map(Entry::told).collect();
                if is_next {
                    store = RumorStore::default();
                }
                for bytes in told.iter().chain([&signed[n]]) {
                    store.insert(Instant::from_millis(1), &believed(bytes, &signer));
                }
                for entry in store.entries.values() {
                    let bytes = entry.told();
                    let told = Told::decode(&bytes).expect("what is told can be read");
                    let vouch = told.vouch().expect("it has a word");
                    let content = content_of(&told, &signer);
                    let statement = Statement::new(&told.rumor().key(), told.rumor().number(), content);
                    prop_assert!(vouch.holds_for(&statement.bytes(), &signer), "{told:?}");
                }
            }
        }
    }

    /// A rumor whose author's word was found good.
    fn believed(bytes: &[u8], signer: &KeyedHash) -> Told<'static> {
        let mut told = Told::decode(bytes).expect("a rumor").into_owned();
        let (content, vouch) = (content_of(&told, signer), told.vouch().copied());
        if let (Some(version), Some(vouch)) = (told.rumor_mut().version_mut(), vouch) {
            version.prove(Proof { content, vouch });
        }
        told
    }

    /// The hash of what a rumor says, as those who check it take it.
    fn content_of(told: &Told<'_>, signer: &KeyedHash) -> [u8; 32] {
        match told.rumor().version() {
            Some(version) => signer.hash(&version.body),
            None => signer.hash(&told.said()),
        }
    }

    #[test]
    fn fields_of_later_versions_are_told_on_and_signatures_are_no_difference() {
        let now = Instant::from_millis(1);
        let plain = large(1, false);
        let mut store = RumorStore::default();
        assert_eq!(store.insert(now, &plain.clone().into()), Inserted::New);
        let more = with_more(&plain, b"!");
        assert_eq!(store.insert(now, &Told::decode(&more).expect("a rumor")), Inserted::New);
        assert_eq!(store.told(&plain.key()), Some(more.clone()));
        assert_eq!(store.told_len(&plain.key()), Some(more.len()));
        assert_eq!(store.insert(now, &Told::decode(&more).expect("a rumor")), Inserted::Known);
        assert_eq!(store.insert(now, &plain.clone().into()), Inserted::Stale, "it lags behind");
        let before = store.digest().clone();
        let mut signed = more;
        prost::encoding::bytes::encode(200, &vec![7; 96], &mut signed);
        store.insert(now, &Told::decode(&signed).expect("a rumor"));
        assert_eq!(store.told(&plain.key()), Some(signed));
        assert_eq!(*store.digest(), before);
    }

    #[test]
    fn what_is_heard_again_to_the_byte_is_known_unread() {
        let now = Instant::from_millis(1);
        let mut store = RumorStore::default();
        let Rumor::Service(service) = large(1, false) else { panic!("a service") };
        let short = |incarnation| {
            let incarnation = Incarnation(incarnation);
            Rumor::Service(ServiceRumor { cfg: Vec::new(), incarnation, ..service.clone() })
        };
        let (first, second) = (short(1), short(2));
        assert!(!store.knows(&first.encode()) && !store.knows(&[]));
        assert_eq!(store.insert(now, &first.clone().into()), Inserted::New);
        assert!(store.knows(&first.encode()) && !store.knows(&second.encode()));
        let more = with_more(&first, b"!");
        assert!(!store.knows(&more), "a later version says more");
        assert_eq!(store.insert(now, &Told::decode(&more).expect("a rumor")), Inserted::New);
        assert!(store.knows(&more) && !store.knows(&first.encode()));
        assert_eq!(store.insert(now, &second.clone().into()), Inserted::New);
        assert!(store.knows(&second.encode()) && !store.knows(&more), "of what was replaced nothing is kept");
        store.check_invariants();
        store.forget_owned_by(&service.member_id);
        assert!(!store.knows(&second.encode()) && store.kept.is_empty());
        let long = large(2, false);
        assert_eq!(store.insert(now, &long.clone().into()), Inserted::New);
        assert!(!store.knows(&long.encode()), "long ones travel by stream and are read each time");
        assert_eq!(store.insert(now, &Told::decode(&long.encode()).expect("a rumor")), Inserted::Known);
        store.check_invariants();
    }

    #[test]
    fn a_flood_of_unknown_kinds_is_bounded_and_leaves_the_same_everywhere() {
        let rumor = |n: u32| {
            let about = [&[0x0a, 4][..], &n.to_le_bytes()].concat();
            let mut bytes = vec![0x08, 99];
            prost::encoding::bytes::encode(110, &about, &mut bytes);
            bytes
        };
        let count = OPAQUES_MAX as u32 + 200;
        let flood = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut store = RumorStore::default();
            let mut left = Vec::new();
            for n in numbers {
                let bytes = rumor(n);
                store.insert(Instant::from_millis(1), &Told::decode(&bytes).expect("a rumor"));
                left.extend(store.take_pushed_out());
            }
            assert_eq!(store.count(RumorKind::Opaque), OPAQUES_MAX);
            assert!(store.overflow_is_news() && !store.overflow_is_news());
            (held(&store), left.len())
        };
        let (upwards, left) = flood(&mut (0..count));
        let (downwards, _) = flood(&mut (0..count).rev());
        assert_eq!(upwards, downwards);
        assert!(left > 0, "some had to make room and the others never came in");
    }

    /// Members that each tell of the largest service there can be.
    fn large(n: usize, tombstone: bool) -> Rumor {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let cfg = alloc::vec![b'x'; RUMOR_BYTES_MAX - 1_024];
        Rumor::Service(ServiceRumor {
            member_id: MemberId::from_bytes(id),
            group: "web.default".parse().expect("valid"),
            incarnation: Incarnation(1),
            initialized: true,
            pkg: "core/web/1.0/20260101000000".parse().expect("valid"),
            cfg,
            sys: SysInfo::default(),
            pkg_incarnation: 0,
            tombstone,
            accepting: true,
            maintenance: None,
            config_incarnation: 0,
            electorate_min: 0,
            versions_digest: 0,
            held_back: BTreeSet::new(),
            slow_hook: None,
        })
    }

    #[test]
    fn bytes_are_bounded_and_the_dead_make_room() {
        let now = Instant::from_millis(1);
        let mut store = RumorStore::default();
        let fit = RUMORS_BYTES_MAX / large(0, false).encode().len();
        assert_eq!(store.insert(now, &large(0, true).into()), Inserted::New);
        for n in 1..=fit {
            assert_eq!(store.insert(now, &large(n, false).into()), Inserted::New, "{n} of {fit}");
        }
        assert!(store.get(&large(0, true).key()).is_none(), "the tombstone made room");
        assert_eq!(store.insert(now, &large(fit + 1, false).into()), Inserted::Refused);
        assert_eq!(store.iter().count(), fit);
        assert_eq!(store.forget_owned_by(&large(1, false).owner().expect("owned")).len(), 1);
        assert_eq!(store.insert(now, &large(fit + 1, false).into()), Inserted::New);
    }

    fn tombstone(n: u32, more: &[u8]) -> Vec<u8> {
        let about = [&[0x0a, 4][..], &n.to_le_bytes(), &[0x10, 1, 0x18, 1]].concat();
        let mut bytes = vec![0x08, 99];
        prost::encoding::bytes::encode(110, &about, &mut bytes);
        if !more.is_empty() {
            prost::encoding::bytes::encode(200, &more.to_vec(), &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_tombstone_grows_old_from_when_it_was_first_heard() {
        let (mut store, age) = (RumorStore::default(), Duration::from_secs(10));
        let tell = |store: &mut RumorStore, ms, rumor: &[u8]| {
            store.insert(Instant::from_millis(ms), &Told::decode(rumor).expect("a rumor"))
        };
        assert_eq!(tell(&mut store, 1_000, &tombstone(1, b"")), Inserted::New);
        // The same, told once more with another signature. What such a kind says is its bytes, so it counts as news.
        tell(&mut store, 9_000, &tombstone(1, b"signature"));
        let retracted =
            Rumor::Service(ServiceRumor { member_id: MemberId::from_bytes([1; 16]), ..service() });
        assert_eq!(tell(&mut store, 1_000, &retracted.encode()), Inserted::New);
        assert_eq!(tell(&mut store, 9_000, &with_more(&retracted, b"!")), Inserted::New);
        assert_eq!(store.collect(Instant::from_millis(10_999), age), []);
        assert!(store.collect(Instant::from_millis(11_000), age).contains(&retracted.key()));
    }

    fn service() -> ServiceRumor {
        let Rumor::Service(told) = large(1, true) else { panic!("a service") };
        ServiceRumor { cfg: Vec::new(), ..told }
    }

    #[test]
    fn the_oldest_tombstone_makes_room_first() {
        let mut store = RumorStore::default();
        let fit = RUMORS_BYTES_MAX / large(0, false).encode().len();
        for (n, ms) in [(0, 5), (1, 3), (2, 9)] {
            assert_eq!(store.insert(Instant::from_millis(ms), &large(n, true).into()), Inserted::New);
        }
        for n in 3..=fit {
            assert_eq!(store.insert(Instant::from_millis(20), &large(n, false).into()), Inserted::New, "{n}");
        }
        let held = [0, 1, 2].map(|n| store.get(&large(n, true).key()).is_some());
        assert_eq!(held, [true, false, true]);
    }

    #[test]
    fn a_version_may_take_the_place_of_another_where_nothing_more_has_room() {
        use crate::model::rumor::{ServiceFile, Version};
        let file = |n: usize, number: u64| {
            let version = Version::new(number, vec![b'x'; 64 * 1024], None);
            let (group, name) = ("web.default".parse(), alloc::format!("file-{n}").parse());
            Rumor::ServiceFile(ServiceFile {
                group: group.expect("valid"),
                name: name.expect("valid"),
                version,
            })
        };
        let mut store = RumorStore::default();
        let (fit, me) = (GROUP_BYTES_MAX / file(0, 1).encode().len(), PublicKey([9; 32]));
        let group = |n: usize| alloc::format!("web.g{}", n / 60);
        let spread = |n: usize, number| {
            let Rumor::ServiceFile(told) = file(n, number) else { panic!("a file") };
            Rumor::ServiceFile(ServiceFile { group: group(n).parse().expect("valid"), ..told })
        };
        for n in 0..fit {
            assert_eq!(store.no_room_for(&spread(n, 1), &me), None, "{n} of {fit}");
            store.insert(Instant::from_millis(1), &spread(n, 1).into());
        }
        assert_eq!(store.no_room_for(&spread(fit, 1), &me), Some(Limit::GroupBytes));
        assert_eq!(store.no_room_for(&spread(0, 2), &me), None);
    }

    fn config(n: usize, number: u64, text: &[u8], key: u8) -> Told<'static> {
        use crate::model::identity::Signature;
        use crate::model::rumor::{ServiceConfig, Version};
        let writer = Some(MemberId::from_bytes([key; 16]));
        let version = Version::new(number, text.to_vec(), writer);
        let group = alloc::format!("web.g{n:05}").parse().expect("valid");
        let vouch = Vouch { key: PublicKey([key; 32]), signature: Signature([0; 64]) };
        Told::own(Rumor::ServiceConfig(ServiceConfig { group, version }), Some(vouch))
    }

    /// Takes it in as a member does that hears it.
    fn hear(store: &mut RumorStore, told: &Told<'_>, is_member: bool) -> Result<Inserted, Limit> {
        let by = told.vouch().expect("an author").key;
        match store.no_share_for(told.rumor(), &by, is_member) {
            Some(limit) => Err(limit),
            None => Ok(store.insert(Instant::from_millis(1), told)),
        }
    }

    #[test]
    fn one_author_and_its_made_up_keys_leave_room_for_others() {
        let mut store = RumorStore::default();
        let (max, full) = (SERVICE_CONFIGS_BY_ONE_MAX, Err(Limit::GroupConfigs));
        let [made_up, insider, operator, me] = [1, 2, 3, 4];
        for n in 0..max {
            assert_eq!(hear(&mut store, &config(n, 1, b"a = 1", made_up), false), Ok(Inserted::New), "{n}");
        }
        assert_eq!(hear(&mut store, &config(max, 1, b"a = 1", 9), false), full, "they share one room");
        for n in max..2 * max {
            assert_eq!(hear(&mut store, &config(n, 1, b"a = 1", insider), true), Ok(Inserted::New), "{n}");
        }
        assert_eq!(hear(&mut store, &config(2 * max, 1, b"a = 1", insider), true), full);
        assert_eq!(hear(&mut store, &config(max, 2, b"a = 2", insider), true), Ok(Inserted::New), "its own");
        assert_eq!(hear(&mut store, &config(2 * max, 1, b"a = 1", operator), true), Ok(Inserted::New));
        let own = config(2 * max + 1, 1, b"a = 1", me);
        assert_eq!(store.no_room_for(own.rumor(), &PublicKey([me; 32])), None);
        // What is taken back by another frees the share.
        assert_eq!(hear(&mut store, &config(max, 3, b"", operator), true), Ok(Inserted::New));
        assert_eq!(hear(&mut store, &config(2 * max + 2, 1, b"a = 1", insider), true), Ok(Inserted::New));
        store.check_invariants();
    }

    #[test]
    fn one_author_does_not_take_all_bytes() {
        let mut store = RumorStore::default();
        let text = [b'#'; 64 * 1024];
        let mut taken = 0;
        while hear(&mut store, &config(taken, 1, &text, 2), true) == Ok(Inserted::New) {
            taken += 1;
        }
        assert!(taken > 0 && taken * text.len() <= GROUP_BYTES_BY_ONE_MAX);
        let more = config(taken, 1, &text, 2);
        assert_eq!(hear(&mut store, &more, true), Err(Limit::GroupBytes));
        assert_eq!(hear(&mut store, &config(0, 2, &text, 2), true), Ok(Inserted::New), "in place of its own");
        assert_eq!(
            hear(&mut store, &config(1, 2, &text, 3), true),
            Ok(Inserted::New),
            "no more room is taken"
        );
        assert_eq!(hear(&mut store, &more, true), Ok(Inserted::New), "another's took the place of one");
        let strange = config(taken + 1, 1, &text, 9);
        assert_eq!(hear(&mut store, &strange, false), Err(Limit::GroupBytes), "and no made-up key's");
        assert_eq!(hear(&mut store, &strange, true), Ok(Inserted::New));
    }

    #[test]
    fn what_was_taken_back_makes_room_alike_everywhere() {
        let full = SERVICE_CONFIGS_MAX * 2;
        let author = |n: usize| (n / SERVICE_CONFIGS_BY_ONE_MAX) as u8 + 1;
        let given: Vec<Told<'_>> = (0..full)
            .map(|n| {
                if n % 1_000 == 7 { config(n, 2, b"", author(n)) } else { config(n, 1, b"a = 1", author(n)) }
            })
            .collect();
        let news: Vec<Told<'_>> = (0..3).map(|n| config(full + n, 1, b"a = 1", 20)).collect();
        let fill = |all: &[&Told<'_>]| {
            let mut store = RumorStore::default();
            for told in all {
                store.insert(Instant::from_millis(1), told);
                for gone in store.take_pushed_out() {
                    assert!(store.get(&gone).is_none(), "it is gone");
                }
            }
            held(&store)
        };
        let forward: Vec<&Told<'_>> = given.iter().chain(&news).collect();
        let backward: Vec<&Told<'_>> = forward.iter().rev().copied().collect();
        assert!(fill(&forward) == fill(&backward), "whatever came first");
    }
}
