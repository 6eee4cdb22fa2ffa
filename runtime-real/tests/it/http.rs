//! The HTTP gateway: forms of answers that Habitat's clients know, events, probes, and access.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Supervisor, eventually, get, plan, request, send};

/// A client must have sent its request's head within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Fails when `value` lacks one of the keys that Habitat's own answer has.
#[track_caller]
fn has_keys(value: &Value, wanted: &str) {
    let have = keys(value);
    let missing: Vec<&str> = wanted.split_whitespace().filter(|key| !have.contains(key)).collect();
    assert!(missing.is_empty(), "missing {missing:?} in {value:#}");
}

const SERVICE_RUMOR: &str =
    "member_id service_group package package_incarnation incarnation cfg sys initialized";
const SYS: &str =
    "ip hostname gossip_ip gossip_port http_gateway_ip http_gateway_port ctl_gateway_ip ctl_gateway_port";

fn with_service() -> Supervisor {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    let (code, _, stderr) = supervisor.run(&["svc", "load", "test/sleeper"]);
    assert_eq!(code, 0, "{stderr}");
    eventually("the service is up", || {
        (supervisor.get("/services/sleeper/default/health").status == 200).then_some(())
    });
    supervisor
}

#[test]
fn answers_have_the_shapes_that_habitats_tools_know() {
    let supervisor = with_service();
    let me = &supervisor.member;

    let butterfly = supervisor.json("/butterfly");
    has_keys(
        &butterfly,
        "member membership service services service_config latest_service_config service_file service_files election \
         latest_election election_update latest_election_update departure departed_members",
    );
    has_keys(&butterfly["member"], "members health update_counter");
    has_keys(
        &butterfly["member"]["members"][me],
        "id incarnation address swim_port gossip_port persistent departed probe_ping",
    );
    assert_eq!(butterfly["member"]["health"][me], "Alive");
    has_keys(&butterfly["membership"][me], "address gossip_port incarnation persistent swim_port health");
    has_keys(&butterfly["service"], "list update_counter");
    has_keys(&butterfly["services"]["sleeper.default"][me], SERVICE_RUMOR);
    has_keys(&butterfly["services"]["sleeper.default"][me]["sys"], SYS);

    let census = supervisor.json("/census");
    has_keys(
        &census,
        "changed census_groups local_member_id last_service_counter last_election_counter last_election_update_counter \
         last_membership_counter last_service_config_counter last_service_file_counter",
    );
    let group = &census["census_groups"]["sleeper.default"];
    has_keys(
        group,
        "service_group election_status update_election_status pkg_incarnation leader_id service_config local_member_id \
         population update_leader_id changed_service_files service_files",
    );
    has_keys(
        &group["population"][me],
        "member_id pkg pkg_incarnation package service group org persistent leader follower update_leader \
         update_follower election_is_running election_is_no_quorum election_is_finished update_election_is_running \
         update_election_is_no_quorum update_election_is_finished sys alive suspect confirmed departed cfg",
    );
    assert_eq!(group["population"][me]["alive"], true);
}

#[test]
fn a_service_is_shown_as_habitat_shows_it() {
    let supervisor = with_service();
    let services = supervisor.json("/services");
    let entry = &services[0];
    has_keys(
        entry,
        "all_pkg_binds binding_mode binds bldr_url cfg channel config_from desired_state health_check hooks initialized \
         last_election_status manager_fs_cfg pkg process last_process_state next_restart_at restart_count restart_config \
         service_group spec_file spec_ident spec_identifier svc_encrypted_password health_check_interval sys topology \
         update_strategy update_condition user_config_updated",
    );
    has_keys(
        &entry["pkg"],
        "ident origin name version release deps dependencies env exposes exports path svc_path svc_config_path \
         svc_config_install_path svc_data_path svc_files_path svc_static_path svc_var_path svc_pid_file svc_run svc_user \
         svc_group shutdown_signal shutdown_timeout",
    );
    has_keys(&entry["process"], "pid state state_entered");
    has_keys(
        &entry["hooks"],
        "health_check init file_updated reconfigure suitability run post_run post_stop",
    );
    has_keys(&entry["hooks"]["run"], "render_pair stdout_log_path stderr_log_path");
    has_keys(&entry["manager_fs_cfg"], "sup_root data_path specs_path member_id_file proc_lock_file");
    has_keys(&entry["restart_config"], "min_backoff_period max_backoff_period cooldown_period");
    assert_eq!(entry["process"]["state"], "up");
    assert_eq!(*entry, supervisor.json("/services/sleeper/default"));

    let health = supervisor.get("/services/sleeper/default/health");
    assert_eq!(health.json()["status"], "OK");
    let config = supervisor.get("/services/sleeper/default/config");
    assert_eq!(config.json(), json!({ "colour": "blue", "password": "hunter2" }), "the whole configuration");
    for path in ["/services", "/census", "/butterfly", "/services/sleeper/default"] {
        let body = supervisor.get(path).body;
        assert!(!body.contains("hunter2"), "{path} shows what the package does not export");
        assert!(!body.contains(&supervisor.secret()), "{path} shows the ctl secret");
    }
}

