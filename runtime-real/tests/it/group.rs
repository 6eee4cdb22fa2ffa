//! Configuration and files that operators give to service groups.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, plan, text};

/// Runs a command with this text on its standard input.
fn with_input(supervisor: &Supervisor, args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = annulus();
    command.arg("--root").arg(supervisor.root()).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn shown(supervisor: &Supervisor, group: &str) -> Value {
    supervisor.json("/census")["census_groups"][group].clone()
}

#[test]
fn a_configuration_is_taken_by_one_and_known_to_all() {
    let alpha = Supervisor::start(&[]);
    let beta = Supervisor::start(&["--peer", &alpha.gossip.to_string()]);
    let apply = |version| ["config", "apply", "redis.prod", version];
    let (code, stdout, stderr) = with_input(&alpha, &apply("3"), "port = 2112\npassword = 'hunter2'\n");
    assert_eq!(code, 0, "{stderr}");
    for step in ["» ", "Ω ", "✓ ", "↑ ", "★ "] {
        assert!(stdout.contains(step), "{stdout}");
    }
    eventually("the other knows it", || {
        (shown(&beta, "redis.prod")["service_config"]["incarnation"] == 3).then_some(())
    });
    let config = shown(&beta, "redis.prod")["service_config"].clone();
    assert_eq!((&config["writer"], &config["conflict"]), (&Value::from(alpha.member.as_str()), &Value::Null));
    for path in ["/census", "/butterfly"] {
        assert!(!beta.get(path).body.contains("hunter2"), "{path} shows what is in it");
    }

    // Through the other supervisor, which has heard of version 3.
    let (code, _, stderr) = with_input(&beta, &apply("3"), "port = 1\n");
    assert_eq!(code, 8, "{stderr}");
    assert!(stderr.contains("version 3 is current"), "{stderr}");
    let (code, stdout, _) = with_input(&beta, &[&apply("4")[..], &["--wait"]].concat(), "port = 1\n");
    assert_eq!(code, 0);
    assert!(stdout.contains("No alive member serves redis.prod"), "{stdout}");
    let (code, stdout, _) = beta.run(&["config", "history", "redis.prod", "--json"]);
    let history: Value = serde_json::from_str(&stdout).expect("JSON");
    let versions: Vec<&Value> =
        history.as_array().expect("a list").iter().map(|entry| &entry["version"]).collect();
    assert_eq!((code, versions), (0, vec![&Value::from(3), &Value::from(4)]));
}

#[test]
fn a_command_that_waits_names_the_hook_that_hangs_on_another_member() {
    let alpha = Supervisor::start(&[]);
    let beta = Supervisor::start(&["--peer", &alpha.gossip.to_string()]);
    let dir = plan(&beta.root().join("plans"), "shop", "exec sleep 1000");
    std::fs::create_dir_all(dir.join("config")).expect("made");
    std::fs::write(dir.join("config/shop.conf"), "{{cfg.colour}}").expect("written");
    std::fs::write(dir.join("hooks/reconfigure"), "#!/bin/sh\nexec sleep 1000\n").expect("written");
    beta.install(&dir);
    let (code, _, stderr) = beta.run(&["svc", "load", "test/shop"]);
    assert_eq!(code, 0, "{stderr}");
    eventually("the other knows that it runs", || {
        let member = &shown(&alpha, "shop.default")["population"][&beta.member];
        (member["initialized"] == true).then_some(())
    });
    let apply = ["config", "apply", "shop.default", "1", "--wait", "--timeout", "2"];
    let (code, stdout, stderr) = with_input(&alpha, &apply, "colour = 'red'\n");
    assert_eq!(code, 9, "{stdout}{stderr}");
    let said = stdout.lines().find(|line| line.contains("waits for")).unwrap_or_else(|| panic!("{stdout}"));
    assert!(said.contains(&beta.member) && said.contains("in reconfigure hook since"), "{said}");
    assert!(said.contains("limit 60 s"), "{said}");
    assert!(stderr.contains("in reconfigure hook since"), "{stderr}");
}

#[test]
fn what_cannot_be_applied_is_refused_with_a_reason() {
    let supervisor = Supervisor::start(&[]);
    let apply = |version: &str, input: &str| {
        with_input(&supervisor, &["config", "apply", "redis.prod", version, "-"], input)
    };
    let (code, _, stderr) = apply("1", "port = 1\nhost = = 2\n");
    assert_eq!(code, 2);
    assert!(stderr.contains("line 2, column 8"), "{stderr}");
    let (code, _, stderr) = apply("1", &"#".repeat(65_537));
    assert_eq!(code, 2);
    assert!(stderr.contains("65536"), "{stderr}");
    assert_eq!(apply("0", "").0, 2);
    assert_eq!(with_input(&supervisor, &["config", "apply", "redis", "1"], "").0, 2);
    let (code, _, stderr) = supervisor.run(&["config", "history", "redis.prod"]);
    assert_eq!(code, 2, "{stderr}");
    assert_eq!(shown(&supervisor, "redis.prod"), Value::Null, "nothing has changed");
    let away = "127.0.0.1:1";
    let remote = ["config", "apply", "redis.prod", "1", "--remote-sup", away];
    assert_eq!(with_input(&supervisor, &remote, "a = 1").0, 3);
}

#[test]
fn nothing_is_taken_back_and_no_number_is_used_up_by_accident() {
    let supervisor = Supervisor::start(&[]);
    let apply = |version: &str, options: &[&str], input: &str| {
        with_input(&supervisor, &[&["config", "apply", "redis.prod", version], options].concat(), input)
    };
    assert_eq!(apply("1", &[], "port = 1\n").0, 0);
    for nothing in ["", "# port = 1\n"] {
        let (code, _, stderr) = apply("2", &[], nothing);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("--empty") && stderr.contains("standard input"), "{stderr}");
    }
    assert_eq!(apply("2", &["--empty", "-"], "").0, 2, "either a file or nothing");
    assert_eq!(shown(&supervisor, "redis.prod")["service_config"]["incarnation"], 1);
    let (code, stdout, stderr) = apply("2", &["--empty"], "");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("taken back"), "{stdout}");
    let config = &shown(&supervisor, "redis.prod")["service_config"];
    assert_eq!((&config["incarnation"], &config["bytes"]), (&Value::from(2), &Value::from(0)));

    let file = supervisor.root().join("users.acl");
    std::fs::write(&file, "x").expect("written");
    for number in ["0", "4611686018427387905", "18446744073709551615", "nine"] {
        let (code, _, of_config) = apply(number, &[], "a = 1");
        assert_eq!(code, 2, "{of_config}");
        let (code, _, of_file) = supervisor.run(&["file", "upload", "redis.prod", number, text(&file)]);
        assert_eq!(code, 2, "{of_file}");
        let range = "a version is a number from 1 to 4611686018427387904 (2^62)";
        assert!(of_config.contains(range) && of_file.contains(range), "{of_config}{of_file}");
    }
    let far = "500000000000000";
    let (code, _, stderr) = apply(far, &[], "a = 1");
    assert_eq!(code, 8, "{stderr}");
    assert!(stderr.contains("current one, 2") && stderr.contains("--allow-leap"), "{stderr}");
    assert_eq!(supervisor.run(&["file", "upload", "redis.prod", far, text(&file)]).0, 8);
    assert_eq!(apply(far, &["--allow-leap"], "a = 1").0, 0);
    let (code, _, stderr) = apply("4000000000000000000", &["--allow-leap"], "a = 1");
    assert_eq!(code, 8, "{stderr}");
    assert!(stderr.contains("higher than members believe today"), "{stderr}");
}

