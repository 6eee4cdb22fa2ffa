//! A disk that refuses the row: nothing that rests on it is said or counted, and all of it follows when it is stored.

use super::*;

#[test]
fn a_vote_that_could_not_be_stored_is_not_given() {
    let mut bench = Bench::new(3);
    for n in [1, 2] {
        bench.members.get_mut(&n).expect("a member").disk_fails = true;
    }
    // The candidate asks for a missing vote again within a moment; that the voter has decided already stores nothing.
    bench.run(5_000);
    assert_eq!(bench.acting(), [] as [u8; 0], "one vote of three is on a disk");
    for n in [1, 2] {
        bench.members.get_mut(&n).expect("a member").disk_fails = false;
    }
    assert_eq!(bench.elect(6_000).0, 3);
}

#[test]
fn a_list_that_could_not_be_stored_is_put_down_with_the_next_try() {
    let mut bench = Bench::new(3);
    assert_eq!(bench.elect(1_000).0, 3);
    bench.run(1_000);
    bench.members.get_mut(&3).expect("a member").disk_fails = true;
    bench.add(4);
    bench.run(900);
    bench.members.get_mut(&3).expect("a member").disk_fails = false;
    bench.run(3_000);
    let row = bench.row(1, &election()).expect("it voted");
    assert_eq!(row.electorate.members, [id(1), id(2), id(3), id(4)], "the newcomer has a seat");
    assert_eq!((bench.acting(), bench.won.len()), (vec![3], 1), "and the leader stayed");
}
