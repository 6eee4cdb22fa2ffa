//! The row of a service's builds: which one runs, which one it goes back to, which one is refused. The spec says what may
//! run; this row says what does.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message as _;

use crate::model::error::DecodeError;
use crate::model::id::ServiceName;
use crate::model::ident::PackageIdent;
use crate::model::limits::BUILD_REASON_BYTES_MAX;
use crate::model::row::{Table, Write};
use crate::model::update::Refused;

/// The builds of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builds {
    /// The service.
    pub(crate) service: ServiceName,
    /// The spec's ident for which they were chosen; they say nothing of another one.
    pub(crate) of: PackageIdent,
    /// The build that is to run; none before the first start.
    pub(crate) runs: Option<PackageIdent>,
    /// The build to go back to: one that was well, or that an operator had stopped.
    pub(crate) before: Option<PackageIdent>,
    /// Whether what is to run has yet to prove itself.
    pub(crate) on_trial: bool,
    /// The build that is not tried any more.
    pub(crate) refused: Option<Refused>,
    /// The build that an operator wants.
    pub(crate) ordered: Option<PackageIdent>,
    /// An operator chose what is to run: it stands until something else is there to be taken than was then.
    pub(crate) chosen: Option<Chosen>,
}

/// A choice of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// What was there to be taken instead, once that is known.
    pub(crate) over: Option<PackageIdent>,
}

impl Builds {
    /// The builds of a service that was never started.
    pub(crate) const fn new(service: ServiceName, of: PackageIdent) -> Self {
        let (runs, before, refused, ordered, chosen) = (None, None, None, None, None);
        Self { service, of, runs, before, on_trial: false, refused, ordered, chosen }
    }

    /// The service.
    #[must_use]
    pub const fn service(&self) -> &ServiceName {
        &self.service
    }

