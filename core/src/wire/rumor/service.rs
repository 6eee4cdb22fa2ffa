//! A member's service as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use crate::model::config::SysInfo;
use crate::model::error::DecodeError;
use crate::model::limits::{ELECTORATE_MAX, RUMOR_BYTES_MAX};
use crate::model::mutant::mutated;
use crate::model::rumor::ServiceRumor;
use crate::model::service::SlowHook;
use crate::model::time::UnixTime;
use crate::wire::convert::{id_from_wire, id_to_wire, incarnation_from_wire};

/// `Service`, with the retraction of a service.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
    #[prost(string, tag = "2")]
    service_group: String,
    #[prost(uint64, tag = "3")]
    incarnation: u64,
    #[prost(bool, tag = "8")]
    initialized: bool,
    #[prost(string, tag = "9")]
    pkg: String,
    #[prost(bytes = "vec", tag = "10")]
    cfg: Vec<u8>,
    #[prost(message, optional, tag = "12")]
    sys: Option<SysInfoMessage>,
    #[prost(uint64, tag = "13")]
    pkg_incarnation: u64,
    #[prost(bool, tag = "100")]
    tombstone: bool,
    #[prost(bool, optional, tag = "101")]
    accepting: Option<bool>,
    #[prost(string, optional, tag = "102")]
    maintenance: Option<String>,
    #[prost(uint64, tag = "103")]
    config_incarnation: u64,
    #[prost(uint32, tag = "104")]
    electorate_min: u32,
    #[prost(fixed64, tag = "110")]
    versions_digest: u64,
    #[prost(string, repeated, tag = "111")]
    held_back: Vec<String>,
    #[prost(message, optional, tag = "112")]
    slow_hook: Option<SlowHookMessage>,
}

/// A hook that has run for a while.
#[derive(Clone, PartialEq, Message)]
struct SlowHookMessage {
    #[prost(string, tag = "1")]
    hook: String,
    #[prost(uint64, tag = "2")]
    since_ms: u64,
    #[prost(uint64, tag = "3")]
    limit_ms: u64,
}

/// `SysInfo`.
#[derive(Clone, PartialEq, Message)]
struct SysInfoMessage {
    #[prost(string, tag = "1")]
    ip: String,
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(string, tag = "3")]
    gossip_ip: String,
    #[prost(uint32, tag = "4")]
    gossip_port: u32,
    #[prost(string, tag = "5")]
    http_gateway_ip: String,
    #[prost(uint32, tag = "6")]
    http_gateway_port: u32,
    #[prost(string, tag = "7")]
    ctl_gateway_ip: String,
    #[prost(uint32, tag = "8")]
    ctl_gateway_port: u32,
}

impl ServiceRumor {
    pub(super) fn to_wire(&self) -> ServiceMessage {
        let sys = &self.sys;
        ServiceMessage {
            member_id: id_to_wire(&self.member_id),
            service_group: self.group.to_string(),
            incarnation: self.incarnation.0,
            initialized: self.initialized,
            pkg: self.pkg.to_string(),
            cfg: self.cfg.clone(),
            sys: Some(SysInfoMessage {
                ip: sys.ip.clone(),
                hostname: sys.hostname.clone(),
                gossip_ip: sys.gossip_ip.clone(),
                gossip_port: u32::from(sys.gossip_port),
                http_gateway_ip: sys.http_gateway_ip.clone(),
                http_gateway_port: u32::from(sys.http_gateway_port),
                ctl_gateway_ip: sys.ctl_gateway_ip.clone(),
                ctl_gateway_port: u32::from(sys.ctl_gateway_port),
            }),
            pkg_incarnation: self.pkg_incarnation,
            tombstone: self.tombstone,
            // Written only where it differs from the default that every member assumes.
            accepting: (self.accepting != self.initialized).then_some(self.accepting),
            maintenance: self.maintenance.clone(),
            config_incarnation: self.config_incarnation,
            electorate_min: self.electorate_min,
            versions_digest: self.versions_digest,
            held_back: self.held_back.iter().map(|kind| kind.name().to_string()).collect(),
            slow_hook: self.slow_hook.map(|slow| SlowHookMessage {
                hook: slow.hook.name().to_string(),
                since_ms: slow.since.as_millis(),
                limit_ms: slow.limit_ms,
            }),
        }
    }

    pub(super) fn from_wire(s: Option<ServiceMessage>) -> Result<Self, DecodeError> {
        let s = s.ok_or(DecodeError::Missing("service"))?;
        if s.encoded_len() > RUMOR_BYTES_MAX {
            return Err(DecodeError::TooLong { bytes: s.encoded_len(), limit: RUMOR_BYTES_MAX });
        }
        let sys = s.sys.ok_or(DecodeError::Missing("sys"))?;
        let port = |p: u32| u16::try_from(p).map_err(|_| DecodeError::Invalid("port"));
        Ok(Self {
            member_id: id_from_wire(&s.member_id, "service member")?,
            group: s.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?,
            incarnation: incarnation_from_wire(s.incarnation)?,
            initialized: s.initialized,
            pkg: s.pkg.parse().map_err(|_| DecodeError::Invalid("pkg"))?,
            cfg: s.cfg,
            sys: SysInfo {
                gossip_port: port(sys.gossip_port)?,
                http_gateway_port: port(sys.http_gateway_port)?,
                ctl_gateway_port: port(sys.ctl_gateway_port)?,
                ip: sys.ip,
                hostname: sys.hostname,
                gossip_ip: sys.gossip_ip,
                http_gateway_ip: sys.http_gateway_ip,
                ctl_gateway_ip: sys.ctl_gateway_ip,
            },
            pkg_incarnation: s.pkg_incarnation,
            tombstone: s.tombstone,
            accepting: s.accepting.unwrap_or(mutated!(AlwaysAccepting, s.initialized, true)),
            maintenance: s.maintenance,
            config_incarnation: s.config_incarnation,
            electorate_min: mutated!(
                QuorumUnbounded,
                s.electorate_min.min(ELECTORATE_MAX as u32),
                s.electorate_min
            ),
            versions_digest: s.versions_digest,
            // A newer member may know kinds that this one does not.
            held_back: s.held_back.iter().filter_map(|kind| kind.parse().ok()).collect(),
            slow_hook: s.slow_hook.and_then(|slow| {
                let hook = slow.hook.parse().ok()?;
                let since = UnixTime::from_millis(slow.since_ms);
                Some(SlowHook { hook, since, limit_ms: slow.limit_ms })
            }),
        })
    }
}
