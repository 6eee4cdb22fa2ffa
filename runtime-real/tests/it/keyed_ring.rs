//! A ring with a key, judged by packets on sockets, by files and by peers: members understand each other, strangers are not
//! heard, what is sent is a seal that Habitat can open, and the key stays with the supervisor.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use annulus::keys::crypto::{Nonce, SharedKey};
use annulus::keys::{KeyFile, KeyId, KeyKind};
use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, finish, plan, send, text};

/// The text of a new key of this ring, revision and bytes.
pub(crate) fn key(ring: &str, revision: u32, fill: u8) -> (String, SharedKey) {
    let id: KeyId = format!("{ring}-20260101{revision:06}").parse().expect("a name of a key");
    let key = SharedKey::from_bytes(&[fill; 32]).expect("32 bytes");
    (KeyFile::new(KeyKind::Shared, id, key.as_bytes()).to_text(), key)
}

/// Puts a key into the cache of a root.
pub(crate) fn give(root: &Path, key: &str) {
    let keys = root.join("cache/keys");
    fs::create_dir_all(&keys).expect("made");
    let path = keys.join(format!("{}.sym.key", key.lines().nth(1).expect("a name")));
    fs::write(&path, key).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).expect("set");
}

/// A supervisor that has the key in its cache.
pub(crate) fn keyed(ring: &str, key: &str, extra: &[&str]) -> Supervisor {
    let root = tempfile::tempdir().expect("a directory");
    give(root.path(), key);
    Supervisor::start_in(root, &[&["sup", "run", "--profile", "local", "--ring", ring], extra].concat(), &[])
}

