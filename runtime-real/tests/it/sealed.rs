//! What users seal for a service group, through real supervisors.

use std::fs;
use std::path::Path;

use crate::support::{Supervisor, eventually, plan, text};

const SECRET: &str = "correct-horse-battery";
const GROUP: &str = "shop.prod@acme";

/// The file of a key in a supervisor's cache.
fn key(supervisor: &Supervisor, begin: &str, end: &str) -> std::path::PathBuf {
    let names = fs::read_dir(supervisor.root().join("cache/keys")).expect("a cache").flatten();
    let mut paths = names.map(|entry| entry.path());
    let found = paths.find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(begin) && name.ends_with(end)
    });
    found.unwrap_or_else(|| panic!("no {begin}*{end}"))
}

/// Brings a key to another host as an operator would: whole, with its mode.
fn bring(file: &Path, to: &Supervisor) {
    let cache = to.root().join("cache/keys");
    fs::create_dir_all(&cache).expect("made");
    let (name, aside) = (file.file_name().expect("a name"), to.root().join("key.aside"));
    fs::copy(file, &aside).expect("copied");
    fs::rename(aside, cache.join(name)).expect("moved");
}

fn load(supervisor: &Supervisor) {
    let plan = plan(&supervisor.root().join("plans"), "shop", "exec sleep 1000");
    fs::create_dir_all(plan.join("config")).expect("made");
    fs::write(plan.join("config/shop.conf"), "{{cfg.colour}}").expect("written");
    supervisor.install(&plan);
    let (code, _, stderr) = supervisor.run(&["svc", "load", "test/shop", "--group", "prod"]);
    assert_eq!(code, 0, "{stderr}");
    eventually("it runs", || (conf(supervisor) == "blue").then_some(()));
}

fn conf(supervisor: &Supervisor) -> String {
    fs::read_to_string(supervisor.root().join("svc/shop/config/shop.conf")).unwrap_or_default()
}

/// Whether a file below holds the text.
fn holds(dir: &Path, text: &str) -> bool {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    entries.iter().any(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => holds(&path, text),
            Ok(kind) if kind.is_file() => fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())),
            _ => false,
        }
    })
}

#[test]
fn a_sealed_configuration_is_for_its_group_alone() {
    let org = ["--org", "acme"];
    let gamma = Supervisor::start(&org);
    let peer = gamma.gossip.to_string();
    let alpha = Supervisor::start(&["--org", "acme", "--peer", &peer]);
    let beta = Supervisor::start(&["--org", "acme", "--peer", &peer]);
    for args in [&["svc", "key", "generate", "shop.prod", "acme"][..], &["user", "key", "generate", "bob"]] {
        assert_eq!(alpha.run(args).0, 0);
    }
    bring(&key(&alpha, GROUP, ".pub"), &beta);
    bring(&key(&alpha, GROUP, ".box.key"), &beta);
    for supervisor in [&alpha, &beta] {
        load(supervisor);
    }
    eventually("each knows both", || {
        let group = gamma.json("/census")["census_groups"][GROUP].clone();
        group["population"].as_object().is_some_and(|members| members.len() == 2).then_some(())
    });

    // Beta does not hold the user's key yet: it keeps what it has, says which is missing, and heals when that comes.
    let file = alpha.root().join("secret.toml");
    fs::write(&file, format!("colour = \"{SECRET}\"\n")).expect("written");
    let seal = ["config", "apply", "shop.prod", "1", text(&file), "--user", "bob", "--org", "acme"];
    let (code, _, stderr) = alpha.run(&[&seal[..], &["--wait", "--timeout", "3"]].concat());
    assert_eq!(code, 9, "{stderr}");
    assert!(stderr.contains(&beta.member) && !stderr.contains(&alpha.member), "{stderr}");
    assert_eq!((conf(&alpha).as_str(), conf(&beta).as_str()), (SECRET, "blue"));
    let public = key(&alpha, "bob-", ".pub");
    let name = public.file_name().and_then(|name| name.to_str()).expect("text").to_owned();
    let (_, stdout, _) = beta.run(&["svc", "status", "--json"]);
    assert!(stdout.contains(&name) && stdout.contains("\"key\""), "{stdout}");
    assert!(beta.get("/services").body.contains(&name));
    bring(&public, &beta);
    eventually("healed", || (conf(&beta) == SECRET).then_some(()));

    // A file, with the service's words about it nowhere else.
    let words = alpha.root().join("words.txt");
    fs::write(&words, SECRET).expect("written");
    let (code, _, stderr) =
        alpha.run(&["file", "upload", GROUP, "1", text(&words), "--user", "bob", "--wait"]);
    assert_eq!(code, 0, "{stderr}");
    for supervisor in [&alpha, &beta] {
        let found = fs::read_to_string(supervisor.root().join("svc/shop/files/words.txt"));
        assert_eq!(found.expect("written"), SECRET);
        for path in ["/census", "/butterfly", "/services", "/services/shop/prod/acme/config"] {
            assert!(!supervisor.get(path).body.contains(SECRET), "{path} shows it");
        }
        assert!(!holds(&supervisor.root().join("sup"), SECRET), "the supervisor's own files show it");
        let (_, stdout, _) = supervisor.run(&["config", "show", GROUP]);
        assert!(stdout.contains("(sealed)") && !stdout.contains(SECRET), "{stdout}");
        let (_, stdout, _) = supervisor.run(&["config", "show", GROUP, "--reveal"]);
        assert!(stdout.contains(SECRET), "{stdout}");
    }
    assert!(!holds(gamma.root(), SECRET), "it relays and cannot read");
    assert_eq!(gamma.json("/census")["census_groups"][GROUP]["service_config"]["encrypted"], true);
}

