//! `annulus pkg env IDENT`: prints the variables of an installed package for a shell to evaluate. Sets none itself.

use annulus_core::PackageIdent;

use super::{ident, print};
use crate::cli::Outcome;
use crate::host::root::Root;
use crate::package;
use crate::prepare;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
}

pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let package = package::newest(root, &args.ident)?;
    let env = prepare::package_env(root, &package, &|_| None)?;
    let set = env.iter().filter(|(_, value)| !value.is_empty());
    print(&set.map(|(name, value)| export(name, value)).collect::<String>());
    Ok(0)
}

/// A line that sets a variable in a shell, quoted so that the shell takes the value as it is. The old value of `PATH`
/// stays behind the new one.
fn export(name: &str, value: &str) -> String {
    let quoted = value.replace('\'', r"'\''");
    let rest = if name == "PATH" { "\"${PATH:+:$PATH}\"" } else { "" };
    format!("export {name}='{quoted}'{rest}\n")
}

#[cfg(test)]
mod tests {
    use super::export;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for (name, value) in [("X", "it's $HOME `id` \"q\" \\"), ("PATH", "/a b:/c")] {
            let script = format!("PATH=/bin\n{}printf %s \"${name}\"", export(name, value));
            let out = std::process::Command::new("/bin/sh").args(["-c", &script]).output().expect("a shell");
            let said = String::from_utf8(out.stdout).expect("text");
            assert_eq!(said, if name == "PATH" { format!("{value}:/bin") } else { value.to_owned() });
        }
    }
}
