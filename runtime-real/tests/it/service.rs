//! The life of a service as an operator controls it.

use serde_json::Value;

use crate::support::{Supervisor, eventually, plan, text};

fn status(supervisor: &Supervisor) -> Value {
    let (code, stdout, stderr) = supervisor.run(&["svc", "status", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

fn wait_for(supervisor: &Supervisor, state: &str) -> Value {
    eventually(&format!("the service is {state}"), || {
        let list = status(supervisor);
        (list[0]["state"] == state).then(|| list[0].clone())
    })
}

#[test]
fn load_stop_start_unload() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    let (code, stdout, stderr) = supervisor.run(&["svc", "load", "test/sleeper", "--group", "prod"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("test/sleeper is loaded"), "{stdout}");
    let up = wait_for(&supervisor, "up");
    assert_eq!(up["service_group"], "sleeper.prod");
    let pid = up["process"]["pid"].as_u64().expect("a pid");

    let (code, _, stderr) = supervisor.run(&["svc", "load", "test/sleeper", "--group", "other"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("--force"), "{stderr}");

    assert_eq!(supervisor.run(&["svc", "stop", "test/sleeper"]).0, 0);
    let down = wait_for(&supervisor, "down");
    assert_eq!((&down["desired_state"], &down["process"]["pid"]), (&Value::from("down"), &Value::Null));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the process is gone");

    assert_eq!(supervisor.run(&["svc", "start", "test/sleeper"]).0, 0);
    wait_for(&supervisor, "up");
    assert_eq!(supervisor.run(&["svc", "unload", "test/sleeper"]).0, 0);
    eventually("nothing is loaded", || (status(&supervisor) == Value::Array(Vec::new())).then_some(()));
}

#[test]
fn a_package_file_can_be_loaded_directly() {
    let maker = Supervisor::start(&[]);
    let file = maker.install(&plan(&maker.root().join("plans"), "sleeper", "exec sleep 1000"));
    let (code, stdout, stderr) = maker.run(&["svc", "load", text(&file)]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("is installed already"), "{stdout}");
    wait_for(&maker, "up");
}

#[test]
fn a_service_that_exits_at_once_says_so_and_is_tried_again() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "flop", "exit 9"));
    assert_eq!(supervisor.run(&["svc", "load", "test/flop"]).0, 0);
    let failed = eventually("it has been restarted", || {
        let list = status(&supervisor);
        (list[0]["restarts"].as_u64() >= Some(2) && list[0]["state"] == "backoff").then(|| list[0].clone())
    });
    assert_eq!(failed["last_exit"], "exit code 9");
    assert_eq!(supervisor.get("/services/flop/default/health").status, 503);
    let (code, _, _) = supervisor.run(&["svc", "status", "test/flop"]);
    assert_eq!(code, 0, "it is loaded, in any state");
}

#[test]
fn an_unknown_package_is_refused_at_once() {
    let supervisor = Supervisor::start(&[]);
    let (code, _, stderr) = supervisor.run(&["svc", "load", "core/redis"]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("no package core/redis is installed") && stderr.contains("annulus pkg install"),
        "{stderr}"
    );
    assert_eq!(status(&supervisor), Value::Array(Vec::new()), "nothing is left of the try");
}

#[test]
fn three_supervisors_form_a_ring_and_a_ban_ends_one() {
    let alpha = Supervisor::start(&[]);
    let peer = alpha.gossip.to_string();
    let beta = Supervisor::start(&["--peer", &peer]);
    let mut gamma = Supervisor::start(&["--peer", &peer]);
    let alive = |supervisor: &Supervisor| {
        let ring = supervisor.json("/butterfly");
        ring["member"]["health"]
            .as_object()
            .expect("members")
            .values()
            .filter(|state| *state == "Alive")
            .count()
    };
    for supervisor in [&alpha, &beta, &gamma] {
        eventually("all see all", || (alive(supervisor) == 3).then_some(()));
    }
    let (code, _, stderr) = beta.run(&["sup", "depart", &gamma.member]);
    assert_eq!(code, 0, "{stderr}");
    let status = eventually("the banned one ends", || gamma.child.try_wait().expect("waited for"));
    assert_eq!(status.code(), Some(86));
    for supervisor in [&alpha, &beta] {
        eventually("the others know", || {
            let ring = supervisor.json("/butterfly");
            let known = ring["member"]["health"][&gamma.member] == "Departed";
            (known && ring["departed_members"][0] == gamma.member.as_str()).then_some(())
        });
    }
}

#[test]
fn secrets_of_the_supervisor_are_not_handed_to_services() {
    let secrets = [("HAB_CTL_SECRET", "s1"), ("HAB_SUP_GATEWAY_AUTH_TOKEN", "s2"), ("HAB_ORG", "acme")];
    let supervisor = Supervisor::start_with(&[], &secrets);
    let said = supervisor.root().join("said");
    let run = format!("env > {said}.new && mv {said}.new {said}\nexec sleep 1000", said = text(&said));
    supervisor.install(&plan(&supervisor.root().join("plans"), "teller", &run));
    assert_eq!(supervisor.run(&["svc", "load", "test/teller"]).0, 0);
    let env = eventually("the service has said what it got", || std::fs::read_to_string(&said).ok());
    assert!(env.contains("PATH=") && !env.contains("HAB_"), "{env}");
}
