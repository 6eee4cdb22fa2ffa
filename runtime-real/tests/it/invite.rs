//! A host that comes into a ring with a key by one line, judged by daemons, files and what goes over the wire: who has the line comes
//! in once, and comes back; who has it not, or too late, or stands between, gets nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use annulus::invite::line::{Address, JoinLine};
use serde_json::Value;

use crate::keyed_ring::{give, key, keyed};
use crate::support::{Supervisor, annulus, eventually, finish};

const LOCAL: [&str; 2] = ["--profile", "local"];

/// The first supervisor of a ring with a key.
fn inviter() -> Supervisor {
    let root = tempfile::tempdir().expect("a directory");
    let made = finish(annulus().arg("--root").arg(root.path()).args(["ring", "key", "generate", "blue"]));
    assert_eq!(made.0, 0, "{}", made.2);
    Supervisor::start_in(root, &[&["sup", "run", "--ring", "blue"], &LOCAL[..]].concat(), &[])
}

fn invite(supervisor: &Supervisor) -> JoinLine {
    let at = supervisor.gossip.to_string();
    let (code, line, stderr) = supervisor.run(&["ring", "invite", "--address", &at]);
    assert_eq!((code, line.lines().count()), (0, 1), "{line}{stderr}");
    assert!(stderr.contains("annulus sup run --join LINE"), "{stderr}");
    line.parse().unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The same invitation, to be used at another address.
fn at(line: &JoinLine, address: SocketAddr) -> String {
    let address = Address::new(&address.ip().to_string(), address.port()).expect("an address");
    JoinLine { addresses: vec![address], ..line.clone() }.to_text()
}

/// Runs a supervisor that is expected not to start.
fn refused(root: &Path, options: &[&str]) -> (i32, String) {
    let mut command = annulus();
    command.arg("--root").arg(root).args(["sup", "run"]).args(options);
    command.args([
        "--listen-gossip",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-ctl",
        "127.0.0.1:0",
    ]);
    let (code, out, stderr) = finish(&mut command);
    (code, format!("{out}{stderr}"))
}

fn joins(line: &str) -> Supervisor {
    Supervisor::start(&[&["--join", line], &LOCAL[..]].concat())
}

fn alive(supervisor: &Supervisor) -> usize {
    let (code, out, stderr) = supervisor.run(&["sup", "members", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let members: Vec<Value> = serde_json::from_str(&out).expect("a list");
    members.iter().filter(|member| member["state"] == "Alive").count()
}

fn both_are_alive(one: &Supervisor, two: &Supervisor) {
    for supervisor in [one, two] {
        eventually("both are alive", || (alive(supervisor) == 2).then_some(()));
    }
}

fn end(supervisor: &Supervisor) {
    let (code, _, stderr) = supervisor.run(&["sup", "term"]);
    assert_eq!(code, 0, "{stderr}");
}

/// The files below a folder that hold these bytes.
fn holding(dir: &Path, bytes: &[u8], found: &mut Vec<String>) {
    for path in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            holding(&path, bytes, found);
        } else if fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|part| part == bytes)) {
            found.push(path.display().to_string());
        }
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o777
}

