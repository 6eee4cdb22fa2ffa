//! The commands and their exit codes, and the ctl gateway's patience with hostile clients.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::support::{DEADLINE, Supervisor, annulus, eventually, finish, plan};

/// A client must have shown the secret within this.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A frame without a transaction: header, name, body.
fn frame(id: &str, body: &[u8]) -> Vec<u8> {
    let header = (u32::try_from(id.len()).expect("short") << 20) | u32::try_from(body.len()).expect("short");
    [&header.to_be_bytes()[..], id.as_bytes(), body].concat()
}

/// The same in transaction 1.
fn frame_in_txn(id: &str, body: &[u8]) -> Vec<u8> {
    let plain = frame(id, body);
    [&[plain[0] | 0x80, plain[1], plain[2], plain[3], 0x40, 0, 0, 1], &plain[4..]].concat()
}

fn handshake(secret: &str) -> Vec<u8> {
    let length = u8::try_from(secret.len()).expect("short");
    frame_in_txn("Handshake", &[&[0x0a, length], secret.as_bytes()].concat())
}

/// All bytes that the gateway answers with until it closes the connection.
fn answer_to(supervisor: &Supervisor, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(supervisor.ctl).expect("the gateway listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(bytes).expect("sent");
    // The gateway may have closed the connection already, and a reset is a close too.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn without_a_supervisor_commands_end_with_3() {
    let root = tempfile::tempdir().expect("a directory");
    for command in
        [&["sup", "status"][..], &["svc", "status"], &["sup", "term"], &["svc", "load", "core/redis"]]
    {
        let (code, _, stderr) = finish(annulus().arg("--root").arg(root.path()).args(command));
        assert_eq!(code, 3, "{command:?}: {stderr}");
        assert!(stderr.contains("annulus sup run"), "{stderr}");
    }
}

#[test]
fn after_a_crash_commands_end_with_3() {
    let mut supervisor = Supervisor::start(&[]);
    supervisor.child.kill().expect("killed");
    supervisor.child.wait().expect("ended");
    // The program that has the port by now must not be shown the secret.
    let stranger = eventually("the port is free again", || TcpListener::bind(supervisor.ctl).ok());
    stranger.set_nonblocking(true).expect("set");
    for command in [["svc", "status"], ["sup", "term"]] {
        let (code, _, stderr) = supervisor.run(&command);
        assert_eq!(code, 3, "{command:?}: {stderr}");
    }
    assert_eq!(stranger.accept().expect_err("no connection came").kind(), ErrorKind::WouldBlock);
}

#[test]
fn status_tells_what_is_loaded_from_what_is_not() {
    let supervisor = Supervisor::start(&[]);
    let (code, stdout, _) = supervisor.run(&["sup", "status"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("no services are loaded"), "{stdout}");
    let (code, stdout, _) = supervisor.run(&["svc", "status", "--json"]);
    assert_eq!((code, stdout.trim()), (0, "[]"));
    let (code, _, stderr) = supervisor.run(&["sup", "status", "core/redis"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("core/redis is not loaded"), "{stderr}");
    for command in
        [["svc", "start", "core/redis"], ["svc", "stop", "core/redis"], ["svc", "unload", "core/redis"]]
    {
        assert_eq!(supervisor.run(&command).0, 2, "{command:?}");
    }
}

#[test]
fn the_secret_decides() {
    let supervisor = Supervisor::start(&[]);
    let addr = supervisor.ctl.to_string();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let status = |secret: Option<&str>| {
        let mut command = annulus();
        command.arg("--root").arg(elsewhere.path()).args(["svc", "status", "--remote-sup", &addr]);
        command.envs(secret.map(|secret| ("HAB_CTL_SECRET", secret)));
        finish(&mut command)
    };
    let (code, _, stderr) = status(Some("guess"));
    assert_eq!(code, 7);
    assert!(stderr.contains("refuses the ctl secret") && stderr.contains("HAB_CTL_SECRET"), "{stderr}");
    assert_eq!(status(None).0, 7, "no secret at all");
    assert_eq!(status(Some(&supervisor.secret())).0, 0, "the right one");
}

#[test]
fn strangers_are_refused_in_words_and_never_harm() {
    let supervisor = Supervisor::start(&[]);
    let secret = supervisor.secret();
    assert!(contains(&answer_to(&supervisor, &handshake("guess")), "secret key mismatch"));
    assert!(contains(&answer_to(&supervisor, &handshake(&secret)), "NetOk"));
    let request_first = answer_to(&supervisor, &frame_in_txn("SvcStatus", &[]));
    assert!(contains(&request_first, "first message must be a Handshake"));
    let unknown = [handshake(&secret), frame_in_txn("SvcDance", &[])].concat();
    assert!(contains(&answer_to(&supervisor, &unknown), "knows no request \"SvcDance\""));
    let garbled = [handshake(&secret), frame_in_txn("SvcLoad", &[0xff; 9])].concat();
    assert!(contains(&answer_to(&supervisor, &garbled), "the SvcLoad does not decode"));
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    answer_to(&supervisor, &noise);
    answer_to(&supervisor, &[]);
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0, "still at work");
}

#[test]
fn a_secret_that_others_can_read_is_not_used() {
    let supervisor = Supervisor::start(&[]);
    let path = supervisor.root().join("sup/default/CTL_SECRET");
    assert_eq!(std::fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let addr = supervisor.ctl.to_string();
    let (code, _, stderr) = supervisor.run(&["svc", "status", "--remote-sup", &addr]);
    assert_eq!(code, 7);
    assert!(stderr.contains("chmod 600"), "{stderr}");
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0, "the socket asks for no secret");
}

/// The supervisor's socket, for commands of its host.
fn socket(supervisor: &Supervisor, name: &str) -> PathBuf {
    supervisor.root().join("sup").join(name).join("ctl.sock")
}

/// All bytes that come over the socket in answer to these.
fn answer_over(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("the gateway listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(bytes).expect("sent");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn local_commands_need_the_socket_and_no_secret() {
    let supervisor = Supervisor::start(&[]);
    let path = socket(&supervisor, "default");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
    assert!(contains(&answer_over(&path, &handshake("")), "NetOk"));
    let request_first = answer_over(&path, &frame_in_txn("SvcStatus", &[]));
    assert!(contains(&request_first, "first message must be a Handshake"));
    fs::remove_file(supervisor.root().join("sup/default/CTL_SECRET")).expect("removed");
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0);
    // Without the socket there is the address, which wants the secret.
    fs::remove_file(&path).expect("removed");
    let (code, _, stderr) = supervisor.run(&["svc", "status"]);
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("no ctl secret"), "{stderr}");
}

#[test]
fn a_link_in_the_place_of_the_socket_leads_no_command_astray() {
    let supervisor = Supervisor::start(&[]);
    let (path, elsewhere) = (socket(&supervisor, "default"), supervisor.root().join("elsewhere"));
    let stranger = UnixListener::bind(&elsewhere).expect("a socket");
    stranger.set_nonblocking(true).expect("set");
    fs::remove_file(&path).expect("removed");
    symlink(&elsewhere, &path).expect("linked");
    let (code, _, stderr) = supervisor.run(&["svc", "status"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("a symbolic link"), "{stderr}");
    assert_eq!(stranger.accept().expect_err("no command came").kind(), ErrorKind::WouldBlock);
}

/// Starts a supervisor that cannot start below this root.
fn refused(root: &Path, more: &[&str]) -> (i32, String) {
    let mut command = annulus();
    command.arg("--root").arg(root).args(["sup", "run"]).args(more);
    for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
        command.args([option, "127.0.0.1:0"]);
    }
    let (code, _, stderr) = finish(&mut command);
    (code, stderr)
}

#[test]
fn only_a_socket_that_no_process_has_is_replaced() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("sup/default");
    fs::create_dir_all(&dir).expect("made");
    let path = dir.join("ctl.sock");
    let other = UnixListener::bind(&path).expect("a socket");
    let (code, stderr) = refused(root.path(), &[]);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("another process listens there"), "{stderr}");
    assert!(UnixStream::connect(&path).is_ok(), "it was left alone");
    drop(other);
    fs::remove_file(&path).expect("removed");
    fs::write(root.path().join("precious"), "text").expect("written");
    symlink(root.path().join("precious"), &path).expect("linked");
    let (code, stderr) = refused(root.path(), &[]);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("a symbolic link stands there"), "{stderr}");
    assert_eq!(fs::read_to_string(root.path().join("precious")).expect("there"), "text");
    fs::remove_file(&path).expect("removed");
    drop(UnixListener::bind(&path).expect("a socket"));
    let supervisor = Supervisor::start_in(root, &["sup", "run"], &[]);
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0, "one that was left by a dead process is replaced");
}