#[test]
fn what_is_not_there_is_a_problem_in_words() {
    let supervisor = Supervisor::start(&[]);
    for (path, status) in [
        ("/nowhere", 404),
        ("/services/redis/default", 404),
        ("/services/redis/default/health", 404),
        ("/services/redis/default/acme/config", 404),
        ("/services/re.dis/default", 400),
    ] {
        let answer = supervisor.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
        let problem = answer.json();
        has_keys(&problem, "type title status detail");
        assert_eq!(problem["status"], status);
    }
    assert_eq!(request(supervisor.http, "POST", "/census", &[]).status, 405);
    let index = supervisor.get("/");
    for route in ["/butterfly", "/census", "/services", "/metrics", "/live", "/ready", "/events"] {
        assert!(index.body.contains(route), "{route} is not listed");
    }
}

#[test]
fn noise_and_oversized_heads_do_no_harm() {
    let supervisor = Supervisor::start(&[]);
    drop(send(supervisor.http, "\u{0}\u{1}\u{2} rubbish\r\n\r\n"));
    let long = "x".repeat(200 * 1024);
    let answer = get(supervisor.http, "/live", &[("x-long", &long)]);
    assert_eq!(answer.status, 431, "{}", answer.head);
    assert_eq!(supervisor.get("/live").status, 200);
}

#[test]
fn a_token_guards_everything_but_the_probes() {
    let supervisor = Supervisor::start_with(&[], &[("HAB_SUP_GATEWAY_AUTH_TOKEN", "sesame")]);
    for path in ["/", "/butterfly", "/census", "/services", "/metrics", "/events", "/nowhere"] {
        let answer = supervisor.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        assert!(!answer.body.contains("sesame"));
    }
    let asked = std::time::Instant::now();
    assert_eq!(get(supervisor.http, "/census", &[("authorization", "Bearer guess")]).status, 401);
    assert!(asked.elapsed() >= std::time::Duration::from_millis(500), "guessing is slow");
    assert_eq!(get(supervisor.http, "/census", &[("authorization", "Bearer sesame")]).status, 200);
    assert_eq!(supervisor.get("/live").status, 200);
    assert_eq!(supervisor.get("/ready").json()["ready"], true);
}

#[test]
fn a_page_under_a_name_of_its_own_gets_nothing() {
    let supervisor = Supervisor::start(&["--http-host", "ring.example.com"]);
    let ask = |path: &str, host: &str| get(supervisor.http, path, &[("host", host)]);
    for path in ["/", "/butterfly", "/census", "/services", "/metrics", "/events", "/nowhere"] {
        let answer = ask(path, "rebound.example.net:9631");
        assert_eq!(answer.status, 421, "{path}");
        assert!(answer.body.contains("--http-host rebound.example.net"), "{}", answer.body);
    }
    for known in ["localhost", "127.0.0.1:9631", "[::1]", "192.0.2.1", "RING.example.com:80"] {
        assert_eq!(ask("/services", known).status, 200, "{known}");
    }
    for probe in ["/live", "/ready"] {
        assert_eq!(ask(probe, "rebound.example.net").status, 200, "{probe} tells nothing");
    }
    let mut no_name = send(supervisor.http, "GET /services HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    no_name.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.0 200"), "a load balancer that sends no name: {answer}");
    let absolute =
        "GET http://rebound.example.net/services HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    send(supervisor.http, absolute).read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

/// Everything that a client of another host must not see of this supervisor.
fn secrets_of(supervisor: &Supervisor) -> Vec<String> {
    let pid = supervisor.json("/services/sleeper/default")["process"]["pid"].to_string();
    let root = supervisor.root().display().to_string();
    let secrets =
        [root, format!("\"{pid}\""), format!(": {pid}"), "blue".into(), "hunter2".into(), "1.0.0".into()];
    [&secrets[..], &["gossip_port".into(), "hostname".into(), "127.0.0.1".into()]].concat()
}

