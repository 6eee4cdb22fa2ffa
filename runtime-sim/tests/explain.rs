//! `annulus-sim explain` on traces of shipped scenarios: the sentences that a reader must find, at any exact time.

use annulus_sim::report::trace::read_jsonl;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_annulus-sim")).args(args).output().expect("the program starts")
}

fn traced(folder: &Path, scenario: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(scenario);
    let trace = folder.join("trace.jsonl");
    let ran = sim(&["run", file.to_str().expect("a path"), "--trace", trace.to_str().expect("a path")]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    trace
}

/// The explanation in one line, and the same as JSON.
fn explained(scenario: &str, question: &[&str]) -> (String, serde_json::Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = traced(folder.path(), scenario);
    let mut args = vec!["explain", trace.to_str().expect("a path")];
    args.extend(question);
    let told = sim(&args);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    args.push("--json");
    let json = serde_json::from_slice(&sim(&args).stdout).expect("JSON");
    let text = String::from_utf8(told.stdout).expect("text");
    println!("{text}");
    (text.split_whitespace().collect::<Vec<_>>().join(" "), json)
}

fn has(text: &str, sentences: &[&str]) {
    let mut rest = text;
    for sentence in sentences {
        let at = rest.find(sentence);
        let at = at.unwrap_or_else(|| panic!("{sentence:?} is missing, or not in its place, in:\n{text}"));
        rest = &rest[at + sentence.len()..];
    }
}

#[test]
fn a_crash_is_followed_from_the_verdict_to_the_power_failure() {
    let (text, json) =
        explained("smoke/three_members_one_crash.toml", &["--member", "cyd", "--seen-by", "bob"]);
    has(
        &text,
        &[
            "Why bob holds cyd dead since",
            "the suspicion it had of cyd ran out after",
            "began to suspect cyd: its own probe got no answer on any path",
            "sent cyd a ping, and 2 more in case one got lost; no ack came back",
            "cyd's host is off since 5.000s",
            "to ping cyd on its behalf",
            "it said so at",
            "over a stream",
            "No refutation came, and rightly so: cyd's supervisor did not run any more (crashed at 5.000s)",
            "So it all comes from this: -> 5.000s: cyd loses power",
        ],
    );
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(1));
    assert!(json["steps"].as_array().is_some_and(|steps| steps.len() >= 5));
    assert!(json["steps"][0]["t"].as_u64() > json["steps"][4]["t"].as_u64(), "causes come before effects");
}

#[test]
fn a_netsplit_is_to_blame_for_every_leg() {
    let (text, json) =
        explained("partition/netsplit_heals_without_permanent_peers.toml", &["--member", "dan"]);
    has(
        &text,
        &[
            "holds dan dead since",
            "no ack came back",
            "cut: nothing passes from",
            "No refutation came, because dan never heard that it was accused",
            "packets, the first of them",
            "Only then did dan hear of it and refute it",
            "So it all comes from this: -> 10.000s: the network breaks between ada, bob and cyd and dan, eve and fay",
        ],
    );
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(1), "nothing else is to blame");
}

#[test]
fn a_one_way_cut_loses_the_acks_and_not_the_pings() {
    let (text, _) = explained("membership/blip_is_refuted.toml", &["--member", "bob", "--seen-by", "ada"]);
    has(
        &text,
        &[
            "ada holds bob alive again, in incarnation 2, after it had held it suspect",
            "that it was called Suspect and refuted it: it took incarnation 2",
            "reached bob; its ack, packet",
            "cut: nothing passes from bob to",
            "held up until",
            "-> 10.000s: nothing that bob sends reaches ada, cyd, dan and eve any more",
        ],
    );
}

#[test]
fn a_pause_is_refuted_once_it_ends() {
    let question = ["--member", "bob", "--seen-by", "ada"];
    let (text, _) = explained("membership/short_pause_is_forgiven.toml", &question);
    has(
        &text,
        &[
            "ada holds bob alive again",
            "refuted it",
            "It could do so because it ran again",
            "bob was frozen since 10.000s and read it only at 15.000s",
            "-> 10.000s: bob is frozen",
        ],
    );
    let before: Vec<&str> = question.into_iter().chain(["--at", "12.5s"]).collect();
    let (text, _) = explained("membership/short_pause_is_forgiven.toml", &before);
    has(
        &text,
        &["Why ada holds bob suspect", "No refutation came: bob was frozen since 10.000s and heard nothing"],
    );
}

