//! Configuration: from a package's files to what its service gets, and the effect of a change on a running service.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Supervisor, eventually, run_as_this_user, text};

/// A plan of these files; `plan.toml` gets its ident here.
fn plan(supervisor: &Supervisor, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = supervisor.root().join("plans").join(name);
    let head = format!("origin = \"test\"\nname = \"{name}\"\nversion = \"1.0.0\"\n");
    let mut given = files.to_vec();
    if !files.iter().any(|(file, _)| *file == "plan.toml") {
        given.push(("plan.toml", ""));
    }
    if !files.iter().any(|(file, _)| *file == "hooks/run") {
        given.push(("hooks/run", "#!/bin/sh\nexec sleep 1000\n"));
    }
    for (file, content) in given {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        let content = if file == "plan.toml" { format!("{head}{content}") } else { content.to_owned() };
        fs::write(path, content).expect("written");
    }
    dir
}

fn load(supervisor: &Supervisor, name: &str, files: &[(&str, &str)], options: &[&str]) {
    let dir = plan(supervisor, name, files);
    let out = supervisor.root().join("built").join(name);
    run_as_this_user(&dir);
    let (code, _, stderr) = supervisor.run(&["pkg", "build", text(&dir), "--output", text(&out)]);
    assert_eq!(code, 0, "{stderr}");
    let hart = fs::read_dir(&out).expect("built").next().expect("a file").expect("an entry").path();
    let (code, _, stderr) = supervisor.run(&[&["svc", "load", text(&hart)][..], options].concat());
    assert_eq!(code, 0, "{stderr}");
}

