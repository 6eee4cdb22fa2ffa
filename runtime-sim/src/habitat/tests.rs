use super::*;
use crate::scenario;

/// A group of three, `permanent` or without permanent peers, and the actions on it.
fn figures(permanent: &str, actions: &str) -> Figures {
    let text = format!(
        "about = \"A group of three members, and what becomes of its leader by the rules of the model.\"\n\
         duration = \"180s\"\n\n[members]\ncount = 3\n{permanent}\n{actions}\n\
         [[expect]]\nby = \"179s\"\nall_alive = true\n"
    );
    let plan = scenario::parse("model", &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let voters: Vec<Voter> = plan
        .host_ids()
        .map(|host| Voter { host, suitability: u64::from(host.0), loaded: Instant::from_millis(5_000) })
        .collect();
    run(&plan, &voters, Instant::from_millis(180_000))
}

#[test]
fn a_quiet_group_has_one_leader() {
    let figures = figures("", "");
    assert_eq!((figures.elections, figures.changes), (1, 0));
    assert_eq!(figures.two_leaders, Duration::ZERO);
    assert!(figures.without_leader.is_empty(), "{figures:?}");
}

/// Real Habitat was measured at 16.5 to 27.3 s from kill -9 of the leader to a new one.
#[test]
fn a_leader_that_dies_is_replaced_about_as_late_as_the_real_ones() {
    let figures = figures("", "[[at]]\ntime = \"60s\"\ncrash = \"m3\"\n");
    assert_eq!((figures.elections, figures.changes), (2, 1));
    let gap = figures.without_leader.last().expect("the leader was gone");
    assert!((Duration::from_secs(10)..Duration::from_secs(30)).contains(gap), "{gap:?}");
}

#[test]
fn a_leader_that_is_cut_off_goes_on_acting() {
    let figures = figures("", "[[at]]\ntime = \"60s\"\npartition = \"m3\"\n");
    assert!(figures.two_leaders > Duration::from_secs(60), "{figures:?}");
}

#[test]
fn a_permanent_peer_ends_the_split() {
    let actions = "[[at]]\ntime = \"60s\"\npartition = \"m3\"\n\n[[at]]\ntime = \"90s\"\nheal = \"all\"\n";
    let (without, with) = (figures("", actions), figures("permanent = [\"m1\"]", actions));
    assert!(without.two_leaders > Duration::from_secs(60), "no member turns to the dead: {without:?}");
    assert!(with.two_leaders < Duration::from_secs(45), "{with:?}");
}
