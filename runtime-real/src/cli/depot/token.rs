//! `annulus depot token ORIGIN --role ROLE`: makes a token, which is shown this once; `--list` and `--revoke ID`.

use super::Dir;
use crate::cli::{CliError, Global, Outcome, output};
use crate::depot::store::Store;
use crate::depot::{Role, check_origin};
use crate::host::{clock, timestamp};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(in crate::cli) struct Args {
    /// The origin whose packages the token is for; `*` for every origin
    #[arg(value_name = "ORIGIN", group = "what")]
    origin: Option<String>,
    /// What it allows: read (where the depot is private), upload, or promote, which allows all
    #[arg(long, value_enum, value_name = "ROLE", default_value = "upload", conflicts_with_all = ["list", "revoke"])]
    role: Role,
    /// It counts for so many days [default: until it is revoked]
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["list", "revoke"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// List the tokens; what has to be shown of them is not kept
    #[arg(long, group = "what")]
    list: bool,
    /// Take a token away, by its id
    #[arg(long, value_name = "ID", group = "what")]
    revoke: Option<String>,
    #[command(flatten)]
    dir: Dir,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let tree = args.dir.tree(global)?;
    let now = clock::wall();
    if let Some(id) = &args.revoke {
        Store::open(tree)?.revoke_token(id, now)?;
        output::line(format_args!("token {id} is revoked"));
        return Ok(0);
    }
    let Some(origin) = &args.origin else {
        let rows = Store::open(tree)?.tokens()?.into_iter().map(|token| {
            let until = match token.expires_ms {
                _ if token.has_expired(now) => "expired".to_owned(),
                Some(ms) => timestamp::rfc3339_millis(annulus_core::UnixTime::from_millis(ms)),
                None => "-".to_owned(),
            };
            vec![token.id, token.origin, token.role.name().to_owned(), token.made, until]
        });
        output::table(&["id", "origin", "role", "made", "until"], &rows.collect::<Vec<_>>());
        return Ok(0);
    };
    if origin != "*" {
        check_origin(origin).map_err(|e| CliError::Usage(e.to_string()))?;
    }
    let expires_ms = args.days.map(|days| now.as_millis() + days * DAY_MS);
    let text = Store::make(tree)?.make_token(origin, args.role, now, expires_ms)?;
    output::line(text);
    Ok(0)
}
