//! Reads the command line, and explains what it does not understand: what Habitat has and this version has not, what stands
//! in another place, dashes that are no hyphens, and bytes that are no text. Carries nothing out.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{ErrorKind as ErrorKindOfIo, Write as _};
use std::num::ParseIntError;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use super::Args;
use crate::host::terminal::visible;

/// Commands of Habitat that are not in this version, and what to do instead, as far as there is something.
const COMMANDS: &[(&str, &str)] = &[
    ("bash", "`annulus pkg exec` runs a program of a package"),
    ("binlink", "`annulus pkg exec` and `annulus pkg env` reach a package's programs"),
    ("bulkload", "`annulus svc load` loads one service; spec files can be put into <root>/sup/<name>/specs"),
    ("bulkupload", ""),
    ("cli", "set ANNULUS_ROOT and HAB_CTL_SECRET in the environment"),
    ("download", "`annulus pkg install` brings a package and installs it"),
    ("export", "a package is a signed .hart file, which `annulus pkg install` takes"),
    ("generate-tls", ""),
    ("license", "this program asks for none"),
    (
        "plan",
        "a plan is a directory with plan.toml, which the guide describes; `annulus config check` looks at one",
    ),
    ("provides", ""),
    ("sh", "`annulus pkg exec` runs a program of a package"),
    ("sign", "`annulus pkg build` signs"),
    ("studio", ""),
    ("supportbundle", ""),
];

/// Habitat's short words for commands that have another place here.
const SHORT: &[(&str, &str)] = &[
    ("apply", "`annulus config apply` gives a group its configuration"),
    ("setup", "set ANNULUS_ROOT and HAB_CTL_SECRET in the environment"),
    ("status", "`annulus svc status` shows services, `annulus sup ring` the ring"),
    ("stop", "`annulus svc stop` stops a service, `annulus sup term` the supervisor"),
    ("term", "`annulus sup term` ends the supervisor"),
];

/// Words that one might look for, where they are no commands, and the commands that do it.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("config get", &["config show"]),
    ("config list", &["config show", "config history"]),
    ("config set", &["config apply"]),
    ("kill", &["svc stop", "sup term"]),
    ("list", &["svc status", "sup members", "pkg list"]),
    ("logs", &["svc log", "sup log"]),
    ("ps", &["svc status"]),
    ("reload", &["svc restart", "sup restart"]),
    ("ring list", &["sup members", "ring key status"]),
    ("ring status", &["sup ring", "sup members"]),
    ("services", &["svc status"]),
    ("sup kill", &["sup term"]),
    ("sup list", &["sup members"]),
    ("sup logs", &["sup log"]),
    ("sup reload", &["sup restart"]),
    ("sup services", &["svc status"]),
    ("sup stop", &["sup term", "svc stop"]),
    ("svc add", &["svc load"]),
    ("svc info", &["svc status"]),
    ("svc kill", &["svc stop"]),
    ("svc list", &["svc status"]),
    ("svc logs", &["svc log"]),
    ("svc ps", &["svc status"]),
    ("svc reload", &["svc restart", "config apply"]),
    ("svc remove", &["svc unload"]),
    ("svc rm", &["svc unload"]),
    ("svc run", &["svc load", "svc start"]),
    ("svc term", &["svc stop", "sup term"]),
];
/// So many commands of the same name are named at most.
const ELSEWHERE_MAX: usize = 4;

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
    ("--user", "`annulus config apply` and `annulus file upload` have it"),
    ("-u", "`annulus config apply` and `annulus file upload` have it"),
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
    read(&args).map_err(|error| {
        let (error, note) = with_one_tip(error, &args);
        // Standard error may be closed, which changes nothing about the exit code.
        if error.print().is_err_and(|lost| lost.kind() != ErrorKindOfIo::BrokenPipe) && !error.use_stderr() {
            return crate::host::exit::FAILED;
        }
        if let Some(note) = note {
            let _ = writeln!(std::io::stderr(), "\n{note}");
        }
        u8::try_from(error.exit_code()).unwrap_or(crate::host::exit::USAGE)
    })
}

fn read(args: &[OsString]) -> Result<Args, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
}

/// The error and what is to be said beside it, in the place of what the parser would guess.
fn with_one_tip(mut error: clap::Error, args: &[OsString]) -> (clap::Error, Option<String>) {
    let note = if error.use_stderr() { explain(&error, args) } else { None };
    if note.is_some() {
        let guesses = [
            ContextKind::Suggested,
            ContextKind::SuggestedArg,
            ContextKind::SuggestedCommand,
            ContextKind::SuggestedSubcommand,
            ContextKind::SuggestedValue,
        ];
        guesses.into_iter().for_each(|guess| drop(error.remove(guess)));
    }
    (error, note)
}

/// What is to be said beside the error.
fn explain(error: &clap::Error, args: &[OsString]) -> Option<String> {
    note(error, args)
        .or_else(|| elsewhere(error, args))
        .or_else(|| odd_dash(args))
        .or_else(|| no_text(error, args))
        .or_else(|| no_number(error))
}

/// Says what would be a number; the parser's own words name a digit.
fn no_number(error: &clap::Error) -> Option<String> {
    error.source()?.downcast_ref::<ParseIntError>()?;
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    Some(format!("{} takes a whole number, 0 or more", visible(option)))
}

