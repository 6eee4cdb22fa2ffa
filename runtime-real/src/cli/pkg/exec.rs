//! `annulus pkg exec IDENT CMD ARGS…`: becomes a program that runs with a package's variables. Drops no rights, and
//! limits nothing.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use annulus_core::PackageIdent;

use super::ident;
use crate::cli::{CliError, Outcome};
use crate::host::root::Root;
use crate::launcher;
use crate::package;
use crate::prepare;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
    /// The program: looked for in the package, in the packages that it needs, and on PATH, in this order
    #[arg(value_name = "CMD")]
    program: OsString,
    /// Arguments of the program
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Becomes the program; returns only when that fails.
pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let package = package::newest(root, &args.ident)?;
    let own = |name: &str| std::env::var(name).ok();
    let env = prepare::package_env(root, &package, &own)?;
    let path = env.get("PATH").map_or("", String::as_str);
    let program = find(&args.program, path);
    launcher::mind_harmless().map_err(CliError::Runtime)?;
    let source = Command::new(&program).args(&args.args).envs(&env).exec();
    Err(CliError::Program {
        program: PathBuf::from(&args.program),
        source,
        hint: "`annulus pkg env` shows where programs are looked for",
    })
}

/// Finds the program on this path; the system would search the path of this process.
fn find(program: &OsString, path: &str) -> PathBuf {
    let name = Path::new(program);
    if name.components().count() > 1 {
        return name.to_owned();
    }
    let found = std::env::split_paths(path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| name.to_owned())
}
