//! What commands tell of the ring: `sup members`, `sup ring`, files of groups, `svc restart`, and what is not there.

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, finish, plan, text};

fn json(supervisor: &Supervisor, args: &[&str]) -> Value {
    let (code, out, stderr) = supervisor.run(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn members_and_the_ring_are_listed_with_what_they_serve() {
    let alpha = Supervisor::start(&["--permanent-peer"]);
    let beta = Supervisor::start(&["--peer", &alpha.gossip.to_string()]);
    alpha.install(&plan(&alpha.root().join("plans"), "sleeper", "exec sleep 1000"));
    assert_eq!(alpha.run(&["svc", "load", "test/sleeper"]).0, 0);
    let members = eventually("beta knows alpha and its service", || {
        let members = json(&beta, &["sup", "members"]);
        (members.as_array()?.iter().any(|member| member["services"][0] == "sleeper.default"))
            .then_some(members)
    });
    let of = |id: &str| {
        members.as_array().expect("a list").iter().find(|member| member["member_id"] == id).expect(id)
    };
    let (first, second) = (of(&alpha.member), of(&beta.member));
    assert_eq!(
        (&first["state"], &first["permanent"], &first["local"]),
        (&"Alive".into(), &true.into(), &false.into())
    );
    assert_eq!((&first["address"], &first["incarnation"]), (&alpha.gossip.to_string().into(), &1.into()));
    let name = format!("{} ({})", first["host"].as_str().expect("told with the service"), &alpha.member[..8]);
    assert_eq!(first["name"], name);
    assert!(first["since_s"].as_u64().is_some_and(|seconds| seconds < 60), "{first}");
    assert_eq!((&second["local"], &second["permanent"]), (&true.into(), &false.into()));

    let (_, table, _) = beta.run(&["sup", "members"]);
    assert!(
        table.starts_with("member")
            && table.contains(&alpha.member[..8])
            && table.contains("sleeper.default"),
        "{table}"
    );
    let (_, table, _) = beta.run(&["sup", "ring"]);
    assert!(table.starts_with("ring of 2: 2 Alive; 1 permanent") && table.contains(&beta.member), "{table}");
    let ring = json(&beta, &["sup", "ring"]);
    assert_eq!((&ring["states"]["Alive"], &ring["groups"][0]["alive"]), (&2.into(), &1.into()));
    assert_eq!(ring["groups"][0]["packages"].as_object().expect("a spread").len(), 1);
    let (code, _, stderr) = beta.run(&["sup", "depart", "00000000"]);
    assert!(code == 2 && stderr.contains("no member's id begins with 00000000"), "{code} {stderr}");
    let (code, out, stderr) = beta.run(&["sup", "depart", &alpha.member[..8]]);
    assert!(code == 0 && out.contains(&alpha.member), "{out} {stderr}");
    assert_eq!(json(&beta, &["sup", "ring"])["banned"][0], alpha.member.as_str());
    let (code, _, stderr) = beta.run(&["sup", "ring", "--override-name", "other"]);
    assert_eq!(code, 3, "{stderr}");
}

#[test]
fn files_of_a_group_are_listed_and_withdrawn() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "web", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/web"]).0, 0);
    let (code, out, _) = supervisor.run(&["file", "list", "web.default"]);
    assert!(code == 0 && out.contains("has no files"), "{out}");
    let file = supervisor.root().join("users.acl");
    fs::write(&file, "alice\n").expect("written");
    let (code, _, stderr) = supervisor.run(&["file", "upload", "web.default", "1", text(&file), "--wait"]);
    assert_eq!(code, 0, "{stderr}");

    let list = json(&supervisor, &["file", "list", "web.default"]);
    let entry = &list[0];
    assert_eq!(
        (&entry["file"], &entry["version"], &entry["bytes"]),
        (&"users.acl".into(), &1.into(), &6.into())
    );
    assert_eq!((&entry["writer"], &entry["removed"]), (&supervisor.member.as_str().into(), &false.into()));
    assert!(entry["taken_in_at_ms"].as_u64().is_some() && entry["writer_host"].is_string(), "{entry}");
    let (_, table, _) = supervisor.run(&["file", "list", "web.default"]);
    assert!(table.contains(&format!("({})", &supervisor.member[..8])), "{table}");

    let (code, out, stderr) = supervisor.run(&["file", "remove", "web.default", "users.acl", "--wait"]);
    assert!(code == 0 && out.contains("version 2 is empty"), "{out} {stderr}");
    assert_eq!(
        fs::read_to_string(supervisor.root().join("svc/web/files/users.acl")).expect("it is there"),
        ""
    );
    let list = json(&supervisor, &["file", "list", "web.default"]);
    assert_eq!((&list[0]["version"], &list[0]["removed"]), (&2.into(), &true.into()));
    let history = json(&supervisor, &["file", "history", "web.default", "users.acl"]);
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    let (code, out, _) = supervisor.run(&["file", "remove", "web.default", "users.acl"]);
    assert!(code == 0 && out.contains("removed already"), "{out}");
    let (code, _, stderr) = supervisor.run(&["file", "remove", "web.default", "none"]);
    assert!(code == 2 && stderr.contains("file none"), "{code} {stderr}");
    let (code, _, stderr) = supervisor.run(&["file", "remove", "web.default", "users.acl", "1"]);
    assert!(code == 8 && stderr.contains("version 2 is current"), "{code} {stderr}");
}

#[test]
fn services_are_restarted_in_order_and_keep_their_spec() {
    let supervisor = Supervisor::start(&[]);
    for name in ["web", "db"] {
        supervisor.install(&plan(&supervisor.root().join("plans"), name, "exec sleep 1000"));
        assert_eq!(supervisor.run(&["svc", "load", &format!("test/{name}")]).0, 0);
    }
    let service = |name: &str| json(&supervisor, &["svc", "status", &format!("test/{name}")])[0].clone();
    let up = |name: &str| {
        eventually("it is up", || {
            service(name)["process"]["pid"].as_u64().filter(|_| service(name)["state"] == "up")
        })
    };
    let (web, db) = (up("web"), up("db"));
    let spec = || fs::read_to_string(supervisor.root().join("sup/default/specs/web.spec")).expect("stored");
    let before = spec();
    let (code, out, stderr) = supervisor.run(&["svc", "restart", "test/web", "test/db", "--wait"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(out.matches("runs again as process").count(), 2, "{out}");
    assert!(up("web") != web && up("db") != db);
    assert_eq!(spec(), before);
    assert_eq!(service("web")["restarts"], 0, "an order is no failure");

    let (code, _, stderr) = supervisor.run(&["svc", "restart", "test/web", "test/none"]);
    assert!(code == 2 && stderr.contains("test/none is not loaded"), "{code} {stderr}");
    let process = up("web");
    assert_eq!(supervisor.run(&["svc", "stop", "test/web"]).0, 0);
    let (code, _, stderr) = supervisor.run(&["svc", "restart", "test/web"]);
    assert!(code == 1 && stderr.contains("svc start test/web"), "{process}: {code} {stderr}");
    assert_eq!(service("web")["desired_state"], "down");
}

#[test]
fn a_process_is_as_old_after_a_restart_of_its_supervisor() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "web", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/web"]).0, 0);
    let status = || json(&supervisor, &["svc", "status"])[0].clone();
    let (pid, _) = eventually("it has run for two seconds", || {
        let status = status();
        let uptime = status["uptime_s"].as_u64().filter(|seconds| *seconds >= 2)?;
        Some((status["process"]["pid"].clone(), uptime))
    });
    assert_eq!(supervisor.run(&["sup", "restart"]).0, 0);
    let after = eventually("it is adopted", || Some(status()).filter(|status| status["state"] == "up"));
    assert_eq!(after["process"]["pid"], pid);
    assert!(after["uptime_s"].as_u64().is_some_and(|seconds| seconds >= 2), "{after}");
}

#[test]
fn what_is_not_there_is_named() {
    for (line, code, words) in [
        (&["pkg", "binlink", "core/redis"][..], 2, &["binlink", "not in this version"][..]),
        (&["sup", "run", "--peer-watch-file", "x"], 2, &["--peer-watch-file", "not in this version"]),
        (&["svc", "status", "-x"], 2, &["'-x'"]),
        (&["svc", "load", "core/redis", "\u{2013}-force"], 2, &["U+2013", "write --force"]),
    ] {
        let (ended, out, stderr) = finish(annulus().args(line));
        assert!(ended == code && out.is_empty(), "{line:?}: {ended} {out}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{line:?}: {stderr}");
    }
}

#[test]
fn pipes_in_the_place_of_files_hold_no_command_up() {
    let supervisor = Supervisor::start(&[]);
    let sup = supervisor.root().join("sup/default");
    let replaced = |name: &str| {
        let path = sup.join(name);
        fs::rename(&path, sup.join("aside")).expect("renamed");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("made");
        let (code, _, stderr) = supervisor.run(&["svc", "status"]);
        assert!(code != 0 && stderr.contains("no regular file"), "{name}: {code} {stderr}");
        fs::rename(sup.join("aside"), &path).expect("put back");
        assert_eq!(supervisor.run(&["svc", "status"]).0, 0, "{name}");
    };
    let (socket, kept) = (sup.join("ctl.sock"), sup.join("socket"));
    fs::rename(&socket, &kept).expect("renamed");
    mkfifo(&socket, Mode::S_IRUSR | Mode::S_IWUSR).expect("made");
    let (code, _, stderr) = supervisor.run(&["svc", "status"]);
    assert!(code != 0 && stderr.contains("it is a pipe"), "{code} {stderr}");
    // Without the socket, commands take the address and the secret.
    fs::remove_file(&socket).expect("removed");
    replaced("CTL_ADDR");
    replaced("CTL_SECRET");
    let pipe = supervisor.root().join("pipe.toml");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("made");
    let (code, _, stderr) = supervisor.run(&["sup", "run", "--config-files", text(&pipe)]);
    assert!(code == 2 && stderr.contains("no regular file"), "{code} {stderr}");
}

#[test]
fn a_ban_is_lifted_and_its_member_comes_back_once_it_is_started() {
    let alpha = Supervisor::start(&[]);
    let mut beta = Supervisor::start(&["--peer", &alpha.gossip.to_string()]);
    let peer = ["--peer", &alpha.gossip.to_string()].map(str::to_owned);
    let peer = [peer[0].as_str(), peer[1].as_str()];
    let state = |of: &str| {
        let members = json(&alpha, &["sup", "members"]);
        let member = members.as_array()?.iter().find(|member| member["member_id"] == of)?.clone();
        member["state"].as_str().map(str::to_owned)
    };
    let is = |of: &str, wanted: &str| (state(of).as_deref() == Some(wanted)).then_some(());
    eventually("alpha knows beta", || is(&beta.member, "Alive"));
    let (code, _, stderr) = alpha.run(&["sup", "reset", &beta.member]);
    assert!(code == 1 && stderr.contains("is not banned"), "{code} {stderr}");
    let (code, _, stderr) = alpha.run(&["sup", "reset", "gamma"]);
    assert!(code == 2 && stderr.contains("no member is called gamma"), "{code} {stderr}");
    assert_eq!(alpha.run(&["sup", "depart", &beta.member]).0, 0);
    let status = eventually("beta has ended", || beta.child.try_wait().expect("waited for"));
    assert_eq!(status.code(), Some(86));
    let (_, table, _) = alpha.run(&["sup", "members"]);
    assert!(table.contains("is banned, by an order to"), "{table}");

    let (code, out, stderr) = alpha.run(&["sup", "reset", &beta.member[..8]]);
    assert!(code == 0 && out.contains("is lifted") && out.contains("start it once"), "{code} {out} {stderr}");
    assert!(out.contains("what it outbids: the ban by an order to"), "{out}");
    let before = beta.member.clone();
    beta.restart(&peer);
    assert_eq!(beta.member, before, "it is the member that it was");
    eventually("beta is back", || is(&before, "Alive"));
    assert_eq!(json(&alpha, &["sup", "ring"])["banned"].as_array().map(Vec::len), Some(0));
    let (_, table, _) = alpha.run(&["sup", "members"]);
    assert!(table.contains("was lifted, by an order to"), "{table}");
    let (code, _, stderr) = alpha.run(&["sup", "reset", &before]);
    assert!(code == 1 && stderr.contains("is not banned"), "{code} {stderr}");
}

#[test]
fn a_group_is_put_right_by_the_next_versions() {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "web", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/web"]).0, 0);
    let written = |name: &str, content: &str| {
        let file = supervisor.root().join(name);
        fs::write(&file, content).expect("written");
        file
    };
    let (toml, file) = (written("a.toml", "a = 1\n"), written("users.acl", "eve\n"));
    let apply = ["config", "apply", "web.default", "300000000000000", text(&toml), "--allow-leap"];
    let (code, _, stderr) = supervisor.run(&apply);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(supervisor.run(&["file", "upload", "web.default", "7", text(&file)]).0, 0);

    let (code, _, stderr) = supervisor.run(&["sup", "reset", "shop.default"]);
    assert!(code == 2 && stderr.contains("the ring has web.default"), "{code} {stderr}");
    let (code, out, stderr) = supervisor.run(&["sup", "reset", "web.default", "--wait"]);
    assert_eq!(code, 0, "{out} {stderr}");
    for row in ["300000000000000", "300000000000001, sets nothing", "file users.acl", "8, sets nothing"] {
        assert!(out.contains(row), "{row}: {out}");
    }
    assert!(out.contains(&supervisor.member[..8]), "who had written it: {out}");
    let (_, out, _) = supervisor.run(&["sup", "reset", "web.default"]);
    assert!(out.contains("nothing to put right"), "{out}");
}
