//! Causes in traces: from an event of a service or an election back to the event that began it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use annulus_core::{ElectionEvent, Event, EventKind, RumorKind, ServiceState, State};
use annulus_sim::report::trace::{Told, read_jsonl};

/// The events of each life of each host, by number.
type Lives = BTreeMap<(String, u32), BTreeMap<u64, Event>>;

fn run(scenario: &Path) -> Lives {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace.jsonl");
    let ran = Command::new(env!("CARGO_BIN_EXE_annulus-sim"))
        .arg("run")
        .arg(scenario)
        .arg("--trace")
        .arg(&trace)
        .output();
    let ran = ran.expect("the program starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = std::fs::read(trace).expect("a trace");
    let (mut lives, mut starts) = (Lives::new(), BTreeMap::<String, u32>::new());
    for line in read_jsonl(text.as_slice()) {
        match line.expect("a line of a trace").what {
            // A node's first events come before the line that says that it has started.
            Told::HostStopped { host, .. } => *starts.entry(host).or_default() += 1,
            Told::Event { host, event } => {
                let life = starts.get(&host).copied().unwrap_or(0);
                let earlier = lives.entry((host, life)).or_default().insert(event.id.0, event);
                assert_eq!(earlier, None, "an event's number is used once");
            }
            _ => {}
        }
    }
    lives
}

fn here(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/causes").join(name)
}

fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name)
}

/// An event and all events that it follows from, the latest first.
fn chain<'a>(events: &'a BTreeMap<u64, Event>, from: &'a Event) -> Vec<&'a EventKind> {
    let mut chain = vec![&from.kind];
    let mut event = from;
    while let Some(earlier) = event.cause.event {
        assert!(earlier.0 < event.id.0, "causes come before effects");
        event = events.get(&earlier.0).expect("an earlier event is in the trace");
        chain.push(&event.kind);
    }
    chain
}

/// Asserts that these are found in the chain, in this order.
fn leads_through(chain: &[&EventKind], steps: &[&dyn Fn(&EventKind) -> bool]) {
    let mut rest = chain.iter();
    for (number, step) in steps.iter().enumerate() {
        assert!(rest.any(|kind| step(kind)), "step {number} is not in its place in {chain:#?}");
    }
}

fn member_is(kind: &EventKind, state: State) -> bool {
    matches!(kind, EventKind::MemberChanged { to, .. } if *to == state)
}

fn voted(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Election { what: ElectionEvent::Voted { .. }, .. })
}

fn won(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Election { what: ElectionEvent::Won { .. }, .. })
}

fn service_is(kind: &EventKind, state: ServiceState) -> bool {
    matches!(kind, EventKind::ServiceChanged { to, .. } if *to == Some(state))
}

#[test]
fn an_election_follows_from_the_leaders_death_and_a_service_from_its_election() {
    let lives = run(&here("a_leader_dies.toml"));
    let mut elected = 0;
    for events in lives.values() {
        for event in events.values().filter(|event| won(&event.kind)) {
            let EventKind::Election { term, .. } = &event.kind else { unreachable!("it was won") };
            let chain = chain(events, event);
            if *term == 1 {
                leads_through(
                    &chain,
                    &[&won, &voted, &|kind| {
                        matches!(kind, EventKind::Election { what: ElectionEvent::Started, .. })
                    }],
                );
            } else {
                elected += 1;
                let dead = |kind: &EventKind| member_is(kind, State::Confirmed);
                let suspect = |kind: &EventKind| member_is(kind, State::Suspect);
                leads_through(&chain, &[&won, &voted, &dead, &suspect]);
            }
        }
    }
    assert_eq!(elected, 1, "one leader after the first");
    let first = lives.iter().find(|((host, _), _)| host == "ada").map(|(_, events)| events).expect("ada ran");
    let up =
        first.values().find(|event| service_is(&event.kind, ServiceState::Up)).expect("its service came up");
    let starting = |kind: &EventKind| service_is(kind, ServiceState::Starting);
    leads_through(&chain(first, up), &[&starting, &won, &voted]);
}

