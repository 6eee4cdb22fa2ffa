//! What a file can say, in one line each: for `annulus-sim list`, for messages, and checked against the schema.

use std::ops::Range;

use super::problem::{Problems, nearest};

/// An action or a statement.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Its key.
    pub key: &'static str,
    /// Keys that may stand beside it.
    pub parts: &'static [&'static str],
    /// How it is written.
    pub example: &'static str,
    /// What it does or states.
    pub doc: &'static str,
}

const QUALITY: &[&str] = &["to", "direction", "latency", "loss", "duplicate", "reorder"];

/// What `[[at]]` can do.
pub const ACTIONS: &[Word] = &[
    Word {
        key: "join",
        parts: &[],
        example: "join = \"dan\"",
        doc: "start a host for the first time; members without a join start by themselves in the first second",
    },
    Word {
        key: "leave",
        parts: &[],
        example: "leave = \"bob\"",
        doc: "ask a supervisor to leave in order (SIGTERM)",
    },
    Word {
        key: "depart",
        parts: &["operator"],
        example: "depart = \"bob\", operator = \"ada\"",
        doc: "at the operator's supervisor, ban a member from the ring for ever",
    },
    Word {
        key: "crash",
        parts: &[],
        example: "crash = [\"bob\", \"cyd\"]",
        doc: "a host loses power: memory and what was not synced to disk are gone, packets to it vanish",
    },
    Word {
        key: "kill",
        parts: &[],
        example: "kill = \"bob\"",
        doc: "only the supervisor's process dies (SIGKILL); its host still refuses connections",
    },
    Word {
        key: "restart",
        parts: &["disk"],
        example: "restart = \"bob\", disk = \"lost\"",
        doc: "start a host that left, crashed or was killed, with its disk kept, lost or old (a restored backup)",
    },
    Word {
        key: "pause",
        parts: &[],
        example: "pause = \"bob\"",
        doc: "a supervisor stops running and loses nothing (SIGSTOP, a suspended machine)",
    },
    Word { key: "resume", parts: &[], example: "resume = \"bob\"", doc: "a paused supervisor runs again" },
    Word {
        key: "partition",
        parts: &["from", "direction"],
        example: "partition = \"east\", from = \"west\", direction = \"both\"",
        doc: "nothing passes between the two sides; without `from`, between the named ones and everybody else",
    },
    Word {
        key: "heal",
        parts: &["from"],
        example: "heal = \"all\"",
        doc: "undo every partition, or those between the named members and `from`",
    },
    Word {
        key: "calm",
        parts: &[],
        example: "calm = true",
        doc: "every fault ends: links, clocks and hosts are sound, whoever is not banned runs",
    },
    Word {
        key: "link",
        parts: QUALITY,
        example: "link = \"ada\", to = \"bob\", direction = \"out\", loss = \"100%\"",
        doc: "change loss, latency, duplication or reordering; what is not given is as in [links]",
    },
    Word {
        key: "burst",
        parts: &["to", "direction", "good", "bad", "loss"],
        example: "burst = \"ada\", to = \"all\", good = \"2s\", bad = \"300ms\", loss = \"90%\"",
        doc: "losses come in bursts; without `bad`, no longer",
    },
    Word {
        key: "capacity",
        parts: &["to", "direction", "bytes_per_s", "queue_bytes"],
        example: "capacity = \"ada\", to = \"bob\", bytes_per_s = 4000, queue_bytes = 3000",
        doc: "each link carries so much, and what does not fit its queue is dropped; without `bytes_per_s`, no longer",
    },
    Word {
        key: "slow",
        parts: &["delay"],
        example: "slow = \"bob\", delay = \"50ms..400ms\"",
        doc: "a supervisor handles everything late; without `delay`, in time again",
    },
    Word {
        key: "clock_rate",
        parts: &["ppm"],
        example: "clock_rate = \"bob\", ppm = -200000",
        doc: "a host's clocks run so many parts in a million fast, or slow",
    },
    Word {
        key: "clock_jump",
        parts: &["by_ms"],
        example: "clock_jump = \"bob\", by_ms = -3600000",
        doc: "a host's wall clock is set forward or back",
    },
    Word {
        key: "suspend",
        parts: &["lasting"],
        example: "suspend = \"bob\", lasting = \"30s\"",
        doc: "a host's monotonic clock has gone forward while it slept",
    },
    Word {
        key: "crash_at_sync",
        parts: &[],
        example: "crash_at_sync = \"bob\"",
        doc: "a host loses power the next time that its supervisor waits for its disk",
    },
    Word {
        key: "crash_loop",
        parts: &["times", "up", "down"],
        example: "crash_loop = \"bob\", times = 5, up = \"300ms\", down = \"200ms\"",
        doc: "a host loses power again and again",
    },
    Word {
        key: "clone",
        parts: &["disk_of"],
        example: "clone = \"bob\", disk_of = \"ada\"",
        doc: "a host that does not run starts from a copy of another's disk: one identity at two addresses",
    },
    Word {
        key: "load",
        parts: &["on", "topology", "quorum", "suitability"],
        example: "load = \"redis\", on = \"all\", topology = \"leader\", quorum = 5, suitability = 7",
        doc: "load a service and keep it running; with topology leader its group elects one",
    },
    Word {
        key: "unload",
        parts: &["on"],
        example: "unload = \"web\", on = \"ada\"",
        doc: "stop a service and forget it",
    },
    Word {
        key: "start",
        parts: &["on"],
        example: "start = \"web\", on = \"ada\"",
        doc: "want a loaded service up",
    },
    Word {
        key: "stop",
        parts: &["on"],
        example: "stop = \"web\", on = \"ada\"",
        doc: "want a loaded service down; it stays loaded",
    },
    Word {
        key: "crash_service",
        parts: &["on", "code"],
        example: "crash_service = \"web\", on = \"ada\", code = 1",
        doc: "the service's process ends with this exit code",
    },
    Word {
        key: "package",
        parts: &[
            "on",
            "hooks",
            "hanging",
            "failing",
            "lives",
            "health",
            "drain",
            "bind",
            "survives",
            "configured",
        ],
        example: "package = \"web\", on = \"ada\", hooks = [\"post-stop\"], hanging = \"init\", drain = \"8s\"",
        doc: "from now on a service's package behaves so: its hooks, how long it runs, what its health check says",
    },
    Word {
        key: "balance",
        parts: &["on", "check", "every"],
        example: "balance = \"web\", on = \"all\", check = \"1s\", every = \"20ms\"",
        doc: "clients send requests through a load balancer, which asks each host now and then whether it takes work",
    },
    Word {
        key: "apply_config",
        parts: &["on", "version", "text", "bytes"],
        example: "apply_config = \"web.default\", on = \"ada\", version = 2, text = \"port = 81\"",
        doc: "give a service group another configuration; without `text`, one that tells its version",
    },
    Word {
        key: "put_file",
        parts: &["on", "version", "file", "text", "bytes"],
        example: "put_file = \"web.default\", file = \"users.acl\", on = \"ada\", version = 1, bytes = 65536",
        doc: "give a service group a file, of so many `bytes` at least",
    },
];