#[test]
fn another_host_sees_names_and_states_only() {
    let supervisor = with_service();
    let secrets = secrets_of(&supervisor);
    // A proxy of this host asks for another one.
    let ask = |path: &str| get(supervisor.http, path, &[("x-forwarded-for", "192.0.2.9")]);
    for path in [
        "/",
        "/services",
        "/services/sleeper/default",
        "/services/sleeper/default/health",
        "/census",
        "/butterfly",
    ] {
        let answer = ask(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains("annulus-limited: names and states only"), "{}", answer.head);
        for secret in &secrets {
            assert!(!answer.body.contains(secret.as_str()), "{path} shows {secret}: {}", answer.body);
        }
        assert!(
            path == "/" || answer.body.contains("--http-open"),
            "{path} says how to get the rest: {}",
            answer.body
        );
    }
    let services = ask("/services").json();
    assert_eq!(
        (&services[0]["service_group"], &services[0]["state"]),
        (&json!("sleeper.default"), &json!("up"))
    );
    let member = &supervisor.member;
    assert_eq!(ask("/butterfly").json()["member"]["health"][member], "Alive");
    assert_eq!(
        ask("/census").json()["census_groups"]["sleeper.default"]["population"][member]["alive"],
        true
    );
    assert_eq!(ask("/services/sleeper/default/health").json()["status"], "OK");
    for path in ["/services/sleeper/default/config", "/events"] {
        let answer = ask(path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("HAB_SUP_GATEWAY_AUTH_TOKEN"), "{}", answer.body);
    }
    let metrics = ask("/metrics");
    assert!(metrics.body.contains("sup_service_state"), "names and counts");
    for path in ["/live", "/ready"] {
        assert_eq!(ask(path).status, 200);
    }
}

/// An address of this host that is not its loopback; none on a machine without a network.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Picks a route, and sends nothing.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

#[test]
fn an_open_gateway_and_a_token_show_everything_everywhere() {
    let open = Supervisor::start(&["--http-open"]);
    let ask = |path: &str| get(open.http, path, &[("x-forwarded-for", "192.0.2.9")]);
    assert!(ask("/butterfly").json()["membership"].is_object());

    let token = Supervisor::start_with(&[], &[("HAB_SUP_GATEWAY_AUTH_TOKEN", "sesame")]);
    let shown = [("x-forwarded-for", "192.0.2.9"), ("authorization", "Bearer sesame")];
    assert!(get(token.http, "/butterfly", &shown).json()["membership"].is_object());
    assert_eq!(get(token.http, "/butterfly", &shown[..1]).status, 401);
}

#[test]
fn a_client_at_an_address_that_is_not_loopback_is_another_host() {
    let Some(ip) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let mut supervisor = Supervisor::start(&[]);
    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    supervisor.restart_at(&ip.to_string());
    let answer = get(supervisor.http, "/butterfly", &[("host", &supervisor.http.to_string())]);
    assert!(answer.head.contains("annulus-limited"), "{}", answer.head);
    assert_eq!(answer.json()["membership"], Value::Null);
}

#[test]
fn metrics_are_openmetrics_with_bounded_labels() {
    let supervisor = Supervisor::start(&[]);
    let answer = supervisor.get("/metrics");
    assert!(answer.head.contains("application/openmetrics-text"), "{}", answer.head);
    for line in [
        "ring_members{state=\"alive\"} 1",
        "ring_members{state=\"confirmed\"} 0",
        "# TYPE ring_probes counter",
        "# TYPE sup_service_state gauge",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "# EOF",
    ] {
        assert!(answer.body.contains(line), "{line} is missing in\n{}", answer.body);
    }
    assert!(!answer.body.contains(&supervisor.member), "ids of members must not become labels");
    let memory = answer.body.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    assert!(memory.expect("a line").parse::<f64>().expect("a number") > 100_000.0);
}

/// Reads server-sent events until one is of this kind; returns the ids and data of all.
fn events_until(supervisor: &Supervisor, last_event_id: &str, kind: &str) -> Vec<(String, Value)> {
    let head = format!("GET /events HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {last_event_id}\r\n\r\n");
    let stream = send(supervisor.http, &head);
    let mut events = Vec::new();
    let mut id = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.expect("the stream goes on until the event is there");
        if let Some(value) = line.strip_prefix("id: ") {
            id = value.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(data).expect("JSON");
            let done = event["kind"] == kind;
            events.push((id.clone(), event));
            if done {
                return events;
            }
        }
    }
    panic!("the stream ended without {kind}");
}

