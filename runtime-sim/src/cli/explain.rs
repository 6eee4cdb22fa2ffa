//! `annulus-sim explain TRACE --member C`, `--group G`, `--service S --member C`, `--config G`: reads a trace and tells
//! why a member was judged so, a group is led so, a process was started anew, a version did not arrive.

use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use super::emit;
use crate::exit::Exit;
use crate::report::explain::{About, Question, Trace, explain};
use crate::scenario::parse_time;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A trace, written by `annulus-sim run FILE --trace TRACE`.
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The member that was judged, or that runs the service: its name, or how its id begins.
    #[arg(long, value_name = "MEMBER", required_unless_present_any = ["group", "config"])]
    member: Option<String>,
    /// The member that judged; by default the first that came to the worst judgement.
    #[arg(long, value_name = "MEMBER", requires = "member", conflicts_with = "service")]
    seen_by: Option<String>,
    /// The group whose leader is asked for, such as redis.default: why this one, why another, why none.
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["member", "service", "config"])]
    group: Option<String>,
    /// The service whose process is asked for, such as redis or redis.default: why it was started anew, or does not run.
    #[arg(long, value_name = "SERVICE", requires = "member")]
    service: Option<String>,
    /// The group whose configuration is asked for: why its latest version did not arrive, or how.
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["member", "service"])]
    config: Option<String>,
    /// As it was at this time, such as 12.5s; by default at the end.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Duration>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    let file = args.trace.display();
    let opened = match super::load::open(&args.trace) {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!(
                "{file}: cannot be read: {error}; name a trace written by `annulus-sim run FILE --trace`"
            );
            return Exit::Usage;
        }
    };
    let trace = match Trace::load(BufReader::new(opened)) {
        Ok(trace) => trace,
        Err(error) => {
            eprintln!("{file}: {error}");
            return Exit::Usage;
        }
    };
    let at = args.at.map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
    let question = Question { about: about(args), at };
    match explain(&trace, &question) {
        Ok(story) if args.json => emit(&story.json().to_string()),
        Ok(story) => emit(story.text().trim_end()),
        Err(error) => {
            eprintln!("{file}: {error}");
            return Exit::Usage;
        }
    }
    Exit::Pass
}

fn about(args: &Args) -> About {
    if let Some(group) = &args.group {
        return About::Group(group_of(group));
    }
    if let Some(group) = &args.config {
        return About::Config(group_of(group));
    }
    let member = args.member.clone().unwrap_or_default();
    match &args.service {
        Some(service) => About::Service { service: service_of(service), member },
        None => About::Member { member, seen_by: args.seen_by.clone() },
    }
}

/// A group's name stands for its service, of which a host runs one.
fn service_of(word: &str) -> String {
    word.split('.').next().unwrap_or_default().to_owned()
}

/// A service's name stands for its default group, as in scenarios.
fn group_of(word: &str) -> String {
    if word.contains('.') { word.to_owned() } else { format!("{word}.default") }
}
