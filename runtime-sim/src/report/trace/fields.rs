//! How values of the core become JSON and come back: events and keys by the core's description of their fields, the rest
//! as text or as a word out of a fixed set.

use annulus_core::{Channel, FieldReader, FieldValue, FieldVisitor, State, StopSignal};
use serde_json::{Map, Value};

use crate::engine::record::{BuildFact, DropReason, StopReason};

/// The fields of an event, or of a value in it, as an object.
#[derive(Default)]
struct Written(Map<String, Value>);

impl FieldVisitor for Written {
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
                let mut inner = Self::default();
                inner.0.insert("kind".to_owned(), within.kind().into());
                within.visit_fields(&mut inner);
                Value::Object(inner.0)
            }
        };
        self.0.insert(name.to_owned(), value);
    }
}

/// The same, read.
struct Read<'a>(&'a Map<String, Value>);

impl FieldReader for Read<'_> {
    fn is_none(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn within(&self, name: &str) -> Option<Self> {
        self.0.get(name)?.as_object().map(Self)
    }
}

/// A whole event: its number, its cause, its kind and the kind's fields.
pub(super) mod event {
    use annulus_core::{Cause, Event, EventId, EventKind, InputId};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::{Map, Value};

    use super::{Read, Written};

    #[derive(Serialize, Deserialize)]
    struct Head {
        id: u64,
        cause: Link,
        kind: String,
    }

    #[derive(Serialize, Deserialize)]
    struct Link {
        input: u64,
        event: Option<u64>,
    }

    #[derive(Serialize)]
    struct Whole {
        #[serde(flatten)]
        head: Head,
        #[serde(flatten)]
        fields: Map<String, Value>,
    }

    pub(in super::super) fn serialize<S: Serializer>(event: &Event, to: S) -> Result<S::Ok, S::Error> {
        let cause = Link { input: event.cause.input.0, event: event.cause.event.map(|id| id.0) };
        let mut fields = Written::default();
        event.kind.visit(&mut fields);
        let head = Head { id: event.id.0, cause, kind: event.kind.name().to_owned() };
        Whole { head, fields: fields.0 }.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Event, D::Error> {
        let fields = Map::deserialize(from)?;
        let head = Head::deserialize(&Value::Object(fields.clone())).map_err(D::Error::custom)?;
        let kind = EventKind::read(&head.kind, &Read(&fields))
            .map_err(|error| D::Error::custom(format!("`{}`: {error}", head.kind)))?;
        let Link { input, event } = head.cause;
        let cause = Cause { input: InputId(input), event: event.map(EventId) };
        Ok(Event { id: EventId(head.id), cause, kind })
    }
}

/// The fields of a rumor's key.
pub(super) mod key {
    use annulus_core::RumorKey;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Map;

    use super::{Read, Written};

    /// Where its kind stands; as in events.
    const KIND: &str = "rumor";

    pub(in super::super) fn serialize<S: Serializer>(key: &RumorKey, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = Written::default();
        key.visit(&mut fields);
        fields.0.insert(KIND.to_owned(), key.name().into());
        fields.0.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RumorKey, D::Error> {
        let fields = Map::deserialize(from)?;
        let kind = fields.get(KIND).and_then(|kind| kind.as_str()).unwrap_or_default();
        RumorKey::read(kind, &Read(&fields)).map_err(|error| D::Error::custom(format!("`{kind}`: {error}")))
    }
}

/// A value that has a text form of its own.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    /// A value that may be missing.
    pub(in super::super) mod option {
        use super::{Deserialize as _, Display, FromStr};
        use serde::de::Error as _;
        use serde::{Deserializer, Serializer};

        pub(in super::super::super) fn serialize<T: Display, S: Serializer>(
            value: &Option<T>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => to.collect_str(value),
                None => to.serialize_none(),
            }
        }

        pub(in super::super::super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
        where
            T: FromStr<Err: Display>,
            D: Deserializer<'de>,
        {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
        }
    }
}

/// One of a fixed set of words.
pub(super) trait Word: Copy + 'static {
    /// All of them.
    const WORDS: &'static [Self];
    /// The word.
    fn word(self) -> &'static str;
}

macro_rules! words {
    ($($type:ty),*) => {$(
        impl Word for $type {
            const WORDS: &'static [Self] = &<$type>::ALL;

            fn word(self) -> &'static str {
                self.name()
            }
        }
    )*};
}

words!(BuildFact, Channel, DropReason, State, StopReason, StopSignal);

/// Words of a fixed set.
pub(super) mod word {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Word;

    pub(in super::super) fn serialize<T: Word, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.word())
    }

    pub(in super::super) fn deserialize<'de, T: Word, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let found = T::WORDS.iter().find(|value| value.word() == text);
        found
            .copied()
            .ok_or_else(|| D::Error::custom(format!("`{text}` is none of the words that stand here")))
    }
}
