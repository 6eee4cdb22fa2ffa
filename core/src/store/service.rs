//! A service's spec as a row of the service table: key is the service's name, value a protobuf message.
//!
//! Closed choices are stored as the words that flags and JSON use, so that a row means the same in every release.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::str::FromStr;
use prost::Message as _;

use crate::model::error::{DecodeError, ParseError};
use crate::model::id::ServiceName;
use crate::model::limits;
use crate::model::mutant::mutated;
use crate::model::row::{Table, Write};
use crate::model::service::ServiceSpec;

#[derive(Clone, PartialEq, prost::Message)]
struct SpecRecord {
    #[prost(string, tag = "1")]
    ident: String,
    #[prost(string, tag = "2")]
    group: String,
    #[prost(string, tag = "3")]
    topology: String,
    #[prost(string, tag = "4")]
    update_strategy: String,
    #[prost(string, tag = "5")]
    update_condition: String,
    #[prost(string, tag = "6")]
    channel: String,
    #[prost(string, tag = "7")]
    bldr_url: String,
    #[prost(string, repeated, tag = "8")]
    binds: Vec<String>,
    #[prost(string, tag = "9")]
    binding_mode: String,
    #[prost(string, optional, tag = "10")]
    config_from: Option<String>,
    #[prost(uint64, optional, tag = "11")]
    shutdown_timeout_ms: Option<u64>,
    #[prost(uint64, tag = "12")]
    health_check_interval_ms: u64,
    #[prost(string, tag = "13")]
    desired: String,
    #[prost(string, optional, tag = "14")]
    maintenance: Option<String>,
    #[prost(uint32, optional, tag = "15")]
    quorum: Option<u32>,
}

impl Write {
    /// For a row of [`Table::Service`]: the service that it is about, and its spec unless it is deleted. A runtime
    /// that keeps specs as files for people reads them from here. None for rows of other tables.
    ///
    /// # Errors
    /// The row is not one that the core writes.
    pub fn service(&self) -> Option<Result<(ServiceName, Option<ServiceSpec>), DecodeError>> {
        (self.table == Table::Service).then(|| {
            let name = core::str::from_utf8(&self.key).ok().and_then(|key| key.parse().ok());
            let name = name.ok_or(DecodeError::Invalid("key"))?;
            let spec = self.value.as_deref().map(|value| decode(&self.key, value)).transpose()?;
            Ok((name, spec))
        })
    }

    /// The row that stores this spec; what [`Write::service`] reads back.
    #[must_use]
    pub fn of_service(spec: &ServiceSpec) -> Self {
        store(spec)
    }

    /// The row that deletes this service's spec.
    #[must_use]
    pub fn no_service(service: &ServiceName) -> Self {
        delete(service)
    }
}

/// The row's value for this spec.
pub(crate) fn encode(spec: &ServiceSpec) -> Vec<u8> {
    SpecRecord {
        ident: spec.ident.to_string(),
        group: spec.group.clone(),
        topology: spec.topology.to_string(),
        update_strategy: spec.update_strategy.to_string(),
        update_condition: spec.update_condition.to_string(),
        channel: spec.channel.clone(),
        bldr_url: spec.bldr_url.clone(),
        binds: spec.binds.clone(),
        binding_mode: spec.binding_mode.to_string(),
        config_from: spec.config_from.clone(),
        shutdown_timeout_ms: spec.shutdown_timeout_ms,
        health_check_interval_ms: spec.health_check_interval_ms,
        desired: spec.desired.to_string(),
        maintenance: spec.maintenance.clone(),
        quorum: spec.quorum,
    }
    .encode_to_vec()
}

/// Reads a row of the service table back.
///
/// # Errors
/// Bytes beyond the limit, not protobuf, a missing or impossible field, or a key that is another service's.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<ServiceSpec, DecodeError> {
    if value.len() > limits::SERVICE_SPEC_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: value.len(), limit: limits::SERVICE_SPEC_BYTES_MAX });
    }
    let record = SpecRecord::decode(value).map_err(|_| DecodeError::Protobuf)?;
    let spec = ServiceSpec {
        ident: field("ident", &record.ident)?,
        topology: field("topology", &record.topology)?,
        update_strategy: field("update_strategy", &record.update_strategy)?,
        update_condition: field("update_condition", &record.update_condition)?,
        binding_mode: field("binding_mode", &record.binding_mode)?,
        desired: field("desired", &record.desired)?,
        group: record.group,
        channel: record.channel,
        bldr_url: record.bldr_url,
        binds: record.binds,
        config_from: record.config_from,
        shutdown_timeout_ms: record.shutdown_timeout_ms,
        health_check_interval_ms: record.health_check_interval_ms,
        maintenance: mutated!(MaintenanceForgotten, record.maintenance, None),
        quorum: record.quorum,
    };
    spec.service_group(None).map_err(|_| DecodeError::Invalid("group"))?;
    if spec.name().as_str().as_bytes() != key {
        return Err(DecodeError::Invalid("key"));
    }
    assert!(value.len() <= limits::SERVICE_SPEC_BYTES_MAX, "a row that was read is within its limit");
    Ok(spec)
}