#[test]
fn what_is_not_sealed_by_a_known_user_is_refused() {
    let alpha = Supervisor::start(&["--org", "acme"]);
    let gamma = Supervisor::start(&["--org", "acme", "--peer", &alpha.gossip.to_string()]);
    assert_eq!(alpha.run(&["svc", "key", "generate", "shop.prod", "acme"]).0, 0);
    load(&alpha);
    let file = alpha.root().join("plain.toml");
    fs::write(&file, "colour = \"red\"\n").expect("written");
    // At the client, at the supervisor, and by gossip through a member that has no key of the group.
    let apply = |version| ["config", "apply", GROUP, version, text(&file)];
    let (code, _, stderr) = alpha.run(&apply("1"));
    assert!(code == 2 && stderr.contains("--user NAME"), "{code} {stderr}");
    let (code, _, stderr) = gamma.run(&apply("1"));
    assert_eq!(code, 0, "{stderr}");
    eventually("it is named", || {
        let (_, stdout, _) = alpha.run(&["svc", "status", "--json"]);
        stdout.contains("came plain and does not count").then_some(())
    });
    assert_eq!(conf(&alpha), "blue");
    let (code, _, stderr) = gamma.run(&["config", "apply", GROUP, "2", "--empty"]);
    assert_eq!(code, 0, "{stderr}");
    eventually("it is taken back", || {
        let (_, stdout, _) = alpha.run(&["svc", "status", "--json"]);
        (!stdout.contains("came plain")).then_some(())
    });

    // A user whose key the host does not hold.
    bring(&key(&alpha, GROUP, ".pub"), &gamma);
    assert_eq!(gamma.run(&["user", "key", "generate", "eve"]).0, 0);
    let at_alpha = alpha.root().to_owned();
    let socket = ["--remote-sup", &alpha.ctl.to_string()].map(str::to_owned);
    let secret = alpha.secret();
    let mut command = crate::support::annulus();
    command.arg("--root").arg(gamma.root()).args(apply("1")).args(["--user", "eve"]).args(&socket);
    let (code, _, stderr) = crate::support::finish(command.env("HAB_CTL_SECRET", secret));
    assert!(code != 0 && stderr.contains("eve-"), "{code} {stderr}");
    assert!(stderr.contains(".pub") && stderr.contains(text(&at_alpha)), "{stderr}");
    // Through a member that cannot tell, it comes by gossip and counts no more.
    let (code, _, stderr) = gamma.run(&[&apply("1")[..], &["--user", "eve"]].concat());
    assert_eq!(code, 0, "{stderr}");
    eventually("it is named", || {
        let (_, stdout, _) = alpha.run(&["svc", "status", "--json"]);
        stdout.contains("eve-").then_some(())
    });
    assert_eq!(conf(&alpha), "blue");

    // What cannot be opened stands in the way of nothing else: another file is in effect, and the rest is a note.
    assert_eq!(alpha.run(&["user", "key", "generate", "bob"]).0, 0);
    let upload = ["file", "upload", GROUP, "1", text(&file), "--user", "bob", "--wait", "--timeout", "20"];
    let (code, stdout, stderr) = alpha.run(&upload);
    assert_eq!(code, 0, "{stdout} {stderr}");
    assert!(stdout.contains("Not all that was given") && stdout.contains("eve-"), "{stdout}");
    // Under the name without its organization it is another group, as the answer says.
    let (code, stdout, stderr) = gamma.run(&["config", "apply", "shop.prod", "1", text(&file)]);
    assert!(
        code == 0 && format!("{stdout}{stderr}").contains("shop.prod@acme is another group"),
        "{stdout} {stderr}"
    );
}
