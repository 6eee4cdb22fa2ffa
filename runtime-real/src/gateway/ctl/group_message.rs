//! The messages about configuration and files of service groups: those of Habitat, and those of Annulus alone that ask
//! how far a version has come. Only messages: `group` answers them.

use prost::Message;

use super::message::{CtlMessage, PackageIdent, ServiceGroup};

macro_rules! named {
    ($($name:ident),+ $(,)?) => { $(impl CtlMessage for $name { const ID: &'static str = stringify!($name); })+ };
}

named!(SvcSetCfg, SvcFilePut, SvcValidateCfg, SvcGetDefaultCfg, ServiceCfg, GroupQuery, GroupStatus);

/// Gives a group another version of its configuration.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcSetCfg {
    /// The group.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
    /// TOML text.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub cfg: Option<Vec<u8>>,
    /// The version's number.
    #[prost(uint64, optional, tag = "3")]
    pub version: Option<u64>,
    /// Whether `cfg` is a box for the group's key.
    #[prost(bool, optional, tag = "4")]
    pub is_encrypted: Option<bool>,
    /// Annulus only: the number may lie far above the current one.
    #[prost(bool, optional, tag = "100")]
    pub allow_leap: Option<bool>,
    /// Annulus only: the text may set nothing, which takes all back that was given before.
    #[prost(bool, optional, tag = "101")]
    pub empty: Option<bool>,
    /// Annulus only: the signature of the user who sealed `cfg`.
    #[prost(bytes = "vec", optional, tag = "102")]
    pub signature: Option<Vec<u8>>,
}

/// Gives a group a file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcFilePut {
    /// The group.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
    /// The whole file.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub content: Option<Vec<u8>>,
    /// Its name, one path component.
    #[prost(string, optional, tag = "3")]
    pub filename: Option<String>,
    /// The version's number.
    #[prost(uint64, optional, tag = "4")]
    pub version: Option<u64>,
    /// Whether `content` is a box for the group's key.
    #[prost(bool, optional, tag = "5")]
    pub is_encrypted: Option<bool>,
    /// Annulus only: the number may lie far above the current one.
    #[prost(bool, optional, tag = "100")]
    pub allow_leap: Option<bool>,
    /// Annulus only: the signature of the user who sealed `content`.
    #[prost(bytes = "vec", optional, tag = "102")]
    pub signature: Option<Vec<u8>>,
}

/// Asks whether a configuration could be applied.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcValidateCfg {
    /// The group that it is for.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
    /// TOML 0.
    #[prost(int32, optional, tag = "2")]
    pub format: Option<i32>,
    /// The text.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub cfg: Option<Vec<u8>>,
}

/// Asks for the configuration that a loaded service's package comes with: one [`ServiceCfg`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcGetDefaultCfg {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
}

/// A configuration.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ServiceCfg {
    /// TOML 0.
    #[prost(int32, optional, tag = "1")]
    pub format: Option<i32>,
    /// The text.
    #[prost(string, optional, tag = "2")]
    pub default: Option<String>,
}

/// Annulus only: asks what the supervisor knows of a group's configuration,
/// or of one of its files: one [`GroupStatus`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupQuery {
    /// The group.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
    /// The file's name; the configuration is meant when it is absent.
    #[prost(string, optional, tag = "2")]
    pub filename: Option<String>,
    /// Whether the answer should hold the body too.
    #[prost(bool, tag = "3")]
    pub body: bool,
    /// Whether the sealed one is meant or the plain one; where it does not say: the sealed one, if there is one.
    #[prost(bool, optional, tag = "4")]
    pub is_sealed: Option<bool>,
}

/// Annulus only: what a supervisor knows of one version and how far it has come.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupStatus {
    /// The current version; absent when there is none.
    #[prost(message, optional, tag = "1")]
    pub current: Option<GroupVersion>,
    /// The members that serve the group.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<GroupMember>,
    /// Versions that this supervisor has had, oldest first.
    #[prost(message, repeated, tag = "3")]
    pub history: Vec<GroupVersion>,
    /// The body of the current version, if the request asked for it.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub body: Option<Vec<u8>>,
    /// Members whose own version of the same number lost against the current one.
    #[prost(string, repeated, tag = "5")]
    pub losers: Vec<String>,
    /// The member that answers.
    #[prost(string, tag = "6")]
    pub answered_by: String,
    /// Whether the group's members alone can open it.
    #[prost(bool, tag = "7")]
    pub is_sealed: bool,
}

/// Annulus only: one version.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupVersion {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub version: u64,
    /// The member that took it from an operator; empty when no member knows it.
    #[prost(string, tag = "2")]
    pub writer: String,
    /// Its size.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// A hash that tells it from another body of the same number.
    #[prost(fixed64, tag = "4")]
    pub hash: u64,
    /// When the answering supervisor took it in, in milliseconds since the epoch.
    #[prost(uint64, optional, tag = "5")]
    pub at_ms: Option<u64>,
}

/// Annulus only: one member of a group.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupMember {
    /// Its id.
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// Its host's name.
    #[prost(string, tag = "2")]
    pub hostname: String,
    /// Whether it is held to be alive.
    #[prost(bool, tag = "3")]
    pub alive: bool,
    /// Whether it has applied the current version.
    #[prost(bool, tag = "4")]
    pub applied: bool,
    /// The version of the configuration that it has applied; absent for files.
    #[prost(uint64, optional, tag = "5")]
    pub version: Option<u64>,
    /// What keeps it from having applied it, or something else that was given to the group, as far as the answering supervisor
    /// knows.
    #[prost(string, optional, tag = "6")]
    pub missing: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_numbers_are_habitats() {
        let group = ServiceGroup { service: "r".into(), group: "p".into(), organization: None };
        let set = SvcSetCfg {
            service_group: Some(group.clone()),
            cfg: Some(b"x".to_vec()),
            version: Some(7),
            is_encrypted: Some(false),
            ..SvcSetCfg::default()
        };
        assert_eq!(set.encode_to_vec(), b"\x0a\x06\x0a\x01r\x12\x01p\x12\x01x\x18\x07\x20\x00");
        let put = SvcFilePut {
            service_group: Some(group),
            content: Some(b"x".to_vec()),
            filename: Some("f".into()),
            version: Some(7),
            is_encrypted: None,
            ..SvcFilePut::default()
        };
        assert_eq!(put.encode_to_vec(), b"\x0a\x06\x0a\x01r\x12\x01p\x12\x01x\x1a\x01f\x20\x07");
    }
}
