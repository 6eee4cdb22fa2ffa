//! How far a number that only grows may have grown, so that whatever a member makes of it can be outbid.
//!
//! A ring holds numbers of which the greater prevails: incarnations, terms, electorates, versions of configuration and
//! files, epochs of bans. A member that may raise one could raise it to the top, from where no number follows. A bound on one
//! step alone is not enough: many steps lead to the top, and members that could not hear each other meanwhile would not
//! believe each other any more.
//!
//! So a number may be as high as the calendar allows. The bound is the same at every member and for every number, it
//! needs no memory, and it rises faster than honest numbers: what stands at it today lies below it a moment later. A host
//! whose clock is wrong believes steps all the same: up to [`STEP_MAX`] above what it holds, whatever its clock says.
//!
//! | a number | who may raise it | by how much in one message | how often | why it can be outbid |
//! |---|---|---|---|---|
//! | incarnation | its member; each member that accuses it | to [`reach`], or a step | a message each | one more is believed as soon as the clock has gone on by [`PER_SECOND`]⁻¹ s |
//! | term, electorate | candidates and leaders that are voters, signed | the same | an election's pace | a candidate asks in the next one; voters keep no term that they did not believe |
//! | version of a configuration or file | each member, signed, for its operator | the same | a message each | `config apply`, `file upload` and `sup reset` give the next one |
//! | epoch of a ban | each member, signed, for its operator | the same | a message each | `sup reset` answers a ban in its own epoch, `sup depart` in the next |
//! | incarnation of a service, its health, a statement, a list of keys | its owner, signed | it breaks itself alone | a message each | it states it anew one higher |
//!
//! An insider that does its worst needs 2³¹ seconds to the top by way of the calendar, and by steps of its own the more
//! the faster it sends: at 100,000 signed messages a second, each taken in and stored, 22 years.

use crate::model::mutant::mutated;
use crate::model::time::UnixTime;

/// The highest number that is ever told or stored. What follows it is a number, too.
pub const NUMBER_MAX: u64 = 1 << 62;
/// Numbers that are always believed: seconds, milliseconds and dates like 20261130120000 lie below.
pub const ALWAYS: u64 = 1 << 48;
/// How far above what is held a number is believed whatever the clock says.
pub const STEP_MAX: u64 = 1 << 16;
/// How much the bound rises each second.
pub const PER_SECOND: u64 = 1 << 28;
/// The first day of 2026, in seconds: since then the bound rises.
const SINCE_SECONDS: u64 = 1_767_225_600;

const _: () = assert!(NUMBER_MAX < u64::MAX / 2, "what follows the highest number is a number");
const _: () = assert!(STEP_MAX < ALWAYS && ALWAYS < NUMBER_MAX);
const _: () = assert!((NUMBER_MAX - ALWAYS) / PER_SECOND > 500 * 365 * 86_400 / 2, "for hundreds of years");
const _: () = assert!(NUMBER_MAX / STEP_MAX / 100_000 > 20 * 365 * 86_400, "many steps take decades");

/// The highest number that is believed by the calendar.
#[must_use]
pub fn reach(wall: UnixTime) -> u64 {
    let seconds = (wall.as_millis() / 1_000).saturating_sub(SINCE_SECONDS);
    seconds.saturating_mul(PER_SECOND).saturating_add(ALWAYS).min(NUMBER_MAX)
}

/// The highest number that a member believes that holds this one.
#[must_use]
pub fn believed_up_to(held: u64, wall: UnixTime) -> u64 {
    let step = held.saturating_add(STEP_MAX).min(NUMBER_MAX);
    let believed = mutated!(ReachUnbounded, step.max(reach(wall)), NUMBER_MAX);
    assert!(believed <= NUMBER_MAX && believed >= held.min(NUMBER_MAX), "what is held is believed");
    believed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TODAY: UnixTime = UnixTime::from_millis(1_796_000_000_000);

    proptest! {
        /// Whatever a message could make of a number, its owner, operator or the next election goes one higher.
        #[test]
        fn whatever_is_believed_can_be_outbid_a_moment_later(held in 0..=reach(TODAY), told in any::<u64>()) {
            let taken = told.min(believed_up_to(held, TODAY));
            let next = UnixTime::from_millis(TODAY.as_millis() + 1_000);
            prop_assert!(taken < believed_up_to(taken, next), "one more is believed");
            prop_assert!(taken < believed_up_to(held, next), "also by a member that did not hear of it");
        }

        /// Members that could not hear each other believe each other afterwards, whatever was done on either side.
        #[test]
        fn by_the_calendar_all_members_believe_the_same(a in 0..=reach(TODAY), b in 0..=reach(TODAY)) {
            prop_assert!(a <= believed_up_to(b, TODAY) && b <= believed_up_to(a, TODAY));
        }

        #[test]
        fn a_wrong_clock_believes_steps(held in 0..NUMBER_MAX - STEP_MAX, step in 0..=STEP_MAX) {
            prop_assert!(held + step <= believed_up_to(held, UnixTime::default()));
        }
    }

    #[test]
    fn the_bound_is_far_above_what_honest_members_and_operators_use() {
        for number in [1_796_000_000_000, 20_261_130_120_000, 99_991_231_235_959] {
            assert!(number <= believed_up_to(0, UnixTime::default()), "{number}");
        }
        assert_eq!(believed_up_to(0, UnixTime::default()), ALWAYS);
        assert!(reach(TODAY) < NUMBER_MAX / 100, "the top is far");
        assert_eq!(believed_up_to(NUMBER_MAX, TODAY), NUMBER_MAX);
    }
}
