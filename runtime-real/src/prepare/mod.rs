//! Makes a service ready to run, which answers the core's `Prepare` and `Render`. Nothing in here starts a service.
//!
//! - `workshop` answers, and keeps what is known of each prepared service; `plan` is the answer's part for processes.
//! - `service` renders everything of one service; `files` and `svc_dirs` write it, `metadata` reads the metafiles.
//! - `layers` and `config` make one configuration of several; `context` and `svc_context` are what templates see.
//! - `proven` keeps the layers with which everything could last be rendered.
//! - `sealed` opens what users sealed for the service's group.
//! - `compare` finds what an operator gives and no default has.
//! - `hook` runs the hooks of a package itself, which `package_hook` renders.
//! - `trial` tries a plan before it is built; `quoting` looks at what its hooks give to a shell, `interpreter` at how the
//!   kernel starts them.
//!
//! All templates are rendered before the first file is written, so a template that fails leaves every file as it was. A
//! process that has to be started meanwhile starts with the layers before.
//! A file is written only when its content changes.

mod compare;
mod config;
mod context;
mod error;
mod files;
mod hook;
mod interpreter;
mod layers;
mod metadata;
mod package_hook;
pub mod plan;
mod proven;
mod quoting;
mod sealed;
mod service;
mod svc_context;
mod svc_dirs;
mod trial;
pub mod untold;
mod workshop;

pub use compare::differences;
pub(crate) use config::{is_too_deep, table_to_json as to_json, variable};
pub use context::Sys;
pub use error::Error;
pub(crate) use files::is_plain_name;
pub use hook::{
    HOOK_TIMEOUT, HookRun, Moment, Overseer, Patient, claim, install_hooks_are_due, run_install_hooks,
    run_uninstall_hook,
};
pub use layers::{LastGood, Layer, LayerTable, Layers};
pub use package_hook::{PackageHook, package_env, package_hook};
pub use sealed::Vault;
pub use service::{Allowed, Env, Fixed, Host, Service, Written, check};
pub use trial::{Trial, try_plan};
pub use workshop::Workshop;

#[cfg(test)]
mod tests;