fn status(supervisor: &Supervisor, name: &str) -> Value {
    let (code, stdout, stderr) = supervisor.run(&["svc", "status", &format!("test/{name}"), "--json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str::<Value>(&stdout).expect("JSON")[0].clone()
}

/// The pid of a service that is up.
fn up(supervisor: &Supervisor, name: &str) -> u64 {
    eventually(&format!("{name} is up"), || {
        let status = status(supervisor, name);
        (status["state"] == "up").then(|| status["process"]["pid"].as_u64().expect("a pid"))
    })
}

fn svc(supervisor: &Supervisor, path: &str) -> PathBuf {
    supervisor.root().join("svc").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn user_toml(supervisor: &Supervisor, name: &str, text: &str) {
    let path = supervisor.root().join("user").join(name).join("config/user.toml");
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

#[test]
fn a_service_with_a_reconfigure_hook_is_told_and_one_without_is_restarted() {
    let supervisor = Supervisor::start(&[]);
    let common = [("default.toml", "colour = \"blue\"\n"), ("config/app.conf", "{{cfg.colour}}\n")];
    let reconfigure =
        "#!/bin/sh\ncat {{pkg.svc_config_path}}/app.conf >> {{pkg.svc_data_path}}/reconfigured\n";
    load(&supervisor, "told", &[&common[..], &[("hooks/reconfigure", reconfigure)]].concat(), &[]);
    load(&supervisor, "renewed", &common, &[]);
    load(&supervisor, "spared", &common[..1], &[]);
    let pids = ["told", "renewed", "spared"].map(|name| up(&supervisor, name));

    for name in ["told", "renewed", "spared"] {
        user_toml(&supervisor, name, "colour = \"red\"\n");
    }
    eventually("the hook has run", || {
        (read(&svc(&supervisor, "told/data/reconfigured")) == "red\n").then_some(())
    });
    eventually("there is a new process", || (up(&supervisor, "renewed") != pids[1]).then_some(()));
    assert_eq!(read(&svc(&supervisor, "renewed/config/app.conf")), "red\n");
    assert_eq!(up(&supervisor, "told"), pids[0], "its process goes on");
    assert_eq!(up(&supervisor, "spared"), pids[2], "none of its files changed");
    assert_eq!(status(&supervisor, "renewed")["restarts"], 0, "what an operator wanted is no failure");
}

#[test]
fn each_value_is_shown_with_its_layer_and_a_slip_does_no_harm() {
    let env = [("HAB_SHOP", "{\"port\": 81, \"extra\": \"e\"}")];
    let supervisor = Supervisor::start_with(&[], &env);
    let files = [
        ("default.toml", "port = 80\ncolour = \"blue\"\n[tls]\non = false\n"),
        ("config/app.conf", "{{cfg.port}} {{cfg.tls.on}} {{cfg.colour}}"),
        ("hooks/reconfigure", "#!/bin/sh\n"),
    ];
    load(&supervisor, "shop", &files, &[]);
    let pid = up(&supervisor, "shop");
    user_toml(&supervisor, "shop", "[tls]\non = true\n");
    let conf = svc(&supervisor, "shop/config/app.conf");
    eventually("it is rendered", || (read(&conf) == "81 true blue").then_some(()));

    let given = supervisor.root().join("given.toml");
    fs::write(&given, "colour = \"green\"\n").expect("written");
    let (code, _, stderr) = supervisor.run(&["config", "apply", "shop.default", "1", text(&given)]);
    assert_eq!(code, 0, "{stderr}");
    eventually("it is rendered", || (read(&conf) == "81 true green").then_some(()));
    let show =
        |options: &[&str]| supervisor.run(&[&["config", "show", "shop.default"][..], options].concat());
    // The files are written before the supervisor has heard that they are.
    let (code, shown) = eventually("the version is shown", || {
        let (code, stdout, _) = show(&["--json"]);
        let shown: Value = serde_json::from_str(&stdout).expect("JSON");
        (shown["group_version"] == 1).then_some((code, shown))
    });
    let values: Vec<String> = shown["values"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| format!("{} {}", v["path"].as_str().expect("text"), v["layer"].as_str().expect("text")))
        .collect();
    assert_eq!(code, 0);
    assert_eq!(values, ["colour group", "extra environment", "port environment", "tls.on user"]);
    assert_eq!(show(&[]).1.parse::<toml::Table>().expect("TOML")["tls"]["on"].as_bool(), Some(true));

    user_toml(&supervisor, "shop", "[tls]\non = = true\n");
    eventually("the slip is named", || {
        let (_, stdout, stderr) = show(&["--layers"]);
        (stderr.contains("user.toml") && stderr.contains("line 2") && stdout.contains("tls.on = true"))
            .then_some(())
    });
    assert_eq!(read(&conf), "81 true green");
    user_toml(&supervisor, "shop", "");
    eventually("it is mended", || (read(&conf) == "81 false green").then_some(()));
    assert_eq!(up(&supervisor, "shop"), pid);
    let (code, _, stderr) = supervisor.run(&["config", "show", "shop.prod"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("shop.default"), "{stderr}");
}

#[test]
fn a_template_that_fails_keeps_the_files_and_the_process() {
    let supervisor = Supervisor::start(&[]);
    let files = [("default.toml", "name = \"a\"\n"), ("config/app.conf", "{{toUppercase cfg.name}}")];
    load(&supervisor, "shop", &files, &[]);
    let pid = up(&supervisor, "shop");
    user_toml(&supervisor, "shop", "name = [\"b\"]\n");
    let reason = eventually("the fault is named", || {
        status(&supervisor, "shop")["last_error"].as_str().map(str::to_owned)
    });
    assert!(reason.contains("config/app.conf, line 1") && reason.contains("cfg.name"), "{reason}");
    assert_eq!(
        (read(&svc(&supervisor, "shop/config/app.conf")).as_str(), up(&supervisor, "shop")),
        ("A", pid)
    );
    user_toml(&supervisor, "shop", "name = \"b\"\n");
    eventually("it is mended", || (read(&svc(&supervisor, "shop/config/app.conf")) == "B").then_some(()));
}

#[test]
fn a_service_that_cannot_be_prepared_has_not_applied_its_configuration_either() {
    let supervisor = Supervisor::start(&[]);
    user_toml(&supervisor, "shop", "name = = 1\n");
    load(
        &supervisor,
        "shop",
        &[("default.toml", "name = \"a\"\n"), ("config/app.conf", "{{cfg.name}}")],
        &[],
    );
    eventually("it cannot start", || (status(&supervisor, "shop")["state"] == "backoff").then_some(()));
    let file = supervisor.root().join("group.toml");
    std::fs::write(&file, "name = \"c\"\n").expect("written");
    let apply = ["config", "apply", "shop.default", "1", text(&file), "--wait", "--timeout", "1"];
    let (code, stdout, stderr) = supervisor.run(&apply);
    assert!(code == 9 && stderr.contains("user.toml"), "{code} {stdout} {stderr}");
    user_toml(&supervisor, "shop", "name = \"b\"\n");
    eventually("it is tried at once, and runs", || {
        (read(&svc(&supervisor, "shop/config/app.conf")) == "c").then_some(())
    });
}

/// The rule for the next start: a process that ends while the configuration is bad is started with the one before.
#[test]
fn a_crash_while_a_template_fails_costs_no_service() {
    let supervisor = Supervisor::start(&[]);
    let files = [("default.toml", "name = \"a\"\n"), ("config/app.conf", "{{toUppercase cfg.name}}")];
    load(&supervisor, "shop", &files, &[]);
    let pid = up(&supervisor, "shop");
    user_toml(&supervisor, "shop", "name = [\"b\"]\n");
    eventually("the fault is named", || {
        status(&supervisor, "shop")["last_error"].as_str().map(str::to_owned)
    });
    let process = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).expect("killed");
    eventually("it runs again", || {
        let status = status(&supervisor, "shop");
        (status["state"] == "up" && status["process"]["pid"] != pid).then_some(())
    });
    assert_eq!(read(&svc(&supervisor, "shop/config/app.conf")), "A");
    let obstacles = status(&supervisor, "shop")["obstacles"].to_string();
    assert!(obstacles.contains("configuration before it"), "{obstacles}");
}

#[test]
fn a_bound_service_waits_and_then_knows_what_it_is_bound_to() {
    let supervisor = Supervisor::start(&[]);
    let web = [
        ("plan.toml", "[binds]\ndb = [\"port\", \"user\"]\n"),
        (
            "config/db",
            "{{bind.db.first.cfg.user}}@{{bind.db.first.cfg.port}} {{#eachAlive bind.db.members as |m|}}{{m.service}}{{/eachAlive}}",
        ),
    ];
    load(&supervisor, "web", &web, &["--bind", "db:postgres.default"]);
    let waiting = eventually("it waits", || {
        let status = status(&supervisor, "web");
        (status["state"] == "waiting").then_some(status)
    });
    assert!(waiting.to_string().contains("postgres.default"), "{waiting}");
    let postgres = [
        ("plan.toml", "[exports]\nport = \"net.port\"\nuser = \"user\"\n"),
        ("default.toml", "user = \"ann\"\nsecret = \"s\"\n[net]\nport = 5432\n"),
    ];
    load(&supervisor, "postgres", &postgres, &[]);
    up(&supervisor, "web");
    let db = svc(&supervisor, "web/config/db");
    assert_eq!(read(&db), "ann@5432 postgres");
    user_toml(&supervisor, "postgres", "[net]\nport = 5433\n");
    eventually("the new export has come through", || (read(&db) == "ann@5433 postgres").then_some(()));
}

/// Answers every request on a port of its own with this status.
fn http_server(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn health_is_asked_by_hook_url_port_and_socket() {
    let supervisor = Supervisor::start(&[]);
    let (good, bad) = (http_server("200 OK"), http_server("500 Oops"));
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let tcp_port = tcp.local_addr().expect("an address").port();
    let socket = supervisor.root().join("socket");
    let _unix = UnixListener::bind(&socket).expect("a socket");
    let http = |port: u16| format!("[health]\nhttp = \"http://127.0.0.1:{port}/up\"\ninterval_s = 1\n");
    let plans = [
        ("good", http(good), 200, "OK"),
        ("bad", http(bad), 503, "CRITICAL"),
        ("port", format!("[health]\ntcp = \"127.0.0.1:{tcp_port}\"\n"), 200, "OK"),
        ("socket", format!("[health]\nunix = \"{}\"\n", text(&socket)), 200, "OK"),
        ("absent", "[health]\nunix = \"/no/such/socket\"\n".to_owned(), 503, "CRITICAL"),
    ];
    for (name, plan, ..) in &plans {
        load(&supervisor, name, &[("plan.toml", plan)], &[]);
    }
    let hook = "#!/bin/sh\necho said\necho warned >&2\nexit 1\n";
    load(&supervisor, "hook", &[("hooks/health-check", hook)], &[]);
    let health = |name: &str| {
        let answer = supervisor.get(&format!("/services/{name}/default/health"));
        (answer.status, answer.json())
    };
    for (name, _, code, word) in &plans {
        eventually(&format!("{name} is {word}"), || {
            let (status, body) = health(name);
            (status == *code && body["status"] == *word).then_some(())
        });
    }
    let body = eventually("the hook has warned", || {
        let (status, body) = health("hook");
        (status == 200 && body["status"] == "WARNING").then_some(body)
    });
    assert_eq!((&body["stdout"], &body["stderr"]), (&Value::from("said\n"), &Value::from("warned\n")));
    assert_eq!(health("good").1["stdout"], "body");
    assert!(health("absent").1["stderr"].as_str().expect("text").contains("/no/such/socket"));
    let census = supervisor.json("/census");
    let member = &census["census_groups"]["bad.default"]["population"][&supervisor.member];
    assert!(member.to_string().to_lowercase().contains("critical"), "{member}");
}

#[test]
fn hooks_that_flood_and_fork_leave_a_service_alone() {
    let supervisor = Supervisor::start(&[]);
    let flood = "#!/bin/sh\nyes out | head -c 5000000\nyes err | head -c 5000000 >&2\n";
    let fork = "#!/bin/sh\nsleep 1000 &\necho $! > {{pkg.svc_data_path}}/child\n";
    load(&supervisor, "shop", &[("hooks/init", flood), ("hooks/post-run", fork)], &[]);
    up(&supervisor, "shop");
    let child = eventually("post-run has run", || {
        read(&svc(&supervisor, "shop/data/child")).trim().parse::<u32>().ok()
    });
    eventually("no process is left of it", || {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_none_or(|s| s.is_empty() || s.trim_start().starts_with(['Z', 'X']))
            .then_some(())
    });
    let log = eventually("what init said is in the log", || {
        let log = read(&svc(&supervisor, "shop/logs/shop.log"));
        log.contains("left out").then_some(log)
    });
    assert!(log.len() < 8_000_000, "{} bytes", log.len());
    assert!(log.lines().any(|line| line.contains(" H ") && line.ends_with("out")), "{:.200}", log);
}

#[test]
fn a_plan_is_checked_before_it_is_built() {
    let supervisor = Supervisor::start(&[]);
    let good = plan(&supervisor, "good", &[("default.toml", "a = 1"), ("config/a", "{{cfg.a}}")]);
    let (code, stdout, _) = supervisor.run(&["config", "check", text(&good)]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.ends_with("2 templates, no errors, no warnings\n"), "{stdout}");
    let bad = plan(
        &supervisor,
        "bad",
        &[("config/a", "{{toUppercase svc.members}}"), ("config/b", "{{#if"), ("config/c", "{{cfg.x}}")],
    );
    let (code, stdout, _) = supervisor.run(&["config", "check", text(&bad)]);
    assert_eq!(code, 1);
    for part in ["config/a, line 1", "config/b", "cfg.x does not exist", "2 errors, 1 warning"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
}

#[test]
fn what_cannot_be_looked_at_keeps_what_was() {
    let supervisor = Supervisor::start(&[]);
    let files = [("default.toml", "colour = \"blue\"\n"), ("config/app.conf", "{{cfg.colour}}")];
    load(&supervisor, "shop", &files, &[]);
    up(&supervisor, "shop");
    user_toml(&supervisor, "shop", "colour = \"red\"\n");
    let conf = svc(&supervisor, "shop/config/app.conf");
    eventually("it is rendered", || (read(&conf) == "red").then_some(()));
    let pid = eventually("its new process is up", || {
        let status = status(&supervisor, "shop");
        (status["state"] == "up").then(|| status["process"]["pid"].as_u64().expect("a pid"))
    });
    // The volume that holds its configuration is away; a link that leads nowhere is what a superuser sees of that, too.
    let folder = supervisor.root().join("user/shop/config");
    let aside = supervisor.root().join("user/shop/aside");
    fs::rename(&folder, &aside).expect("moved");
    std::os::unix::fs::symlink("volume-that-is-away", &folder).expect("linked");
    let shown = || supervisor.run(&["config", "show", "shop.default", "--layers"]);
    eventually("it is named", || {
        let (_, stdout, stderr) = shown();
        (stderr.contains("leads nowhere") && stdout.contains("colour = \"red\"  # user")).then_some(())
    });
    assert_eq!(
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGKILL),
        Ok(())
    );
    let next = eventually("it is up again", || {
        let status = status(&supervisor, "shop");
        let next = status["process"]["pid"].as_u64();
        next.filter(|next| status["state"] == "up" && *next != pid)
    });
    assert_eq!((read(&conf).as_str(), next != pid), ("red", true), "not with its defaults");
    fs::remove_file(&folder).expect("removed");
    fs::rename(&aside, &folder).expect("moved back");
    eventually("nothing is wrong any more", || shown().2.is_empty().then_some(()));
    assert_eq!(up(&supervisor, "shop"), next);
    fs::remove_dir_all(&folder).expect("removed");
    eventually("what is not there sets nothing", || (read(&conf) == "blue").then_some(()));
}

/// Applies a configuration to a group and waits so many seconds: exit code, standard output, standard error.
fn apply(
    supervisor: &Supervisor,
    group: &str,
    version: &str,
    toml: &str,
    seconds: &str,
) -> (i32, String, String) {
    let given = supervisor.root().join("given.toml");
    fs::write(&given, toml).expect("written");
    supervisor.run(&["config", "apply", group, version, text(&given), "--wait", "--timeout", seconds])
}

#[test]
fn in_effect_means_rendered_told_and_well_again() {
    let supervisor = Supervisor::start(&[]);
    let files = [
        ("default.toml", "colour = \"blue\"\nill = 0\nhook = 0\n"),
        ("config/app.conf", "{{toUppercase cfg.colour}}"),
        ("config/hook", "exit {{cfg.hook}}"),
        ("config/ill", "exit {{cfg.ill}}"),
        ("hooks/reconfigure", "#!/bin/sh\n. {{pkg.svc_config_path}}/hook\n"),
        ("hooks/health-check", "#!/bin/sh\necho checked\n. {{pkg.svc_config_path}}/ill\n"),
    ];
    load(&supervisor, "shop", &files, &[]);
    up(&supervisor, "shop");
    let well = apply(&supervisor, "shop.default", "1", "colour = 'red'\n", "30");
    assert_eq!(well.0, 0, "{well:?}");
    let kinds = || {
        let of = |list: &Value| {
            let kind = |one: &Value| one["kind"].as_str().expect("a word").to_owned();
            list.as_array().expect("a list").iter().map(kind).collect::<Vec<_>>()
        };
        let both = (
            of(&status(&supervisor, "shop")["obstacles"]),
            of(&supervisor.json("/services/shop/default")["obstacles"]),
        );
        assert_eq!(both.0, both.1);
        both.0
    };
    assert_eq!(kinds(), [""; 0]);
    for (version, toml, kind, reason) in [
        ("2", "hook = 3\n", "hook", "the reconfigure hook ended with exit code 3"),
        ("3", "colour = ['red']\n", "template", "config/app.conf, line 1"),
        ("4", "ill = 2\n", "health", "health check: critical"),
    ] {
        let (code, stdout, stderr) = apply(&supervisor, "shop.default", version, toml, "2");
        assert_eq!(code, 9, "{stdout}{stderr}");
        assert!(stderr.contains(reason) && stderr.contains("not in effect"), "{version}: {stderr}");
        assert!(kinds().contains(&kind.to_owned()), "{version}: {:?}", kinds());
        let (_, stdout, _) = supervisor.run(&["svc", "status", "test/shop"]);
        assert!(stdout.contains(reason), "{stdout}");
        let (_, _, stderr) = supervisor.run(&["config", "show", "shop.default"]);
        assert!(stderr.contains(reason), "{stderr}");
        let gauge = format!("sup_service_obstacles{{service=\"shop\",group=\"default\",kind=\"{kind}\"}} 1");
        assert!(supervisor.get("/metrics").body.contains(&gauge), "{gauge}");
    }
    let (code, stdout, stderr) = apply(&supervisor, "shop.default", "5", "colour = 'green'\n", "30");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("In effect on all 1 alive members"), "{stdout}");
    assert_eq!((kinds(), read(&svc(&supervisor, "shop/config/app.conf"))), (vec![], "GREEN".to_owned()));
    // Each came and went once.
    let (_, log, _) = supervisor.run(&["sup", "log", "-n", "1000"]);
    for (line, times) in [
        ("service shop: the reconfigure hook ended with exit code 3", 1),
        ("nothing is wrong with its reconfigure hook any more", 1),
        ("nothing is wrong with its template any more", 1),
    ] {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
}

#[test]
fn a_strict_bind_that_is_lost_keeps_a_version_from_being_in_effect() {
    let supervisor = Supervisor::start(&[]);
    let web = [
        ("plan.toml", "[binds]\ndb = [\"port\"]\n"),
        ("default.toml", "colour = \"blue\"\n"),
        ("config/db", "{{bind.db.first.cfg.port}} {{cfg.colour}}"),
    ];
    let db = [("plan.toml", "[exports]\nport = \"port\"\n"), ("default.toml", "port = 1\n")];
    load(&supervisor, "db", &db, &[]);
    up(&supervisor, "db");
    load(&supervisor, "web", &web, &["--bind", "db:db.default"]);
    up(&supervisor, "web");
    assert_eq!(supervisor.run(&["svc", "unload", "test/db"]).0, 0);
    let (code, stdout, stderr) = apply(&supervisor, "web.default", "1", "colour = 'red'\n", "2");
    assert_eq!(code, 9, "{stdout}{stderr}");
    assert!(stderr.contains("lacks bind db: group db.default"), "{stderr}");
    assert_eq!(read(&svc(&supervisor, "web/config/db")), "1 blue");
    assert_eq!(supervisor.run(&["svc", "load", "test/db"]).0, 0);
    let (code, _, stderr) = apply(&supervisor, "web.default", "2", "colour = 'red'\n", "30");
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(read(&svc(&supervisor, "web/config/db")), "1 red");
}
