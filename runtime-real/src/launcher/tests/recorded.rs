//! Recorded frames of each version, and the messages that they have to mean.
//!
//! The files in `frames/` are records: a line of a version that was shipped is never changed. A message that gets a
//! new field has a new line here; the old line still has to mean what it meant.

use std::fmt::Write as _;

use annulus_core::{ExitStatus, Health};

use crate::host::capabilities::Capabilities;
use crate::launcher::Versions;
use crate::launcher::message::{
    Answer, Held, HookLaunch, Launch, Lease, Limits, Message, Owner, Request, Resume,
};

const VERSION_1: &str = include_str!("../frames/version-1.txt");
const VERSION_2: &str = include_str!("../frames/version-2.txt");
const VERSION_3: &str = include_str!("../frames/version-3.txt");
const VERSION_4: &str = include_str!("../frames/version-4.txt");

/// The bytes of a frame, with its length, that is recorded in this line.
fn frame_in(file: &str, name: &str) -> Vec<u8> {
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_else(|| panic!("no line {name:?}"));
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// A recorded frame of version 1.
pub(super) fn version_1(name: &str) -> Vec<u8> {
    frame_in(VERSION_1, name)
}

/// A recorded frame of version 2.
pub(super) fn version_2(name: &str) -> Vec<u8> {
    frame_in(VERSION_2, name)
}

/// A recorded frame of version 3.
pub(super) fn version_3(name: &str) -> Vec<u8> {
    frame_in(VERSION_3, name)
}

/// A recorded frame of version 4.
pub(super) fn version_4(name: &str) -> Vec<u8> {
    frame_in(VERSION_4, name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text grows");
        text
    })
}

pub(super) fn launch() -> Launch {
    Launch {
        service: "web".to_owned(),
        group: "web.default".to_owned(),
        ident: "acme/web/1.2.0/20260101000000".to_owned(),
        program: "/bin/cat".into(),
        dir: "/".into(),
        env: vec![("PORT".into(), "80".into())],
        pid_file: "/nonexistent/annulus/PID".into(),
        stop_signal: 15,
        stop_timeout_ms: 8_000,
        owner: None,
        capabilities: Capabilities::NONE,
        nofile: None,
        limits: Limits::default(),
        lease: None,
        restarts: 0,
    }
}

/// Of version 3.
pub(super) fn resume() -> Resume {
    Resume { member: *b"0123456789abcdef", group: "web.default".to_owned(), term: 7, until_ms: 89_000 }
}

/// Every request of version 2, with the id that it was recorded with.
fn requests() -> Vec<(&'static str, u64, Request)> {
    let web = || "web".to_owned();
    let limited = Launch {
        owner: Some(Owner { uid: 1000, gid: 100, groups: vec![100, 7] }),
        nofile: Some(1_024),
        limits: Limits { memory_bytes: Some(1 << 26), cpu_millis: Some(500), pids: Some(64) },
        ..launch()
    };
    vec![
        ("supervisor hello", 0, Request::Hello { versions: Versions { min: 2, max: 2 } }),
        ("supervisor spawn", 1, Request::Spawn(Box::new(launch()))),
        ("supervisor spawn-limited", 1, Request::Spawn(Box::new(limited))),
        ("supervisor adopt", 2, Request::Adopt { service: web(), pid: 4_242 }),
        ("supervisor signal", 3, Request::Signal { service: web(), pid: 4_242, kill: false }),
        ("supervisor kill", 3, Request::Signal { service: web(), pid: 4_242, kill: true }),
        ("supervisor lease", 4, Request::Lease { service: web(), pid: 4_242, deadline_ms: Some(90_000) }),
        ("supervisor no-lease", 4, Request::Lease { service: web(), pid: 4_242, deadline_ms: None }),
        (
            "supervisor log",
            5,
            Request::Log {
                service: web(),
                group: "web.default".to_owned(),
                tag: b'H',
                line: b"ready".to_vec(),
            },
        ),
        ("supervisor kill-all", 6, Request::KillAll),
    ]
}