fn list(supervisor: &Supervisor) -> Vec<Value> {
    let (code, out, stderr) = supervisor.run(&["ring", "invite", "--list", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str::<Value>(&out).expect("JSON")["invitations"].as_array().expect("a list").clone()
}

fn answers(supervisor: &Supervisor, outcome: &str) -> u64 {
    let metrics = supervisor.get("/metrics").body;
    let of = format!("ring_invitation_answers_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&of));
    line.unwrap_or_else(|| panic!("{outcome}: {metrics}")).parse().expect("a number")
}

#[test]
fn a_host_joins_by_a_line_and_both_come_back_without_it() {
    let mut one = inviter();
    let line = invite(&one);
    let text = line.to_text();
    let mut two = joins(&text);
    both_are_alive(&one, &two);
    let keys = two.root().join("cache/keys");
    let key = fs::read_dir(&keys).expect("a cache").next().expect("a key").expect("an entry").path();
    assert!(key.display().to_string().ends_with(".sym.key") && mode(&key) == 0o400, "{}", key.display());
    assert_eq!(mode(&two.root().join("sup/default/data/JOINED")), 0o600);
    assert_eq!(mode(&one.root().join("sup/default/data/invitations")), 0o600);
    let entry =
        eventually("the invitation is used", || list(&one).pop().filter(|one| one["state"] == "used"));
    assert_eq!(
        (entry["used_by"].as_str(), entry["id"].as_str()),
        (Some(&*two.member), Some(&*line.secret.verifier().id()))
    );
    assert_eq!((answers(&one, "joined"), answers(&one, "unknown")), (1, 0));
    let secret = text.rsplit('/').nth(1).expect("a secret").as_bytes();
    let mut found = Vec::new();
    for root in [one.root(), two.root()] {
        holding(root, secret, &mut found);
        holding(root, line.secret.as_bytes(), &mut found);
    }
    assert!(found.is_empty(), "the secret stands in {found:?}");

    // The same command line once more, as a service manager gives it; then none; then the first one, too.
    end(&two);
    two.restart(&[&["--join", &text], &LOCAL[..]].concat());
    both_are_alive(&one, &two);
    assert!(
        two.run(&["sup", "log", "-n", "200"])
            .1
            .contains("in ring blue already: the invitation is not needed")
    );
    end(&two);
    two.restart(&LOCAL);
    both_are_alive(&one, &two);
    assert!(two.run(&["sup", "ring"]).1.contains("sealed with the key blue-"));
    end(&one);
    one.restart(&[&["--ring", "blue"], &LOCAL[..]].concat());
    both_are_alive(&one, &two);
    assert_eq!(answers(&one, "joined"), 0, "no invitation was wanted");
}

#[test]
fn an_invitation_is_for_one_host_and_for_its_time() {
    let mut one = inviter();
    let [used, revoked, expired, forgotten] = [(); 4].map(|()| invite(&one));
    let two = joins(&used.to_text());
    both_are_alive(&one, &two);
    let fresh = tempfile::tempdir().expect("a directory");
    let (code, said) = refused(fresh.path(), &["--join", &used.to_text()]);
    assert!(code == 11 && said.contains(&format!("member {} used it", two.member)), "{code}: {said}");
    assert!(said.contains("annulus ring invite"), "{said}");
    assert!(
        !fresh.path().join("cache/keys").exists() && !fresh.path().join("sup/default/data/JOINED").exists()
    );
    let log = one.run(&["sup", "log", "-n", "200"]).1;
    assert!(log.contains(&format!("was used by {}", two.member)), "{log}");

    let id = revoked.secret.verifier().id();
    assert_eq!(one.run(&["ring", "invite", "--revoke", &id]).1, format!("taken back: {id}\n"));
    assert_eq!(one.run(&["ring", "invite", "--revoke", &id]).0, 2, "it is open no longer");
    let (code, said) = refused(fresh.path(), &["--join", &revoked.to_text()]);
    assert!(code == 11 && said.contains("an operator took it back"), "{code}: {said}");

    // Time passes, and the next supervisor knows the invitations of this one.
    end(&one);
    let path = one.root().join("sup/default/data/invitations");
    let stored = fs::read_to_string(&path).expect("read");
    let mut stored: Value = serde_json::from_str(&stored).expect("JSON");
    let entries = stored["invitations"].as_array_mut().expect("a list");
    entries.retain(|entry| entry["id"] != *forgotten.secret.verifier().id());
    let entry =
        entries.iter_mut().find(|entry| entry["id"] == *expired.secret.verifier().id()).expect("stored");
    entry["until_ms"] = entry["made_ms"].clone();
    fs::write(&path, stored.to_string()).expect("written");
    one.restart(&[&["--ring", "blue"], &LOCAL[..]].concat());
    let (code, said) = refused(fresh.path(), &["--join", &at(&expired, one.gossip)]);
    assert!(code == 11 && said.contains("it expired at 20"), "{code}: {said}");
    let (code, said) = refused(fresh.path(), &["--join", &at(&forgotten, one.gossip)]);
    assert!(code == 11 && said.contains("does not know this invitation"), "{code}: {said}");
    let (code, said) = refused(fresh.path(), &["--join", &at(&used, one.gossip)]);
    assert!(code == 11 && said.contains("used it at"), "{code}: {said}");
}

#[test]
fn guesses_get_no_word_and_cost_little() {
    let one = inviter();
    let line = invite(&one);
    let guess = |from: &str| -> std::io::Result<Vec<u8>> {
        let mut stream = connected_from(from, one.gossip)?;
        stream.write_all(&[b"\xffAnnJn1\n", &[7; 64][..]].concat())?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Ok(answer)
    };
    for _ in 0..60 {
        assert!(guess("127.0.0.2").expect("connected").is_empty());
    }
    let (unknown, slowed) = (answers(&one, "unknown"), answers(&one, "slowed"));
    assert!((5..=10).contains(&unknown) && unknown + slowed == 60, "{unknown} {slowed}");
    let log = one.run(&["sup", "log", "-n", "500"]).1;
    assert_eq!(log.matches("is no invitation of this supervisor").count(), 1, "{log}");
    let two = joins(&line.to_text());
    both_are_alive(&one, &two);
}

/// A connection from an address of this host.
fn connected_from(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.parse().expect("an address"), 0))?;
        socket.connect(to).await
    })?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(crate::support::DEADLINE))?;
    Ok(stream)
}

