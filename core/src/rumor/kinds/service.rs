//! A service that a member runs.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message as _;

use crate::config::SysInfo;
use crate::error::DecodeError;
use crate::id::{Incarnation, MemberId, ServiceGroup};
use crate::ident::PackageIdent;
use crate::limits::{ELECTORATE_MAX, RUMOR_BYTES_MAX};
use crate::wire::swim::incarnation_from_wire;
use crate::wire::{id_from_wire, id_to_wire, proto};

/// One member's service in one group (as in Habitat). Only that member raises its incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRumor {
    /// Who runs it.
    pub member_id: MemberId,
    /// In which group.
    pub group: ServiceGroup,
    /// Counts the owner's statements about it.
    pub incarnation: Incarnation,
    /// Whether the process has been started.
    pub initialized: bool,
    /// What runs.
    pub pkg: PackageIdent,
    /// Exported configuration, TOML text.
    pub cfg: Vec<u8>,
    /// Where it runs.
    pub sys: SysInfo,
    /// Counts the group's updates.
    pub pkg_incarnation: u64,
    /// It runs no longer: the owner stopped or unloaded it. Collected after a while.
    pub tombstone: bool,
    /// Whether it takes new work: it runs, and is neither being drained nor in maintenance. Who does not say takes
    /// work as long as its process runs.
    pub accepting: bool,
    /// Why it is in maintenance; none when it is not.
    pub maintenance: Option<String>,
    /// The version of the group's configuration that it runs with; 0 for none.
    pub config_incarnation: u64,
    /// In a group with topology leader: the smallest size that its electorate counts as (`--quorum`, otherwise
    /// three); 0 in every other group.
    pub electorate_min: u32,
    /// Tells whether it runs with the same configuration and files of its group as another member; 0 for none.
    pub versions_digest: u64,
}

impl ServiceRumor {
    /// Joins two statements: the higher incarnation; of equal ones, which only a copied identity can make, a
    /// retraction, then the greater content, so that two nodes cannot disagree for ever (Habitat keeps what came first).
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(
            self.member_id == other.member_id && self.group == other.group,
            "different rumors cannot be joined"
        );
        let newer = (other.incarnation, other.content()) > (self.incarnation, self.content());
        if newer {
            self.clone_from(other);
        }
        newer
    }

    /// What it says, in an order that is total: two statements that differ are never equal here.
    fn content(&self) -> impl Ord + '_ {
        let runs = (self.tombstone, self.initialized, self.accepting, &self.maintenance);
        let with = (self.pkg_incarnation, self.config_incarnation, self.versions_digest, self.electorate_min);
        (runs, with, &self.pkg, &self.cfg, &self.sys)
    }

    pub(crate) fn to_wire(&self) -> proto::Service {
        let sys = &self.sys;
        proto::Service {
            member_id: id_to_wire(&self.member_id),
            service_group: self.group.to_string(),
            incarnation: self.incarnation.0,
            initialized: self.initialized,
            pkg: self.pkg.to_string(),
            cfg: self.cfg.clone(),
            sys: Some(proto::SysInfo {
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
            // Said only where it is not what everybody assumes.
            accepting: (self.accepting != self.initialized).then_some(self.accepting),
            maintenance: self.maintenance.clone(),
            config_incarnation: self.config_incarnation,
            electorate_min: self.electorate_min,
            versions_digest: self.versions_digest,
        }
    }

    pub(crate) fn from_wire(s: Option<proto::Service>) -> Result<Self, DecodeError> {
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
            accepting: s.accepting.unwrap_or(s.initialized),
            maintenance: s.maintenance,
            config_incarnation: s.config_incarnation,
            electorate_min: s.electorate_min.min(ELECTORATE_MAX as u32),
            versions_digest: s.versions_digest,
        })
    }
}
