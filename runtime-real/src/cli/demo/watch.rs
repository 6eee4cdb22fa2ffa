//! Follows the events of every supervisor and puts them into sentences. Prints nothing itself.

use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::mpsc;

use super::http;

/// Longest event that is read, in bytes.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// An event as one supervisor reports it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// The supervisor's place in the demonstration's list.
    pub(super) by: usize,
    pub(super) event: Value,
}

impl Seen {
    pub(super) fn at_unix_ms(&self) -> u64 {
        self.event["at_unix_ms"].as_u64().unwrap_or(0)
    }
}

/// Passes on every event of one supervisor, from the oldest that it keeps, until its gateway closes.
pub(super) async fn follow(by: usize, addr: SocketAddr, events: mpsc::Sender<Seen>) {
    // An id of no run makes the gateway begin with the oldest event that it keeps.
    let Ok(mut answer) = http::open(addr, "/events", &[("last-event-id", "0.0")]).await else { return };
    let mut pending = Vec::new();
    while let Some(Ok(frame)) = answer.response.body_mut().frame().await {
        let Ok(data) = frame.into_data() else { continue };
        pending.extend_from_slice(&data);
        if pending.len() > EVENT_BYTES_MAX {
            return;
        }
        while let Some(end) = pending.windows(2).position(|window| window == b"\n\n") {
            let block: Vec<u8> = pending.drain(..end + 2).collect();
            if let Some(event) = parse(&String::from_utf8_lossy(&block))
                && events.send(Seen { by, event }).await.is_err()
            {
                return;
            }
        }
    }
}

/// The JSON of one server-sent event; none for comments.
fn parse(block: &str) -> Option<Value> {
    let data: Vec<&str> =
        block.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    if data.is_empty() {
        return None;
    }
    serde_json::from_str(&data.join("\n")).ok()
}

/// The event as a sentence with names instead of ids; none for events that would only distract a newcomer.
pub(super) fn sentence(seen: &Seen, names: &[(&str, &str)]) -> Option<String> {
    let shown = match seen.event["kind"].as_str()? {
        "started"
        | "probe_failed"
        | "suspicion_confirmed"
        | "refuted"
        | "banned"
        | "stalled"
        | "leaving"
        | "member_forgotten"
        | "persist_failed"
        | "limit_reached"
        | "decode_failed"
        | "gap" => true,
        // The states between wanted and done last milliseconds.
        "service_changed" => !matches!(seen.event["to"].as_str(), Some("loaded" | "starting")),
        // A higher incarnation alone changes nothing that a user could see.
        "member_changed" => seen.event["from"] != seen.event["to"],
        "rumor_accepted" => seen.event["rumor"] == "service" && !seen.event["from"].is_null(),
        _ => false,
    };
    let mut text = seen.event["text"].as_str().filter(|_| shown)?.to_owned();
    for (name, member) in names {
        if let Some(short) = member.get(..8) {
            text = text.replace(short, name);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_are_parsed_and_comments_skipped() {
        assert_eq!(parse(": keep-alive\n\n"), None);
        assert_eq!(parse("event: x\nid: 1.2\ndata: {\"a\":1}\n\n"), Some(json!({ "a": 1 })));
        assert_eq!(parse("data: rubbish\n\n"), None);
    }

    #[test]
    fn names_stand_for_ids_and_noise_is_left_out() {
        let event = json!({ "kind": "banned", "text": "0a0b0c0d is banned from the ring" });
        let names = [("gamma", "0a0b0c0d0e0f")];
        let told = sentence(&Seen { by: 0, event }, &names);
        assert_eq!(told.as_deref(), Some("gamma is banned from the ring"));
        let event = json!({ "kind": "synced", "text": "…" });
        assert_eq!(sentence(&Seen { by: 0, event }, &names), None);
    }
}