#[test]
fn a_killed_process_answers_by_refusing() {
    let (text, _) = explained("membership/killed_process_is_noticed_sooner.toml", &["--member", "bob"]);
    has(
        &text,
        &[
            "refused: bob's host is up, but no supervisor runs there",
            "(killed at 10.000s)",
            "-> 10.000s: the supervisor on bob is killed",
        ],
    );
}

#[test]
fn traces_of_every_kind_can_be_read() {
    for scenario in [
        "election/a_leader_that_leaves_hands_over.toml",
        "group/two_sides_one_winner.toml",
        "identity/ban_outlives_its_operator.toml",
        "service/services_outlive_their_supervisor.toml",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let trace = traced(folder.path(), scenario);
        let told = sim(&["explain", trace.to_str().expect("a path"), "--member", "nobody"]);
        let told = String::from_utf8(told.stderr).expect("text");
        assert!(told.contains("knows no member \"nobody\""), "{scenario}: {told}");
    }
}

#[test]
fn what_cannot_be_explained_is_refused_with_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = traced(folder.path(), "smoke/three_members_one_crash.toml");
    let whole = std::fs::read_to_string(&trace).expect("a trace");
    let file = folder.path().join("bad.jsonl");
    let path = file.to_str().expect("a path");
    let refused = |text: &str, question: &[&str]| {
        std::fs::write(&file, text).expect("written");
        let mut args = vec!["explain", path];
        args.extend(question);
        let told = sim(&args);
        assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stdout));
        String::from_utf8(told.stderr).expect("text")
    };
    let cyd = ["--member", "cyd"];
    let lines = whole.lines().count();
    let broken = refused(&whole[..whole.len() - 20], &cyd);
    assert!(broken.contains(&format!("line {lines}: the line breaks off")), "{broken}");
    let foreign = refused("about = \"a scenario\"\n", &cyd);
    assert!(foreign.contains("line 1: this is no line of a trace"), "{foreign}");
    let other = refused("{\"level\": \"info\", \"message\": \"hello\"}\n", &cyd);
    assert!(other.contains("line 1") && other.contains("missing field"), "{other}");
    let events: String =
        whole.lines().filter(|l| !l.contains("\"sent\"")).map(|l| format!("{l}\n")).collect();
    assert!(refused(&events, &cyd).contains("holds no packets"));
    assert!(refused("", &cyd).contains("the trace is empty"));
    let unknown = refused(&whole, &["--member", "zoe"]);
    assert!(unknown.contains("knows no member \"zoe\"; it knows ada, bob, cyd"), "{unknown}");
    let early = refused(&whole, &["--member", "cyd", "--at", "1ms"]);
    assert!(early.contains("no member ever held cyd to be anything until 0.001s"), "{early}");
    let late = refused(&whole, &["--member", "cyd", "--at", "1h"]);
    assert!(late.contains("the trace ends at ") && late.contains(", before 3600.000s"), "{late}");
}

#[test]
fn a_trace_that_is_read_and_written_again_is_the_same() {
    for scenario in [
        "smoke/three_members_one_crash.toml",
        "election/a_leader_that_leaves_hands_over.toml",
        "group/two_sides_one_winner.toml",
        "service/services_outlive_their_supervisor.toml",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let text = std::fs::read_to_string(traced(folder.path(), scenario)).expect("a trace");
        let mut lines = 0;
        for (read, written) in read_jsonl(text.as_bytes()).zip(text.lines()) {
            let read = read.unwrap_or_else(|error| panic!("{scenario}: {error}"));
            assert_eq!(serde_json::to_string(&read).expect("it can be written"), written, "{scenario}");
            lines += 1;
        }
        assert_eq!(lines, text.lines().count());
        assert!(lines > 100, "{scenario} has {lines} lines");
    }
}

