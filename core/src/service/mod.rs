//! What runs on this host: desired state against what runs.

mod spec;

pub use spec::{
    BindingMode, DesiredState, ServiceSpec, ServiceState, ServiceView, Topology, UpdateCondition,
    UpdateStrategy,
};
