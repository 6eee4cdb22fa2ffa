//! The real driver, its gateways and their clients over turmoil's network.
#![cfg(feature = "turmoil")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use annulus_core::{Instant, State};
use annulus_sim::action::world::Record;
use annulus_sim::action::{Action, Heal, HostId, Join, Partition};
use annulus_sim::bed::turmoil::{self, TurmoilBed};
use annulus_sim::engine::scene::Scene;
use annulus_sim::scenario::run::{Watcher, run};
use annulus_sim::scenario::scene::Bed as _;
use annulus_sim::scenario::{self, Plan};
use annulus_sim::{HostState, report::trace};

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// The lines that a trace of the run has.
#[derive(Default)]
struct Log(Vec<u8>);

impl Watcher for Log {
    fn record(&mut self, scene: &dyn Scene, record: &Record) {
        let records = std::slice::from_ref(record);
        trace::write_jsonl(&mut self.0, scene, records).expect("memory takes it");
    }
}

/// A ring of this many, all started at once, the others with the first as their peer.
struct Ring(TurmoilBed);

impl Ring {
    fn of(count: usize, seed: u64) -> Self {
        let text = format!(
            "about = \"A ring for a test of the bed, which does and expects everything by itself.\"\n\
             duration = \"60s\"\n\n[members]\ncount = {count}\n\n[timings]\nprofile = \"local\"\n\n\
             [[expect]]\nby = \"9s\"\nall_alive = true\n"
        );
        let plan = scenario::parse("test.toml", &text).expect("a scenario");
        let mut ring = Self(TurmoilBed::new(&plan, seed).expect("it fits"));
        for host in plan.host_ids() {
            ring.apply(Action::Join(Join { host }));
        }
        ring
    }

    fn apply(&mut self, action: Action) {
        self.0.apply(&action).expect("possible");
    }

    /// Lets time pass until `holds`, but not longer than `within`.
    fn until(&mut self, within: Duration, what: &str, holds: impl Fn(&TurmoilBed) -> bool) {
        let limit = self.0.now() + within;
        while !holds(&self.0) {
            assert!(self.0.step_until(limit), "{what}: not at {}", self.0.now());
        }
    }

    fn status(&mut self, host: u32, path: &str) -> u16 {
        self.0.http_get(HostId(host), path).expect("an answer").status
    }
}

fn sees(bed: &TurmoilBed, by: u32, of: u32) -> Option<State> {
    bed.member_id(HostId(of)).and_then(|member| bed.held(HostId(by), &member))
}

/// Whether all of these hold all of these alive, and no other member.
fn agree(bed: &TurmoilBed, hosts: &[u32]) -> bool {
    let alone = |by: &u32| bed.count(HostId(*by), Some(State::Alive)) == hosts.len();
    let all = |by: &u32| hosts.iter().all(|of| sees(bed, *by, *of) == Some(State::Alive));
    hosts.iter().all(|by| all(by) && alone(by))
}

const ALL: [u32; 5] = [0, 1, 2, 3, 4];
const SOON: Duration = Duration::from_secs(10);

#[test]
fn five_form_a_ring_part_and_find_together_and_answer_meanwhile() {
    let mut ring = Ring::of(5, 3);
    ring.until(SOON, "all see all", |bed| agree(bed, &ALL));

    let (two, three) = ([0, 1], [2, 3, 4]);
    let sides = [two.map(HostId).to_vec(), three.map(HostId).to_vec()];
    ring.apply(Action::Partition(Partition { from: sides[0].clone(), to: sides[1].clone(), both: true }));
    let dead = |bed: &TurmoilBed, by: u32, of: u32| sees(bed, by, of) == Some(State::Confirmed);
    ring.until(2 * SOON, "two rings", |bed| {
        let apart = two.iter().all(|a| three.iter().all(|b| dead(bed, *a, *b) && dead(bed, *b, *a)));
        apart && agree(bed, &two) && agree(bed, &three)
    });
    for host in ALL {
        assert_eq!(ring.status(host, "/ready"), 200);
        assert_eq!(ring.status(host, "/metrics"), 200);
    }
    let answer = ring.0.http_get(HostId(0), "/butterfly").expect("an answer");
    let lost = ring.0.member_id(HostId(3)).expect("it ran").to_string();
    assert!(answer.status == 200 && answer.body.contains(&lost), "{answer:?}");
    assert!(answer.body.contains("\"Confirmed\""), "{answer:?}");

    ring.apply(Action::Heal(Heal::EVERYWHERE));
    ring.until(2 * SOON, "one ring again", |bed| agree(bed, &ALL));
    assert_eq!(ring.status(4, "/ready"), 200);
    assert_eq!(ring.status(4, "/no/such/route"), 404);
    let answer = ring.0.http_get(HostId(0), "/butterfly").expect("an answer");
    assert!(!answer.body.contains("\"Confirmed\""), "{answer:?}");
}

