//! What a file can say, in one line each: for `annulus-sim list`, for messages, and checked against the schema.

use std::ops::Range;

use crate::form::problem::{Problems, listed};

/// A statement.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Its key.
    pub key: &'static str,
    /// Keys that may stand beside it.
    pub parts: &'static [&'static str],
    /// How it is written.
    pub example: &'static str,
    /// What it states.
    pub doc: &'static str,
}

/// What `[[expect]]` can state.
pub const EXPECTATIONS: &[Statement] = &[
    Statement {
        key: "all_alive",
        parts: &[],
        example: "all_alive = true",
        doc: "every running member holds every running member, and nobody else, alive",
    },
    Statement {
        key: "one_view",
        parts: &[],
        example: "one_view = \"10s\"",
        doc: "for so long, all who run hold the same of everybody who runs, of bans and of services",
    },
    Statement {
        key: "alive",
        parts: &["seen_by"],
        example: "alive = \"bob\", seen_by = \"ada\"",
        doc: "the members are held alive by `seen_by` (by default everybody that runs)",
    },
    Statement {
        key: "suspect",
        parts: &["seen_by"],
        example: "suspect = \"bob\"",
        doc: "they are suspected",
    },
    Statement {
        key: "confirmed",
        parts: &["seen_by"],
        example: "confirmed = \"bob\"",
        doc: "they are held dead",
    },
    Statement {
        key: "departed",
        parts: &["seen_by"],
        example: "departed = \"bob\"",
        doc: "they are held to have left or to be banned",
    },
    Statement {
        key: "unknown",
        parts: &["seen_by"],
        example: "unknown = \"bob\", seen_by = \"cyd\"",
        doc: "they are not in the list of members",
    },
    Statement {
        key: "running",
        parts: &[],
        example: "running = \"bob\"",
        doc: "the supervisors run (or are paused)",
    },
    Statement { key: "stopped", parts: &[], example: "stopped = \"bob\"", doc: "the supervisors do not run" },
    Statement {
        key: "split",
        parts: &[],
        example: "split = [\"east\", \"west\"]",
        doc: "in each group all hold each other alive, and nobody of another group",
    },
    Statement {
        key: "count",
        parts: &["state", "seen_by"],
        example: "count = \"3..5\", state = \"alive\"",
        doc: "each of `seen_by` has so many members, itself included, in this state (alive, or any)",
    },
    Statement {
        key: "service_up",
        parts: &["on", "seen_by"],
        example: "service_up = \"web\", on = \"ada\", seen_by = \"all\"",
        doc: "the service's process runs there and, with `seen_by`, those members know it",
    },
    Statement {
        key: "service_down",
        parts: &["on", "seen_by"],
        example: "service_down = \"web\", on = \"ada\"",
        doc: "it does not run there and, with `seen_by`, those members know of no such service there",
    },
    Statement {
        key: "leader",
        parts: &["of_service"],
        example: "leader = \"ada\", of_service = \"redis\"",
        doc: "that member, and nobody else, acts as the leader of the service's group",
    },
    Statement {
        key: "one_leader",
        parts: &["seen_by"],
        example: "one_leader = \"redis\", seen_by = \"all\"",
        doc: "exactly one member acts as the leader of the service's group, and those members know which",
    },
    Statement {
        key: "no_leader",
        parts: &[],
        example: "no_leader = \"redis\"",
        doc: "nobody acts as the leader of the service's group",
    },
    Statement {
        key: "requests_lost",
        parts: &[],
        example: "requests_lost = \"0..0\"",
        doc: "of what load balancers have sent, so many requests were not answered",
    },
    Statement {
        key: "version_held",
        parts: &["group", "file", "seen_by"],
        example: "version_held = 2, group = \"web.default\", seen_by = \"all\"",
        doc: "they hold this version of the group's configuration, or of its `file`, and all the same content; 0: none",
    },
    Statement {
        key: "incarnation",
        parts: &["of", "since"],
        example: "incarnation = \"raised\", of = \"bob\", since = \"5s\"",
        doc: "a member's own incarnation is kept or raised, compared with the one at `since`",
    },
    Statement {
        key: "identity",
        parts: &["of", "since"],
        example: "identity = \"kept\", of = \"bob\", since = \"5s\"",
        doc: "a host's member id is kept or new, compared with the one at `since`",
    },
    Statement {
        key: "occurred",
        parts: &["of", "seen_by"],
        example: "occurred = \"refuted\", of = \"bob\"",
        doc: "such an event came from one of `seen_by` at least, about one of `of`",
    },
    Statement {
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
    words: &[Statement],
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
            format!("remove it; it belongs to {}", listed(others)),
        );
    }
}
