//! Reads the command line, and explains what it does not understand: what Habitat has and this version has not, and
//! dashes that are no hyphens. Carries nothing out.

use std::ffi::OsString;
use std::io::{ErrorKind as ErrorKindOfIo, Write as _};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use super::Args;
use crate::host::terminal::visible;

/// Commands of Habitat that are not in this version, and what to do instead, as far as there is something.
const COMMANDS: &[(&str, &str)] = &[
    ("bash", "`annulus pkg exec` runs a program of a package"),
    ("binlink", "`annulus pkg exec` and `annulus pkg env` reach a package's programs"),
    ("bldr", ""),
    ("bulkload", "`annulus svc load` loads one service; spec files can be put into <root>/sup/<name>/specs"),
    ("bulkupload", ""),
    ("channels", ""),
    ("cli", "set ANNULUS_ROOT and HAB_CTL_SECRET in the environment"),
    ("delete", ""),
    ("demote", ""),
    ("download", "`annulus pkg install` takes files"),
    ("export", "a package is a signed .hart file, which `annulus pkg install` takes"),
    ("generate-tls", ""),
    ("license", "this program asks for none"),
    (
        "plan",
        "a plan is a directory with plan.toml, which the guide describes; `annulus config check` looks at one",
    ),
    ("promote", ""),
    ("provides", ""),
    ("search", ""),
    ("sh", "`annulus pkg exec` runs a program of a package"),
    ("sign", "`annulus pkg build` signs"),
    ("studio", ""),
    ("supportbundle", ""),
    ("upload", ""),
];

/// Habitat's short words for commands that have another place here.
const SHORT: &[(&str, &str)] = &[
    ("apply", "`annulus config apply` gives a group its configuration"),
    ("install", "`annulus pkg install` takes files"),
    ("setup", "set ANNULUS_ROOT and HAB_CTL_SECRET in the environment"),
    ("status", "`annulus svc status` shows services, `annulus sup ring` the ring"),
    ("stop", "`annulus svc stop` stops a service, `annulus sup term` the supervisor"),
    ("term", "`annulus sup term` ends the supervisor"),
];

/// Options of Habitat that are not in this version, and what to do instead.
const OPTIONS: &[(&str, &str)] = &[
    ("--auto-update", "replace the program and run `annulus sup restart`"),
    ("--auto-update-period", ""),
    ("-A", "it is --auto-update there"),
    ("--cache-key-path", "keys are in <root>/cache/keys"),
    ("--ctl-client-ca-certificate", "--ca-cert-file is for both gateways"),
    ("--ctl-server-certificate", "--cert-file is for both gateways"),
    ("--ctl-server-key", "--key-file is for both gateways"),
    ("-D", "it is --http-disable there; let --listen-http name a loopback address"),
    ("--event-stream-application", "`/events` of the HTTP gateway streams events"),
    ("--event-stream-environment", "`/events` of the HTTP gateway streams events"),
    ("--event-stream-site", "`/events` of the HTTP gateway streams events"),
    ("--event-stream-token", "`/events` of the HTTP gateway streams events"),
    ("--event-stream-url", "`/events` of the HTTP gateway streams events"),
    ("--generate-config", "the guide lists sup.toml's fields, which are the options in snake_case"),
    ("--http-disable", "let --listen-http name a loopback address"),
    ("--json-logging", "write --log-format json"),
    ("--keep-latest-packages", "`annulus pkg uninstall` removes packages"),
    ("--local-gossip-mode", "write --listen-gossip 127.0.0.2:9638"),
    ("--no-color", "set NO_COLOR=1; without a terminal there are no colours"),
    ("--password", "services run as users of this host, which need none"),
    ("--peer-watch-file", "give --peer names, which are looked up again and again"),
    ("--ring-key", "set HAB_RING_KEY, which other users of this host cannot read as they can a command line"),
    ("--service-max-backoff-period", "timings are in [timings] of sup.toml"),
    ("--service-min-backoff-period", "timings are in [timings] of sup.toml"),
    ("--service-restart-cooldown-period", "timings are in [timings] of sup.toml"),
    ("--service-update-period", ""),
    ("--sys-ip-address", "write --advertise-gossip"),
    ("--user", "this version has no user keys"),
    ("-u", "this version has no user keys"),
];

/// Characters that word processors and web pages put in the place of hyphens.
const DASHES: &[char] = &['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}'];

/// Reads the command line of this process. What is wrong, and help that was asked for, is printed; the error is the exit
/// code.
///
/// # Errors
/// 0 after help or version, 2 when it is wrong.
pub fn parse() -> Result<Args, u8> {
    let args: Vec<OsString> = std::env::args_os().collect();
    Args::try_parse_from(&args).map_err(|error| {
        // Standard error may be closed, which changes nothing about the exit code.
        if error.print().is_err_and(|lost| lost.kind() != ErrorKindOfIo::BrokenPipe) && !error.use_stderr() {
            return crate::host::exit::FAILED;
        }
        if error.use_stderr()
            && let Some(note) = note(&error, &args).or_else(|| odd_dash(&args))
        {
            let _ = writeln!(std::io::stderr(), "\n{note}");
        }
        u8::try_from(error.exit_code()).unwrap_or(crate::host::exit::USAGE)
    })
}