/// Stands between a joiner and a member: each connection to the address that it returns is handed on with one to the member.
fn standing_before(to: SocketAddr, hand_on: impl Fn(TcpStream, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            hand_on(near, TcpStream::connect(to).expect("the member listens"));
        }
    });
    at
}

fn both_ways(near: &TcpStream, far: &TcpStream) -> [TcpStream; 2] {
    [near, far].map(|stream| stream.try_clone().expect("cloned"))
}

/// Keeps what both say, and with `swaps` puts another key in the place of the member's.
fn between(to: SocketAddr, swaps: bool) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let (heard, hears) = mpsc::channel();
    let at = standing_before(to, move |near, far| {
        let [asks, asked] = both_ways(&near, &far);
        for (mut from, mut onto, is_answer) in [(asks, asked, false), (far, near, true)] {
            let heard = heard.clone();
            std::thread::spawn(move || {
                let (mut buffer, mut is_first) = ([0; 4_096], true);
                while let Ok(len @ 1..) = from.read(&mut buffer) {
                    if is_answer && is_first && swaps {
                        buffer[..32].copy_from_slice(&[9; 32]);
                    }
                    is_first = false;
                    let _ = heard.send(buffer[..len].to_vec());
                    if onto.write_all(&buffer[..len]).is_err() {
                        break;
                    }
                }
                let _ = onto.shutdown(Shutdown::Both);
            });
        }
    });
    (at, hears)
}

#[test]
fn one_between_that_swaps_keys_gets_nothing_and_one_that_listens_reads_nothing() {
    let one = inviter();
    let line = invite(&one);
    let (thief, _) = between(one.gossip, true);
    let fresh = tempfile::tempdir().expect("a directory");
    let (code, said) = refused(fresh.path(), &["--join", &at(&line, thief)]);
    assert!(code == 11 && said.contains("a third party stands between"), "{code}: {said}");
    assert!(!fresh.path().join("cache/keys").exists());
    assert_eq!(list(&one)[0]["state"], "open");

    let (listener, hears) = between(one.gossip, false);
    let two = joins(&at(&line, listener));
    both_are_alive(&one, &two);
    let heard: Vec<u8> = hears.try_iter().flatten().collect();
    let key = fs::read_dir(one.root().join("cache/keys")).expect("a cache").next().expect("a key");
    let key = fs::read_to_string(key.expect("an entry").path()).expect("read");
    let key = key.lines().last().expect("a key").as_bytes().to_vec();
    assert!(heard.len() > 200, "{} bytes", heard.len());
    for secret in [&key[..], line.secret.as_bytes()] {
        assert!(!heard.windows(secret.len()).any(|part| part == secret), "a secret went over in the clear");
    }
    // What was recorded opens nothing again.
    let mut again = TcpStream::connect(one.gossip).expect("connected");
    again.set_read_timeout(Some(crate::support::DEADLINE)).expect("set");
    again.write_all(&heard).expect("sent");
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer);
    assert!(!answer.windows(key.len()).any(|part| part == key), "the key");
    assert_eq!(answers(&one, "joined"), 1);
}

