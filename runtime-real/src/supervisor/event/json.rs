//! Makes an event into the JSON that `/events` serves. Names and fields are the core's.

use annulus_core::{Cause, Event, FieldValue, FieldVisitor, UnixTime};
use serde_json::{Map, Value, json};

use super::sentence::{sentence, short};

/// The JSON that `/events` serves for an event.
#[must_use]
pub fn to_json(event: &Event, at: UnixTime) -> Value {
    let Cause { input, event: earlier } = event.cause;
    let mut body = Json(Map::new());
    event.kind.visit(&mut body);
    let Json(mut body) = body;
    body.insert("id".into(), event.id.0.into());
    body.insert("at_unix_ms".into(), at.as_millis().into());
    body.insert("kind".into(), event.kind.name().into());
    body.insert("cause".into(), json!({ "input": input.0, "event": earlier.map(|id| id.0) }));
    body.insert("text".into(), sentence(&event.kind, &short).into());
    Value::Object(body)
}

/// The fields of an event, or of a value in it, as an object.
struct Json(Map<String, Value>);

impl FieldVisitor for Json {
    fn field(&mut self, name: &'static str, value: FieldValue<'_>) {
        let value = match value {
            FieldValue::None => Value::Null,
            FieldValue::Flag(flag) => flag.into(),
            FieldValue::Number(number) => number.into(),
            FieldValue::Text(text) => text.into(),
            FieldValue::Member(id) => id.to_string().into(),
            FieldValue::Group(group) => group.as_str().into(),
            FieldValue::Service(service) => service.as_str().into(),
            FieldValue::Address(address) => address.to_string().into(),
            FieldValue::Within(within) => {
                let mut inner = Self(Map::new());
                inner.0.insert("kind".to_owned(), within.kind().into());
                within.visit_fields(&mut inner);
                Value::Object(inner.0)
            }
        };
        self.0.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annulus_core::{EventId, EventKind, Incarnation, InputId, MemberId, State, Why};

    #[test]
    fn json_carries_what_and_why() {
        let member = MemberId::from_bytes([7; 16]);
        let event = Event {
            id: EventId(9),
            cause: Cause { input: InputId(40), event: Some(EventId(8)) },
            kind: EventKind::MemberChanged {
                member,
                from: Some(State::Alive),
                to: State::Suspect,
                incarnation: Incarnation(3),
                why: Why::ProbeFailed,
            },
        };
        let json = to_json(&event, UnixTime::from_millis(5));
        assert_eq!(json["kind"], "member_changed");
        assert_eq!(json["cause"], json!({ "input": 40, "event": 8 }));
        assert_eq!(json["member"], member.to_string());
        assert_eq!(json["text"], "07070707 went from Alive to Suspect: it did not answer our probe");
    }
}