/// What is to be said of a word that is a command in another place.
fn elsewhere(error: &clap::Error, args: &[OsString]) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let (mut at, mut path) = (command(), String::new());
    for arg in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        let Some(next) = at.find_subcommand(arg).cloned() else { continue };
        path = format!("{path}{arg} ");
        at = next;
    }
    path.push_str(word);
    let listed = ELSEWHERE.iter().find(|(name, _)| *name == path).map(|(_, others)| *others);
    let found = match listed {
        Some(others) => others.iter().map(|other| (*other).to_owned()).collect(),
        None => named(&command(), "", word),
    };
    let found: Vec<String> =
        found.iter().take(ELSEWHERE_MAX).map(|other| format!("`annulus {other}`")).collect();
    (!found.is_empty()).then(|| format!("did you mean {}?", found.join(" or ")))
}

/// The commands of this name below another one, each with its whole path.
fn named(command: &clap::Command, path: &str, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path}{}", sub.get_name());
        if sub.get_name() == word && !sub.has_subcommands() {
            found.push(path.clone());
        }
        found.extend(named(sub, &format!("{path} "), word));
    }
    found
}

/// Names the arguments that are no text.
fn no_text(error: &clap::Error, args: &[OsString]) -> Option<String> {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return None;
    }
    let odd = args.iter().enumerate().skip(1).filter(|(_, arg)| arg.to_str().is_none());
    let odd: Vec<String> = odd.map(|(at, arg)| format!("argument {at}, {arg:?}")).collect();
    (!odd.is_empty()).then(|| format!("not UTF-8: {}", odd.join("; ")))
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

/// The whole command line. A value may look like a negative number: what is wrong with it is said by the option's own rule.
#[must_use]
pub fn command() -> clap::Command {
    with_negative_values(Args::command())
}

fn with_negative_values(command: clap::Command) -> clap::Command {
    let allow = |arg: clap::Arg| {
        let takes = arg.get_action().takes_values() && !arg.is_allow_hyphen_values_set();
        if takes { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_args(allow).mut_subcommands(with_negative_values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (String, Option<String>) {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let error = read(&args).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        let (error, note) = with_one_tip(error, &args);
        let text = error.to_string();
        assert!(note.is_none() || !text.contains("tip:"), "{line}: {text}");
        (text, note)
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
            ("annulus svc status -x", "-x"),
        ] {
            let (text, note) = said(line);
            assert!(text.contains(word) && note.is_none(), "{text} {note:?}");
        }
    }

    #[test]
    fn what_stands_in_another_place_is_pointed_to() {
        for (line, note) in [
            (
                "annulus list",
                "did you mean `annulus svc status` or `annulus sup members` or `annulus pkg list`?",
            ),
            ("annulus members", "did you mean `annulus sup members`?"),
            ("annulus restart", "did you mean `annulus sup restart` or `annulus svc restart`?"),
            ("annulus run", "did you mean `annulus sup run`?"),
            ("annulus --root /x sup stop", "did you mean `annulus sup term` or `annulus svc stop`?"),
            ("annulus sup load core/redis", "did you mean `annulus svc load`?"),
            ("annulus svc list", "did you mean `annulus svc status`?"),
            ("annulus svc term", "did you mean `annulus svc stop` or `annulus sup term`?"),
            ("annulus ring list", "did you mean `annulus sup members` or `annulus ring key status`?"),
            ("annulus config get", "did you mean `annulus config show`?"),
            ("annulus svc ps", "did you mean `annulus svc status`?"),
            ("annulus svc reload", "did you mean `annulus svc restart` or `annulus config apply`?"),
            ("annulus svc kill", "did you mean `annulus svc stop`?"),
            ("annulus sup services", "did you mean `annulus svc status`?"),
            ("annulus config list", "did you mean `annulus config show` or `annulus config history`?"),
        ] {
            assert_eq!(said(line).1.as_deref(), Some(note), "{line}");
        }
        let note = said("annulus config apply web.default 1 --wait --timeout -1").1;
        assert_eq!(note.as_deref(), Some("--timeout <SECONDS> takes a whole number, 0 or more"));
        for (path, others) in ELSEWHERE {
            assert!(read_path(path).is_none(), "{path} is a command");
            assert!(others.iter().all(|other| read_path(other).is_some()), "{others:?}");
        }
    }

    fn read_path(path: &str) -> Option<clap::Command> {
        path.split(' ').try_fold(command(), |at, word| at.find_subcommand(word).cloned())
    }

    #[test]
    fn a_negative_value_is_judged_by_the_rule_of_its_option() {
        for (line, words) in [
            ("annulus config apply web.default -1", "a version is a number from 1"),
            ("annulus sup run --log-keep -1", "0..=1000"),
            ("annulus svc status -1", "-1"),
        ] {
            let text = said(line).0;
            assert!(text.contains("invalid value '-1'") && text.contains(words), "{text}");
        }
    }

    #[test]
    fn what_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"caf\xe9".to_vec());
        let args =
            ["annulus", "svc", "load"].map(OsString::from).into_iter().chain([odd]).collect::<Vec<_>>();
        let error = read(&args).expect_err("it is no ident");
        assert_eq!(explain(&error, &args).as_deref(), Some("not UTF-8: argument 3, \"caf\\xE9\""));
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
        let known = ["file upload", "key export", "key download"];
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
