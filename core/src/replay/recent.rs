//! Counts how lately an address was asked or answered, so that a flood of questions is not passed on to it.

use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

use crate::model::channel::Channel;
use crate::model::limits::ASKED_ADDRESSES_MAX;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// One message to an address and channel in this time. A probe pings more than once in its timeout, and each of those may
/// ask again, so that a lost question costs no probe.
const PERIOD_MS: u64 = 100;

const _: () = assert!(PERIOD_MS <= 100, "a question that is lost costs no probe");

/// The addresses of the last period.
#[derive(Debug, Default)]
pub(super) struct Recent(BTreeMap<(SocketAddr, Channel), Instant>);

impl Recent {
    /// Whether a message may go there now; it counts as sent.
    pub(super) fn may(&mut self, now: Instant, to: SocketAddr, by: Channel) -> bool {
        let period = Duration::from_millis(PERIOD_MS);
        if self.0.get(&(to, by)).is_some_and(|last| *last + period > now) {
            return false;
        }
        if self.0.len() >= ASKED_ADDRESSES_MAX {
            self.0.retain(|_, last| *last + period > now);
        }
        let has_room = mutated!(AddressesUnbounded, self.0.len() < ASKED_ADDRESSES_MAX, true);
        if has_room {
            self.0.insert((to, by), now);
        }
        assert!(
            mutated!(AddressesUnbounded, self.0.len() <= ASKED_ADDRESSES_MAX, true),
            "addresses have a limit"
        );
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_one_message_a_period_and_invented_ones_have_no_room_without_end() {
        let (mut recent, now) = (Recent::default(), Instant::from_millis(1_000));
        let to = |n: u32| SocketAddr::from((core::net::Ipv4Addr::from_bits(n), 9_638));
        assert!(recent.may(now, to(1), Channel::Datagram) && !recent.may(now, to(1), Channel::Datagram));
        assert!(recent.may(now, to(1), Channel::Stream), "channels count apart");
        let later = now + Duration::from_millis(PERIOD_MS);
        assert!(recent.may(later, to(1), Channel::Datagram));
        let sent = (2..20_000).filter(|n| recent.may(later, to(*n), Channel::Datagram)).count();
        assert!(sent <= ASKED_ADDRESSES_MAX && recent.0.len() <= ASKED_ADDRESSES_MAX);
        let after = later + Duration::from_millis(PERIOD_MS);
        assert!(recent.may(after, to(19_999), Channel::Datagram), "the next period has room again");
    }
}
