//! What a depot says of one package: Habitat's package document, with what its client demands, and more beside it. Habitat's
//! client ignores what it does not know.

use annulus_core::PackageIdent;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::keys::crypto::Hash;
use crate::package::{Inspection, MetaFile};

/// An ident in its parts, as documents have it. A part that is not given is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ident {
    origin: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<String>,
}

impl From<&PackageIdent> for Ident {
    fn from(ident: &PackageIdent) -> Self {
        Self {
            origin: ident.origin().to_owned(),
            name: ident.name().to_owned(),
            version: ident.version().map(str::to_owned),
            release: ident.release().map(str::to_owned),
        }
    }
}

impl Ident {
    /// The ident, where the parts make one. Empty parts count as left out (as in Habitat).
    #[must_use]
    pub fn ident(&self) -> Option<PackageIdent> {
        let parts = [Some(&self.origin), Some(&self.name), self.version.as_ref(), self.release.as_ref()];
        let parts: Vec<&str> =
            parts.into_iter().flatten().map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join("/").parse().ok()
    }
}

/// One package of a depot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    ident: Ident,
    /// The BLAKE2b hash of the whole file.
    pub checksum: String,
    /// Its description.
    #[serde(default)]
    pub manifest: String,
    /// The platform that it runs on.
    #[serde(default)]
    pub target: Option<String>,
    /// The packages that it needs itself.
    #[serde(default)]
    pub deps: Vec<Ident>,
    /// The packages that it needs, also through others.
    #[serde(default)]
    pub tdeps: Vec<Ident>,
    /// Its ports.
    #[serde(default)]
    pub exposes: Vec<u16>,
    /// Its default configuration, TOML.
    #[serde(default)]
    pub config: String,
    /// How large its file is, in bytes; not known of packages in other depots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// When it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// What is known of a package's file beside what is in it.
pub(super) struct FileFacts<'a> {
    pub(super) checksum: &'a Hash,
    pub(super) size_bytes: u64,
    pub(super) signer: String,
    pub(super) target: String,
    pub(super) created_at: String,
}

impl Record {
    /// The record of a file that was looked into.
    ///
    /// # Errors
    /// It names a dependency that is no ident.
    pub(super) fn of(said: &Inspection, config: String, facts: FileFacts<'_>) -> Result<Self, Error> {
        let text = |metafile| said.metafiles.get(&metafile).map_or("", String::as_str);
        let idents = |metafile: MetaFile| {
            let lines = text(metafile).lines().map(str::trim).filter(|line| !line.is_empty());
            lines
                .map(|line| match line.parse::<PackageIdent>() {
                    Ok(ident) => Ok(Ident::from(&ident)),
                    Err(_) => Err(Error::Refused(format!(
                        "its {} names {line:?}, which is no ident",
                        metafile.file_name()
                    ))),
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            ident: Ident::from(&said.ident),
            checksum: facts.checksum.to_string(),
            manifest: text(MetaFile::Manifest).to_owned(),
            target: Some(facts.target),
            deps: idents(MetaFile::Deps)?,
            tdeps: idents(MetaFile::Tdeps)?,
            exposes: text(MetaFile::Exposes)
                .split_whitespace()
                .filter_map(|port| port.parse().ok())
                .collect(),
            config,
            size_bytes: Some(facts.size_bytes),
            signer: Some(facts.signer),
            created_at: Some(facts.created_at),
        })
    }

    /// The package, where the record names one build.
    #[must_use]
    pub fn ident(&self) -> Option<PackageIdent> {
        self.ident.ident().filter(PackageIdent::is_fully_qualified)
    }

    /// The hash of the whole file, where the record has one.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        self.checksum.parse().ok()
    }
}
