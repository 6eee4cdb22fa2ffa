//! Reads what a plan says about its service's health and draining: in `plan.toml` and, in the same words, in the
//! metafiles `HEALTH` and `DRAIN`. Asks no service; texts stay templates, which are rendered with the service's
//! configuration later.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::Seconds;
use crate::template;

/// How a service's health is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthPlan {
    /// The question to the service; none where its hook `health-check` asks.
    pub probe: Option<Probe>,
    /// Seconds between two checks, unless the operator says otherwise.
    pub interval_s: Option<u64>,
    /// Seconds after which a check has failed.
    pub timeout_s: Option<u64>,
    /// Seconds after the start of a process in which it is not checked.
    pub start_delay_s: Option<u64>,
}

/// A question for a service's health; the text is a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A URL that has to answer 2xx or 3xx; 429 is a warning.
    Http(String),
    /// `host:port` that has to accept a connection.
    Tcp(String),
    /// The path of a socket that has to accept a connection.
    Unix(String),
}

/// How a service is drained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainPlan {
    /// The source that tells how much is in flight.
    pub inflight: Option<Inflight>,
    /// Seconds that draining may take, unless the operator says otherwise.
    pub timeout_s: Option<u64>,
}

/// A source that tells how much a service still has in flight; the text is a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inflight {
    /// A URL that answers with a number.
    Http(String),
    /// A local port, whose open connections are counted.
    Connections(String),
}

/// `[health]`, or the metafile `HEALTH`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<TemplateText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<TemplateText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unix: Option<TemplateText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_delay_s: Option<Seconds>,
}

/// `[drain]`, or the metafile `DRAIN`.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inflight: Option<InflightTable>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct InflightTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<TemplateText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Port>,
}

/// A text that is a valid template.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
struct TemplateText(String);

impl TryFrom<String> for TemplateText {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty; leave it out".to_owned());
        }
        template::check(Path::new("plan.toml"), &text).map_err(|fault| fault.reason)?;
        Ok(Self(text))
    }
}

impl From<TemplateText> for String {
    fn from(text: TemplateText) -> Self {
        text.0
    }
}

/// A port, or a template that renders to one.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "toml::Value", into = "String")]
struct Port(String);

impl TryFrom<toml::Value> for Port {
    type Error = String;
    fn try_from(value: toml::Value) -> Result<Self, String> {
        let wrong = || format!("{value} is not a port, nor a template that makes one");
        match &value {
            toml::Value::Integer(port) => {
                u16::try_from(*port).map(|port| Self(port.to_string())).map_err(|_| wrong())
            }
            toml::Value::String(text) => TemplateText::try_from(text.clone()).map(|text| Self(text.0)),
            _ => Err(wrong()),
        }
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        port.0
    }
}

impl TryFrom<HealthTable> for HealthPlan {
    type Error = String;
    fn try_from(table: HealthTable) -> Result<Self, String> {
        let probe = match (table.http, table.tcp, table.unix) {
            (Some(url), None, None) => Some(Probe::Http(url.0)),
            (None, Some(address), None) => Some(Probe::Tcp(address.0)),
            (None, None, Some(path)) => Some(Probe::Unix(path.0)),
            (None, None, None)
                if table.interval_s.is_none()
                    && table.timeout_s.is_none()
                    && table.start_delay_s.is_none() =>
            {
                return Err(
                    "[health] needs exactly one of http, tcp and unix, or times for a hook".to_owned()
                );
            }
            (None, None, None) => None,
            _ => return Err("[health] needs exactly one of http, tcp and unix".to_owned()),
        };
        let positive = |what: &str, seconds: Option<Seconds>| match seconds {
            Some(Seconds(0)) => Err(format!("[health] {what} must be at least 1 second")),
            other => Ok(other.map(|s| s.0)),
        };
        let interval_s = positive("interval_s", table.interval_s)?;
        let timeout_s = positive("timeout_s", table.timeout_s)?;
        Ok(Self { probe, interval_s, timeout_s, start_delay_s: table.start_delay_s.map(|s| s.0) })
    }
}

impl From<&HealthPlan> for HealthTable {
    fn from(plan: &HealthPlan) -> Self {
        let text = |text: &String| Some(TemplateText(text.clone()));
        let mut table = Self {
            http: None,
            tcp: None,
            unix: None,
            interval_s: plan.interval_s.map(Seconds),
            timeout_s: plan.timeout_s.map(Seconds),
            start_delay_s: plan.start_delay_s.map(Seconds),
        };
        match &plan.probe {
            Some(Probe::Http(url)) => table.http = text(url),
            Some(Probe::Tcp(address)) => table.tcp = text(address),
            Some(Probe::Unix(path)) => table.unix = text(path),
            None => {}
        }
        table
    }
}

impl TryFrom<DrainTable> for DrainPlan {
    type Error = String;
    fn try_from(table: DrainTable) -> Result<Self, String> {
        let inflight = match table.inflight {
            None => None,
            Some(InflightTable { http: Some(url), connections: None }) => Some(Inflight::Http(url.0)),
            Some(InflightTable { http: None, connections: Some(port) }) => {
                Some(Inflight::Connections(port.0))
            }
            Some(_) => return Err("[drain] inflight needs exactly one of http and connections".to_owned()),
        };
        Ok(Self { inflight, timeout_s: table.timeout_s.map(|s| s.0) })
    }
}

impl From<&DrainPlan> for DrainTable {
    fn from(plan: &DrainPlan) -> Self {
        let text = |text: &String| Some(TemplateText(text.clone()));
        let inflight = plan.inflight.as_ref().map(|inflight| match inflight {
            Inflight::Http(url) => InflightTable { http: text(url), connections: None },
            Inflight::Connections(port) => {
                InflightTable { http: None, connections: Some(Port(port.clone())) }
            }
        });
        Self { timeout_s: plan.timeout_s.map(Seconds), inflight }
    }
}

impl HealthPlan {
    /// Why it does not fit to a package that has a hook `health-check`, or has none.
    #[must_use]
    pub fn misfit(&self, has_hook: bool) -> Option<&'static str> {
        match (&self.probe, has_hook) {
            (Some(_), true) => {
                Some("its health is checked by [health] and by hooks/health-check; keep one of them")
            }
            (None, false) => Some(
                "[health] asks nothing: give it one of http, tcp and unix, or the package a hook hooks/health-check",
            ),
            _ => None,
        }
    }

    /// The text of the metafile.
    #[must_use]
    pub fn to_metafile(&self) -> String {
        toml::to_string(&HealthTable::from(self)).expect("texts and numbers are TOML")
    }

    /// Reads the text of a metafile.
    ///
    /// # Errors
    /// Line and column of what is wrong.
    pub fn from_metafile(text: &str) -> Result<Self, String> {
        toml::from_str::<HealthTable>(text).map_err(|e| e.to_string())?.try_into()
    }
}

impl DrainPlan {
    /// The text of the metafile; empty where the plan says nothing.
    #[must_use]
    pub fn to_metafile(&self) -> String {
        toml::to_string(&DrainTable::from(self)).expect("texts and numbers are TOML")
    }

    /// Reads the text of a metafile.
    ///
    /// # Errors
    /// Line and column of what is wrong.
    pub fn from_metafile(text: &str) -> Result<Self, String> {
        toml::from_str::<DrainTable>(text).map_err(|e| e.to_string())?.try_into()
    }
}