fn field<T: FromStr<Err = ParseError>>(name: &'static str, text: &str) -> Result<T, DecodeError> {
    if text.is_empty() {
        return Err(DecodeError::Missing(name));
    }
    text.parse().map_err(|_| DecodeError::Invalid(name))
}

/// The row that stores this spec.
pub(crate) fn store(spec: &ServiceSpec) -> Write {
    Write { table: Table::Service, key: key(&spec.name()), value: Some(encode(spec)) }
}

/// The row that deletes this service's spec.
pub(crate) fn delete(service: &ServiceName) -> Write {
    Write { table: Table::Service, key: key(service), value: None }
}

fn key(service: &ServiceName) -> Vec<u8> {
    service.as_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{
        BindingMode, DesiredState, ServiceSpec, Topology, UpdateCondition, UpdateStrategy,
    };
    use proptest::prelude::*;
    use proptest::{collection, option, sample};

    fn specs() -> impl Strategy<Value = ServiceSpec> {
        let text = "[a-z ./:_-]{0,20}";
        let words = (
            sample::select(Topology::ALL),
            sample::select(UpdateStrategy::ALL),
            sample::select(UpdateCondition::ALL),
            sample::select(BindingMode::ALL),
            sample::select(DesiredState::ALL),
        );
        let texts = (text, text, collection::vec(text, 0..4), option::of(text), option::of(text));
        let numbers = (option::of(any::<u64>()), any::<u64>(), option::of(any::<u32>()));
        ("[a-z]{1,9}/[a-z]{1,9}(/[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{14})?)?", "[a-z]{1,9}", words, texts, numbers)
            .prop_map(|(ident, group, words, texts, numbers)| ServiceSpec {
                ident: ident.parse().expect("generated to be valid"),
                group,
                topology: words.0,
                update_strategy: words.1,
                update_condition: words.2,
                binding_mode: words.3,
                desired: words.4,
                channel: texts.0,
                bldr_url: texts.1,
                binds: texts.2,
                config_from: texts.3,
                maintenance: texts.4,
                shutdown_timeout_ms: numbers.0,
                health_check_interval_ms: numbers.1,
                quorum: numbers.2,
            })
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(spec in specs()) {
            let row = store(&spec);
            prop_assert_eq!(row.table, Table::Service);
            prop_assert_eq!(decode(&row.key, &row.value.expect("a store has a value")), Ok(spec));
        }

        #[test]
        fn damaged_rows_are_rejected_or_still_valid(spec in specs(), at: sample::Index, to: u8) {
            let row = store(&spec);
            let mut value = row.value.expect("a store has a value");
            let at = at.index(value.len());
            value[at] = to;
            if let Ok(read) = decode(&row.key, &value) {
                prop_assert_eq!(read.name(), spec.name());
                prop_assert!(read.service_group(None).is_ok());
            }
        }

        #[test]
        fn random_bytes_never_panic(key: Vec<u8>, value: Vec<u8>) {
            let _ = decode(&key, &value);
        }
    }

    #[test]
    fn rejections_name_the_field() {
        let spec = ServiceSpec::new("acme/web".parse().expect("valid"));
        assert_eq!(decode(b"web", b""), Err(DecodeError::Missing("ident")));
        assert_eq!(decode(b"db", &encode(&spec)), Err(DecodeError::Invalid("key")));
        assert_eq!(decode(b"web", b"\xff\xff"), Err(DecodeError::Protobuf));
        let outside = ServiceSpec { group: "../etc".into(), ..spec.clone() };
        assert_eq!(decode(b"web", &encode(&outside)), Err(DecodeError::Invalid("group")));
        let huge = ServiceSpec { binds: alloc::vec!["x".repeat(70_000)], ..spec };
        assert!(matches!(decode(b"web", &encode(&huge)), Err(DecodeError::TooLong { .. })));
    }
}
