//! The request for a service's effective configuration, which Habitat does not have.
//! Only messages: `request` answers them.

use prost::Message;

use super::message::{CtlMessage, ErrCode, NetErr, ServiceGroup};
use super::request::Answer;
use super::{Ctl, convert};
use crate::prepare::Layers;
use crate::supervisor::obstacles;

/// Asks for the configuration that a service's files were rendered with.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConfigShow {
    /// The service's group.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
    /// Show what came sealed, too.
    #[prost(bool, tag = "2")]
    pub reveal: bool,
}

impl CtlMessage for ConfigShow {
    const ID: &'static str = "ConfigShow";
}

/// The configuration in use.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EffectiveConfig {
    /// All layers in one, as TOML.
    #[prost(string, required, tag = "1")]
    pub toml: String,
    /// Every value, in order of its path.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<ConfigValue>,
    /// The layers that exist, low to high.
    #[prost(message, repeated, tag = "3")]
    pub layers: Vec<ConfigLayer>,
    /// What stands between what is wanted of the service and what runs, such as a layer of which only what it said before
    /// counts; and values that differ in kind from the package's defaults.
    #[prost(string, repeated, tag = "4")]
    pub warnings: Vec<String>,
    /// The version of the group's configuration that is in use; 0 without one.
    #[prost(uint64, required, tag = "5")]
    pub group_version: u64,
}

impl CtlMessage for EffectiveConfig {
    const ID: &'static str = "EffectiveConfig";
}

/// One value.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConfigValue {
    /// Its dotted path.
    #[prost(string, required, tag = "1")]
    pub path: String,
    /// The value, as TOML.
    #[prost(string, required, tag = "2")]
    pub value: String,
    /// The layer that it is from: default, environment, user or group.
    #[prost(string, required, tag = "3")]
    pub layer: String,
}

/// One layer.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConfigLayer {
    /// default, environment, user or group.
    #[prost(string, required, tag = "1")]
    pub layer: String,
    /// The file, variable or version that it was read from.
    #[prost(string, required, tag = "2")]
    pub source: String,
}

impl From<&Layers> for EffectiveConfig {
    fn from(layers: &Layers) -> Self {
        let value = |(path, (value, layer)): (String, (toml::Value, crate::prepare::Layer))| ConfigValue {
            path,
            value: value.to_string(),
            layer: layer.name().to_owned(),
        };
        let layer = |table: &crate::prepare::LayerTable| ConfigLayer {
            layer: table.layer.name().to_owned(),
            source: table.source.clone(),
        };
        Self {
            toml: toml::to_string(&layers.merged()).expect("values that were parsed as TOML"),
            values: layers.values().into_iter().map(value).collect(),
            layers: layers.tables.iter().map(layer).collect(),
            warnings: layers.differences(),
            group_version: layers.group_version,
        }
    }
}

pub(super) async fn show(ctl: &Ctl, request: ConfigShow) -> Result<Answer, NetErr> {
    if request.reveal && !ctl.is_local {
        let text = "what came sealed is shown on the supervisor's own host alone: run `annulus config show --reveal` there, as root";
        return Err(NetErr::new(ErrCode::Unauthorized, text));
    }
    let asked = request.service_group.as_ref().map(convert::group_text).unwrap_or_default();
    let views = ctl.handle.read(|node| node.services()).await;
    let views = views.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    let Some(view) = views.iter().find(|view| view.group.as_str() == asked) else {
        let known: Vec<&str> = views.iter().map(|view| view.group.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let text = format!("no service of {asked} is loaded on this supervisor; loaded are: {known}");
        return Err(NetErr::new(ErrCode::NotFound, text));
    };
    let Some(entry) = ctl.ledger.get(&view.spec.name()) else {
        let why = view.last_error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("{asked} is {} and has not been prepared yet{why}", view.state);
        return Err(NetErr::new(ErrCode::Conflict, text));
    };
    let mut config = match request.reveal {
        true => EffectiveConfig::from(&*entry.layers),
        false => EffectiveConfig::from(&entry.layers.redacted()),
    };
    // What its layers lack is among these.
    let obstacles = obstacles::of(view, &ctl.specs.problems()).into_iter().map(|obstacle| obstacle.what);
    config.warnings.splice(0..0, obstacles);
    Ok(Answer::message(&config))
}
