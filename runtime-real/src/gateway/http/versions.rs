//! JSON of what operators gave to groups: numbers, sizes, hashes and conflicts.
//! Never the contents, which may be secret.

use annulus_core::{CensusVersion, CensusVersions};
use serde_json::{Map, Value, json};

/// A group's configuration; null when there is none.
pub(super) fn config(versions: &CensusVersions) -> Value {
    let sealed = versions.sealed_config.as_ref().map(|version| entry(version, true));
    let shown = sealed.or_else(|| versions.config.as_ref().map(|version| entry(version, false)));
    shown.map_or(Value::Null, Value::Object)
}

/// A group's files by name.
pub(super) fn files(versions: &CensusVersions) -> Value {
    let file = |name: &annulus_core::FileName, version: &CensusVersion, is_sealed| {
        let mut value = entry(version, is_sealed);
        value.insert("filename".into(), name.as_str().into());
        (name.to_string(), Value::Object(value))
    };
    let plain = versions.files.iter().map(|(name, version)| file(name, version, false));
    let sealed = versions.sealed_files.iter().map(|(name, version)| file(name, version, true));
    Value::Object(plain.chain(sealed).collect())
}

/// Size and hash of a sealed one are those of its box.
fn entry(version: &CensusVersion, is_sealed: bool) -> Map<String, Value> {
    let value = json!({
        "incarnation": version.incarnation,
        "encrypted": is_sealed,
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
