//! Makes a service ready to run: finds its package, merges its configuration, renders its templates.
//!
//! - `layers` and `config` make one configuration of several; `context` and `svc_context` are what templates may ask.
//! - `engine` and `helpers` are Handlebars as Habitat's templates expect it.
//! - `trial` tries a plan out before it is built.
//! - `service` renders everything of one service; `files` and `svc_dirs` write it.
//!
//! All templates are rendered before the first file is written, so a template that fails leaves everything as
//! it was. A file is written only when its content changes.

mod config;
mod context;
mod engine;
mod error;
mod files;
mod helpers;
mod layers;
mod metadata;
mod package_hook;
mod service;
mod svc_context;
mod svc_dirs;
mod trial;

pub(crate) use config::is_too_deep;
pub use context::Sys;
pub(crate) use engine::check;
pub use error::{Error, TemplateFault};
pub use layers::{LastGood, Layer, LayerTable, Layers};
pub use package_hook::{PackageHook, package_env, package_hook};
pub use service::{Env, Fixed, Host, Service, Written};
pub use trial::{Trial, try_plan};

#[cfg(test)]
mod tests;
