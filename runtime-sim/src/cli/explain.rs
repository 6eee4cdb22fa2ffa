//! `annulus-sim explain TRACE --member C`: reads a trace and tells why a member was judged so.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use super::emit;
use crate::exit::Exit;
use crate::report::explain::{Question, Trace, explain};
use crate::scenario::parse_time;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A trace, written by `annulus-sim run FILE --trace TRACE`.
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The member that was judged: its name, or how its id begins.
    #[arg(long, value_name = "MEMBER")]
    member: String,
    /// The member that judged; by default the first that came to the worst judgement.
    #[arg(long, value_name = "MEMBER")]
    seen_by: Option<String>,
    /// The judgement as it was at this time, such as 12.5s; by default at the end.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Duration>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    let file = args.trace.display();
    let opened = match File::open(&args.trace) {
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
    let question = Question { member: args.member.clone(), seen_by: args.seen_by.clone(), at };
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