#[test]
fn a_killed_supervisor_leaves_a_socket_that_the_next_one_replaces() {
    let mut supervisor = Supervisor::start(&[]);
    supervisor.child.kill().expect("killed");
    supervisor.child.wait().expect("ended");
    assert!(socket(&supervisor, "default").exists(), "nothing was there to remove it");
    supervisor.restart(&[]);
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0);
    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    assert!(!socket(&supervisor, "default").exists(), "it goes in order");
}

#[test]
fn a_root_with_a_long_path_has_a_socket_too() {
    let outer = tempfile::tempdir().expect("a directory");
    let long = outer.path().join("d".repeat(120));
    fs::create_dir(&long).expect("made");
    let root = tempfile::tempdir_in(&long).expect("a directory");
    let supervisor = Supervisor::start_in(root, &["sup", "run"], &[]);
    fs::remove_file(supervisor.root().join("sup/default/CTL_SECRET")).expect("removed");
    assert_eq!(supervisor.run(&["svc", "status"]).0, 0);
}

#[test]
fn a_name_finds_its_supervisor() {
    let supervisor = Supervisor::start(&["--override-name", "blue"]);
    assert_eq!(supervisor.run(&["--override-name", "blue", "svc", "status"]).0, 0);
    assert_eq!(supervisor.run(&["svc", "status"]).0, 3, "no supervisor is called default");
}

