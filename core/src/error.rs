//! Every way in which the core says no. Closed enums: a caller can match on all of them.

use alloc::string::String;
use thiserror::Error;

use crate::id::{MemberId, ServiceName};
use crate::ident::PackageIdent;
use crate::limits::Limit;

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
    /// A word that is none of the allowed ones.
    #[error("not one of the allowed values")]
    Choice,
}

/// Bytes from outside that were rejected. State never changes when this is returned.
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
}

/// Why a command was refused. Nothing changed, unless it says otherwise.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// No service of that name or ident is loaded.
    #[error("{0} is not loaded; `svc status` lists what is")]
    NotLoaded(ServiceName),
    /// A service of that package name is loaded already with other options.
    #[error("{0} is already loaded with other options; use --force to replace them")]
    Conflict(PackageIdent),
    /// The ring knows no such member.
    #[error("no member {0} is known to this ring; `/butterfly` lists the members")]
    UnknownMember(MemberId),
    /// The version is not higher than the one that the ring has.
    #[error("version {current} is current; the next one must be higher")]
    Version {
        /// What the answering member has.
        current: u64,
    },
    /// Not a number that a version may have.
    #[error("a version is a number from 1 to 2^62")]
    VersionRange,
    /// Larger than what the ring carries.
    #[error("{bytes} bytes are more than the limit of {limit}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The supervisor is on its way out.
    #[error("this supervisor is leaving the ring and takes no new work")]
    Leaving,
    /// The record could not be made durable; the change is not acknowledged.
    #[error("could not be written to disk: {0}")]
    NotDurable(String),
    /// A limit of `limits` is reached.
    #[error("limit reached: {0}")]
    Limit(Limit),
    /// The package could not be made ready.
    #[error("{0}")]
    Package(String),
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