pub(crate) fn members(supervisor: &Supervisor) -> Vec<Value> {
    let (code, out, stderr) = supervisor.run(&["sup", "members", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str::<Vec<Value>>(&out).expect("a list")
}

fn count(supervisor: &Supervisor, state: &str) -> usize {
    members(supervisor).iter().filter(|member| member["state"] == state).count()
}

/// Nonce and ciphertext of Habitat's envelope; none where the bytes are no such envelope.
fn parts(datagram: &[u8]) -> Option<(Nonce, &[u8])> {
    let rest = datagram.strip_prefix(&[0x08, 1, 0x12, 24])?;
    let (nonce, rest) = rest.split_at_checked(24)?;
    let rest = rest.strip_prefix(&[0x1a])?;
    let length_bytes = 1 + rest.iter().position(|byte| *byte < 0x80)?;
    Some((Nonce(nonce.try_into().ok()?), rest.get(length_bytes..)?))
}

#[test]
fn members_with_the_key_find_each_other_and_strangers_find_no_one() {
    let (text, _) = key("prod", 1, 7);
    let alpha = keyed("prod", &text, &[]);
    let peer = alpha.gossip.to_string();
    let peer = ["--profile", "local", "--peer", &peer];
    let beta = keyed("prod", &text, &peer[2..]);
    let gamma = Supervisor::start_with(&peer, &[("HAB_RING_KEY", &text)]);
    let other = Supervisor::start_with(&peer, &[("HAB_RING_KEY", &key("prod", 2, 8).0)]);
    let clear = Supervisor::start(&peer);
    for member in [&alpha, &beta, &gamma] {
        eventually("three are alive", || (count(member, "Alive") == 3).then_some(()));
    }
    let rejected = eventually("both strangers are named", || {
        let rejected: Vec<Value> =
            members(&alpha).into_iter().filter(|member| member["state"] == "Rejected").collect();
        (rejected.len() == 2).then_some(rejected)
    });
    for (stranger, reason) in [(&other, "unknown key"), (&clear, "no key")] {
        let of = rejected.iter().find(|rejected| rejected["address"] == stranger.gossip.to_string());
        let of = of.unwrap_or_else(|| panic!("{reason}: {rejected:?}"));
        assert!(of["reason"] == reason && of["datagrams"].as_u64() > Some(0), "{of}");
    }
    let table = alpha.run(&["sup", "members"]).1;
    assert!(table.contains(&format!("rejected: {}, no key: ", clear.gossip)), "{table}");
    let metrics = alpha.get("/metrics").body;
    assert!(metrics.contains("ring_rejected_total{reason=\"unknown_key\",way=\"datagram\"}"), "{metrics}");
    assert!(alpha.run(&["sup", "ring"]).1.contains("sealed with the key prod-20260101000001"));

    // What the strangers can know: they are alone, and their peer says nothing.
    for stranger in [&other, &clear] {
        assert_eq!(count(stranger, "Alive"), 1);
        let said = eventually("the silence is told", || {
            let said = stranger.run(&["sup", "ring"]).1;
            said.contains("its port is open, and it answers no message").then_some(said)
        });
        assert!(said.contains("messages could not be read here"), "{said}");
    }
    assert_eq!(count(&alpha, "Alive"), 3, "and still there are three");
}

#[test]
fn a_packet_is_a_seal_that_habitat_opens_and_a_stranger_gets_none_back() {
    let (text, shared) = key("prod", 1, 7);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let at = socket.local_addr().expect("bound").to_string();
    let alpha = keyed("prod", &text, &["--peer", &at]);
    let mut buffer = [0; 2_048];
    for _ in 0..3 {
        let (len, from) = socket.recv_from(&mut buffer).expect("a datagram");
        let datagram = &buffer[..len];
        assert!(from == alpha.gossip && len <= 1_024);
        let (nonce, sealed) = parts(datagram).expect("Habitat's envelope");
        let message = shared.open(&nonce, sealed).expect("sealed with the key of the ring");
        let id = alpha.member.as_bytes();
        assert!(message.windows(32).any(|part| part == id), "a message of that member");
        assert!(!datagram.windows(8).any(|part| id.starts_with(part)), "which is not seen outside");
    }

    // Words of strangers: a ping in the clear, a seal of another ring, noise. None is answered.
    let ping = |id: &[u8]| {
        let from =
            [&[0x0a, 32][..], id, &[0x10, 0, 0x1a, 0, 0x20, 0xf8, 0xd2, 1, 0x28, 0xf8, 0xd2, 1]].concat();
        let ping = [&[0x0a, from.len() as u8][..], &from].concat();
        [&[0x08, 1, 0x12, ping.len() as u8][..], &ping].concat()
    };
    let message = ping(b"657dddfac2eb4ffe9c9606dc9424d417");
    let wrap = |message: &[u8]| [&[0x1a, message.len() as u8][..], message].concat();
    let sealed = key("prod", 2, 9).1.seal(&Nonce([3; 24]), &message);
    let foreign = [&[0x08, 1, 0x12, 24][..], &[3; 24], &wrap(&sealed)].concat();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for word in [wrap(&message), foreign, b"GET / HTTP/1.1".to_vec()] {
        stranger.send_to(&word, alpha.gossip).expect("sent");
    }
    let at = stranger.local_addr().expect("bound").to_string();
    eventually("all three are counted", || {
        let of = members(&alpha).into_iter().filter(|member| member["address"] == at);
        (of.map(|member| member["datagrams"].as_u64().unwrap_or_default()).sum::<u64>() == 3).then_some(())
    });
    stranger.set_read_timeout(Some(Duration::from_millis(1_500))).expect("set");
    assert!(stranger.recv_from(&mut buffer).is_err(), "no answer");
    assert_eq!(count(&alpha, "Alive"), 1, "and no member came of it");
}

#[test]
fn orders_from_another_host_are_heard_sealed_only() {
    let (text, _) = key("prod", 1, 7);
    let alpha = keyed("prod", &text, &[]);
    let dir = tempfile::tempdir().expect("a directory");
    let (with, without, other) =
        (dir.path().join("with"), dir.path().join("without"), dir.path().join("other"));
    give(&with, &text);
    give(&other, &key("prod", 1, 8).0);
    let config = dir.path().join("c.toml");
    fs::write(&config, "a = 1\n").expect("written");
    let apply = |root: &Path, version: &str, ring: &[&str]| {
        let mut command = annulus();
        command.env("HAB_CTL_SECRET", alpha.secret()).arg("--root").arg(root).args(["config", "apply"]);
        command.args(["--remote-sup", &alpha.ctl.to_string()]).args(ring);
        finish(command.args(["web.default", version, crate::support::text(&config)]))
    };
    let (code, _, stderr) = apply(&without, "1", &[]);
    assert!(code == 7 && stderr.contains("name the ring with --ring"), "{code} {stderr}");
    let (code, _, stderr) = apply(&without, "1", &["--ring", "prod"]);
    assert!(code == 2 && stderr.contains("annulus ring key generate prod"), "{code} {stderr}");
    let (code, _, stderr) = apply(&other, "1", &["-r", "prod"]);
    assert!(code == 7 && stderr.contains("another key, or none"), "{code} {stderr}");
    let (_, history, _) = alpha.run(&["config", "history", "web.default"]);
    assert!(!history.contains("web.default") && !history.contains("taken in"), "none came: {history}");
    let (code, out, stderr) = apply(&with, "1", &["-r", "prod"]);
    assert!(code == 0 && out.contains("Applied version 1"), "{code} {out} {stderr}");
    // The own socket is a matter of file rights.
    let (code, _, stderr) =
        alpha.run(&["config", "apply", "web.default", "2", crate::support::text(&config)]);
    assert_eq!(code, 0, "{stderr}");
    let rejected: Vec<Value> =
        members(&alpha).into_iter().filter(|member| member["state"] == "Rejected").collect();
    let clients =
        |reason: &str| rejected.iter().filter(|r| r["reason"] == reason && r["clients"] == 1).count();
    assert_eq!((clients("no key"), clients("unknown key")), (1, 1), "{rejected:?}");

    // An open ring has no use for a seal, and says nothing to one.
    let open = Supervisor::start(&[]);
    let mut command = annulus();
    command.env("HAB_CTL_SECRET", open.secret()).arg("--root").arg(&with);
    let (code, _, stderr) =
        finish(command.args(["svc", "status", "-r", &open.ctl.to_string(), "--ring", "prod"]));
    assert!(code == 7 && stderr.contains("another key, or none"), "{code} {stderr}");
}

#[test]
fn the_key_stays_with_the_supervisor_and_in_its_memory() {
    let (text, _) = key("prod", 1, 7);
    let alpha = Supervisor::start_with(&["--ring", "prod"], &[("HAB_RING_KEY", &text)]);
    let shown = alpha.root().join("environment");
    let run = format!("env > {}.part && mv {0}.part {0}\nexec sleep 1000", crate::support::text(&shown));
    alpha.install(&plan(&alpha.root().join("plans"), "shown", &run));
    assert_eq!(alpha.run(&["svc", "load", "test/shown"]).0, 0);
    let environment = eventually("the service has started", || fs::read_to_string(&shown).ok());
    assert!(environment.contains("PATH=") && !environment.contains("RING"), "{environment}");
    assert!(!environment.contains("SYM-SEC"), "{environment}");

    let beta = keyed("prod", &text, &[]);
    let file = beta.root().join("cache/keys/prod-20260101000001.sym.key");
    fs::remove_file(&file).expect("removed");
    let status = eventually("the status says so", || {
        let (_, out, stderr) = beta.run(&["sup", "status"]);
        let all = format!("{out}{stderr}");
        all.contains("is gone: this supervisor goes on with the key in its memory").then_some(all)
    });
    assert!(status.contains(crate::support::text(&file)), "{status}");
    assert!(beta.run(&["sup", "ring"]).1.contains("sealed with the key prod-20260101000001"));
    give(beta.root(), &text);
    eventually("the file is back", || {
        let (_, out, stderr) = beta.run(&["sup", "status"]);
        (!format!("{out}{stderr}").contains("is gone")).then_some(())
    });
}

#[test]
fn a_copied_identity_is_named_by_both_that_have_it_and_harms_no_other() {
    let (text, _) = key("prod", 1, 7);
    let alpha = keyed("prod", &text, &[]);
    let peer = alpha.gossip.to_string();
    let beta = keyed("prod", &text, &["--peer", &peer]);
    let gamma = keyed("prod", &text, &["--peer", &peer]);
    eventually("all are alive", || (count(&beta, "Alive") == 3 && count(&gamma, "Alive") == 3).then_some(()));
    let dir = tempfile::tempdir().expect("a directory");
    let copied = std::process::Command::new("cp").arg("-a").arg(alpha.root()).arg(dir.path()).status();
    assert!(copied.expect("cp runs").success());
    let root = tempfile::TempDir::new_in(dir.path()).expect("a directory");
    fs::remove_dir(root.path()).expect("empty");
    fs::rename(dir.path().join(alpha.root().file_name().expect("a name")), root.path()).expect("renamed");
    let run = ["sup", "run", "--profile", "local", "--ring", "prod", "--peer", &beta.gossip.to_string()];
    let twin = Supervisor::start_in(root, &run, &[]);
    let (low, high) = if alpha.gossip < twin.gossip { (&alpha, &twin) } else { (&twin, &alpha) };
    for (one, other, then) in
        [(high, low, "this one claims it no longer"), (low, high, "this one goes on with it")]
    {
        eventually("each names the other", || {
            let log = one.run(&["sup", "log", "-n", "500"]).1;
            let named = format!("another supervisor at {} runs with a copy", other.gossip);
            log.lines().any(|line| line.contains(&named) && line.contains(then)).then_some(())
        });
        let status = one.run(&["sup", "ring"]).1;
        assert!(status.contains(&other.gossip.to_string()) && status.contains("copy"), "{status}");
    }
    // The one at the lower address is heard, whichever came first.
    for member in [&beta, &gamma] {
        eventually("the ring goes on", || (count(member, "Alive") == 3).then_some(()));
    }
    // The one that is too many ends; the other one goes on.
    let id = nix::unistd::Pid::from_raw(high.child.id().try_into().expect("an id"));
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    for member in [&beta, &gamma, low] {
        eventually("the ring is whole", || (count(member, "Alive") == 3).then_some(()));
    }
}

#[test]
fn a_ring_that_cannot_be_named_starts_no_supervisor() {
    let dir = tempfile::tempdir().expect("a directory");
    let (prod, _) = key("prod", 1, 7);
    let start = |ring: &[&str], contents: Option<&str>| {
        let mut command = annulus();
        command.arg("--root").arg(dir.path()).args(["sup", "run"]).args(ring);
        command.envs(contents.map(|contents| ("HAB_RING_KEY", contents)));
        let (code, _, stderr) = finish(&mut command);
        assert_eq!(code, 2, "{stderr}");
        assert!(!dir.path().join("sup").exists(), "nothing was begun");
        stderr
    };
    assert!(start(&["--ring", "prod"], None).contains("annulus ring key generate prod"));
    assert!(start(&["-r", "test"], Some(&prod)).contains("names the ring \"test\""));
    for broken in ["SYM-SEC-1", &prod.replace('\n', " "), &prod[..45]] {
        let said = start(&[], Some(broken));
        assert!(said.contains("HAB_RING_KEY=\"$(cat FILE.sym.key)\""), "{said}");
    }
    let keys = dir.path().join("cache/keys");
    give(dir.path(), &prod);
    fs::set_permissions(keys.join("prod-20260101000001.sym.key"), fs::Permissions::from_mode(0o644))
        .expect("set");
    let said = start(&["--ring", "prod"], None);
    assert!(said.contains("mode 644") && said.contains(&format!("chmod 400 {}", text(&keys))), "{said}");
}

/// The keys of the ring as a member sees them.
fn keys(supervisor: &Supervisor) -> Vec<Value> {
    let (code, out, stderr) = supervisor.run(&["ring", "key", "status", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let status: Value = serde_json::from_str(&out).expect("JSON");
    status["keys"].as_array().expect("a list").clone()
}

/// The revision with which the ring speaks, as a member sees it.
fn current(supervisor: &Supervisor) -> Option<String> {
    let keys = keys(supervisor);
    let current = keys.iter().find(|key| key["state"] == "current")?;
    current["revision"].as_str().map(ToOwned::to_owned)
}

/// Every event of a supervisor, until one says something about this group.
fn events_until_group(supervisor: &Supervisor, group: &str) -> Vec<Value> {
    let head = "GET /events HTTP/1.1\r\nhost: localhost\r\nlast-event-id: 0.0\r\n\r\n";
    let mut events = Vec::new();
    for line in BufReader::new(send(supervisor.http, head)).lines() {
        let line = line.expect("the stream goes on until the event is there");
        let Some(data) = line.strip_prefix("data: ") else { continue };
        events.push(serde_json::from_str(data).expect("JSON"));
        if data.contains(group) {
            return events;
        }
    }
    panic!("the stream ended without a word about {group}");
}

/// A ring of three with a service, and the file of an order about it.
fn ring_of_three(key: &str) -> ([Supervisor; 3], PathBuf) {
    let alpha = keyed("prod", key, &[]);
    let peer = alpha.gossip.to_string();
    let ring = [keyed("prod", key, &["--peer", &peer]), keyed("prod", key, &["--peer", &peer])];
    let [beta, gamma] = ring;
    let ring = [alpha, beta, gamma];
    for member in &ring {
        member.install(&plan(&member.root().join("plans"), "sleeper", "exec sleep 1000"));
        assert_eq!(member.run(&["svc", "load", "test/sleeper"]).0, 0);
    }
    for member in &ring {
        eventually("three are alive", || (count(member, "Alive") == 3).then_some(()));
    }
    let order = ring[0].root().join("order.toml");
    fs::write(&order, "colour = \"red\"\n").expect("written");
    (ring, order)
}

/// Another operator's host, which has this key alone, asks a member; exit code and message.
fn ask_with(member: &Supervisor, key: &str) -> (i32, String) {
    let mut command = annulus();
    command.env("HAB_CTL_SECRET", member.secret()).env("HAB_RING_KEY", key);
    let dir = tempfile::tempdir().expect("a directory");
    command.arg("--root").arg(dir.path()).args(["svc", "status", "-r", &member.ctl.to_string()]);
    let (code, _, stderr) = finish(command.args(["--ring", "prod"]));
    (code, stderr)
}

#[test]
fn a_ring_at_work_changes_its_key_and_loses_no_member_and_no_order() {
    let (old, _) = key("prod", 1, 7);
    let (ring, order) = ring_of_three(&old);
    let [alpha, beta, gamma] = &ring;
    let apply = |member: &Supervisor, group: &str, version: u64| {
        let version = version.to_string();
        let (code, _, stderr) = member.run(&["config", "apply", group, &version, text(&order)]);
        assert_eq!(code, 0, "order {version}: {stderr}");
    };

    // Orders come in at each member in turn, from before the rotation until after it.
    let is_over = AtomicBool::new(false);
    let version = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for member in ring.iter().cycle() {
                let next = version.load(Ordering::SeqCst) + 1;
                apply(member, "sleeper.default", next);
                version.store(next, Ordering::SeqCst);
                // The next member has to know the version that it is to outbid.
                for other in &ring {
                    let held =
                        || other.json("/census").to_string().contains(&format!("\"incarnation\":{next}"));
                    eventually("the order is known", || held().then_some(()));
                }
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let orders = |more: u64| {
            let from = version.load(Ordering::SeqCst);
            eventually("orders go on", || (version.load(Ordering::SeqCst) >= from + more).then_some(()));
        };
        orders(2);
        assert_eq!(alpha.run(&["ring", "key", "generate", "prod"]).0, 0);
        let (code, said, stderr) = alpha.run(&["ring", "key", "use", "prod"]);
        assert!(code == 0 && said.contains("prod-2"), "{said} {stderr}");
        for member in &ring {
            eventually("the new key is current", || {
                current(member).filter(|revision| revision.as_str() > "20260102")
            });
        }
        orders(4);
        is_over.store(true, Ordering::SeqCst);
    });

    let new = current(alpha).expect("a key");
    let file = |member: &Supervisor| member.root().join(format!("cache/keys/prod-{new}.sym.key"));
    let text_of = |member| fs::read_to_string(file(member)).expect("the key was handed to this host");
    assert!(text_of(beta) == text_of(alpha) && text_of(gamma) == text_of(alpha));
    assert!(beta.run(&["sup", "ring"]).1.contains(&format!("sealed with the key prod-{new}")));
    // Clients of other hosts are heard with either key until the old one's time is over.
    for key in [&old, &text_of(alpha)] {
        assert_eq!(ask_with(beta, key).0, 0);
    }
    let last = version.load(Ordering::SeqCst);
    apply(gamma, "end.default", 1);
    for member in &ring {
        let history = member.run(&["config", "history", "sleeper.default"]).1;
        assert!(history.contains(&last.to_string()), "{last}: {history}");
        let events = events_until_group(member, "end.default");
        // A busy machine may make a member late, which is asked about and clears itself.
        let is_death = |event: &&Value| event["to"] == "Confirmed";
        let deaths: Vec<_> = events.iter().filter(is_death).collect();
        assert!(deaths.is_empty(), "no member is ever held dead: {}: {deaths:?}", member.member);
        assert_eq!(count(member, "Alive"), 3);
    }
}

#[test]
fn a_key_that_was_given_up_in_an_emergency_opens_nothing() {
    let (old, _) = key("prod", 1, 7);
    let alpha = keyed("prod", &old, &[]);
    let peer = alpha.gossip.to_string();
    let beta = keyed("prod", &old, &["--peer", &peer]);
    // What may be known to strangers hands nothing on: the operator brings the file to each host.
    let (new, _) = key("prod", 2, 8);
    for member in [&alpha, &beta] {
        eventually("two are alive", || (count(member, "Alive") == 2).then_some(()));
        give(member.root(), &new);
    }
    eventually("both can open it", || {
        let can_open = |key: &Value| key["opened_by"].as_array().is_some_and(|by| by.len() == 2);
        keys(&alpha).iter().any(|key| key["revision"] == "20260101000002" && can_open(key)).then_some(())
    });
    let (code, said, stderr) = alpha.run(&["ring", "key", "use", "prod", "--force", "--grace", "0"]);
    assert!(code == 0 && said.contains("older keys open nothing any more"), "{said} {stderr}");
    for member in [&alpha, &beta] {
        eventually("one key is left", || {
            let keys = keys(member);
            let only =
                keys.iter().all(|key| key["state"] != "retired" || key["opened_by"] == serde_json::json!([]));
            (only && current(member).as_deref() == Some("20260101000002")).then_some(())
        });
        assert_eq!(count(member, "Alive"), 2);
    }

    // What a member sealed just before it changed over is named too, so the address is looked for.
    let late = keyed("prod", &old, &["--peer", &peer]);
    let rejected = eventually("the one with the old key is named", || {
        members(&alpha).into_iter().find(|member| member["address"] == late.gossip.to_string())
    });
    assert!(rejected["reason"] == "a retired key" && rejected["state"] == "Rejected", "{rejected}");
    assert_eq!(count(&late, "Alive"), 1);
    let (code, stderr) = ask_with(&alpha, &old);
    assert!(code == 7 && stderr.contains("another key, or none"), "{code} {stderr}");
    assert_eq!(ask_with(&alpha, &new).0, 0);
    let clients = |member: &Value| member["reason"] == "a retired key" && member["clients"] == 1;
    assert_eq!(members(&alpha).iter().filter(|member| clients(member)).count(), 1);
    assert_eq!(count(&alpha, "Alive"), 2, "and the ring is as it was");
}

#[test]
fn a_ring_in_the_clear_gets_a_key_and_loses_no_member() {
    let (key_file, _) = key("prod", 1, 7);
    let local = ["sup", "run", "--profile", "local"];
    let mut alpha = Supervisor::start(&local[2..]);
    let peer = alpha.gossip.to_string();
    let mut beta = Supervisor::start(&["--profile", "local", "--peer", &peer]);
    let gamma = Supervisor::start(&["--profile", "local", "--peer", &peer]);
    let whole = |ring: [&Supervisor; 3]| {
        for member in ring {
            eventually("three are alive", || (count(member, "Alive") == 3).then_some(()));
        }
    };
    whole([&alpha, &beta, &gamma]);
    let change = |member: &mut Supervisor, with: &[&str]| {
        give(member.root(), &key_file);
        assert_eq!(member.run(&["sup", "term"]).0, 0);
        member.restart_as(&[&local[..], with].concat());
    };
    let both = ["--ring", "prod", "--ring-accept", "clear"];
    change(&mut alpha, &both);
    whole([&alpha, &beta, &gamma]);
    // Two speak sealed with each other, and in the clear with the third.
    let peer = gamma.gossip.to_string();
    change(&mut beta, &[&both[..], &["--peer", &peer]].concat());
    whole([&alpha, &beta, &gamma]);
    // Each of them hears what the third says, and the third hears them.
    let order = alpha.root().join("order.toml");
    fs::write(&order, "colour = \"red\"\n").expect("written");
    for (version, member) in [("1", &gamma), ("2", &beta), ("3", &gamma), ("4", &alpha)] {
        let (code, _, stderr) = member.run(&["config", "apply", "sleeper.default", version, text(&order)]);
        assert_eq!(code, 0, "{stderr}");
        for other in [&alpha, &beta, &gamma] {
            let held = || other.json("/census").to_string().contains(&format!("\"incarnation\":{version}"));
            eventually("the order is known", || held().then_some(()));
        }
    }
    let (_, said, stderr) = alpha.run(&["ring", "key", "status", "--json"]);
    let status: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let speaks = |id: &str| {
        let members = status["members"].as_array().expect("a list");
        let member = members.iter().find(|member| member["member_id"] == id).expect("it is listed");
        member["speaks"].as_str().map(ToOwned::to_owned)
    };
    assert_eq!(speaks(&alpha.member).as_deref(), Some("20260101000001"));
    assert_eq!(speaks(&gamma.member), None, "it has no key to speak of");
    let ring = alpha.run(&["sup", "ring"]).1;
    assert!(ring.contains("--ring-accept clear") && ring.contains("sealed with the key prod-"), "{ring}");
    let metrics = alpha.get("/metrics").body;
    let heard = metrics.lines().find_map(|line| line.strip_prefix("ring_heard_in_the_clear_total "));
    assert!(heard.expect("counted").parse::<u64>().expect("a number") > 0);
    let mut gamma = gamma;
    change(&mut gamma, &["--ring", "prod"]);
    let peer = gamma.gossip.to_string();
    change(&mut alpha, &["--ring", "prod", "--peer", &peer]);
    change(&mut beta, &["--ring", "prod", "--peer", &peer]);
    whole([&alpha, &beta, &gamma]);
    let (_, members, _) = alpha.run(&["sup", "ring"]);
    assert!(!members.contains("ring-accept") && members.contains("sealed with the key prod-"), "{members}");
}

#[test]
fn from_clear_to_sealed_and_back_no_member_is_held_dead() {
    let (key_file, _) = key("prod", 1, 7);
    let local = ["sup", "run", "--profile", "local"];
    let alpha = Supervisor::start(&local[2..]);
    let peer = alpha.gossip.to_string();
    let others = [0, 1].map(|_| Supervisor::start(&["--profile", "local", "--peer", &peer]));
    let mut ring: Vec<Supervisor> = [alpha].into_iter().chain(others).collect();
    ring.iter().for_each(|member| give(member.root(), &key_file));
    let whole = |ring: &[Supervisor]| {
        for member in ring {
            eventually("three are alive", || (count(member, "Alive") == 3).then_some(()));
        }
        for member in ring {
            assert_eq!(count(member, "Confirmed"), 0, "{} holds one dead", member.gossip);
        }
    };
    whole(&ring);
    let both = &["--ring", "prod", "--ring-accept", "clear"][..];
    for with in [both, &["--ring", "prod"], both, &[]] {
        for at in 0..ring.len() {
            let peer = ring[(at + 1) % ring.len()].gossip.to_string();
            assert_eq!(ring[at].run(&["sup", "term"]).0, 0);
            ring[at].restart_as(&[&local[..], with, &["--peer", &peer]].concat());
            whole(&ring);
        }
    }
    // A member that hears another one by an older word alone would be doubted within a few probes.
    for _ in 0..40 {
        whole(&ring);
    }
    assert!(ring.iter().all(|member| !member.run(&["sup", "ring"]).1.contains("sealed with")));
}
