//! Makes an event into a log line: its sentence as the message, its fields as the core describes them. Never waits for
//! a reader of the log.

use annulus_core::{
    ElectionEvent, Event, EventKind, FieldValue, FieldVisitor, KeyStep, RumorKey, ServiceState, State,
    UpdateStep,
};
use tracing::callsite::{DefaultCallsite, Identifier};
use tracing::field::{DisplayValue, FieldSet, Value, display};
use tracing::metadata::{Kind, Metadata};
use tracing::{Level, dispatcher};

use super::sentence::{Names, sentence};

/// The fields that every line has besides those of its event.
const OWN: &[&str] = &["message", "event", "kind"];
/// The number of fields that a line can have.
const COUNT: usize =
    OWN.len() + EventKind::FIELDS.len() + ElectionEvent::FIELDS.len() + RumorKey::FIELDS.len();
/// The names of all fields. A name may stand here more than once; the first place is used.
const NAMES: &[&str] = &names();

const fn names() -> [&'static str; COUNT] {
    let lists = [OWN, EventKind::FIELDS, ElectionEvent::FIELDS, RumorKey::FIELDS];
    let mut all = [""; COUNT];
    let (mut list, mut place) = (0, 0);
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            all[place] = lists[list][index];
            place += 1;
            index += 1;
        }
        list += 1;
    }
    all
}

/// Describes the lines of one level to the logging library. Its macros need every field's name where a line is
/// written, and the names are the core's.
macro_rules! lines {
    ($level:ident) => {{
        static SITE: DefaultCallsite = DefaultCallsite::new(&LINES);
        static LINES: Metadata<'static> = Metadata::new(
            "event of the node",
            module_path!(),
            Level::$level,
            None,
            None,
            None,
            FieldSet::new(NAMES, Identifier(&SITE)),
            Kind::EVENT,
        );
        &LINES
    }};
}

/// Writes one event of the node, with members as `names` calls them.
pub fn log(event: &Event, names: Names<'_>) {
    let lines: &'static Metadata<'static> = match level(&event.kind) {
        Level::ERROR => lines!(ERROR),
        Level::WARN => lines!(WARN),
        Level::INFO => lines!(INFO),
        _ => lines!(DEBUG),
    };
    dispatcher::get_default(|dispatch| {
        if dispatch.enabled(lines) {
            Line::of(event, names).write(lines, dispatch);
        }
    });
}

/// The level, which says how much attention an operator should pay.
fn level(kind: &EventKind) -> Level {
    match kind {
        EventKind::RingKeyChanged { step: KeyStep::Missing, .. } | EventKind::RingKeyFailed { .. } => {
            Level::WARN
        }
        EventKind::UpdateChanged {
            step: UpdateStep::RolledBack | UpdateStep::Refused | UpdateStep::HeldBack | UpdateStep::Failed,
            ..
        } => Level::WARN,
        EventKind::RingKeyChanged { .. } | EventKind::UpdateChanged { .. } => Level::INFO,
        EventKind::PersistFailed { .. }
        | EventKind::IdentityConflict { .. }
        | EventKind::IdentityRunsTwice { .. } => Level::ERROR,
        EventKind::MemberChanged { to: State::Confirmed, .. }
        | EventKind::ServiceChanged { to: Some(ServiceState::Backoff | ServiceState::Failed), .. }
        | EventKind::ObstacleChanged { what: Some(_), .. }
        | EventKind::Stalled { .. }
        | EventKind::VersionLost { .. }
        | EventKind::RumorRepaired { .. }
        | EventKind::IdentityTakenOver { .. }
        | EventKind::StatementRefused { .. }
        | EventKind::MessageDropped { .. }
        | EventKind::Banned { .. }
        | EventKind::BanLifted { .. }
        | EventKind::LimitReached { .. }
        | EventKind::Election { what: ElectionEvent::Lost { .. }, .. } => Level::WARN,
        // The next of many tries is no news: how it ends is.
        EventKind::ServiceChanged {
            from: Some(ServiceState::Backoff),
            to: Some(ServiceState::Starting),
            ..
        } => Level::DEBUG,
        EventKind::Started { .. }
        | EventKind::MemberChanged { .. }
        | EventKind::MemberForgotten { .. }
        | EventKind::Refuted { .. }
        | EventKind::ServiceChanged { .. }
        | EventKind::ObstacleChanged { .. }
        | EventKind::Leaving => Level::INFO,
        EventKind::Election { what: ElectionEvent::Voted { .. }, .. }
        | EventKind::ProbeFailed { .. }
        | EventKind::SuspicionConfirmed { .. }
        | EventKind::LocalHealth { .. }
        | EventKind::RumorAccepted { .. }
        | EventKind::Synced { .. }
        | EventKind::DecodeFailed { .. } => Level::DEBUG,
        EventKind::Election { .. } => Level::INFO,
    }
}

