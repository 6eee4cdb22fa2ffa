//! JSON of what operators gave to groups: numbers, sizes, hashes and conflicts.
//! Never the contents, which may be secret.

use annulus_core::{CensusVersion, CensusVersions};
use serde_json::{Map, Value, json};

/// A group's configuration; null when there is none.
pub(super) fn config(versions: &CensusVersions) -> Value {
    versions.config.as_ref().map_or(Value::Null, |version| Value::Object(entry(version)))
}

/// A group's files by name.
pub(super) fn files(versions: &CensusVersions) -> Value {
    let file = |(name, version): (&annulus_core::FileName, &CensusVersion)| {
        let mut value = entry(version);
        value.insert("filename".into(), name.as_str().into());
        (name.to_string(), Value::Object(value))
    };
    Value::Object(versions.files.iter().map(file).collect())
}

fn entry(version: &CensusVersion) -> Map<String, Value> {
    let value = json!({
        "incarnation": version.incarnation,
        "writer": version.writer.map(|id| id.to_string()),
        "bytes": version.bytes,
        "hash": format!("{:016x}", version.hash),
        "conflict": conflict(version),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn conflict(version: &CensusVersion) -> Value {
    if version.losers.is_empty() {
        return Value::Null;
    }
    let losers: Vec<String> = version.losers.iter().map(ToString::to_string).collect();
    let note = format!(
        "another version {} was applied through {} at the same time and is not in effect; apply it again under a \
         higher number",
        version.incarnation,
        losers.join(", ")
    );
    json!({ "losers": losers, "note": note })
}
