//! `annulus demo`: reads the options and starts the demonstration.
//! What is shown stands in the modules beside this one.

use std::time::Duration;

use crate::cli::{CliError, Outcome, block_on, demo};

#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// End after this time, e.g. 20s or 2m [default: at Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Leave the files behind
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Show a group of Redis servers whose leader is killed and comes back; needs redis-server and redis-cli
    Redis {
        /// Leave the files behind
        #[arg(long)]
        keep: bool,
    },
    /// Show a ring with a key, a stranger whom it does not hear, and a configuration that only a group can read
    Keys {
        /// Leave the files behind
        #[arg(long)]
        keep: bool,
    },
}

pub(in crate::cli) fn run(args: Args) -> Outcome {
    block_on(async {
        let options = match args.what {
            None => demo::Options { what: demo::What::Ring, time: args.time, keep: args.keep },
            Some(What::Redis { keep }) => demo::Options { what: demo::What::Redis, time: None, keep },
            Some(What::Keys { keep }) => demo::Options { what: demo::What::Keys, time: None, keep },
        };
        demo::run(options).await.map_err(CliError::Demo)
    })
}

/// Reads a time: seconds, or a number with `ms`, `s` or `m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "write a number and ms, s or m, e.g. 20s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("unknown unit {unit:?}: use ms, s or m, e.g. 20s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("20"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "s", "-1s", "3h", "1.5s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