/// A line that is being made.
struct Line {
    message: DisplayValue<String>,
    values: Vec<(&'static str, Box<dyn Value>)>,
}

impl Line {
    fn of(event: &Event, names: Names<'_>) -> Self {
        let values: Vec<(&str, Box<dyn Value>)> =
            vec![("event", Box::new(event.id.0)), ("kind", Box::new(event.kind.name()))];
        let mut line = Self { message: display(sentence(&event.kind, names)), values };
        event.kind.visit(&mut line);
        line
    }

    fn write(&self, lines: &'static Metadata<'static>, dispatch: &tracing::Dispatch) {
        let fields = lines.fields();
        let message = std::iter::once(("message", &self.message as &dyn Value));
        let all = message.chain(self.values.iter().map(|(name, value)| (*name, value.as_ref())));
        let known: Vec<_> = all.filter_map(|(name, value)| Some((fields.field(name)?, value))).collect();
        assert_eq!(known.len(), self.values.len() + 1, "every field of an event is described");
        let Some((first, _)) = known.first() else { return };
        let mut values: [_; COUNT] = std::array::from_fn(|_| (first, None));
        for (place, (field, value)) in values.iter_mut().zip(&known) {
            *place = (field, Some(*value));
        }
        dispatch.event(&tracing::Event::new(lines, &fields.value_set(&values)));
    }
}

impl FieldVisitor for Line {
    fn field(&mut self, name: &'static str, value: FieldValue<'_>) {
        let value: Box<dyn Value> = match value {
            FieldValue::None => return,
            FieldValue::Flag(flag) => Box::new(flag),
            FieldValue::Number(number) => Box::new(number),
            FieldValue::Text(text) => Box::new(text.to_owned()),
            FieldValue::Group(group) => Box::new(group.to_string()),
            FieldValue::Service(service) => Box::new(service.to_string()),
            FieldValue::Member(id) => Box::new(display(*id)),
            FieldValue::Address(address) => Box::new(display(*address)),
            FieldValue::Within(within) => Box::new(within.kind()),
        };
        self.values.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use annulus_core::{Cause, ElectionId, EventId, Incarnation, InputId, MemberId, Why};

    use super::super::sentence::short;
    use super::*;

    /// Keeps the lines of a test.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(kind: EventKind, json: bool) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let builder = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time();
        let event = Event { id: EventId(9), cause: Cause { input: InputId(4), event: None }, kind };
        if json {
            tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), || {
                log(&event, &short)
            });
        } else {
            tracing::subscriber::with_default(builder.finish(), || log(&event, &short));
        }
        let bytes = kept.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_has_the_sentence_and_every_field() {
        let member = MemberId::from_bytes([7; 16]);
        let kind = EventKind::MemberChanged {
            member,
            from: Some(State::Suspect),
            to: State::Confirmed,
            incarnation: Incarnation(3),
            why: Why::SuspicionExpired { accusers: 2 },
        };
        let text = logged(kind.clone(), false);
        let words = sentence(&kind, &short);
        let fields = format!(
            "event=9 kind=\"member_changed\" member={member} from=\"Suspect\" to=\"Confirmed\" incarnation=3 \
             why=\"suspicion_expired\""
        );
        assert_eq!(text.trim(), format!("WARN {words} {fields}"));
        let json: serde_json::Value = serde_json::from_str(&logged(kind, true)).expect("JSON");
        assert_eq!(json["message"], words);
        assert_eq!((&json["level"], &json["event"]), (&"WARN".into(), &9.into()));
        assert_eq!(json["member"], member.to_string());
        assert_eq!(json["incarnation"], 3);
    }

    #[test]
    fn what_is_told_of_elections_and_rumors_has_its_fields_too() {
        let group: annulus_core::ServiceGroup = "redis.default".parse().expect("a group");
        let what = ElectionEvent::Won { votes: 2, voters: 3 };
        let text =
            logged(EventKind::Election { election: ElectionId::leader(group.clone()), term: 5, what }, false);
        assert!(
            text.contains("kind=\"leader_elected\" votes=2 voters=3 service_group=\"redis.default\" term=5"),
            "{text}"
        );
        let lost = EventKind::VersionLost { key: RumorKey::ServiceConfig(group), version: 4, winner: None };
        let text = logged(lost, false);
        assert!(
            text.contains("rumor=\"service_config\" service_group=\"redis.default\" version=4"),
            "{text}"
        );
        assert!(!text.contains("winner"), "what is absent is left out: {text}");
    }
}