/// What is to be said of a command or option that Habitat has.
fn note(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let (kind, what, list) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, "command", COMMANDS),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, "option", OPTIONS),
        _ => return None,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else { return None };
    let word = word.split(['=', ' ']).next().unwrap_or_default();
    let is_first = args.get(1).is_some_and(|first| first == word);
    let lists = [list, if is_first { SHORT } else { &[] }];
    let (_, instead) = lists.into_iter().flatten().find(|(name, _)| *name == word)?;
    let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
    Some(format!(
        "{word} is a{} {what} of Habitat that is not in this version{instead}",
        if what == "option" { "n" } else { "" }
    ))
}

/// What is to be said of the first word that begins with something that only looks like a hyphen.
fn odd_dash(args: &[OsString]) -> Option<String> {
    let odd = args.iter().skip(1).find_map(|arg| {
        let text = arg.to_str()?;
        text.starts_with(DASHES).then_some(text)
    })?;
    let first = odd.chars().next()?;
    let name = odd.trim_start_matches(|c| c == '-' || DASHES.contains(&c));
    let hyphens = if name.chars().count() == 1 { "-" } else { "--" };
    Some(format!(
        "{:?} begins with the character U+{:04X}, which looks like a hyphen and is none; write {hyphens}{}",
        visible(odd),
        u32::from(first),
        visible(name)
    ))
}

/// The whole command line, for tests.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (String, Option<String>) {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let error = Args::try_parse_from(&args).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        let note = note(&error, &args).or_else(|| odd_dash(&args));
        (error.to_string(), note)
    }

    #[test]
    fn what_habitat_has_is_named_as_not_in_this_version() {
        for (line, word, instead) in [
            ("annulus pkg binlink core/redis", "binlink", "pkg exec"),
            ("annulus studio enter", "studio", ""),
            ("annulus sup run --peer-watch-file=x", "--peer-watch-file", "--peer names"),
            ("annulus sup run -D", "-D", "--listen-http"),
            ("annulus svc bulkload", "bulkload", "specs"),
            ("annulus stop core/redis", "stop", "svc stop"),
            ("annulus term", "term", "sup term"),
        ] {
            let (text, note) = said(line);
            let note = note.expect(line);
            assert!(text.contains(word) && note.starts_with(word), "{line}: {text} {note}");
            assert!(note.contains("not in this version") && note.contains(instead), "{note}");
        }
    }

    #[test]
    fn what_is_unknown_is_only_named() {
        for (line, word) in [
            ("annulus svc load core/redis --tüpe", "--tüpe"),
            ("annulus svc frobnicate", "frobnicate"),
            ("annulus svc term", "term"),
            ("annulus svc status -x", "-x"),
        ] {
            let (text, note) = said(line);
            assert!(text.contains(word) && note.is_none(), "{text} {note:?}");
        }
    }

    #[test]
    fn a_dash_that_is_no_hyphen_is_named() {
        let note = said("annulus svc load core/redis \u{2013}\u{2013}force").1.expect("it is seen");
        assert!(note.contains("U+2013") && note.ends_with("write --force"), "{note}");
        assert!(
            said("annulus svc status core/redis \u{2212}r host").1.expect("it is seen").ends_with("write -r")
        );
    }

    #[test]
    fn what_is_listed_as_absent_is_absent() {
        let mut commands = vec![command()];
        let (mut names, mut options) = (Vec::new(), Vec::new());
        while let Some(command) = commands.pop() {
            let is_run = command.get_name() == "run";
            options.extend(
                command
                    .get_arguments()
                    .filter(|_| is_run)
                    .filter_map(|arg| arg.get_long().map(|long| format!("--{long}"))),
            );
            for sub in command.get_subcommands() {
                names.push(format!("{} {}", command.get_name(), sub.get_name()));
                commands.push(sub.clone());
            }
        }
        // These words are commands in one place and not in another.
        let known = ["file upload", "key export"];
        for (name, _) in COMMANDS {
            let there: Vec<&String> = names
                .iter()
                .filter(|path| path.ends_with(&format!(" {name}")) && !known.contains(&path.as_str()))
                .collect();
            assert!(there.is_empty(), "{there:?}");
        }
        let there: Vec<&&str> =
            OPTIONS.iter().map(|(name, _)| name).filter(|name| options.iter().any(|o| o == *name)).collect();
        assert!(there.is_empty(), "{there:?}");
    }
}
