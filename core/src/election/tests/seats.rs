//! The electorate: how it follows its group, and who counts.

use super::*;

#[test]
fn members_replaced_one_after_the_other_keep_the_group_going() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    for n in 4..=9 {
        let old = n - 3;
        bench.run(3_000);
        bench.crash(old);
        bench.run(4_000);
        bench.add(n);
        bench.run(4_000);
        let (leader, _) = bench.elect(4_000);
        let electorate = bench.members[&leader].elections.as_ref().map(|e| e.electorate(&election()).len());
        assert_eq!(electorate, Some(3), "the newcomer has taken the dead one's seat");
    }
}

#[test]
fn a_ban_of_the_dead_majority_frees_the_rest_together_with_newcomers() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.crash(2);
    bench.crash(3);
    bench.add(4);
    bench.add(5);
    bench.run(20_000);
    assert_eq!(bench.acting(), [] as [u8; 0], "one of three seats is no quorum");
    bench.banned.extend([2, 3]);
    bench.refresh();
    bench.elect(6_000);
    bench.run(2_000);
    let leader = bench.acting()[0];
    let elections = bench.members[&leader].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()), [id(1), id(4), id(5)]);
}

#[test]
fn growth_behind_a_partition_cannot_outvote_the_old_electorate() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    // 1 is cut off from 2 and 3, of which 3 leads; four newcomers meet only 1.
    bench.split(&[1, 4, 5, 6, 7], &[2, 3]);
    for n in 4..=7 {
        bench.add(n);
    }
    bench.run(20_000);
    assert_eq!(bench.acting(), [3]);
    bench.heal();
    bench.run(5_000);
    let elections = bench.members[&3].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()).len(), 7);
}

#[test]
fn a_group_larger_than_an_electorate_elects_all_the_same() {
    let mut bench = Bench::new(40);
    bench.elect(2_000);
    bench.run(3_000);
    let leader = bench.acting()[0];
    let elections = bench.members[&leader].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()).len(), crate::model::limits::ELECTORATE_MAX);
}

#[test]
fn a_newcomer_gets_its_seat_at_once_whenever_it_comes() {
    for offset in 0..10 {
        let mut bench = Bench::new(3);
        bench.elect(1_000);
        bench.run(1_000 + offset * 53);
        bench.add(4);
        bench.run(30);
        let row = bench.row(1, &election()).expect("it voted");
        assert_eq!(row.electorate.members.len(), 4, "it does not wait for the next renewal");
    }
}

#[test]
fn a_leader_that_is_cut_off_changes_no_seats_by_what_it_heard_before() {
    let mut bench = Bench::new(4);
    assert_eq!(bench.elect(1_000).0, 4);
    bench.run(2_000);
    bench.split(&[4], &[1, 2, 3]);
    bench.run(1_300);
    assert_eq!(bench.acting(), [4], "its lease lasts");
    assert_eq!(bench.row(4, &election()).expect("it voted").electorate.members.len(), 4);
}