#[test]
fn a_restart_for_a_configuration_follows_from_its_acceptance() {
    let lives = run(&here("a_configuration_arrives.toml"));
    let events =
        lives.iter().find(|((host, _), _)| host == "bob").map(|(_, events)| events).expect("bob ran");
    let up =
        events.values().rfind(|event| service_is(&event.kind, ServiceState::Up)).expect("it came up again");
    let accepted = |kind: &EventKind| matches!(kind, EventKind::RumorAccepted { key, .. } if key.kind() == RumorKind::ServiceConfig);
    let state = |state| move |kind: &EventKind| service_is(kind, state);
    leads_through(
        &chain(events, up),
        &[
            &state(ServiceState::Up),
            &state(ServiceState::Starting),
            &state(ServiceState::Stopping),
            &accepted,
        ],
    );
}

/// Whether an event may stand at the beginning of a chain: its cause came from outside, or was time itself.
fn begins(kind: &EventKind) -> bool {
    match kind {
        // A disk, a datagram, an operator, a look at the clock.
        EventKind::Started { .. }
        | EventKind::ProbeFailed { .. }
        | EventKind::Refuted { .. }
        | EventKind::LocalHealth { .. }
        | EventKind::Stalled { .. }
        | EventKind::RumorAccepted { .. }
        | EventKind::RumorRepaired { .. }
        | EventKind::Synced { .. }
        | EventKind::StatementRefused { .. }
        | EventKind::MessageDropped { .. }
        | EventKind::IdentityRunsTwice { .. }
        | EventKind::DecodeFailed { .. }
        | EventKind::LimitReached { .. }
        | EventKind::PersistFailed { .. }
        | EventKind::IdentityConflict { .. }
        | EventKind::IdentityTakenOver { .. }
        | EventKind::RingKeyChanged { .. }
        | EventKind::RingKeyFailed { .. }
        | EventKind::Leaving => true,
        // Another member's word, or its farewell; never a verdict of this member's own.
        EventKind::MemberChanged { why, .. } => {
            !matches!(why.name(), "probe_failed" | "suspicion_expired" | "operator")
        }
        // The wish of an operator, the state on the disk, and a process that ended by itself.
        EventKind::ServiceChanged { from, to, .. } => {
            from.is_none()
                || !matches!(
                    (from, to),
                    (Some(ServiceState::Starting | ServiceState::Waiting), Some(ServiceState::Up))
                )
        }
        // A vote in a round that another member began, or a leader in its own words.
        EventKind::Election { what, .. } => {
            matches!(
                what,
                ElectionEvent::Voted { .. } | ElectionEvent::Learned { .. } | ElectionEvent::Started
            )
        }
        EventKind::MemberForgotten { .. }
        | EventKind::ObstacleChanged { .. }
        | EventKind::UpdateChanged { .. }
        | EventKind::SuspicionConfirmed { .. }
        | EventKind::VersionLost { .. }
        | EventKind::Banned { .. }
        | EventKind::BanLifted { .. } => false,
    }
}

#[test]
fn every_event_follows_from_another_or_from_outside() {
    let (mut all, mut linked) = (0_usize, 0_usize);
    for scenario in [
        "election/a_leader_that_leaves_hands_over.toml",
        "group/two_sides_one_winner.toml",
        "identity/ban_outlives_its_operator.toml",
        "service/services_outlive_their_supervisor.toml",
        "smoke/three_members_one_crash.toml",
    ] {
        for ((host, _), events) in run(&shipped(scenario)) {
            for event in events.values() {
                all += 1;
                linked += usize::from(event.cause.event.is_some());
                assert!(
                    event.cause.event.is_some() || begins(&event.kind),
                    "{scenario}: {host}'s event {} has no cause: {:?}",
                    event.id,
                    event.kind
                );
            }
        }
    }
    println!("{linked} of {all} events follow from an earlier one, the others from their input");
    assert!(linked * 5 > all, "{linked} of {all} events follow from an earlier one");
}
