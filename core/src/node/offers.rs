//! Records that were offered to a member again and again and that it does not take, or that were asked of one and never
//! came in: they cannot be read, or there is no room. They are tried a few times and then rarely, or each digest exchange
//! would carry them in vain.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::id::MemberId;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// Offers of one version before the other side is taken to be unable to take it.
const OFFERS_MAX: u32 = 3;
/// Time between offers from then on, in milliseconds.
const OFFER_PERIOD_MS: u64 = 600_000;
/// An exchange that moves more than this is no sign of records that cannot be taken.
const RECORDS_WATCHED_MAX: usize = 64;
/// Offers that are remembered.
const REMEMBERED_MAX: usize = 1_024;

const _: () = assert!(RECORDS_WATCHED_MAX < REMEMBERED_MAX && OFFERS_MAX > 1);

#[derive(Clone, Copy, Debug)]
struct Offer {
    version: u64,
    times: u32,
    at: Instant,
}

/// The offers that were made, by member and key hash.
#[derive(Debug, Default)]
pub(super) struct Offers(BTreeMap<(MemberId, u64), Offer>);

impl Offers {
    /// The keys of those records, given as key hash and version hash, that are worth offering to a member that lacks them.
    pub(super) fn worth_making(
        &mut self,
        now: Instant,
        to: &MemberId,
        lacking: Vec<(u64, u64)>,
    ) -> BTreeSet<u64> {
        if lacking.len() > RECORDS_WATCHED_MAX {
            return lacking.into_iter().map(|(key, _)| key).collect();
        }
        if self.0.len() + lacking.len() > REMEMBERED_MAX {
            // What is forgotten is offered a few times more.
            self.0.clear();
        }
        let worth = lacking.into_iter().filter(|(key, version)| self.is_worth(now, *to, *key, *version));
        let worth = worth.map(|(key, _)| key).collect();
        assert!(self.0.len() <= REMEMBERED_MAX, "offers have a limit");
        worth
    }

    fn is_worth(&mut self, now: Instant, to: MemberId, key: u64, version: u64) -> bool {
        let offer = self.0.entry((to, key)).or_insert(Offer { version, times: 0, at: now });
        if offer.version != version {
            *offer = Offer { version, times: 0, at: now };
        }
        let is_worth = mutated!(OfferedOnceMore, offer.times < OFFERS_MAX, offer.times <= OFFERS_MAX)
            || offer.at + Duration::from_millis(OFFER_PERIOD_MS) <= now;
        if is_worth {
            offer.times = offer.times.saturating_add(1);
            offer.at = now;
        }
        assert!(offer.times > 0 && offer.version == version, "what is offered was tried at least once");
        is_worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_a_member_does_not_take_is_offered_a_few_times_and_then_rarely() {
        let mut offers = Offers::default();
        let to = MemberId::from_bytes([1; 16]);
        let mut made = 0;
        for minute in 0..300 {
            let now = Instant::from_millis(minute * 60_000);
            made += offers.worth_making(now, &to, vec![(7, 1)]).len();
        }
        assert_eq!(made, 3 + 29, "three at once, and then one in ten minutes");
        let now = Instant::from_millis(300 * 60_000);
        assert!(offers.worth_making(now, &to, vec![(7, 2)]).contains(&7), "a new version is worth it");
        let other = MemberId::from_bytes([2; 16]);
        assert!(offers.worth_making(now, &other, vec![(7, 1)]).contains(&7), "and so is another member");
    }

    #[test]
    fn a_heal_that_moves_much_is_not_held_up_and_memory_is_bounded() {
        let mut offers = Offers::default();
        let to = MemberId::from_bytes([1; 16]);
        for round in 0..200 {
            let now = Instant::from_millis(round);
            let many: Vec<(u64, u64)> = (0..1_000).map(|key| (key, 1)).collect();
            assert_eq!(offers.worth_making(now, &to, many).len(), 1_000);
            let few: Vec<(u64, u64)> = (0..60).map(|key| (round * 60 + key, 1)).collect();
            assert_eq!(offers.worth_making(now, &to, few).len(), 60);
        }
        assert!(offers.0.len() <= REMEMBERED_MAX);
    }
}
