//! Another user of the host, at the gateways of a supervisor that runs as root.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::unistd::{Uid, fchown};

use super::{SERVICE_USER, open_to_all, user};
use crate::support::{Supervisor, annulus, eventually, finish, plan, text};

/// A command that another user types at this supervisor.
fn as_another(supervisor: &Supervisor, args: &[&str]) -> Command {
    let other = user(SERVICE_USER);
    let mut command = annulus();
    command.arg("--root").arg(supervisor.root()).args(args).uid(other.uid.as_raw()).gid(other.gid.as_raw());
    command
}

#[test]
#[ignore = "needs root, for two users"]
fn another_user_gives_no_commands() {
    let supervisor = Supervisor::start(&[]);
    for dir in ["", "sup", "sup/default"] {
        open_to_all(&supervisor.root().join(dir));
    }
    let (code, _, stderr) = finish(&mut as_another(&supervisor, &["svc", "status"]));
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("ctl.sock") && stderr.contains("HAB_CTL_SECRET"), "{stderr}");
    // With the secret, which was given to this user, the address is the way.
    let mut given = as_another(&supervisor, &["svc", "status"]);
    let (code, _, stderr) = finish(given.env("HAB_CTL_SECRET", supervisor.secret()));
    assert_eq!(code, 0, "{stderr}");
    // Where the socket's mode was changed, the kernel's word about the user still counts.
    let socket = supervisor.root().join("sup/default/ctl.sock");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("set");
    let (code, _, stderr) = finish(&mut as_another(&supervisor, &["svc", "status"]));
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("may not give this supervisor commands"), "{stderr} {}", text(&socket));
}

/// The answer that a user of this host gets from the HTTP gateway.
fn answer_to(uid: u32, supervisor: &Supervisor, path: &str) -> String {
    let ask = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
        supervisor.http.port()
    );
    finish(Command::new("bash").args(["-c", &ask]).uid(uid)).1
}

#[test]
#[ignore = "needs root, for two users"]
fn another_user_reads_no_configuration() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    let path = "/services/sleeper/default/config";
    eventually("the service is prepared", || (supervisor.get(path).status == 200).then_some(()));
    assert!(answer_to(0, &supervisor, path).contains("hunter2"));
    let other = user(SERVICE_USER).uid.as_raw();
    let refused = answer_to(other, &supervisor, path);
    assert!(refused.starts_with("HTTP/1.0 403") && refused.contains("only root"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    let services = answer_to(other, &supervisor, "/services");
    assert!(services.contains("sleeper.default") && !services.contains("hunter2"), "{services}");
}

/// A connection of this user, who may choose its own end.
fn connected_as(uid: Uid, own: Option<SocketAddr>, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    fchown(&socket, Some(uid), None)?;
    if let Some(own) = own {
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(own))?;
    }
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// The answer on this connection, as far as it comes.
fn answer_on(mut stream: &TcpStream, path: &str) -> String {
    let mut answer = Vec::new();
    let asked = stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
    if asked.is_ok() {
        let _cut = stream.read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Root has a connection from the gateway's port at another address of the host, and its listener is gone: its end is free
/// to be another user's end of a connection to the gateway.
#[test]
#[ignore = "needs root, for two users"]
fn a_connection_of_root_with_the_same_end_lends_no_rights() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    let path = "/services/sleeper/default/config";
    eventually("the service is prepared", || (supervisor.get(path).status == 200).then_some(()));
    let other = user(SERVICE_USER).uid;
    let me = connected_as(Uid::from_raw(0), None, supervisor.http).expect("connected");
    assert!(answer_on(&me, path).contains("hunter2"), "a user is told by the socket");
    // Which row the kernel shows first depends on the addresses.
    for last in 2..18 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let end = listener.local_addr().expect("bound");
        let aside = SocketAddr::from(([127, 0, 0, last], supervisor.http.port()));
        let _theirs = connected_as(other, Some(aside), end).expect("connected");
        let (_roots, from) = listener.accept().expect("accepted");
        assert_eq!(from, aside);
        drop(listener);
        let stream = connected_as(other, Some(end), supervisor.http).expect("connected");
        let answer = answer_on(&stream, path);
        assert!(answer.starts_with("HTTP/1.0 403") && !answer.contains("hunter2"), "{aside}: {answer}");
    }
}

#[test]
#[ignore = "needs root, for three users"]
fn a_crowd_of_another_user_keeps_neither_operators_nor_probes_out() {
    let supervisor = Supervisor::start(&[]);
    let (crowd, prober) = (user(SERVICE_USER).uid, user("daemon").uid);
    let (http, over) = (supervisor.http, AtomicBool::new(false));
    let ask = |uid: Uid, path: &str| match connected_as(uid, None, http) {
        Ok(stream) => answer_on(&stream, path),
        Err(error) => error.to_string(),
    };
    std::thread::scope(|scope| {
        for path in ["/events", "/services/x/default/config", "/events", "/"] {
            let over = &over;
            scope.spawn(move || {
                let mut kept: Vec<TcpStream> = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    if kept.len() == 64 {
                        kept.remove(0);
                    }
                    let Ok(mut stream) = connected_as(crowd, None, http) else { continue };
                    let _asked = write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
                    kept.push(stream);
                }
            });
        }
        let mut failed = Vec::new();
        for round in 0..30 {
            for (uid, path) in [
                (Uid::from_raw(0), "/services"),
                (Uid::from_raw(0), "/metrics"),
                (Uid::from_raw(0), "/butterfly"),
                (prober, "/live"),
                (prober, "/ready"),
                (prober, "/services"),
            ] {
                let answer = ask(uid, path);
                if !answer.starts_with("HTTP/1.0 200") {
                    failed
                        .push(format!("{round} {uid} {path}: {}", answer.lines().next().unwrap_or_default()));
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{} of 180: {failed:#?}", failed.len());
    });
}
