//! Reads what a package's metafiles say about its service. Checks it against the spec, and writes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{Bind, Demoted, ServiceSpec};
use nix::sys::signal::Signal;

use super::Error;
use crate::host::capabilities::Capabilities;
use crate::package::{self, DrainPlan, HealthPlan, Installed, LimitsPlan, MetaFile};

/// The polite signal.
pub(super) fn shutdown_signal(package: &Installed) -> Result<Signal, Error> {
    let Some(name) = package.line(MetaFile::ShutdownSignal)? else {
        return Ok(Signal::SIGTERM);
    };
    let signal = package::parse_signal(&name);
    let malformed =
        || package.malformed(MetaFile::ShutdownSignal, format!("{name:?} does not stop a process"));
    Ok(signal.ok_or_else(malformed)?)
}

/// Time from the polite signal to KILL, in milliseconds.
pub(super) fn shutdown_timeout_ms(package: &Installed, spec: &ServiceSpec) -> Result<u64, Error> {
    if let Some(ms) = spec.shutdown_timeout_ms {
        return Ok(ms);
    }
    let seconds = match package.line(MetaFile::ShutdownTimeout)? {
        None => package::SHUTDOWN_TIMEOUT_S_DEFAULT,
        Some(text) => {
            let seconds = text.parse().ok().filter(|s| *s <= package::SHUTDOWN_TIMEOUT_S_MAX);
            seconds.ok_or_else(|| {
                let max = package::SHUTDOWN_TIMEOUT_S_MAX;
                package.malformed(
                    MetaFile::ShutdownTimeout,
                    format!("{text:?} is not a number of seconds up to {max}"),
                )
            })?
        }
    };
    Ok(u64::try_from(Duration::from_secs(seconds).as_millis()).unwrap_or(u64::MAX))
}

/// What happens to the service when its member leads no longer.
pub(super) fn demoted(package: &Installed) -> Result<Demoted, Error> {
    let Some(word) = package.line(MetaFile::Demoted)? else { return Ok(Demoted::default()) };
    let malformed = |_| {
        package.malformed(MetaFile::Demoted, format!("{word:?} is none of restart, reconfigure and stop"))
    };
    Ok(word.parse().map_err(malformed)?)
}

/// Limits of the service on its host.
pub(super) fn limits(package: &Installed) -> Result<LimitsPlan, Error> {
    let text = package.metafile(MetaFile::Limits)?.unwrap_or_default();
    Ok(LimitsPlan::from_metafile(&text).map_err(|reason| package.malformed(MetaFile::Limits, reason))?)
}

/// The capabilities that its processes keep.
pub(super) fn capabilities(package: &Installed) -> Result<Capabilities, Error> {
    let text = package.metafile(MetaFile::Capabilities)?.unwrap_or_default();
    let mut names = text.split_whitespace().map(str::parse::<Capabilities>);
    let all = names.try_fold(Capabilities::NONE, |all, one| one.map(|one| all.with(one)));
    Ok(all.map_err(|reason| package.malformed(MetaFile::Capabilities, reason))?)
}

/// How its health is checked.
pub(super) fn health(package: &Installed) -> Result<Option<HealthPlan>, Error> {
    let Some(text) = package.metafile(MetaFile::Health)? else { return Ok(None) };
    let plan = HealthPlan::from_metafile(&text);
    Ok(Some(plan.map_err(|reason| package.malformed(MetaFile::Health, reason))?))
}

/// How it is drained.
pub(super) fn drain(package: &Installed) -> Result<DrainPlan, Error> {
    let text = package.metafile(MetaFile::Drain)?.unwrap_or_default();
    Ok(DrainPlan::from_metafile(&text).map_err(|reason| package.malformed(MetaFile::Drain, reason))?)
}

/// Its binds, the optional ones last.
pub(super) fn binds(package: &Installed) -> Result<Vec<Bind>, Error> {
    let mut binds = Vec::new();
    for (metafile, optional) in [(MetaFile::Binds, false), (MetaFile::BindsOptional, true)] {
        for (name, exports) in package.pairs(metafile)? {
            let exports = exports.split_whitespace().map(str::to_owned).collect();
            binds.push(Bind { name, optional, exports });
        }
    }
    Ok(binds)
}

/// Checks that every bind the package needs is given, and that every bind given exists (as in Habitat).
pub(super) fn check_binds(package: &Installed, binds: &[Bind], spec: &ServiceSpec) -> Result<(), Error> {
    let name_of = |bind: &'_ str| bind.split_once(':').map_or(bind, |(name, _)| name).to_owned();
    let given: BTreeSet<String> = spec.binds.iter().map(|bind| name_of(bind)).collect();
    let ident = package.ident();
    if let Some(Bind { name, .. }) = binds.iter().find(|bind| !bind.optional && !given.contains(&bind.name)) {
        let message = format!("{ident} needs the bind {name:?}; load it with --bind {name}:SERVICE.GROUP");
        return Err(Error::Spec { message });
    }
    if let Some(name) = given.iter().find(|name| !binds.iter().any(|bind| bind.name == **name)) {
        let names: Vec<&str> = binds.iter().map(|bind| bind.name.as_str()).collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::Spec { message: format!("{ident} has no bind {name:?}; its binds: {has}") });
    }
    Ok(())
}