    /// The build that is to run.
    #[must_use]
    pub const fn runs(&self) -> Option<&PackageIdent> {
        self.runs.as_ref()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct BuildsRecord {
    #[prost(string, tag = "1")]
    of: String,
    #[prost(string, optional, tag = "2")]
    runs: Option<String>,
    #[prost(string, optional, tag = "3")]
    before: Option<String>,
    #[prost(bool, tag = "4")]
    on_trial: bool,
    #[prost(string, optional, tag = "5")]
    refused: Option<String>,
    #[prost(string, tag = "6")]
    refused_why: String,
    #[prost(bool, tag = "7")]
    refused_left: bool,
    #[prost(string, optional, tag = "8")]
    ordered: Option<String>,
    #[prost(bool, tag = "9")]
    chosen: bool,
    #[prost(string, optional, tag = "10")]
    chosen_over: Option<String>,
}

/// A reason as a row keeps it.
pub(crate) fn reason(text: &str) -> String {
    let mut end = text.len().min(BUILD_REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    assert!(end <= BUILD_REASON_BYTES_MAX, "a stored row can be read back");
    String::from(&text[..end])
}

/// The row that stores these builds.
pub(crate) fn store(builds: &Builds) -> Write {
    let text = |ident: &Option<PackageIdent>| ident.as_ref().map(|ident| ident.to_string());
    let refused = builds.refused.as_ref();
    let record = BuildsRecord {
        of: builds.of.to_string(),
        runs: text(&builds.runs),
        before: text(&builds.before),
        on_trial: builds.on_trial,
        refused: refused.map(|refused| refused.ident.to_string()),
        refused_why: refused.map(|refused| reason(&refused.reason)).unwrap_or_default(),
        refused_left: refused.is_some_and(|refused| refused.left),
        ordered: text(&builds.ordered),
        chosen: builds.chosen.is_some(),
        chosen_over: builds.chosen.as_ref().and_then(|chosen| text(&chosen.over)),
    };
    assert!(builds.of.service_name() == builds.service, "builds are stored under their service's name");
    Write { table: Table::Build, key: key(&builds.service), value: Some(record.encode_to_vec()) }
}

/// The row that deletes a service's builds.
pub(crate) fn delete(service: &ServiceName) -> Write {
    Write { table: Table::Build, key: key(service), value: None }
}

fn key(service: &ServiceName) -> Vec<u8> {
    service.as_str().as_bytes().to_vec()
}

impl Write {
    /// For a row of [`Table::Build`]: the builds that it stores. None for rows of other tables, and for one that deletes.
    ///
    /// # Errors
    /// The row is not one that the core writes.
    pub fn builds(&self) -> Option<Result<Builds, DecodeError>> {
        let value = self.value.as_deref().filter(|_| self.table == Table::Build)?;
        Some(decode(&self.key, value))
    }
}

/// Reads a row of the table back.
///
/// # Errors
/// Not builds, or those of another service.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Builds, DecodeError> {
    let record = BuildsRecord::decode(value).map_err(|_| DecodeError::Protobuf)?;
    let of: PackageIdent = record.of.parse().map_err(|_| DecodeError::Invalid("of"))?;
    let service = of.service_name();
    if service.as_str().as_bytes() != key {
        return Err(DecodeError::Invalid("key"));
    }
    if record.refused_why.len() > BUILD_REASON_BYTES_MAX {
        return Err(DecodeError::Invalid("refused_why"));
    }
    let build = |name: &'static str, text: Option<String>| -> Result<Option<PackageIdent>, DecodeError> {
        let Some(text) = text else { return Ok(None) };
        let ident: PackageIdent = text.parse().map_err(|_| DecodeError::Invalid(name))?;
        if !ident.is_fully_qualified() || ident.service_name() != service {
            return Err(DecodeError::Invalid(name));
        }
        Ok(Some(ident))
    };
    let refused = build("refused", record.refused)?;
    let (reason, left) = (record.refused_why, record.refused_left);
    let over = build("chosen_over", record.chosen_over)?;
    Ok(Builds {
        runs: build("runs", record.runs)?,
        before: build("before", record.before)?,
        on_trial: record.on_trial,
        refused: refused.map(|ident| Refused { ident, reason, left }),
        ordered: build("ordered", record.ordered)?,
        chosen: record.chosen.then_some(Chosen { over }),
        service,
        of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option;
    use proptest::prelude::*;

    fn builds() -> impl Strategy<Value = PackageIdent> {
        "[0-9]{1,2}\\.[0-9]{1,2}".prop_map(|version| format(&version).parse().expect("generated to be valid"))
    }

    fn format(version: &str) -> String {
        alloc::format!("acme/web/{version}/20260101000000")
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            runs in option::of(builds()), before in option::of(builds()), on_trial: bool, left: bool,
            refused in option::of(builds()), ordered in option::of(builds()), chosen in option::of(option::of(builds())),
            why in ".{0,2000}",
        ) {
            let of: PackageIdent = "acme/web".parse().expect("valid");
            let refused = refused.map(|ident| Refused { ident, reason: reason(&why), left });
            let chosen = chosen.map(|over| Chosen { over });
            let new = Builds::new(of.service_name(), of);
            let builds = Builds { runs, before, on_trial, refused, ordered, chosen, ..new };
            let row = store(&builds);
            prop_assert_eq!(decode(&row.key, &row.value.expect("a store has a value")), Ok(builds));
        }

        #[test]
        fn random_bytes_never_panic(key: Vec<u8>, value: Vec<u8>) {
            let _ = decode(&key, &value);
        }
    }

    #[test]
    fn builds_of_other_packages_and_half_idents_are_no_row() {
        let of = |text: &str| text.parse::<PackageIdent>().expect("valid");
        let row = |runs: &str| {
            let new = Builds::new(of("acme/web").service_name(), of("acme/web"));
            store(&Builds { runs: Some(of(runs)), ..new })
        };
        let read = |row: &Write| decode(&row.key, row.value.as_deref().expect("a value"));
        assert_eq!(read(&row("acme/web/1.0")), Err(DecodeError::Invalid("runs")));
        assert_eq!(read(&row("acme/db/1.0/20260101000000")), Err(DecodeError::Invalid("runs")));
        let good = row("acme/web/1.0/20260101000000");
        assert_eq!(decode(b"db", good.value.as_deref().expect("a value")), Err(DecodeError::Invalid("key")));
        assert!(read(&good).is_ok());
    }
}