#[test]
fn a_group_without_a_leader_is_explained_by_lost_requests() {
    let question = ["--group", "redis.default", "--at", "50s"];
    let (text, json) = explained("election/equal_halves_have_no_leader.toml", &question);
    has(
        &text,
        &[
            "Why redis.default has no leader at 50.000s",
            "too few voters renewed its lease in time",
            "to renew the lease",
            "cut: nothing passes from",
            "asked for votes",
            "So it all comes from this: -> 20.000s: the network breaks",
        ],
    );
    assert!(
        json["steps"]
            .as_array()
            .is_some_and(|steps| steps.iter().any(|s| s["packets"] != serde_json::json!([])))
    );
}

#[test]
fn another_leader_is_explained_by_the_end_of_the_first() {
    let (text, _) = explained("election/a_dead_leader_is_replaced.toml", &["--group", "redis"]);
    has(
        &text,
        &[
            "Why cyd leads redis.default in term",
            "cyd won term",
            "Its supervisor ended (crashed)",
            "-> 20.000s: ada loses power",
        ],
    );
    let (text, _) =
        explained("election/a_leader_that_leaves_hands_over.toml", &["--group", "redis", "--at", "25s"]);
    has(
        &text,
        &[
            "Why bob leads redis.default",
            "bob won term",
            "ada",
            "So it all comes from this: -> 20.000s: ada is asked to leave",
        ],
    );
}

#[test]
fn a_restart_for_a_configuration_is_followed_to_the_operator() {
    let question = ["--service", "web", "--member", "ada"];
    let (text, _) = explained("service/new_configuration_one_process.toml", &question);
    has(&text, &["Why web on ada", "was told to stop at", "-> ", "version"]);
    let (text, _) =
        explained("service/crash_loop_is_given_up.toml", &["--service", "web", "--member", "ada"]);
    has(&text, &["Why web does not run on ada", "by itself"]);
}

#[test]
fn a_version_that_did_not_arrive_is_explained_by_the_cut() {
    let question = ["--config", "db.prod", "--at", "12.9s"];
    let (text, _) = explained("group/on_disk_before_it_is_answered.toml", &question);
    has(
        &text,
        &[
            "Why version 3 of the configuration of db.prod has not come to bob, cyd, dan by",
            "an operator gave ada",
            "-> 10.000s: the network breaks",
        ],
    );
    let (text, _) = explained("group/config_reaches_everybody.toml", &["--config", "web"]);
    has(
        &text,
        &[
            "How version 2 of the configuration of web.default came to every running member",
            "was the last to hold it",
        ],
    );
}

#[test]
fn what_a_trace_does_not_know_is_answered_with_what_it_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = traced(folder.path(), "election/a_dead_leader_is_replaced.toml");
    let refused = |question: &[&str]| {
        let mut args = vec!["explain", trace.to_str().expect("a path")];
        args.extend(question);
        let told = sim(&args);
        assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stdout));
        String::from_utf8(told.stderr).expect("text")
    };
    let group = refused(&["--group", "mail"]);
    assert!(
        group.contains("no election of the group \"mail.default\"; groups with a leader: redis.default"),
        "{group}"
    );
    let of_group =
        sim(&["explain", trace.to_str().expect("a path"), "--service", "redis.default", "--member", "bob"]);
    assert!(
        of_group.status.success(),
        "a group names its service: {}",
        String::from_utf8_lossy(&of_group.stderr)
    );
    let service = refused(&["--service", "web", "--member", "ada"]);
    assert!(service.contains("no service \"web\" was loaded on ada; services there: redis"), "{service}");
    let host = refused(&["--service", "redis", "--member", "zoe"]);
    assert!(host.contains("knows no member \"zoe\""), "{host}");
    let config = refused(&["--config", "redis"]);
    assert!(
        config.contains("no configuration of the group \"redis.default\"; groups with one: none"),
        "{config}"
    );
    assert!(refused(&[]).contains("--member"), "a question is asked for");
    assert!(refused(&["--service", "redis"]).contains("--member"), "a service runs somewhere");
    assert!(
        refused(&["--group", "redis", "--member", "ada"]).contains("cannot be used with"),
        "one question"
    );
}
