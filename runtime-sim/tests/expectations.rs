//! What an expectation accepts: `by` and `within` only what came true after the action, or was true throughout; and
//! commands only the answers that the file says.

use annulus_sim::scenario::run::{Outcome, Watcher, run};
use annulus_sim::scenario::{self, judge};

/// Three members, with these entries.
fn outcome(entries: &str) -> (Outcome, Vec<judge::Verdict>) {
    struct Verdicts(Vec<judge::Verdict>);
    impl Watcher for Verdicts {
        fn record(
            &mut self,
            _: &dyn annulus_sim::engine::scene::Scene,
            _: &annulus_sim::action::world::Record,
        ) {
        }
        fn verdict(&mut self, verdict: &judge::Verdict) {
            self.0.push(verdict.clone());
        }
    }
    let text = format!(
        "about = \"A ring of three, for one expectation.\"\nduration = \"40s\"\n\n[members]\n\
         names = [\"ada\", \"bob\", \"cyd\"]\n\n{entries}"
    );
    let plan = scenario::parse("t.toml", &text).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let mut verdicts = Verdicts(Vec::new());
    (run(&plan, 1, &mut verdicts).outcome, verdicts.0)
}

/// Why it failed.
fn unmet(entries: &str) -> String {
    match outcome(entries).0 {
        Outcome::Unmet(unmet) => format!("{}: {}: {}", unmet.missed, unmet.text, unmet.found),
        other => panic!("{other:?}"),
    }
}

fn passes(entries: &str) -> Vec<judge::Verdict> {
    let (outcome, verdicts) = outcome(entries);
    assert!(matches!(outcome, Outcome::Pass), "{outcome:?}");
    verdicts
}

const CRASH: &str = "[[at]]\ntime = \"10s\"\ncrash = \"bob\"\n\n";

#[test]
fn what_was_so_before_and_stopped_does_not_count() {
    let alive = format!("{CRASH}[[expect]]\nby = \"30s\"\nalive = \"bob\"\nseen_by = \"ada\"\n");
    let told = unmet(&alive);
    assert!(told.contains("was not met between 10.000s and 30.000s"), "{told}");
    assert!(told.contains("it was so at 10.000s already and stopped at 1"), "{told}");
}

#[test]
fn what_is_so_throughout_counts_at_the_end_and_what_comes_true_at_once() {
    let verdicts = passes(&format!(
        "{CRASH}[[expect]]\nby = \"30s\"\nalive = \"cyd\"\nseen_by = \"ada\"\n\n\
         [[expect]]\nby = \"30s\"\nconfirmed = \"bob\"\n"
    ));
    let [confirmed, alive] = verdicts.as_slice() else { panic!("{verdicts:?}") };
    assert_eq!((alive.how, alive.at.as_millis()), (judge::Decided::Held, 30_000));
    assert_eq!(confirmed.how, judge::Decided::CameTrue);
    assert!((11_000..20_000).contains(&confirmed.at.as_millis()), "{}", confirmed.at);
}

#[test]
fn what_stops_and_comes_back_counts_when_it_is_back() {
    let back = "[[at]]\ntime = \"20s\"\nrestart = \"bob\"\n\n";
    let verdicts = passes(&format!(
        "{CRASH}{back}[[expect]]\nby = \"35s\"\nafter = \"10s\"\nalive = \"bob\"\nseen_by = \"ada\"\n"
    ));
    assert!(verdicts[0].at.as_millis() > 20_000, "{verdicts:?}");
}

#[test]
fn events_of_the_first_instant_count_after_its_actions_only() {
    let told = unmet(
        "[[at]]\ntime = \"5s\"\ncrash = \"cyd\"\n\n[[expect]]\nby = \"30s\"\nafter = \"20s\"\noccurred = \"confirmed\"\n",
    );
    assert!(told.contains("no confirmed was reported"), "{told}");
}

#[test]
fn a_time_is_counted_from_an_event() {
    let known = |within: &str| {
        format!(
            "{CRASH}[[expect]]\nwithin = \"{within}\"\nafter = {{ occurred = \"suspect\", of = \"bob\" }}\n\
             confirmed = \"bob\"\n"
        )
    };
    assert_eq!(passes(&known("15s")).len(), 1);
    let told = unmet(&known("10ms"));
    assert!(told.contains("was not met within 0.010s after ") && told.contains("reported suspect"), "{told}");
    let told = unmet(
        "[[expect]]\nwithin = \"1s\"\nafter = { occurred = \"banned\" }\nalive = \"bob\"\nseen_by = \"ada\"\n",
    );
    assert!(told.contains("was never timed, because no banned was reported"), "{told}");
}

#[test]
fn a_time_that_outlasts_the_scenario_is_not_over() {
    let told = unmet(&format!(
        "{CRASH}[[expect]]\nwithin = \"60s\"\nafter = {{ occurred = \"suspect\", of = \"bob\" }}\nrunning = \"ada\"\n"
    ));
    assert!(told.contains("the scenario ends at 40.000s, before its time is over"), "{told}");
}

#[test]
fn a_refused_command_fails_unless_it_is_expected() {
    let give = |at: &str, version: u64, rest: &str| {
        format!(
            "[[at]]\ntime = \"{at}\"\napply_config = \"web.default\"\non = \"ada\"\nversion = {version}\n{rest}\n\n"
        )
    };
    let held = "[[expect]]\nat = \"30s\"\nrunning = \"ada\"\n";
    let first = give("10s", 2, "");
    let told = unmet(&format!("{first}{}{held}", give("15s", 1, "")));
    assert!(told.contains("command was refused at 15.") && told.contains("version 2 is current"), "{told}");
    assert!(
        told.contains("apply_config = \"web.default\"") && told.contains("refused = \"version\""),
        "{told}"
    );
    let verdicts = passes(&format!("{first}{}{held}", give("15s", 1, "refused = \"version\"")));
    assert_eq!(verdicts[0].how, judge::Decided::Refused);
    let told = unmet(&format!("{first}{}{held}", give("15s", 1, "refused = \"limit\"")));
    assert!(told.contains("was refused at 15.") && told.contains("but not as limit"), "{told}");
    let told = unmet(&format!("{first}{}{held}", give("15s", 3, "refused = \"version\"")));
    assert!(told.contains("was not refused as version"), "{told}");
    let frozen = "[[at]]\ntime = \"14s\"\npause = \"ada\"\n\n";
    let told = unmet(&format!("{first}{frozen}{}{held}", give("15s", 1, "refused = \"version\"")));
    assert!(told.contains("it was never answered"), "{told}");
}
