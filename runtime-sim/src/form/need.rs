//! The parts of a file without which one of its entries could never come true.

use annulus_core::{FileName, ServiceGroup};

use crate::engine::host::HostId;

/// Something that another entry has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The service is loaded on this host; none: on any.
    Loaded {
        /// The service.
        service: String,
        /// The host.
        host: Option<HostId>,
    },
    /// A service is loaded into this group, which has a leader, on this host; none: on any.
    Led {
        /// The group.
        group: ServiceGroup,
        /// The host.
        host: Option<HostId>,
    },
    /// This version of a group's configuration or file is given.
    Given {
        /// The group.
        group: ServiceGroup,
        /// The file; none: the configuration.
        file: Option<FileName>,
        /// The number.
        version: u64,
    },
    /// Clients send requests through a load balancer.
    Balanced,
}

impl Need {
    /// A service on a host.
    pub(crate) fn loaded(service: &str, host: HostId) -> Self {
        Self::Loaded { service: service.to_owned(), host: Some(host) }
    }
}
