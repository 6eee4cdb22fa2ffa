//! Newtypes, so that one kind of number or text cannot be passed for another. Each is checked once, where it is parsed;
//! no other place may build one of unchecked text.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use crate::model::error::ParseError;
use crate::model::limits;
use crate::model::mutant::mutated;

/// A member of the ring: the first 16 bytes of the hash of its public key, written as 32 lower-case hex digits.
///
/// It outlives restarts of the daemon; a host that lost its key gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId([u8; 16]);

impl MemberId {
    /// The id made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses the 32 hex digits of the wire form.
    ///
    /// # Errors
    /// Anything but exactly 32 hex digits.
    pub fn from_hex(text: &[u8]) -> Result<Self, ParseError> {
        if text.len() != 32 {
            return Err(ParseError::MemberId);
        }
        let (mut bytes, mut seen) = ([0_u8; 16], 0);
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let (high, low) = (HEX_DIGITS[usize::from(pair[0])], HEX_DIGITS[usize::from(pair[1])]);
            seen |= high | low;
            *byte = (high << 4) | (low & 15);
        }
        if seen > 15 { Err(ParseError::MemberId) } else { Ok(Self(bytes)) }
    }

    /// The 32 hex digits of the wire form.
    #[must_use]
    pub fn to_hex(&self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0_u8; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

/// What each byte is worth as a hex digit; more than 15 for no digit. Every message holds ids in this form.
const HEX_DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut byte = 0;
    while byte < digits.len() {
        let c = byte as u8;
        digits[byte] = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            b'A'..=b'F' => c - b'A' + 10,
            _ => u8::MAX,
        };
        byte += 1;
    }
    digits
};

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_hex();
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MemberId {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        Self::from_hex(s.as_bytes())
    }
}

/// How often a member has re-announced itself; only the member itself raises it (SWIM's incarnation number).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The next incarnation; stays at the top when it cannot rise.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= limits::INCARNATION_MAX { Self(limits::INCARNATION_MAX) } else { Self(self.0 + 1) }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A service group, `service.group` or `service.group@organization`. It is shared, because every rumor, key and census
/// names one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceGroup(Arc<str>);

impl ServiceGroup {
    /// Builds the group of its parts.
    ///
    /// # Errors
    /// An empty part, a part with `.`, `@`, white space or a control character, or a text beyond the limit.
    pub fn new(service: &str, group: &str, org: Option<&str>) -> Result<Self, ParseError> {
        let mut text = String::with_capacity(service.len() + group.len() + 12);
        text.push_str(service);
        text.push('.');
        text.push_str(group);
        if let Some(org) = org {
            text.push('@');
            text.push_str(org);
        }
        text.parse()
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The service's name: the text before the first dot.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The group's name.
    #[must_use]
    pub fn group(&self) -> &str {
        let rest = self.0.split_once('.').map_or("", |(_, rest)| rest);
        rest.split('@').next().unwrap_or_default()
    }

    /// The organization, where one is named.
    #[must_use]
    pub fn org(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, org)| org)
    }
}

impl FromStr for ServiceGroup {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let (head, org) = match s.split_once('@') {
            Some((head, org)) => (head, Some(org)),
            None => (s, None),
        };
        let (service, group) = head.split_once('.').ok_or(ParseError::ServiceGroup)?;
        let parts_ok = is_word(service) && is_word(group) && org.is_none_or(is_word);
        if !parts_ok || s.len() > limits::SERVICE_GROUP_BYTES_MAX - mutated!(LongestGroupRefused, 0, 1) {
            return Err(ParseError::ServiceGroup);
        }
        Ok(Self(s.into()))
    }
}

/// A part of a name: not empty, and nothing that could be read as a separator, a path or a terminal command.
pub(crate) fn is_word(s: &str) -> bool {
    !s.is_empty()
        && s.chars().all(|c| !matches!(c, '.' | '@' | '/' | '\\') && !c.is_whitespace() && !c.is_control())
}

impl fmt::Display for ServiceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a service on one supervisor: the name part of its package. One service per name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Box<str>);

impl ServiceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        if !is_word(s) || s.len() > limits::NAME_BYTES_MAX {
            return Err(ParseError::ServiceName);
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a file in a service's directory: one component, which leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// A name before every valid one, to begin a range with.
    pub(crate) fn least() -> Self {
        Self("".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let plain = s.chars().all(|c| !matches!(c, '/' | '\\') && !c.is_control());
        if s.is_empty() || matches!(s, "." | "..") || !plain || s.len() > limits::NAME_BYTES_MAX {
            return Err(ParseError::FileName);
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! counter_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter_id!(
    /// Chosen by the sender of a command, returned with its reply.
    RequestId
);
counter_id!(
    /// Chosen by the node for each effect, returned with its results.
    EffectId
);
counter_id!(
    /// Numbers a node's events from 1.
    EventId
);
counter_id!(
    /// Numbers a node's inputs from 1. Each output of the node belongs to the input that caused it.
    InputId
);
counter_id!(
    /// Numbers a member's probes, so that a late ack cannot satisfy a later probe.
    ProbeSeq
);

/// Text form for messages.
impl From<&MemberId> for String {
    fn from(id: &MemberId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_id_round_trips() {
        let id = MemberId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
        for bad in ["", "xyz", "0123456789abcdef0123456789abcde", "g123456789abcdef0123456789abcdef"] {
            assert_eq!(bad.parse::<MemberId>(), Err(ParseError::MemberId));
        }
    }

    #[test]
    fn file_names_lead_nowhere() {
        for good in ["app.conf", "a b", "..x", ".hidden"] {
            assert!(good.parse::<FileName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/etc/passwd", "..\\x", "a\0b", "a\nb", "n".repeat(200).as_str()] {
            assert_eq!(bad.parse::<FileName>(), Err(ParseError::FileName), "{bad:?}");
        }
    }

    #[test]
    fn service_group_parts() {
        let g: ServiceGroup = "redis.prod@acme".parse().expect("valid");
        assert_eq!((g.service(), g.group(), g.org()), ("redis", "prod", Some("acme")));
        let g: ServiceGroup = "redis.default".parse().expect("valid");
        assert_eq!((g.service(), g.group(), g.org()), ("redis", "default", None));
        for bad in ["redis", "redis.", ".x", "a.b.c", "a.b@", "a b.c", "../x.y", "a.b@c@d"] {
            assert_eq!(bad.parse::<ServiceGroup>(), Err(ParseError::ServiceGroup), "{bad}");
        }
    }
}
