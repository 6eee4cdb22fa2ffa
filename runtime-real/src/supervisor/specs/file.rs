//! A spec file: one service's options as TOML, with Habitat's names. Reads and prints text, and touches no disk.

use std::fmt;
use std::str::FromStr;

use annulus_core::{
    BindingMode, DesiredState, PackageIdent, ServiceGroup, ServiceName, ServiceSpec, Topology,
    UpdateCondition, UpdateStrategy, Write,
};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The first line of a spec file that annulus writes.
const HEADER: &str = "# What annulus keeps running here. Changes to this file are taken in at once.\n";

/// A value that the file holds as text.
#[derive(Clone, Debug)]
struct Text<T>(T);

/// A type whose values a spec file holds as text.
trait Written: FromStr + fmt::Display {
    /// The form of the text, for messages.
    fn form() -> String;
}

macro_rules! choice {
    ($($name:ident),+) => {
        $(impl Written for $name {
            fn form() -> String {
                let words: Vec<_> = Self::ALL.iter().map(|word| format!("{:?}", word.name())).collect();
                format!("one of {}", words.join(", "))
            }
        })+
    };
}

choice!(Topology, UpdateStrategy, UpdateCondition, BindingMode, DesiredState);

impl Written for PackageIdent {
    fn form() -> String {
        "a package ident: origin/name[/version[/release]]".to_owned()
    }
}

impl<T: Written> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: Written> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom(format!("{text:?} is not {}", T::form())))
    }
}

/// Milliseconds, written as seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seconds(u64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1000 {
            0 => serializer.serialize_u64(self.0 / 1000),
            _ => serializer.serialize_f64(self.0 as f64 / 1000.0),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Seconds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds, 0 or more")
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Seconds, E> {
                let seconds = u64::try_from(n).ok().and_then(|n| n.checked_mul(1000));
                seconds.map(Seconds).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(n), &self))
            }
            fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<Seconds, E> {
                let ms = (n * 1000.0).round();
                // Beyond this a double no longer tells milliseconds apart.
                if (0.0..9.0e15).contains(&ms) {
                    Ok(Seconds(ms as u64))
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Float(n), &self))
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// Time between health checks, as Habitat writes it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Interval {
    secs: u64,
    #[serde(default)]
    nanos: u32,
}

/// A spec file as it is written; an absent option takes this supervisor's default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SpecFile {
    ident: Text<PackageIdent>,
    group: Option<String>,
    bldr_url: Option<String>,
    channel: Option<String>,
    topology: Option<Text<Topology>>,
    update_strategy: Option<Text<UpdateStrategy>>,
    update_condition: Option<Text<UpdateCondition>>,
    binds: Option<Vec<Bind>>,
    binding_mode: Option<Text<BindingMode>>,
    config_from: Option<String>,
    desired_state: Option<Text<DesiredState>>,
    maintenance: Option<String>,
    quorum: Option<u32>,
    shutdown_timeout: Option<Seconds>,
    health_check_interval: Option<Interval>,
}

/// `name:service.group[@org]`
#[derive(Clone, Debug)]
struct Bind(String);

impl Serialize for Bind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match parse_bind(&text) {
            Some(_) => Ok(Self(text)),
            None => Err(D::Error::custom(format!(
                "{text:?} is not a bind: name:service.group or name:service.group@org"
            ))),
        }
    }
}

/// Reads `name:service.group[@org]`; none when it is not of that form.
#[must_use]
pub fn parse_bind(text: &str) -> Option<(ServiceName, ServiceGroup)> {
    let (name, group) = text.split_once(':')?;
    Some((name.parse().ok()?, group.parse().ok()?))
}

/// The service that a file of this name is about; none when it is no spec file.
pub(super) fn service_of(file_name: &str) -> Option<Result<ServiceName, String>> {
    let stem = file_name.strip_suffix(".spec").filter(|_| !file_name.starts_with('.'))?;
    Some(stem.parse().map_err(|error| format!("{stem:?} names no service: {error}")))
}

/// Reads the spec file of `service`.
///
/// # Errors
/// Says what is wrong with it, and on which line where there is one.
pub fn parse(service: &ServiceName, text: &str) -> Result<ServiceSpec, String> {
    let file: SpecFile = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let ident = file.ident.0;
    if ident.service_name() != *service {
        return Err(format!("it loads {ident}, so its name has to be {}.spec", ident.name()));
    }
    let default = ServiceSpec::new(ident);
    let interval = file.health_check_interval;
    let interval_ms =
        interval.map(|i| i.secs.saturating_mul(1000).saturating_add(u64::from(i.nanos) / 1_000_000));
    let spec = ServiceSpec {
        group: file.group.unwrap_or(default.group),
        bldr_url: file.bldr_url.unwrap_or(default.bldr_url),
        channel: file.channel.unwrap_or(default.channel),
        topology: file.topology.map_or(default.topology, |word| word.0),
        update_strategy: file.update_strategy.map_or(default.update_strategy, |word| word.0),
        update_condition: file.update_condition.map_or(default.update_condition, |word| word.0),
        binds: file.binds.unwrap_or_default().into_iter().map(|bind| bind.0).collect(),
        binding_mode: file.binding_mode.map_or(default.binding_mode, |word| word.0),
        config_from: file.config_from,
        desired: file.desired_state.map_or(default.desired, |word| word.0),
        maintenance: file.maintenance,
        quorum: file.quorum,
        shutdown_timeout_ms: file.shutdown_timeout.map(|seconds| seconds.0),
        health_check_interval_ms: interval_ms.unwrap_or(default.health_check_interval_ms),
        ident: default.ident,
    };
    check(&spec)?;
    Ok(spec)
}

/// Checks what the form alone cannot tell.
fn check(spec: &ServiceSpec) -> Result<(), String> {
    if let Err(error) = ServiceGroup::new(spec.ident.name(), &spec.group, None) {
        return Err(format!("group = {:?}: {error}", spec.group));
    }
    if spec.health_check_interval_ms == 0 {
        return Err("health_check_interval is 0: a health check needs a pause, 1 second or more".to_owned());
    }
    // The core stores nothing that it could not read back.
    match Write::of_service(spec).service() {
        Some(Err(error)) => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// The text of a spec file; options without a value are left out.
///
/// # Errors
/// An option holds what TOML cannot express.
pub fn print(spec: &ServiceSpec) -> Result<String, String> {
    let ms = spec.health_check_interval_ms;
    let nanos = u32::try_from(ms % 1000 * 1_000_000).unwrap_or_default();
    let file = SpecFile {
        ident: Text(spec.ident.clone()),
        group: Some(spec.group.clone()),
        bldr_url: Some(spec.bldr_url.clone()),
        channel: Some(spec.channel.clone()),
        topology: Some(Text(spec.topology)),
        update_strategy: Some(Text(spec.update_strategy)),
        update_condition: Some(Text(spec.update_condition)),
        binds: Some(spec.binds.iter().cloned().map(Bind).collect()),
        binding_mode: Some(Text(spec.binding_mode)),
        config_from: spec.config_from.clone(),
        desired_state: Some(Text(spec.desired)),
        maintenance: spec.maintenance.clone(),
        quorum: spec.quorum,
        shutdown_timeout: spec.shutdown_timeout_ms.map(Seconds),
        health_check_interval: Some(Interval { secs: ms / 1000, nanos }),
    };
    let text = toml::to_string(&file).map_err(|error| error.to_string())?;
    Ok(format!("{HEADER}{text}"))
}
