//! `annulus pkg info FILE|IDENT`: shows what a package says about itself. Verifies nothing: `pkg verify` does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use annulus_core::PackageIdent;
use serde_json::{Value, json};

use super::{lines, print};
use crate::host::root::Root;
use crate::package::{self, Error, Hart, Limits, MetaFile};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Package file, or an installed package: origin/name[/version[/release]]
    #[arg(value_name = "FILE|IDENT")]
    package: String,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
}

/// The facts that are shown of a package.
struct Facts {
    ident: PackageIdent,
    /// Label and value for people: the signer of a file, or the path of an installed package.
    origin: (&'static str, String),
    /// How many files and bytes a package file holds.
    holds: Option<(u64, u64)>,
    metafiles: BTreeMap<MetaFile, String>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    let path = Path::new(&args.package);
    let facts = match args.package.parse::<PackageIdent>() {
        Ok(ident) if !path.exists() => of_installed(root, &ident)?,
        _ => of_file(path)?,
    };
    print(&if args.json { format!("{:#}\n", facts.json()) } else { facts.text() });
    Ok(0)
}

fn of_file(path: &Path) -> Result<Facts, Error> {
    let mut hart = Hart::open(path)?;
    let said = package::inspect(&mut hart, Limits::default())?;
    Ok(Facts {
        ident: said.ident,
        origin: ("Signed by", format!("{} (not verified)", hart.header().signer)),
        holds: Some((said.files_count, said.bytes)),
        metafiles: said.metafiles,
    })
}

fn of_installed(root: &Root, ident: &PackageIdent) -> Result<Facts, Error> {
    let package = package::newest(root, ident)?;
    let mut metafiles = BTreeMap::new();
    for metafile in MetaFile::ALL {
        if !lines(&package, metafile)?.is_empty() {
            metafiles.insert(metafile, package.metafile(metafile)?.unwrap_or_default());
        }
    }
    let origin = ("Installed in", package.path().display().to_string());
    Ok(Facts { ident: package.ident().clone(), origin, holds: None, metafiles })
}

const LABELS: [(&str, MetaFile); 9] = [
    ("Target", MetaFile::Target),
    ("Needs", MetaFile::Deps),
    ("Exports", MetaFile::Exports),
    ("Ports", MetaFile::Exposes),
    ("Binds", MetaFile::Binds),
    ("May bind", MetaFile::BindsOptional),
    ("Runs as", MetaFile::SvcUser),
    ("Stop signal", MetaFile::ShutdownSignal),
    ("Killed after", MetaFile::ShutdownTimeout),
];

impl Facts {
    fn text(&self) -> String {
        let (label, value) = &self.origin;
        let mut text = format!("Package      : {}\n{label:<13}: {value}\n", self.ident);
        if let Some((files, bytes)) = self.holds {
            let _ = writeln!(text, "Holds        : {files} files, {bytes} bytes");
        }
        for (name, metafile) in LABELS {
            let said = self.metafiles.get(&metafile).map_or("", String::as_str);
            let lines: Vec<&str> = said.lines().collect();
            if !lines.is_empty() {
                let unit = if metafile == MetaFile::ShutdownTimeout { " s" } else { "" };
                let _ = writeln!(text, "{name:<13}: {}{unit}", lines.join(", "));
            }
        }
        if let Some(manifest) = self.metafiles.get(&MetaFile::Manifest) {
            let _ = write!(text, "\n{manifest}");
        }
        text
    }

    fn json(&self) -> Value {
        let (label, value) = &self.origin;
        let metafiles: serde_json::Map<_, _> = self
            .metafiles
            .iter()
            .map(|(metafile, text)| (metafile.file_name().to_lowercase(), text.trim_end().into()))
            .collect();
        json!({
            "ident": self.ident.to_string(),
            "origin": self.ident.origin(),
            "name": self.ident.name(),
            "version": self.ident.version(),
            "release": self.ident.release(),
            label.to_lowercase().replace(' ', "_"): value,
            "files": self.holds.map(|(files, _)| files),
            "bytes": self.holds.map(|(_, bytes)| bytes),
            "metafiles": metafiles,
        })
    }
}
