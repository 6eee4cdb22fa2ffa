//! The errors of refused texts, bytes, configurations and records; refused commands are in `command`.
//! Closed enums: a caller can match on all of them.

use alloc::string::String;
use thiserror::Error;

/// A text that is not of the form it should have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// Not 32 hex digits.
    #[error("a member id is 32 hex digits")]
    MemberId,
    /// Not `service.group[@org]`.
    #[error("a service group is written service.group or service.group@organization")]
    ServiceGroup,
    /// Not usable as a service name.
    #[error("a service name is one word without dots, slashes or white space")]
    ServiceName,
    /// Not usable as a file's name.
    #[error("a file name is one path component of at most 128 bytes without control characters")]
    FileName,
    /// Not `origin/name[/version[/release]]`.
    #[error("a package ident is written origin/name, origin/name/version or origin/name/version/release")]
    PackageIdent,
    /// Not the name of a ring key.
    #[error("a ring key is named by its revision and fingerprint: fourteen digits, a dash, 32 hex digits")]
    RingKey,
    /// A word that is none of the allowed ones.
    #[error("not one of the allowed values")]
    Choice,
}

/// Bytes from outside that were rejected. Rejected bytes change no state.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Longer than the limit for its channel.
    #[error("message of {bytes} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not protobuf, or a required field has the wrong type.
    #[error("not a valid protobuf message")]
    Protobuf,
    /// A required field is absent.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field holds a value that is not allowed.
    #[error("field {0} holds a value that is not allowed")]
    Invalid(&'static str),
    /// The message claims to come from this member itself.
    #[error("message claims to come from this member")]
    OwnId,
    /// Encrypted, and this build of the ring uses no key.
    #[error("message is encrypted and this member has no ring key")]
    Encrypted,
    /// Parts of a message that was accepted: rumors, members' records or the body.
    #[error("{parts} parts of the message cannot be read and were left out; the rest was taken")]
    Skipped {
        /// How many.
        parts: u32,
    },
}

/// A configuration whose parts contradict each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A timing is out of the range in which the protocol works.
    #[error("{name} is {value_ms} ms: {why}")]
    Timing {
        /// The option.
        name: &'static str,
        /// Its value.
        value_ms: u64,
        /// What is wrong with it and what to do.
        why: &'static str,
    },
    /// A count is out of range.
    #[error("{name} is {value}: {why}")]
    Count {
        /// The option.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it and what to do.
        why: &'static str,
    },
}

/// Durable records that cannot be read back.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// One record does not decode.
    #[error("record {key} in table {table} is damaged: {error}")]
    Record {
        /// The table.
        table: &'static str,
        /// The key, as text.
        key: String,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Rumors or members without an identity: not a database of ours, or half of one.
    #[error("the identity record is missing although other records exist")]
    NoIdentity,
}