#[test]
fn what_no_default_has_is_taken_and_warned_about() {
    let supervisor = Supervisor::start(&[]);
    let apply = |group: &str, version: &str, input: &str| {
        let (code, stdout, stderr) = with_input(&supervisor, &["config", "apply", group, version], input);
        assert_eq!(code, 0, "{stderr}");
        (stdout, stderr)
    };
    let (stdout, stderr) = apply("shop.prod", "1", "color = 'red'\n");
    assert!(stdout.contains("Not compared with the defaults of shop: no package"), "{stdout}");
    assert_eq!(stderr, "");
    supervisor.install(&plan(&supervisor.root().join("plans"), "shop", "exec sleep 1000"));
    let given = "color = 'red'\npassword = 7\ncolour = 'green'\n";
    let warned = "warning: color is not in default.toml; did you mean colour?\n\
                  warning: password is a whole number, and a text in default.toml (\"hunter2\")\n";
    // Of a package that is only installed, and of a service that is loaded.
    assert_eq!(apply("shop.prod", "2", given).1, warned);
    assert_eq!(supervisor.run(&["svc", "load", "test/shop", "--group", "prod"]).0, 0);
    eventually("it is prepared", || {
        let (code, _, stderr) = supervisor.run(&["config", "show", "shop.prod"]);
        (code == 0 && stderr.contains("version 2: color is not in default.toml")).then_some(())
    });
    assert_eq!(apply("shop.prod", "3", given).1, warned);
    assert_eq!(apply("shop.prod", "4", "colour = 'green'\n").1, "");
}