#[test]
fn term_waits_until_it_is_gone() {
    let mut supervisor = Supervisor::start(&[]);
    let (code, stdout, stderr) = supervisor.run(&["sup", "term"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("it has ended"), "{stdout}");
    let status = eventually("the process is over", || supervisor.child.try_wait().expect("waited for"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn depart_wants_a_member_of_the_ring() {
    let supervisor = Supervisor::start(&[]);
    let (code, _, stderr) = supervisor.run(&["sup", "depart", "00000000000000000000000000000001"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("/butterfly"), "{stderr}");
    let (code, _, stderr) = supervisor.run(&["sup", "depart", "alpha"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("32 hex digits"), "{stderr}");
}

#[test]
fn a_generated_secret_is_new_each_time() {
    let secret = || finish(annulus().args(["sup", "secret", "generate"])).1.trim().to_owned();
    let first = secret();
    assert_eq!(first.len(), 88);
    assert_ne!(first, secret());
}

/// An installed package in which one file is a pipe:
/// its reader waits until another process opens the pipe for writing.
fn stuck_package(supervisor: &Supervisor, name: &str) -> PathBuf {
    let path = supervisor.root().join(format!("pkgs/test/{name}/1.0.0/20260101000000"));
    std::fs::create_dir_all(&path).expect("made");
    std::fs::write(path.join("IDENT"), format!("test/{name}/1.0.0/20260101000000\n")).expect("written");
    let pipe = path.join("TARGET");
    mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    pipe
}

/// The writing end of a pipe, as soon as a reader has opened the other end.
fn write_end(pipe: &Path) -> Option<File> {
    File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(pipe).ok()
}

#[test]
fn a_disk_that_hangs_holds_up_neither_the_loop_nor_the_services() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    let pid_of = |supervisor: &Supervisor| {
        let service = supervisor.get("/services/sleeper/default");
        service.json()["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
    };
    let first = eventually("the service is up", || pid_of(&supervisor));
    // More clients than there are threads to wait for disks.
    let pipes: Vec<PathBuf> =
        (0..12).map(|number| stuck_package(&supervisor, &format!("stuck-{number}"))).collect();
    let clients: Vec<Child> = (0..12)
        .map(|number| {
            let mut command = annulus();
            command.arg("--root").arg(supervisor.root()).args([
                "svc",
                "load",
                &format!("test/stuck-{number}"),
            ]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs")
        })
        .collect();
    let held: Vec<File> = eventually("clients read", || {
        // A dropped end would release its reader, so all are kept.
        let mut held = Vec::new();
        for pipe in &pipes {
            held.extend(write_end(pipe));
        }
        (!held.is_empty()).then_some(held)
    });
    for _ in 0..10 {
        assert_eq!(supervisor.get("/live").status, 200);
        let (code, stdout, stderr) = supervisor.run(&["svc", "status"]);
        assert_eq!((code, stdout.contains("sleeper")), (0, true), "{stdout}{stderr}");
    }
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("killed");
    eventually("it was prepared and started again", || {
        let (_, stdout, _) = supervisor.run(&["svc", "status", "test/sleeper"]);
        (stdout.contains("up") && !stdout.contains(&first.to_string())).then_some(())
    });
    let mut clients = clients;
    let waiting = clients
        .iter_mut()
        .filter_map(|client| client.try_wait().expect("asked").is_none().then_some(()))
        .count();
    assert_eq!(waiting, clients.len(), "no client was answered yet");
    drop(held);
    eventually("all are answered", || {
        pipes.iter().for_each(|pipe| drop(write_end(pipe)));
        clients.iter_mut().all(|client| client.try_wait().expect("asked").is_some()).then_some(())
    });
}

#[test]
fn silent_clients_do_not_lock_operators_out() {
    let supervisor = Supervisor::start(&[]);
    // Some have sent a part of what they would have to show, or a wrong secret.
    let wrong = handshake("not-the-secret");
    let silent: Vec<TcpStream> = (0..200_usize)
        .map(|i| {
            let mut stream = TcpStream::connect(supervisor.ctl).expect("the gateway listens");
            stream.write_all(&wrong[..[0, 3, wrong.len()][i % 3]]).expect("sent");
            stream
        })
        .collect();
    let silent_here: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(socket(&supervisor, "default")).expect("the gateway listens"))
        .collect();
    let addr = supervisor.ctl.to_string();
    for command in [&["svc", "status"][..], &["svc", "status", "--remote-sup", &addr]] {
        let begun = Instant::now();
        let (code, _, stderr) = supervisor.run(command);
        assert_eq!(code, 0, "{stderr}");
        assert!(begun.elapsed() < CLIENT_TIMEOUT, "they were not waited for: {:?}", begun.elapsed());
    }
    drop((silent, silent_here));
}
