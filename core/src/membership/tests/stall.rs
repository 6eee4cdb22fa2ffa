//! A process that stood still judges no other member by the time in which it did not run.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Bench, record};
use crate::membership::Membership;
use crate::model::config::Timings;
use crate::model::member::{MemberRecord, State};

/// A member that suspects another, as do all the rest, and then stands still for half a minute.
fn woken() -> Bench {
    let members: Vec<MemberRecord> = (1..=5).map(|n| record(n, 1, State::Alive)).collect();
    let mut bench = Bench::with(&members);
    for accuser in 2..=5 {
        bench.tell(record(1, 1, State::Suspect), accuser);
    }
    let stall = Duration::from_secs(30);
    bench.now = bench.now + stall;
    bench.act(|m, ctx| m.handle_stall(ctx, stall));
    bench.act(Membership::handle_timeout);
    assert_eq!(bench.state(1), Some(State::Suspect));
    bench
}

#[test]
fn a_suspicion_has_the_time_left_that_it_had_before_the_stall() {
    let mut bench = woken();
    // Another member is heard: its own network is sound, and it may judge again.
    bench.act(|m, ctx| m.handle_contact(ctx, &record(2, 1, State::Alive), true));
    let min = Timings::lan().suspicion_timeout_ms_min;
    bench.wait_ms(min - 100);
    assert_eq!(bench.state(1), Some(State::Suspect), "the suspect has had no time to refute");
    bench.wait_ms(200 + Timings::lan().probe_verdict_ms);
    assert_eq!(bench.state(1), Some(State::Confirmed));
}

#[test]
fn a_member_that_has_just_woken_hears_another_one_before_it_confirms_a_death() {
    let mut bench = woken();
    let timings = Timings::lan();
    bench.wait_ms(2 * (timings.probe_period_ms + timings.probe_verdict_ms));
    assert_eq!(bench.state(1), Some(State::Suspect), "it has heard no member yet");
    bench.wait_ms(30_000);
    assert_eq!(bench.state(1), Some(State::Confirmed), "it does not wait for ever: all others may be gone");
}