/// The requests that version 3 has beside those, and the greeting.
fn requests_3() -> Vec<(&'static str, u64, Request)> {
    let web = || "web".to_owned();
    let leading = Launch { lease: Some(Lease { kill_at_ms: 90_000, resume: Some(resume()) }), ..launch() };
    let hook = HookLaunch {
        service: web(),
        program: "/bin/true".into(),
        dir: "/".into(),
        env: vec![("PORT".into(), "80".into())],
        owner: Some(Owner { uid: 1000, gid: 100, groups: vec![100, 7] }),
        capabilities: Capabilities::NONE,
        timeout_ms: 5_000,
        lease: None,
    };
    let capabilities = Capabilities::from_bits(1 << 10 | 1 << 40);
    vec![
        ("supervisor hello", 0, Request::Hello { versions: Versions { min: 2, max: 3 } }),
        ("supervisor spawn-leading", 1, Request::Spawn(Box::new(leading))),
        ("supervisor hook", 7, Request::Hook(Box::new(hook.clone()))),
        ("supervisor end-hook", 8, Request::EndHook { service: web(), hook: 7 }),
        ("supervisor claim", 9, Request::Claim { service: web() }),
        ("supervisor release", 10, Request::Release { service: web() }),
        ("supervisor spawn-capable", 1, Request::Spawn(Box::new(Launch { capabilities, ..launch() }))),
        ("supervisor hook-capable", 7, Request::Hook(Box::new(HookLaunch { capabilities, ..hook }))),
    ]
}

/// What a launcher says in version 3 beside that of version 2.
fn messages_3() -> Vec<(&'static str, Message)> {
    let answer = |id, answer| Message::Answer { id, answer };
    let held = Held { ended: false, resume: Some(resume()), ..held() };
    let versions = Versions { min: 2, max: 3 };
    let boot_id = BOOT_ID.to_owned();
    let hook = |status, timed_out| answer(7, Answer::HookEnded { status, timed_out });
    vec![
        ("launcher welcome", answer(0, Answer::Welcome { version: 3, versions, boot_id, held: vec![held] })),
        ("launcher refused", answer(0, Answer::Refused { versions })),
        ("launcher guarded", answer(1, Answer::Started { pid: 4_242, guarded: true })),
        ("launcher hook-ended", hook(ExitStatus::Code(0), false)),
        ("launcher hook-killed", hook(ExitStatus::Signal(9), true)),
    ]
}

/// The requests that version 4 has beside those, and the greeting.
fn requests_4() -> Vec<(&'static str, u64, Request)> {
    let hook = HookLaunch {
        service: "web".to_owned(),
        program: "/bin/true".into(),
        dir: "/".into(),
        env: Vec::new(),
        owner: None,
        capabilities: Capabilities::NONE,
        timeout_ms: 5_000,
        lease: Some(Lease { kill_at_ms: 90_000, resume: None }),
    };
    let again = Launch { restarts: 3, ..launch() };
    let service = "web".to_owned();
    vec![
        ("supervisor hello", 0, Request::Hello { versions: Versions { min: 2, max: 4 } }),
        ("supervisor spawn-again", 1, Request::Spawn(Box::new(again))),
        ("supervisor hook-leading", 7, Request::Hook(Box::new(hook))),
        ("supervisor checked", 5, Request::Checked { service, pid: 4_242, health: Health::Ok }),
    ]
}

/// What a launcher says in version 4 beside that of version 3.
fn messages_4() -> Vec<(&'static str, Message)> {
    let held = Held { restarts: 3, stop_timeout_ms: 8_000, ended: false, ..held() };
    let versions = Versions { min: 2, max: 4 };
    let boot_id = BOOT_ID.to_owned();
    let checked = Held { health: Some(Health::Critical), ..held.clone() };
    let welcome = |held| Answer::Welcome { version: 4, versions, boot_id: boot_id.clone(), held: vec![held] };
    let answer = |answer| Message::Answer { id: 0, answer };
    vec![
        ("launcher welcome", answer(welcome(held))),
        ("launcher welcome-checked", answer(welcome(checked))),
        ("launcher refused", answer(Answer::Refused { versions })),
    ]
}