/// Passes on what a joiner says, and what is answered as far as the greeting; then nothing more, until it `passes` all.
fn losing_answers(to: SocketAddr) -> (SocketAddr, mpsc::Receiver<()>, Arc<AtomicBool>) {
    /// A key, a key and a signature.
    const GREETING_BYTES: usize = 32 + 32 + 64;
    let (lost, loses) = mpsc::channel();
    let passes = Arc::new(AtomicBool::new(false));
    let is_passing = Arc::clone(&passes);
    let at = standing_before(to, move |mut near, mut far| {
        let [mut asks, mut asked] = both_ways(&near, &far);
        std::thread::spawn(move || drop(std::io::copy(&mut asks, &mut asked)));
        if is_passing.load(Ordering::SeqCst) {
            std::thread::spawn(move || drop(std::io::copy(&mut far, &mut near)));
            return;
        }
        let lost = lost.clone();
        std::thread::spawn(move || {
            let mut greeting = [0; GREETING_BYTES];
            let mut answer = [0; 1];
            let heard = far.read_exact(&mut greeting).is_ok()
                && near.write_all(&greeting).is_ok()
                && far.read_exact(&mut answer).is_ok();
            let _ = (far.shutdown(Shutdown::Both), near.shutdown(Shutdown::Both));
            if heard {
                let _ = lost.send(());
            }
        });
    });
    (at, loses, passes)
}

