//! Fields of events: how a value is shown to a visitor, and how a reader gives it back.
//!
//! Which event has which fields stands in [`super::describe`]; the outer form of a field's type stands here.
//! Neither knows a format: logs, JSON and traces are made by visitors and readers of the runtimes.

use alloc::string::{String, ToString as _};
use core::net::SocketAddr;
use core::str::FromStr;

use thiserror::Error;

use crate::model::channel::Channel;
use crate::model::election::{ElectionId, ElectionPurpose, LeaseEnd};
use crate::model::event::{Refusal, StampFault, Why};
use crate::model::id::{Incarnation, InputId, MemberId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::limits::Limit;
use crate::model::member::State;
use crate::model::ring_key::{KeyStep, RingKeyId};
use crate::model::service::{Hook, ObstacleKind, ServiceState};
use crate::model::update::UpdateStep;

/// A field's value as a visitor gets it.
#[derive(Clone, Copy)]
pub enum FieldValue<'a> {
    /// There is none.
    None,
    /// Yes or no.
    Flag(bool),
    /// A count, a version or a number of the node's.
    Number(u64),
    /// A word out of a fixed set, or a sentence.
    Text(&'a str),
    /// A member.
    Member(&'a MemberId),
    /// A service group.
    Group(&'a ServiceGroup),
    /// A service of this supervisor.
    Service(&'a ServiceName),
    /// A network address.
    Address(&'a SocketAddr),
    /// A value with a kind and fields of its own.
    Within(&'a dyn Described),
}

/// An event, or a value of one, with a kind and fields of its own.
pub trait Described {
    /// The kind.
    fn kind(&self) -> &'static str;
    /// Shows every field, in the order of the description.
    fn visit_fields(&self, visitor: &mut dyn FieldVisitor);
}

/// Gets the fields of an event one by one.
pub trait FieldVisitor {
    /// One field.
    fn field(&mut self, name: &'static str, value: FieldValue<'_>);
}

/// Gives the fields of an event back, in the order in which a type asks for them.
///
/// Each question is answered by none when there is no such field or when it holds a value of another type.
pub trait FieldReader: Sized {
    /// Whether the field is there and says that there is no value.
    fn is_none(&self, name: &str) -> bool;
    /// Yes or no.
    fn flag(&self, name: &str) -> Option<bool>;
    /// A number.
    fn number(&self, name: &str) -> Option<u64>;
    /// A text; also the text form of a member, a group, a service or an address.
    fn text(&self, name: &str) -> Option<&str>;
    /// The fields of a value within this one; its kind is the text `kind` among them.
    fn within(&self, name: &str) -> Option<Self>;
}

/// Fields that are not those of an event.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FieldError {
    /// Nothing of this kind is described.
    #[error("there is no event of this kind")]
    Kind,
    /// A field is missing or holds a value that it cannot have.
    #[error("field {0} is missing or holds a value that is not allowed")]
    Field(&'static str),
}

/// A type that a field can hold, in both directions.
pub(super) trait Field: Sized {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor);
    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError>;
}

impl<T: Field> Field for Option<T> {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        match self {
            Some(value) => value.visit(name, visitor),
            None => visitor.field(name, FieldValue::None),
        }
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        if reader.is_none(name) { Ok(None) } else { T::read(name, reader).map(Some) }
    }
}

impl Field for bool {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        visitor.field(name, FieldValue::Flag(*self));
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        reader.flag(name).ok_or(FieldError::Field(name))
    }
}

impl Field for u64 {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        visitor.field(name, FieldValue::Number(*self));
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        reader.number(name).ok_or(FieldError::Field(name))
    }
}

impl Field for u32 {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        visitor.field(name, FieldValue::Number(u64::from(*self)));
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        Self::try_from(u64::read(name, reader)?).map_err(|_| FieldError::Field(name))
    }
}

impl Field for Incarnation {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        self.0.visit(name, visitor);
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        u64::read(name, reader).map(Self)
    }
}

impl Field for InputId {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        self.0.visit(name, visitor);
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        u64::read(name, reader).map(Self)
    }
}

/// Reads a type that has a text form.
pub(super) fn parsed<T: FromStr>(name: &'static str, reader: &impl FieldReader) -> Result<T, FieldError> {
    reader.text(name).and_then(|text| text.parse().ok()).ok_or(FieldError::Field(name))
}

/// Types whose text form is read back by `FromStr`: how a visitor gets them.
macro_rules! parsed {
    ($($type:ty: $value:ident => $shown:expr;)*) => {$(
        impl Field for $type {
            fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
                let $value = self;
                visitor.field(name, $shown);
            }

            fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
                parsed(name, reader)
            }
        }
    )*};
}

parsed! {
    String: text => FieldValue::Text(text);
    MemberId: id => FieldValue::Member(id);
    ServiceGroup: group => FieldValue::Group(group);
    ServiceName: service => FieldValue::Service(service);
    super::super::id::FileName: name => FieldValue::Text(name.as_str());
    SocketAddr: address => FieldValue::Address(address);
    ServiceState: state => FieldValue::Text(state.name());
    RingKeyId: key => FieldValue::Text(&key.to_string());
    PackageIdent: ident => FieldValue::Text(&ident.to_string());
}

/// Shows the purpose of an election where that is another one than to lead the group.
pub(super) fn visit_purpose(purpose: ElectionPurpose, visitor: &mut dyn FieldVisitor) {
    match purpose {
        ElectionPurpose::Leader => {}
        ElectionPurpose::Update => purpose.visit("purpose", visitor),
    }
}

/// The purpose that [`visit_purpose`] showed.
pub(super) fn read_purpose(reader: &impl FieldReader) -> Result<ElectionPurpose, FieldError> {
    if reader.text("purpose").is_some() {
        Field::read("purpose", reader)
    } else {
        Ok(ElectionPurpose::Leader)
    }
}

/// The group, and beside it the purpose.
impl Field for ElectionId {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        self.group.visit(name, visitor);
        visit_purpose(self.purpose, visitor);
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        Ok(Self { group: Field::read(name, reader)?, purpose: read_purpose(reader)? })
    }
}

/// Closed sets of words.
macro_rules! words {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
                visitor.field(name, FieldValue::Text(self.name()));
            }

            fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
                let word = reader.text(name).ok_or(FieldError::Field(name))?;
                let found = Self::ALL.iter().find(|value| value.name() == word);
                found.copied().ok_or(FieldError::Field(name))
            }
        }
    )*};
}

words!(
    UpdateStep,
    KeyStep,
    Refusal,
    StampFault,
    State,
    Limit,
    Channel,
    LeaseEnd,
    ElectionPurpose,
    Hook,
    ObstacleKind
);

impl Described for Why {
    fn kind(&self) -> &'static str {
        self.name()
    }

    fn visit_fields(&self, visitor: &mut dyn FieldVisitor) {
        self.visit(visitor);
    }
}

impl Field for Why {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        visitor.field(name, FieldValue::Within(self));
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        let within = reader.within(name).ok_or(FieldError::Field(name))?;
        let kind = within.text("kind").ok_or(FieldError::Field(name))?;
        Self::read(kind, &within).map_err(|error| match error {
            FieldError::Kind => FieldError::Field(name),
            FieldError::Field(_) => error,
        })
    }
}
