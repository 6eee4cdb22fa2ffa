//! A process that outlived its supervisor is the same service as before: it is stopped as its plan says, and its status
//! counts from its own start.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::host::{Host, lives, number};
use crate::support::{eventually, get, plan, text};

/// Kills the supervisor; returns once its successor answers.
fn adopt(host: &Host) {
    let before = host.supervisor();
    kill(number(before), Signal::SIGKILL).expect("killed");
    host.supervisor_after(before);
}

#[test]
fn a_stop_right_after_a_restart_drains_and_keeps_the_time_of_the_plan() {
    let host = Host::start(|_| {});
    let said = host.said("said");
    let run = format!("trap 'echo told >> {}' TERM\nwhile :; do sleep 0.02; done", text(&said));
    let dir = plan(&host.root.path().join("plans"), "stubborn", &run);
    let toml = fs::read_to_string(dir.join("plan.toml")).expect("written");
    fs::write(dir.join("plan.toml"), format!("{toml}\n[service]\nshutdown_timeout_s = 1\n"))
        .expect("written");
    let drain = dir.join("hooks/drain");
    fs::write(&drain, format!("#!/bin/sh\necho drained >> {}\n", text(&said))).expect("written");
    fs::set_permissions(&drain, fs::Permissions::from_mode(0o755)).expect("set");
    let ident = host.install_plan(&dir);
    host.load(&ident);
    let pid = host.pid_of_service();
    adopt(&host);
    let began = Instant::now();
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    let took = began.elapsed();
    assert!(!lives(pid));
    let said = fs::read_to_string(&said).expect("it was drained");
    assert_eq!(said.lines().collect::<Vec<_>>(), ["drained", "told"], "in this order");
    // A second until KILL, and not the eight of a service of which nothing is known.
    assert!(took < Duration::from_secs(7), "{took:?}");
}

