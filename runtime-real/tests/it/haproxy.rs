//! A shut-down behind Debian's HAProxy, which asks the agent check, loses no request.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::drain::{ended, instance, signal};
use crate::load::{Load, free_port};
use crate::support::eventually;
use nix::sys::signal::Signal;

/// A running HAProxy; killed when it goes out of scope.
struct Haproxy {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Haproxy {
    /// None on a host without HAProxy.
    fn start(servers: &[(SocketAddr, SocketAddr)]) -> Option<Self> {
        // Debian installs it in a directory that is not on every user's search path.
        let runs = |program: &&str| Command::new(program).arg("-v").stdout(Stdio::null()).status().is_ok();
        let program = ["haproxy", "/usr/sbin/haproxy"].into_iter().find(runs)?;
        let addr = free_port();
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("haproxy.cfg");
        let servers = servers.iter().enumerate().map(|(n, (service, agent))| {
            format!(
                "  server s{n} {service} agent-check agent-addr {} agent-port {} agent-inter 100ms \
                 agent-send \"web.default\\n\"\n",
                agent.ip(),
                agent.port()
            )
        });
        // Every failure is reported to the client: HAProxy tries no request twice.
        let config = format!(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n  retries 0\n\
             frontend all\n  bind {addr}\n  default_backend web\nbackend web\n  balance roundrobin\n{}",
            servers.collect::<String>()
        );
        fs::write(&file, config).expect("written");
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("it runs");
        eventually("HAProxy listens", || TcpStream::connect(addr).ok());
        Some(Self { child, addr, _dir: dir })
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn haproxy_sends_a_host_that_shuts_down_nothing_it_would_lose() {
    let agent = ["--listen-agent-check", "127.0.0.1:0"];
    let mut first = instance(&agent);
    let second = instance(&agent);
    let servers = [&first, &second].map(|(sup, service)| (*service, sup.agent_check.expect("asked for")));
    let Some(haproxy) = Haproxy::start(&servers) else {
        println!("skipped: haproxy is not installed (Debian: apt-get install haproxy)");
        return;
    };
    let load = Load::start(haproxy.addr);
    load.wait_for(20);
    signal(&first.0, Signal::SIGTERM);
    assert_eq!(ended(&mut first.0), Some(0));
    load.wait_for(20);
    let (answered, lost) = load.stop();
    assert_eq!(lost, Vec::<String>::new(), "of {}", answered + lost.len() as u64);
    println!("HAProxy: {answered} requests answered while a host shut down, none lost");
}
