//! Checks the checkers: each planted defect is found by the sweep within so many seeds, or, where an operator's story
//! is needed, by a shipped scenario; and the failing plan is reduced to one that a person can read.
//!
//! `cargo test -p annulus-sim --features planted-bugs --profile sim --test planted -- --nocapture` prints the table.
#![cfg(feature = "planted-bugs")]

use std::path::{Path, PathBuf};

use annulus_core::{Bug, Planted};
use annulus_sim::action::Action;
use annulus_sim::scenario::Plan;
use annulus_sim::shrink::{self, Failure, Kind};
use annulus_sim::sweep::Drawn;

/// Seeds with which each scenario is tried.
const SCENARIO_SEEDS: u64 = 10;

/// Seeds within which the sweep finds a defect; none where it takes a scenario.
const fn seeds_max(bug: Bug) -> Option<u64> {
    match bug {
        Bug::TombstoneCollectedEarly
        | Bug::BanUndoneByContact
        | Bug::BanNotStored
        | Bug::LiftUndoneByOldBan
        | Bug::NumbersUnbounded
        | Bug::StartBeforeExit
        | Bug::VotesTwice
        | Bug::VoteBeforeStored
        | Bug::PromiseIgnored
        | Bug::LeaseFromAnswer
        | Bug::LeaseNeverEnds
        | Bug::ClockRatesIgnored
        | Bug::QuorumOfTheLiving
        | Bug::ElectorateJumps
        | Bug::HandOverWithoutRelease
        | Bug::DeadlineLiftedEarly
        | Bug::RenderedBeforeLeased
        | Bug::ResumeNotWithdrawn
        | Bug::AdoptedRenderedEarly
        | Bug::GateBypassed
        | Bug::LeadGivenEarly
        | Bug::LateAnswerCounted
        | Bug::RoundsRestart
        | Bug::ResumePastTheEnd
        | Bug::ReleaseBeforeDemoted
        | Bug::PromiseTakenAlong
        | Bug::UnknownTakenAsUnfit
        | Bug::RestartHandsOver
        | Bug::HookUnleased
        | Bug::SignalBeforeTold
        | Bug::SignalOnceSent
        | Bug::AppliedBeforeTold
        | Bug::ElectorateToldEarly
        | Bug::ResumeWithoutRow
        | Bug::HearsayBelieved
        | Bug::UnaskedBelieved
        | Bug::LeaveUnsigned
        | Bug::NewestAtStart
        | Bug::ReplacedUnstored
        | Bug::MisfitsIgnored
        | Bug::RefusedTriedAgain
        | Bug::FailedBuildStays
        | Bug::ProvedByRunning
        | Bug::LostCountsAsFailed
        | Bug::StallUnnoticed
        | Bug::OfferedKeyUsed
        | Bug::RetiredKeyDropped
        | Bug::CurrentKeyForAll
        | Bug::ColdTooEarly
        | Bug::WindowOff
        | Bug::StrangerBelieved
        | Bug::OldLifeBelieved
        | Bug::StampOfAnotherBelieved
        | Bug::ChallengeNotRandom => None,
        Bug::RefuteSameIncarnation
        | Bug::RestartSameIncarnation
        | Bug::RefuteBeforeStored
        | Bug::VoteForgotten
        | Bug::NoWaitAfterRestart => Some(20),
        _ => Some(60),
    }
}

fn with(bug: Bug, plan: Plan) -> Plan {
    Plan { planted: Planted::only(bug), ..plan }
}

fn scenarios(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != "plans" && name != "parity") {
            scenarios(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "toml") {
            found.push(entry);
        }
    }
}

/// The first plan that fails, by the number of the seed or the scenario's name.
fn hunt(bug: Bug) -> Option<(String, Plan, Failure)> {
    for seed in 0..seeds_max(bug).unwrap_or(0) {
        let mut drawn = Drawn::of(seed, &[]);
        drawn.plan.planted = Planted::only(bug);
        let plan = drawn.whole();
        if let Some(failure) = shrink::failure(&plan) {
            return Some((format!("{} seeds", seed + 1), plan, failure));
        }
    }
    // A scenario may show a defect that the seeds do not show.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut files = Vec::new();
    scenarios(&folder, &mut files);
    let plans: Vec<(PathBuf, Plan)> = files
        .into_iter()
        .map(|file| {
            let plan = Plan::load(&file).expect("shipped scenarios are right");
            (file, with(bug, plan))
        })
        .collect();
    // Every shipped scenario passes these seeds without a defect.
    (1..=SCENARIO_SEEDS).find_map(|seed| {
        plans.iter().find_map(|(file, plan)| {
            let plan = Plan { seed, ..plan.clone() };
            let failure = shrink::failure(&plan)?;
            Some((file.file_stem()?.to_str()?.to_owned(), plan, failure))
        })
    })
}

fn checker(kind: &Kind) -> String {
    match kind {
        Kind::Violated(checker) => (*checker).to_owned(),
        Kind::Unmet { text, .. } => format!("expectation {text}"),
        Kind::Panicked => String::from("an assertion of the core"),
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut escaped = Vec::new();
    println!("| defect | found after | by |\n|---|---|---|");
    for &bug in Bug::ALL {
        match hunt(bug) {
            Some((after, _, failure)) => {
                println!("| {} | {after} | {} |", bug.name(), checker(&failure.kind))
            }
            None => {
                println!("| {} | not at all | |", bug.name());
                escaped.push(bug.name());
            }
        }
    }
    assert!(escaped.is_empty(), "these defects escape: {escaped:?}");
}

#[test]
fn what_is_found_is_reduced_to_a_small_scenario() {
    // A reduction keeps the action that an expectation is about, so each may have one action more than it needs.
    for (bug, members_max, actions_max) in [
        (Bug::RestartSameIncarnation, 2, 3),
        (Bug::BuryOnHearsay, 8, 3),
        (Bug::LostNeverTried, 8, 7),
        (Bug::RefuteSameIncarnation, 8, 6),
    ] {
        let (_, plan, failure) = hunt(bug).expect("it is found");
        let shrunk = shrink::shrink(&plan, 400).expect("it fails");
        let acts = shrunk.plan.actions.iter().filter(|t| t.line.is_some());
        let acts: Vec<&Action> = acts.map(|t| &t.action).collect();
        println!("{}: {} members, {acts:?}, {} runs", bug.name(), shrunk.plan.hosts.len(), shrunk.runs);
        assert_eq!(shrunk.failure.kind, failure.kind);
        assert!(shrunk.plan.hosts.len() <= members_max, "{} members", shrunk.plan.hosts.len());
        assert!(acts.len() <= actions_max, "{acts:?}");
        assert!(shrink::failure(&shrunk.plan).is_some());
        let sound = Plan { planted: Planted::default(), ..shrunk.plan };
        assert!(shrink::failure(&sound).is_none(), "without the defect it passes");
    }
}