const BOOT_ID: &str = "3f5dd8fb-6fbd-4b6c-9a6b-f1d1cbb6a7f1";

fn held() -> Held {
    Held {
        service: "web".to_owned(),
        group: "web.default".to_owned(),
        ident: "acme/web/1.2.0/20260101000000".to_owned(),
        pid: 4_242,
        start_ticks: 77,
        since_ms: 1_767_225_600_000,
        ended: true,
        resume: None,
        restarts: 0,
        stop_timeout_ms: 0,
        health: None,
    }
}

/// Everything that a launcher says in version 2.
fn messages() -> Vec<(&'static str, Message)> {
    let answer = |id, answer| Message::Answer { id, answer };
    let exited = |status| Message::Exited { service: "web".to_owned(), pid: 4_242, status };
    let versions = Versions { min: 2, max: 2 };
    let boot_id = BOOT_ID.to_owned();
    vec![
        (
            "launcher welcome",
            answer(0, Answer::Welcome { version: 2, versions, boot_id, held: vec![held()] }),
        ),
        ("launcher refused", answer(0, Answer::Refused { versions })),
        ("launcher started", answer(1, Answer::Started { pid: 4_242, guarded: false })),
        ("launcher failed", answer(2, Answer::Failed { busy: true, reason: "Text file busy".to_owned() })),
        ("launcher done", answer(3, Answer::Done)),
        ("launcher unknown", answer(4, Answer::Unknown)),
        ("launcher exited", exited(ExitStatus::Code(-7))),
        ("launcher killed", exited(ExitStatus::Signal(9))),
        ("launcher ended", exited(ExitStatus::Unknown)),
    ]
}

#[test]
fn recorded_frames_mean_what_they_meant() {
    for (name, id, request) in requests() {
        assert_eq!(Request::decode(&version_2(name)[4..]), Ok((id, Some(request))), "{name}");
    }
    for (name, message) in messages() {
        assert_eq!(Message::decode(&version_2(name)[4..]), Ok(Some(message)), "{name}");
    }
    for (name, id, request) in requests_3() {
        assert_eq!(Request::decode(&version_3(name)[4..]), Ok((id, Some(request))), "{name}");
    }
    for (name, message) in messages_3() {
        assert_eq!(Message::decode(&version_3(name)[4..]), Ok(Some(message)), "{name}");
    }
    for (name, id, request) in requests_4() {
        assert_eq!(Request::decode(&version_4(name)[4..]), Ok((id, Some(request))), "{name}");
    }
    for (name, message) in messages_4() {
        assert_eq!(Message::decode(&version_4(name)[4..]), Ok(Some(message)), "{name}");
    }
}

fn written(requests: Vec<(&'static str, u64, Request)>, messages: Vec<(&'static str, Message)>) -> String {
    let mut today = String::new();
    for (name, id, request) in requests {
        writeln!(today, "{name} {}", hex(&request.encode(id).expect("short"))).expect("a text grows");
    }
    for (name, message) in messages {
        writeln!(today, "{name} {}", hex(&message.encode().expect("short"))).expect("a text grows");
    }
    today
}

#[test]
fn what_is_sent_today_is_what_was_recorded() {
    assert_eq!(written(requests(), messages()), VERSION_2, "frames/version-2.txt is to hold this");
    assert_eq!(written(requests_3(), messages_3()), VERSION_3, "frames/version-3.txt is to hold this");
    assert_eq!(written(requests_4(), messages_4()), VERSION_4, "frames/version-4.txt is to hold this");
}
