//! The agent check: the answers that a load balancer gets for each state of a service.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::support::{DEADLINE, Supervisor, annulus, eventually, finish, plan};

pub(crate) fn ask(addr: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(line.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn each_service_and_the_whole_host_have_an_answer() {
    let supervisor = Supervisor::start(&["--listen-agent-check", "127.0.0.1:0"]);
    let addr = supervisor.agent_check.expect("asked for");
    assert_eq!(ask(addr, ""), "down#no service is wanted up here\n");
    let plans = supervisor.root().join("plans");
    supervisor.install(&plan(&plans, "web", "exec sleep 1000"));
    supervisor.install(&plan(&plans, "flop", "exit 9"));
    assert_eq!(supervisor.run(&["svc", "load", "test/web"]).0, 0);
    eventually("ready", || (ask(addr, "web.default\n") == "ready up\n").then_some(()));
    assert_eq!(ask(addr, ""), "ready up\n", "the only service is the host");
    assert_eq!(ask(addr, "web.default\r\nmore\n"), "ready up\n");
    assert_eq!(ask(addr, "web.prod\n"), "down#not loaded here\n");
    assert_eq!(ask(addr, &format!("{}\n", "x".repeat(4096))), "down#not loaded here\n");

    assert_eq!(supervisor.run(&["svc", "load", "test/flop"]).0, 0);
    eventually("its failure shows", || (ask(addr, "flop.default\n") == "down#backoff\n").then_some(()));
    // It may be on its way up for the moment of an answer.
    eventually("the worst counts", || ask(addr, "").starts_with("down#flop.default: ").then_some(()));
    assert_eq!(ask(addr, "web\n"), "ready up\n");
    assert_eq!(supervisor.run(&["svc", "unload", "test/flop"]).0, 0);

    let maintain = ["svc", "maintenance", "on", "test/web", "--reason", "new disk"];
    assert_eq!(supervisor.run(&maintain).0, 0);
    assert_eq!((ask(addr, "web.default\n"), ask(addr, "")), ("maint\n".into(), "maint\n".into()));
    assert_eq!(supervisor.run(&["svc", "maintenance", "off", "test/web"]).0, 0);
    assert_eq!(ask(addr, "web.default\n"), "ready up\n");
    assert_eq!(supervisor.run(&["svc", "drain", "test/web"]).0, 0);
    assert_eq!(ask(addr, "web.default\n"), "drain\n");
    assert_eq!(supervisor.run(&["svc", "undrain", "test/web"]).0, 0);
    assert_eq!(ask(addr, "web.default\n"), "ready up\n");
    assert_eq!(supervisor.run(&["svc", "stop", "test/web"]).0, 0);
    assert_eq!(ask(addr, "web.default\n"), "down#down\n");
}

#[test]
fn an_address_that_cannot_be_used_is_named() {
    let taken = Supervisor::start(&["--listen-agent-check", "127.0.0.1:0"]);
    let addr = taken.agent_check.expect("asked for").to_string();
    let root = tempfile::tempdir().expect("a directory");
    let run = |agent: &str| {
        let listen =
            ["--listen-gossip", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-ctl", "127.0.0.1:0"];
        let mut command = annulus();
        command.arg("--root").arg(root.path()).args(["sup", "run", "--listen-agent-check", agent]);
        finish(command.args(listen))
    };
    let (code, _, stderr) = run(&addr);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("--listen-agent-check") && stderr.contains(&addr), "{stderr}");
    let (code, _, stderr) = run("127.0.0.1");
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("IP:PORT"), "{stderr}");
}