#[test]
fn files_and_configuration_outlive_the_supervisor() {
    let mut supervisor = Supervisor::start(&[]);
    let file = supervisor.root().join("users.acl");
    std::fs::write(&file, "user default on\n").expect("written");
    let upload = |supervisor: &Supervisor, version: &str, path: &str| {
        supervisor.run(&["file", "upload", "redis.prod", version, path])
    };
    let (code, stdout, stderr) = upload(&supervisor, "1", text(&file));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("★ Uploaded version 1 of users.acl"), "{stdout}");
    assert_eq!(upload(&supervisor, "1", text(&file)).0, 8);
    assert_eq!(upload(&supervisor, "2", "/").0, 2, "not a file's name");
    let (hidden, empty) = (supervisor.root().join(".hidden"), supervisor.root().join("empty"));
    std::fs::write(&hidden, "x").expect("written");
    std::fs::write(&empty, "").expect("written");
    let (code, _, stderr) = upload(&supervisor, "1", text(&hidden));
    assert!(
        code == 2 && stderr.contains("no member would write a file named \".hidden\""),
        "{code} {stderr}"
    );
    let (code, _, stderr) = upload(&supervisor, "2", text(&empty));
    assert!(code == 2 && stderr.contains("annulus file remove redis.prod empty"), "{code} {stderr}");
    assert_eq!(with_input(&supervisor, &["config", "apply", "redis.prod", "7"], "a = 1").0, 0);

    supervisor.child.kill().expect("killed");
    supervisor.restart(&[]);
    let group = shown(&supervisor, "redis.prod");
    assert_eq!(group["service_config"]["incarnation"], 7);
    assert_eq!(group["service_files"]["users.acl"]["bytes"], 16);
    let (_, stdout, _) = supervisor.run(&["config", "history", "redis.prod", "--file", "users.acl"]);
    assert!(stdout.contains("current"), "{stdout}");
}

#[test]
fn a_group_runs_with_what_it_was_given() {
    let alpha = Supervisor::start(&[]);
    let beta = Supervisor::start(&["--peer", &alpha.gossip.to_string()]);
    // Given before any member serves the group.
    let apply = |version, text| with_input(&beta, &["config", "apply", "shop.prod", version, "--wait"], text);
    assert_eq!(apply("1", "colour = 'red'\n").0, 0);
    for supervisor in [&alpha, &beta] {
        let plan = plan(&supervisor.root().join("plans"), "shop", "exec sleep 1000");
        std::fs::create_dir_all(plan.join("config")).expect("made");
        std::fs::write(plan.join("config/shop.conf"), "{{cfg.colour}}").expect("written");
        supervisor.install(&plan);
    }
    let conf = |supervisor: &Supervisor, name: &str| {
        std::fs::read_to_string(supervisor.root().join("svc/shop").join(name)).unwrap_or_default()
    };
    for supervisor in [&alpha, &beta] {
        assert_eq!(supervisor.run(&["svc", "load", "test/shop", "--group", "prod"]).0, 0);
        eventually("it starts with it", || (conf(supervisor, "config/shop.conf") == "red").then_some(()));
    }
    eventually("each knows both", || {
        let group = shown(&beta, "shop.prod");
        (group["population"].as_object().is_some_and(|members| members.len() == 2)).then_some(())
    });

    let (code, stdout, stderr) = apply("2", "colour = 'green'\n");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("In effect on all 2 alive members"), "{stdout}");
    let file = beta.root().join("words.txt");
    std::fs::write(&file, "hello\n").expect("written");
    let (code, _, stderr) = alpha.run(&["file", "upload", "shop.prod", "1", text(&file), "--wait"]);
    assert_eq!(code, 0, "{stderr}");
    for supervisor in [&alpha, &beta] {
        assert_eq!(conf(supervisor, "config/shop.conf"), "green");
        assert_eq!(conf(supervisor, "files/words.txt"), "hello\n");
    }
}