#[test]
fn events_resume_where_a_client_was() {
    let supervisor = Supervisor::start(&[]);
    let all = events_until(&supervisor, "0.0", "started");
    let (first_id, started) = &all[0];
    has_keys(started, "id at_unix_ms kind cause text member incarnation restored");
    assert_eq!(started["member"], supervisor.member.as_str());

    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    let resumed = events_until(&supervisor, first_id, "service_changed");
    assert!(resumed.iter().all(|(id, _)| id != first_id), "what was seen is not sent again");
    let (_, change) = resumed.last().expect("one at least");
    assert_eq!(change["service"], "sleeper");
    has_keys(&change["cause"], "input event");
}

#[test]
fn a_package_is_shown_as_it_is_installed() {
    let supervisor = with_service();
    let package = supervisor.json("/services/sleeper/default")["pkg"].clone();
    assert_eq!(package["exports"]["colour"], "colour");
    assert_eq!((package["origin"].as_str(), package["name"].as_str()), (Some("test"), Some("sleeper")));
    let path = package["path"].as_str().expect("a path");
    assert!(std::path::Path::new(path).join("IDENT").is_file(), "{path}");
    assert_eq!(package["shutdown_timeout"], 8, "Habitat's default");
    let health =
        supervisor.json("/butterfly")["service_health"]["sleeper.default"][&supervisor.member].clone();
    assert_eq!(health["health"], "ok");
}

#[test]
fn event_streams_leave_room_for_probes() {
    let supervisor = Supervisor::start(&[]);
    let open =
        || send(supervisor.http, "GET /events HTTP/1.1\r\nhost: localhost\r\nlast-event-id: 0.0\r\n\r\n");
    let status = |stream: &mut std::net::TcpStream| {
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("a status line");
        String::from_utf8_lossy(&head[9..]).into_owned()
    };
    let mut streams: Vec<_> = (0..128).map(|_| open()).collect();
    assert!(streams.iter_mut().all(|stream| status(stream) == "200"));
    assert_eq!(status(&mut open()), "503");
    assert_eq!(supervisor.get("/live").status, 200);
    drop(streams.split_off(64));
    eventually("there is room again", || (status(&mut open()) == "200").then_some(()));
}

#[test]
fn silent_and_slow_clients_keep_nothing_out() {
    let supervisor = Supervisor::start(&[]);
    // More than the gateway lets in, and half of them have sent a part of a request.
    let silent: Vec<TcpStream> = (0..600)
        .map(|i| send(supervisor.http, if i % 2 == 0 { "" } else { "GET /live HTTP/1.1\r\nhost: " }))
        .collect();
    let begun = Instant::now();
    for path in ["/live", "/ready", "/services", "/metrics"] {
        assert_eq!(supervisor.get(path).status, 200, "{path}");
    }
    assert!(begun.elapsed() < HEADER_TIMEOUT, "they were not waited for: {:?}", begun.elapsed());
    drop(silent);
}

#[test]
fn clients_that_have_their_answer_make_room() {
    let supervisor = Supervisor::start(&[]);
    // Each has had an answer, and keeps its connection. There are more than the gateway lets in of one host.
    let idle: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = send(supervisor.http, "GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n");
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("an answer");
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    for path in ["/live", "/ready", "/services", "/census"] {
        assert_eq!(supervisor.get(path).status, 200, "{path}");
    }
    drop(idle);
}

#[test]
fn a_client_that_has_closed_its_side_gets_its_answer() {
    let supervisor = Supervisor::start(&[]);
    for (request, status) in [
        ("GET /live HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        ("GET /census HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1"),
    ] {
        let mut stream = send(supervisor.http, request);
        stream.shutdown(std::net::Shutdown::Write).expect("closed");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer to its end");
        assert!(answer.starts_with(status), "{answer}");
    }
}

#[test]
fn probes_are_answered_when_every_place_is_taken() {
    let supervisor = Supervisor::start(&[]);
    let ask = |path: &str| send(supervisor.http, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    // Streams stay as long as their clients like; those beyond their number are told so and make room.
    let streams: Vec<TcpStream> = (0..300).map(|_| ask("/events")).collect();
    for path in ["/live", "/ready"] {
        assert_eq!(supervisor.get(path).status, 200, "{path}");
    }
    assert_eq!(supervisor.get("/services/web/default/health").status, 404, "it is asked for");
    assert_eq!(supervisor.get("/services").status, 200, "streams leave room");
    drop(streams);
}