/// What `[[expect]]` can state.
pub const EXPECTATIONS: &[Word] = &[
    Word {
        key: "all_alive",
        parts: &[],
        example: "all_alive = true",
        doc: "every running member holds every running member, and nobody else, alive",
    },
    Word {
        key: "one_view",
        parts: &[],
        example: "one_view = \"10s\"",
        doc: "for so long, all who run hold the same of everybody who runs, of bans and of services",
    },
    Word {
        key: "alive",
        parts: &["seen_by"],
        example: "alive = \"bob\", seen_by = \"ada\"",
        doc: "the members are held alive by `seen_by` (by default everybody that runs)",
    },
    Word { key: "suspect", parts: &["seen_by"], example: "suspect = \"bob\"", doc: "they are suspected" },
    Word { key: "confirmed", parts: &["seen_by"], example: "confirmed = \"bob\"", doc: "they are held dead" },
    Word {
        key: "departed",
        parts: &["seen_by"],
        example: "departed = \"bob\"",
        doc: "they are held to have left or to be banned",
    },
    Word {
        key: "unknown",
        parts: &["seen_by"],
        example: "unknown = \"bob\", seen_by = \"cyd\"",
        doc: "they are not in the list of members",
    },
    Word {
        key: "running",
        parts: &[],
        example: "running = \"bob\"",
        doc: "the supervisors run (or are paused)",
    },
    Word { key: "stopped", parts: &[], example: "stopped = \"bob\"", doc: "the supervisors do not run" },
    Word {
        key: "split",
        parts: &[],
        example: "split = [\"east\", \"west\"]",
        doc: "in each group all hold each other alive, and nobody of another group",
    },
    Word {
        key: "count",
        parts: &["state", "seen_by"],
        example: "count = \"3..5\", state = \"alive\"",
        doc: "each of `seen_by` has so many members, itself included, in this state (alive, or any)",
    },
    Word {
        key: "service_up",
        parts: &["on", "seen_by"],
        example: "service_up = \"web\", on = \"ada\", seen_by = \"all\"",
        doc: "the service's process runs there and, with `seen_by`, those members know it",
    },
    Word {
        key: "service_down",
        parts: &["on", "seen_by"],
        example: "service_down = \"web\", on = \"ada\"",
        doc: "it does not run there and, with `seen_by`, those members know of no such service there",
    },
    Word {
        key: "leader",
        parts: &["of_service"],
        example: "leader = \"ada\", of_service = \"redis\"",
        doc: "that member, and nobody else, acts as the leader of the service's group",
    },
    Word {
        key: "one_leader",
        parts: &["seen_by"],
        example: "one_leader = \"redis\", seen_by = \"all\"",
        doc: "exactly one member acts as the leader of the service's group, and those members know which",
    },
    Word {
        key: "no_leader",
        parts: &[],
        example: "no_leader = \"redis\"",
        doc: "nobody acts as the leader of the service's group",
    },
    Word {
        key: "requests_lost",
        parts: &[],
        example: "requests_lost = \"0..0\"",
        doc: "of what load balancers have sent, so many requests were not answered",
    },
    Word {
        key: "version_held",
        parts: &["group", "file", "seen_by"],
        example: "version_held = 2, group = \"web.default\", seen_by = \"all\"",
        doc: "they hold this version of the group's configuration, or of its `file`, and all the same content; 0: none",
    },
    Word {
        key: "incarnation",
        parts: &["of", "since"],
        example: "incarnation = \"raised\", of = \"bob\", since = \"5s\"",
        doc: "a member's own incarnation is kept or raised, compared with the one at `since`",
    },
    Word {
        key: "identity",
        parts: &["of", "since"],
        example: "identity = \"kept\", of = \"bob\", since = \"5s\"",
        doc: "a host's member id is kept or new, compared with the one at `since`",
    },
    Word {
        key: "occurred",
        parts: &["of", "seen_by"],
        example: "occurred = \"refuted\", of = \"bob\"",
        doc: "such an event came from one of `seen_by` at least, about one of `of`",
    },
    Word {
        key: "never",
        parts: &["of", "seen_by"],
        example: "never = \"confirmed\"",
        doc: "no such event came (without a time: in the whole scenario)",
    },
];

