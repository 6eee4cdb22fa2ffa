//! Whatever happens to a group, one member leads it.

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

use super::*;

/// The faults of a group.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Crash(u8),
    Start(u8),
    Split(u8),
    Heal,
    Unfit(u8),
    Fit(u8),
    Join,
    /// The supervisor dies and its process goes on.
    Kill(u8),
    /// It dies and is started again within a moment.
    Restart(u8),
    /// Its service is not known, is replaced, or is stopped in order.
    Ready(u8, u8),
    /// Its disk refuses writes, is slow, or well again.
    Disk(u8, u8),
    /// Messages take up to so long.
    Delay(u64),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (1_u8..6).prop_map(Trouble::Crash),
        (1_u8..6).prop_map(Trouble::Start),
        (1_u8..32).prop_map(Trouble::Split),
        Just(Trouble::Heal),
        (1_u8..6).prop_map(Trouble::Unfit),
        (1_u8..6).prop_map(Trouble::Fit),
        Just(Trouble::Join),
        (1_u8..6).prop_map(Trouble::Kill),
        (1_u8..6).prop_map(Trouble::Restart),
        (1_u8..6, 0_u8..4).prop_map(|(n, which)| Trouble::Ready(n, which)),
        (1_u8..6, 0_u8..3).prop_map(|(n, which)| Trouble::Disk(n, which)),
        prop_oneof![Just(1), Just(40), Just(300), Just(900)].prop_map(Trouble::Delay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// One winner for each term, one acting leader at each instant (checked after every step), and a leader in the end.
    #[test]
    fn whatever_happens_one_leads(
        members in 3_u8..6, troubles in proptest::collection::vec((trouble(), 1_u64..3_000), 1..10),
    ) {
        let mut bench = Bench::new(members);
        // All members have met before the first fault.
        bench.elect(1_000);
        bench.run(100);
        for (trouble, ms) in troubles {
            let exists = |n: u8| (1..=members).contains(&n);
            match trouble {
                Trouble::Crash(n) if exists(n) => bench.crash(n),
                Trouble::Start(n) if exists(n) && bench.members[&n].elections.is_none() => bench.start(n),
                Trouble::Split(mask) => {
                    let (left, right): (vec::Vec<u8>, vec::Vec<u8>) =
                        bench.members.keys().partition(|n| mask >> (**n % 8) & 1 == 1);
                    bench.split(&left, &right);
                }
                Trouble::Heal => bench.heal(),
                Trouble::Unfit(n) if exists(n) => {
                    bench.fitness(n, Some(Fitness { suitability: 0, readiness: Readiness::Unfit }));
                }
                Trouble::Fit(n) if exists(n) => bench.fitness(n, Some(Fitness { suitability: 3, readiness: Readiness::Fit })),
                Trouble::Join if bench.members.len() < 8 => {
                    let n = bench.members.len() as u8 + 1;
                    bench.add(n);
                }
                Trouble::Kill(n) if exists(n) => bench.kill(n),
                Trouble::Restart(n) if exists(n) => {
                    bench.kill(n);
                    bench.run(ms % 700);
                    bench.start(n);
                }
                Trouble::Ready(n, which) if exists(n) => {
                    let until = bench.now + Duration::from_millis(ms);
                    bench.readiness(n, match which {
                        0 => Readiness::Unknown,
                        1 => Readiness::Restarting { until: Some(until) },
                        2 => Readiness::Restarting { until: None },
                        _ => Readiness::Stopping { until },
                    });
                }
                Trouble::Disk(n, which) if exists(n) => {
                    let member = bench.members.get_mut(&n).expect("a member");
                    (member.disk_fails, member.disk_steps) = (which == 0, if which == 1 { 300 } else { 1 });
                }
                Trouble::Delay(ms) => bench.delay_ms_max = ms,
                _ => {}
            }
            bench.run(ms);
        }
        bench.heal();
        bench.delay_ms_max = 1;
        for member in bench.members.values_mut() {
            (member.disk_fails, member.disk_steps) = (false, 1);
        }
        for n in 1..=bench.members.len() as u8 {
            if bench.members[&n].elections.is_none() {
                bench.start(n);
            }
            bench.fitness(n, Some(Fitness { suitability: 0, readiness: Readiness::Fit }));
        }
        bench.run(8_000);
        bench.elect(10_000);
    }
}