#[test]
fn one_way_cuts_and_stopped_packets_are_survived() {
    let mut ring = Ring::of(5, 4);
    ring.until(SOON, "all see all", |bed| agree(bed, &ALL));
    ring.apply(Action::Partition(Partition { from: vec![HostId(1)], to: vec![HostId(2)], both: false }));
    ring.0.hold(HostId(3), HostId(4));
    let until = ring.0.now() + SOON;
    while ring.0.step_until(until) {
        assert_ne!(sees(&ring.0, 0, 1), Some(State::Confirmed), "others still reach it");
    }
    ring.0.release(HostId(3), HostId(4));
    ring.apply(Action::Heal(Heal::EVERYWHERE));
    ring.until(SOON, "all see all", |bed| agree(bed, &ALL));
}

#[test]
fn an_operator_bans_a_member_over_the_wire() {
    let mut ring = Ring::of(3, 5);
    ring.until(SOON, "all see all", |bed| agree(bed, &[0, 1, 2]));
    let member = ring.0.member_id(HostId(2)).expect("it runs");
    ring.0.ctl_depart(HostId(0), member).expect("carried out");
    ring.until(SOON, "it ends", |bed| bed.state(HostId(2)) == HostState::Stopped);
    ring.until(SOON, "others know", |bed| [0, 1].iter().all(|by| sees(bed, *by, 2) == Some(State::Departed)));
    let refused = ring.0.http_get(HostId(2), "/live").expect_err("no supervisor is there");
    assert!(refused.contains("refused"), "{refused}");
    let refused = ring.0.ctl_depart(HostId(2), member).expect_err("no supervisor is there");
    assert!(refused.contains("refused"), "{refused}");
    assert_eq!(ring.status(1, "/ready"), 200);
}

#[test]
fn both_beds_bring_every_parity_scenario_to_the_same_end() {
    let mut count = 0;
    for entry in fs::read_dir(scenarios().join("parity")).expect("there are such") {
        let plan = Plan::load(&entry.expect("readable").path()).expect("a scenario");
        let simulated = run(&plan, plan.seed, &mut ());
        let real = turmoil::run(&plan, plan.seed, &mut ()).expect("it fits");
        let outcome = |outcome| format!("{outcome:?}");
        assert_eq!(outcome(real.outcome), outcome(simulated.outcome), "{}", plan.file);
        assert_eq!(real.holdings, simulated.holdings, "{}", plan.file);
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn a_seed_has_one_log_in_this_process_and_in_others() {
    let file = scenarios().join("parity/restart_keeps_identity.toml");
    let plan = Plan::load(&file).expect("a scenario");
    let log = |seed| {
        let mut log = Log::default();
        let report = turmoil::run(&plan, seed, &mut log).expect("it fits");
        assert!(report.ended >= Instant::ZERO + plan.duration);
        (log.0, report.hash)
    };
    let first = log(11);
    assert!(first.0.len() > 1_000, "{}", first.0.len());
    assert!(log(11) == first, "the same seed");
    assert!(log(12).0 != first.0, "another seed");

    let folder = tempfile::tempdir().expect("a folder");
    for run in ["a", "b"] {
        let written = folder.path().join(run);
        let output = Command::new(env!("CARGO_BIN_EXE_annulus-sim"))
            .args(["run", "--on", "turmoil", "--seed", "11", "--trace"])
            .args([&written, &file])
            .output()
            .expect("the simulator can be started");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(fs::read(&written).expect("written") == first.0, "process {run} has another log");
    }
}

#[test]
fn a_ring_that_is_too_large_is_for_the_simulator() {
    let plan = Plan::load(&scenarios().join("membership/five_percent_loss.toml")).expect("a scenario");
    let refused = turmoil::run(&plan, 1, &mut ()).expect_err("too large").to_string();
    assert!(refused.starts_with("not on this bed: 20 hosts"), "{refused}");
}
