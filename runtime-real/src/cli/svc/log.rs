//! `annulus svc log NAME`: shows what a service wrote. Reads the files below the root, and asks no supervisor.

use annulus_core::{PackageIdent, ServiceGroup, ServiceName};

use crate::cli::log::read::Kind;
use crate::cli::target::is_there;
use crate::cli::{CliError, Global, Outcome, log};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service, by its name, its group (name.group) or its package (origin/name)
    #[arg(value_name = "NAME", value_parser = service)]
    service: ServiceName,
    #[command(flatten)]
    lines: log::Lines,
}

fn service(text: &str) -> Result<ServiceName, String> {
    let group = text.parse::<ServiceGroup>().map(|group| group.service().to_owned());
    let package = text.parse::<PackageIdent>().map(|ident| ident.name().to_owned());
    let name = group.or(package).unwrap_or_else(|_| text.to_owned());
    name.parse().map_err(|_| {
        format!("{text:?} names no service; write its name, as in redis, or its package, as in core/redis")
    })
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let root = global.root()?;
    let svc = root.svc(&args.service);
    if !is_there(&svc)? {
        return Err(CliError::NoLog { service: args.service.to_string(), root: root.path().to_owned() });
    }
    log::show(&root.svc_log(&args.service), Kind::Service, &args.lines)
}