/// What `occurred` and `never` can ask for.
pub const EVENTS: &[(&str, &str)] = &[
    ("alive", "a member that was held otherwise is held alive, or a new one is met"),
    ("suspect", "a member comes to be suspected"),
    ("confirmed", "a member comes to be held dead"),
    ("departed", "a member comes to be held departed"),
    ("probe-failed", "a probe of a member got no answer by any path"),
    ("refuted", "a member contradicts what it was called; `of` and `seen_by` are that member"),
    ("stalled", "a supervisor finds that it was not running"),
    ("banned", "a supervisor learns of a ban"),
    ("service-up", "a service's process runs; `of` and `seen_by` are the member that runs it"),
    ("service-backoff", "a service ended by itself and waits for its restart"),
    ("service-down", "a service is down as wanted"),
    ("service-waiting", "a service waits for a group that it is bound to, or for a leader"),
    ("service-failed", "a service failed so often that it is not tried any more"),
    ("version-lost", "a version that a member acknowledged lost against another one of the same number"),
];

/// Reports keys that stand beside an action or statement to which they do not belong.
pub(crate) fn check_parts(
    name: &str,
    words: &[Word],
    parts: &[(&'static str, Range<usize>)],
    problems: &mut Problems<'_>,
) {
    let Some(word) = words.iter().find(|word| word.key == name) else { return };
    for (key, span) in parts {
        if word.parts.contains(key) {
            continue;
        }
        let others: Vec<&str> =
            words.iter().filter(|word| word.parts.contains(key)).map(|word| word.key).collect();
        problems.add(
            span.clone(),
            format!("`{key}` does not belong to `{name}`"),
            format!("remove it; it belongs to {}", super::problem::listed(others)),
        );
    }
}

/// A reader's message as what is wrong and what to do.
pub(crate) fn explain(message: &str) -> (String, String) {
    // Our own values write their advice on a second line.
    if let Some((wrong, help)) = message.split_once('\n') {
        return (wrong.to_owned(), help.to_owned());
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let known: Vec<&str> = quoted.collect();
        let kind = if message.starts_with("unknown field") { "key" } else { "word" };
        let list = super::problem::listed(known.iter().copied());
        let help = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? `annulus-sim list` shows everything"),
            None if known.len() > 12 => String::from("`annulus-sim list` shows what can be written"),
            None => format!("here can stand {list}"),
        };
        return (format!("unknown {kind} `{word}`"), help);
    }
    if message.starts_with("missing field") {
        return (format!("`{word}` is missing"), format!("add {}", example(word)));
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let expected = match expected {
            "u32" | "u64" | "i32" => "a number, without quotes",
            "struct At" | "struct Expect" | "struct Link" | "a sequence" => "a list, or a table of its own",
            expected => expected,
        };
        return (format!("found {found}"), format!("write {expected}"));
    }
    (message.to_owned(), String::from("scenarios/README.md explains the form of a scenario"))
}

/// How a key that every file or entry needs is written.
fn example(key: &str) -> &'static str {
    match key {
        "about" => "about = \"what this scenario shows, and why it ends as it does\"",
        "duration" => "duration = \"30s\"",
        "members" => "[members] with names = [\"ada\", \"bob\"] or count = 5",
        "time" => "time = \"5s\" to this entry",
        "from" => "from = \"east\" to this entry",
        "to" => "to = \"west\" to this entry",
        _ => "it",
    }
}
