//! Finds the packages that the services of this root's supervisors use. Only asks and reads.

use std::fs;
use std::io;

use annulus_core::PackageIdent;

use crate::cli::{CliError, block_on, target};
use crate::gateway::ctl::convert::ident_text;
use crate::gateway::ctl::message::{ServiceStatus, SvcStatus};
use crate::host::root::{Root, SupDir};
use crate::host::small_file;
use crate::package::InUse;

/// The packages that are in use: those that the spec files of every supervisor ask for, and those that the services of
/// running supervisors run from.
pub(super) fn services(root: &Root) -> Result<Vec<InUse>, CliError> {
    let mut found = Vec::new();
    let dir = root.path().join("sup");
    let names = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(source) => return Err(CliError::io(dir.display().to_string())(source)),
    };
    for entry in names {
        let entry = entry.map_err(CliError::io(dir.display().to_string()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let sup = root.sup(&name);
        found.extend(in_specs(&sup, &name)?);
        found.extend(running(&sup, &name)?);
    }
    Ok(found)
}

/// The packages that spec files ask for.
/// A file that cannot be read is an error, because its service may need any package.
fn in_specs(sup: &SupDir, name: &str) -> Result<Vec<InUse>, CliError> {
    let dir = sup.path().join("specs");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(CliError::io(dir.display().to_string())(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(CliError::io(dir.display().to_string()))?.path();
        if path.extension().is_none_or(|extension| extension != "spec") {
            continue;
        }
        let text = small_file::read_to_string(&path).map_err(CliError::io(path.display().to_string()))?;
        let table: Option<toml::Table> = toml::from_str(&text).ok();
        let ident = table.as_ref().and_then(|table| table.get("ident")?.as_str()?.parse().ok());
        let ident: PackageIdent = ident.ok_or_else(|| {
            CliError::Usage(format!(
                "{} is no spec with an ident, so what its service needs is not known; correct or remove it",
                path.display()
            ))
        })?;
        found.push(InUse { service: ident.service_name(), supervisor: name.to_owned(), ident });
    }
    Ok(found)
}

fn running(sup: &SupDir, name: &str) -> Result<Vec<InUse>, CliError> {
    let list: Vec<ServiceStatus> = block_on(async {
        match target::connect_local(sup, || Ok(None)).await? {
            Some(client) => Ok(client.query(&SvcStatus { ident: None }).await?),
            None => Ok(Vec::new()),
        }
    })?;
    let idents = list.iter().filter_map(|status| ident_text(&status.ident).parse::<PackageIdent>().ok());
    Ok(idents
        .map(|ident| InUse { service: ident.service_name(), supervisor: name.to_owned(), ident })
        .collect())
}