#[test]
fn an_answer_that_was_lost_is_given_again_to_that_member_alone() {
    let one = inviter();
    let (at_loser, loses, passes) = losing_answers(one.gossip);
    let line = invite(&one);
    let text = at(&line, at_loser);
    let root = tempfile::tempdir().expect("a directory");
    let mut command = annulus();
    command.arg("--root").arg(root.path()).args(["sup", "run", "--join", &text]).args(LOCAL);
    command.args([
        "--listen-gossip",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-ctl",
        "127.0.0.1:0",
    ]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    for time in ["once", "and again, since it repeats"] {
        let lost = loses.recv_timeout(crate::support::DEADLINE);
        assert!(lost.is_ok(), "the member answers {time}");
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(list(&one)[0]["state"], "answered");
    assert!(
        !root.path().join("cache/keys").exists() && !root.path().join("sup/default/data/JOINED").exists()
    );

    let fresh = tempfile::tempdir().expect("a directory");
    let (code, said) = refused(fresh.path(), &["--join", &line.to_text()]);
    assert!(code == 11 && said.contains("used it at"), "another host has the same line: {code}: {said}");
    assert!(!fresh.path().join("cache/keys").exists());

    passes.store(true, Ordering::SeqCst);
    let peer = one.gossip.to_string();
    let again = [&["sup", "run", "--join", &text, "--peer", &peer], &LOCAL[..]].concat();
    let two = Supervisor::start_in(root, &again, &[]);
    both_are_alive(&one, &two);
    let entry = eventually("it is used", || list(&one).pop().filter(|entry| entry["state"] == "used"));
    assert_eq!(entry["used_by"], *two.member);
}

#[test]
fn a_host_that_joins_after_a_rotation_opens_the_older_key_as_long_as_others() {
    let one = keyed("blue", &key("blue", 1, 7).0, &[]);
    give(one.root(), &key("blue", 2, 8).0);
    let (code, _, stderr) = one.run(&["ring", "key", "use", "blue", "--grace", "1h"]);
    assert_eq!(code, 0, "{stderr}");
    let status = |of: &Supervisor| -> Value {
        let (code, out, stderr) = of.run(&["ring", "key", "status", "--json"]);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&out).expect("JSON")
    };
    let state =
        |status: &Value, at: usize| status["keys"][at]["state"].as_str().unwrap_or_default().to_owned();
    eventually("the new key is current", || {
        let status = status(&one);
        (state(&status, 0) == "retired" && state(&status, 1) == "current").then_some(())
    });
    let mut two = joins(&invite(&one).to_text());
    both_are_alive(&one, &two);
    for life in 0..2 {
        let old = eventually("the older key opens there until its time is over", || {
            let old = status(&two)["keys"][0].clone();
            let both = old["opened_by"].as_array().is_some_and(|by| by.len() == 2);
            (both && old["state"] == "retired" && old["until_ms"].is_u64()).then_some(old)
        });
        let theirs = status(&one)["keys"][0]["until_ms"].as_u64().expect("retired");
        assert!(
            old["until_ms"].as_u64().expect("a time").abs_diff(theirs) < 60_000,
            "life {life}: {old} {theirs}"
        );
        if life == 0 {
            end(&two);
            two.restart(&LOCAL);
            both_are_alive(&one, &two);
        }
    }
}

#[test]
fn an_open_ring_needs_no_invitation_and_a_wrong_line_starts_nothing() {
    let open = Supervisor::start(&LOCAL);
    let (code, out, said) = open.run(&["ring", "invite"]);
    assert!(code == 1 && out.is_empty() && said.contains("annulus sup run --peer ADDRESS"), "{code}: {said}");
    let one = inviter();
    let (code, _, said) = one.run(&["ring", "invite"]);
    assert!(code == 2 && said.contains("--address"), "only 127.0.0.1 is known: {code}: {said}");
    for wrong in [["--for", "10s"], ["--for", "8d"], ["--address", "a b"]] {
        let (code, out, said) = one.run(&[&["ring", "invite"], &wrong[..]].concat());
        assert!(code == 2 && out.is_empty(), "{wrong:?}: {code}: {said}");
    }
    let line = invite(&one).to_text();
    let secret = line.rsplit('/').nth(1).expect("a secret");
    let fresh = tempfile::tempdir().expect("a directory");
    let cut = &line[..line.len() - 1];
    for (options, why) in [
        (&["--join", cut][..], "copy the whole line"),
        (&["--join", "10.0.0.1"], "annulus ring invite"),
        (&["--join", &line, "--ring", "green"], "\"green\""),
        (&["--join", "@/no/such/file"], "/no/such/file"),
    ] {
        let (code, said) = refused(fresh.path(), options);
        assert!(code == 2 && said.contains(why) && !said.contains(secret), "{code}: {said}");
    }
    assert!(!fresh.path().join("sup/default/data/JOINED").exists());
    // One who was never invited starts in no ring, and in none afterwards.
    assert_eq!(alive(&one), 1);
}

#[test]
fn the_secret_of_a_line_on_standard_input_stands_in_no_list_of_processes() {
    let one = inviter();
    let line = invite(&one).to_text();
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("line");
    fs::write(&file, format!("{line}\n")).expect("written");
    let mut command = annulus();
    command.arg("--root").arg(root.path()).args(["sup", "run", "--join", "-"]).args(LOCAL);
    command.args([
        "--listen-gossip",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-ctl",
        "127.0.0.1:0",
    ]);
    command.stdin(fs::File::open(&file).expect("opened")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary runs");
    let look = |args: &[&str]| finish(annulus().arg("--root").arg(root.path()).args(args));
    eventually("it is in the ring", || {
        let (code, out, _) = look(&["sup", "members", "--json"]);
        let members: Vec<Value> = serde_json::from_str(&out).unwrap_or_default();
        (code == 0 && members.iter().filter(|member| member["state"] == "Alive").count() == 2).then_some(())
    });
    let secret = line.rsplit('/').nth(1).expect("a secret");
    for pid in fs::read_dir("/proc").expect("processes").map(|entry| entry.expect("an entry").path()) {
        let Ok(words) = fs::read(pid.join("cmdline")) else { continue };
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        assert!(!words.contains(secret), "{words}");
    }
    // The next supervisor of this launcher has no standard input to read, and needs none.
    let before = look(&["sup", "status"]).0;
    let (code, _, said) = look(&["sup", "restart"]);
    assert_eq!((before, code), (0, 0), "{said}");
    eventually("it is back", || {
        let (code, out, _) = look(&["sup", "members", "--json"]);
        let members: Vec<Value> = serde_json::from_str(&out).unwrap_or_default();
        (code == 0 && members.iter().filter(|member| member["state"] == "Alive").count() == 2).then_some(())
    });
    assert_eq!(look(&["sup", "term"]).0, 0);
    child.wait().expect("ended");
}