#[test]
fn a_stop_whose_package_is_gone_keeps_the_time_that_the_launcher_knows() {
    let host = Host::start(|_| {});
    let dir = plan(
        &host.root.path().join("plans"),
        "stubborn",
        "trap '' TERM\necho ready > var/ready\nwhile :; do sleep 0.02; done",
    );
    let toml = fs::read_to_string(dir.join("plan.toml")).expect("written");
    fs::write(dir.join("plan.toml"), format!("{toml}\n[service]\nshutdown_timeout_s = 1\n"))
        .expect("written");
    let ident = host.install_plan(&dir);
    host.load(&ident);
    let pid = host.pid_of_service();
    eventually("it ignores the signal", || {
        host.root.path().join("svc/stubborn/var/ready").exists().then_some(())
    });
    fs::rename(host.root.path().join("pkgs"), host.root.path().join("pkgs.gone")).expect("moved");
    adopt(&host);
    let began = Instant::now();
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    assert!(!lives(pid));
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[test]
fn a_change_that_a_supervisor_died_telling_of_is_told_by_the_next_one_and_once() {
    let host = Host::start(|_| {});
    let (said, gate) = (host.said("said"), host.said("gate"));
    let dir = plan(&host.root.path().join("plans"), "told", "exec sleep 1000");
    fs::write(dir.join("default.toml"), "word = \"one\"\n").expect("written");
    fs::create_dir_all(dir.join("config")).expect("made");
    fs::write(dir.join("config/told.conf"), "{{cfg.word}}").expect("written");
    let hook = format!(
        "#!/bin/sh\n[ -e {gate} ] && open=1\necho \"begun $(cat config/told.conf)\" >> {said}\n\
         [ \"$open\" ] || exec sleep 1000\n\
         echo \"told $(cat config/told.conf)\" >> {said}\n",
        said = text(&said),
        gate = text(&gate)
    );
    fs::write(dir.join("hooks/reconfigure"), hook).expect("written");
    let ident = host.install_plan(&dir);
    host.load(&ident);
    let pid = host.pid_of_service();
    let user = host.root.path().join("user/told/config");
    fs::create_dir_all(&user).expect("made");
    let lines = || fs::read_to_string(&said).unwrap_or_default();
    fs::write(user.join("user.toml"), "word = \"two\"\n").expect("written");
    eventually("the hook hangs", || (lines() == "begun two\n").then_some(()));
    fs::write(&gate, "").expect("written");
    adopt(&host);
    eventually("it is told again", || lines().ends_with("told two\n").then_some(()));
    assert_eq!(lines(), "begun two\nbegun two\ntold two\n");
    let note = |name: &str| host.root.path().join("svc/told").join(name).exists();
    eventually("that is noted", || (!note(".untold.config") && !note(".being-told.config")).then_some(()));
    adopt(&host);
    assert_eq!(host.pid_of_service(), pid);
    fs::write(user.join("user.toml"), "word = \"three\"\n").expect("written");
    eventually("it is told of news only", || lines().ends_with("told three\n").then_some(()));
    assert_eq!(lines(), "begun two\nbegun two\ntold two\nbegun three\ntold three\n");
    assert_eq!(host.pid_of_service(), pid);
}

#[test]
fn a_process_is_as_well_after_a_restart_of_its_supervisor_as_it_was_until_a_check_says_otherwise() {
    let host = Host::start(|_| {});
    let (said, gate) = (host.said("said"), host.said("gate"));
    let dir = plan(&host.root.path().join("plans"), "checked", "exec sleep 1000");
    let hook = format!(
        "#!/bin/sh\necho begun >> {said}\nwhile [ -e {gate} ]; do sleep 0.02; done\n[ ! -e {gate}.ill ] || exit 2\n",
        said = text(&said),
        gate = text(&gate)
    );
    fs::write(dir.join("hooks/health-check"), hook).expect("written");
    let ident = host.install_plan(&dir);
    host.load(&ident);
    let health = || {
        let http = host.http()?;
        std::net::TcpStream::connect(http).ok()?;
        Some(get(http, "/services/checked/default/health", &[]).status)
    };
    eventually("it is well", || (health() == Some(200)).then_some(()));
    fs::write(&gate, "").expect("written");
    fs::write(&said, "").expect("written");
    adopt(&host);
    eventually("the next supervisor checks it", || {
        assert!(matches!(health(), None | Some(200)), "{:?}", health());
        (fs::read_to_string(&said).unwrap_or_default() == "begun\n").then_some(())
    });
    assert_eq!(health(), Some(200), "the check has not ended");
    fs::write(gate.with_extension("ill"), "").expect("written");
    fs::remove_file(&gate).expect("removed");
    eventually("the check says otherwise", || (health() == Some(503)).then_some(()));
    adopt(&host);
    eventually("what was ill stays so", || (health() == Some(503)).then_some(()));
}

fn elapsed(status: &Value) -> u64 {
    status["process"]["elapsed_s"].as_u64().expect("seconds")
}

#[test]
fn restarts_and_uptime_outlive_the_supervisor() {
    let host = Host::start(|_| {});
    let mark = host.said("mark");
    let run = format!("[ -e {0} ] || {{ touch {0}; exit 3; }}\nexec sleep 1000", text(&mark));
    let ident = host.install("again", &run);
    host.load(&ident);
    let before = eventually("it runs, and has for a while", || {
        let service = host.services()?.get(0)?.clone();
        (service["restarts"] == 1 && service["state"] == "up" && elapsed(&service) >= 2).then_some(service)
    });
    for _ in 0..2 {
        adopt(&host);
        let after = host.service("up");
        assert_eq!(after["process"]["pid"], before["process"]["pid"]);
        assert_eq!(after["restarts"], 1, "{after}");
        assert!(elapsed(&after) >= elapsed(&before), "{after}");
        assert!(after["uptime_s"].as_u64() >= before["uptime_s"].as_u64(), "{after}");
    }
    // And they are counted on.
    let pid = host.pid_of_service();
    kill(number(pid), Signal::SIGKILL).expect("killed");
    eventually("it is restarted", || {
        let service = host.services()?.get(0)?.clone();
        (service["restarts"] == 2 && service["state"] == "up").then_some(())
    });
}

#[test]
fn a_supervisor_that_is_replaced_tells_no_client_that_it_has_ended() {
    let host = Host::start(|_| {});
    let at = eventually("it says where it is", || host.http());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = Vec::new();
            while !stop.load(std::sync::atomic::Ordering::Acquire) {
                // Refused once it is gone: the next one has another port.
                let Ok(mut stream) = std::net::TcpStream::connect(at) else { break };
                let _ = stream.write_all(b"GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n");
                let mut answer = String::new();
                if stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
                    answers.push(answer);
                }
            }
            answers
        });
        let before = host.supervisor();
        let (code, _, stderr) = host.run(&["sup", "restart"]);
        assert_eq!(code, 0, "{stderr}");
        host.supervisor_after(before);
        stop.store(true, std::sync::atomic::Ordering::Release);
        asking.join().expect("no panic")
    });
    assert!(!answers.is_empty(), "it was asked");
    let odd: Vec<&String> = answers.iter().filter(|answer| !answer.starts_with("HTTP/1.0 200")).collect();
    assert!(odd.is_empty(), "{} of {}: {odd:?}", odd.len(), answers.len());
}
