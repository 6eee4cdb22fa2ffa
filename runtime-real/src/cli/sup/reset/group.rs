//! Takes back what was given to a group by the next versions, and lets its leader hand over.

use annulus_core::{FileName, ServiceGroup};

use super::Args;
use super::ring::host_of;
use crate::cli::group::{self, Through};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::group_message::{GroupVersion, SvcFilePut, SvcSetCfg};
use crate::gateway::ctl::message::CtlMessage;
use crate::gateway::ctl::ring_message::{GroupHandOver, RingGroup, RingStatus};
use crate::keys::Purpose;

const HEAD: [&str; 4] = ["what", "before", "after", "written by"];

/// So many groups are named at most.
const NEAR_MAX: usize = 4;

/// What is to be taken back: the configuration or a file, as it is now.
struct Given {
    file: Option<FileName>,
    is_sealed: bool,
    version: GroupVersion,
}

impl Given {
    fn what(&self) -> String {
        let what =
            self.file.as_ref().map_or_else(|| "configuration".to_owned(), |name| format!("file {name}"));
        if self.is_sealed { what + ", sealed" } else { what }
    }

    const fn next(&self) -> u64 {
        self.version.version.saturating_add(1)
    }
}

pub(super) fn reset(global: &Global, args: &Args, ring: &RingStatus, group: ServiceGroup) -> Outcome {
    let (through, group) = (&args.through, &group);
    let known = ring.groups.iter().find(|known| known.group == group.to_string());
    block_on(async {
        let given = given(global, through, group).await?;
        if known.is_none() && given.is_empty() {
            return Err(unknown(ring, group));
        }
        let given = if args.election { Vec::new() } else { given };
        if let Some(sealed) = given.iter().find(|given| given.is_sealed && !args.seal.is_asked()) {
            return Err(CliError::Usage(format!(
                "the {} of {group} is for its members alone, so is what takes it back: add --user NAME; nothing is changed",
                sealed.what()
            )));
        }
        let mut rows = Vec::new();
        for given in &given {
            take_back(global, args, group, given).await?;
            let by = if given.version.writer.is_empty() {
                "-".to_owned()
            } else {
                host_of(ring, &given.version.writer)
            };
            let (before, after) = (given.version.version, format!("{}, sets nothing", given.next()));
            rows.push(vec![given.what(), before.to_string(), after, by]);
        }
        if !args.config {
            rows.extend(hand_over(global, args, ring, group, known).await?);
        }
        if rows.is_empty() {
            output::line(format_args!(
                "nothing was given to {group}, and it has no leader: nothing to put right"
            ));
            return Ok(0);
        }
        output::table(&HEAD, &rows);
        for given in &given {
            let of = (given.file.as_ref().map(FileName::as_str), given.is_sealed);
            let code = args.wait.until_applied(global, through, group, of, given.next()).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    })
}

fn unknown(ring: &RingStatus, group: &ServiceGroup) -> CliError {
    let known: Vec<&str> = ring.groups.iter().map(|group| group.group.as_str()).collect();
    let of_service = |known: &&&str| known.split('.').next() == Some(group.service());
    let near: Vec<&str> = known.iter().filter(of_service).take(NEAR_MAX).copied().collect();
    let has = match (&near[..], known.len()) {
        ([], 0) => "the ring has no group".to_owned(),
        ([], 1..=NEAR_MAX) => format!("the ring has {}", known.join(", ")),
        ([], count) => format!("the ring has {count} others, which `annulus sup ring` lists"),
        (near, _) => format!("of that service the ring has {}", near.join(", ")),
    };
    CliError::Usage(format!("nothing is known of a group {group}, by this name; {has}"))
}

/// Everything that was given to the group and is in effect.
async fn given(global: &Global, through: &Through, group: &ServiceGroup) -> Result<Vec<Given>, CliError> {
    let mut given = Vec::new();
    for is_sealed in [false, true] {
        let status = group::query(global, through, group, None, Some(is_sealed)).await?;
        let version = status.current.filter(|version| is_sealed || version.bytes > 0);
        given.extend(version.map(|version| Given { file: None, is_sealed, version }));
    }
    for file in group::files(global, through, group).await? {
        let Some(version) = file.version.filter(|version| file.is_sealed || version.bytes > 0) else {
            continue;
        };
        let name = file.name.parse().map_err(|error| CliError::Usage(format!("{:?}: {error}", file.name)))?;
        given.push(Given { file: Some(name), is_sealed: file.is_sealed, version });
    }
    Ok(given)
}

async fn take_back(
    global: &Global,
    args: &Args,
    group: &ServiceGroup,
    given: &Given,
) -> Result<(), CliError> {
    let version = given.next();
    let file = given.file.as_ref().map(FileName::as_str);
    // What came plain is taken back plain, what came sealed by a box.
    let seal = if given.is_sealed { args.seal.clone() } else { group::Seal::default() };
    let sealed = seal.seal(global, Purpose { group, file, version }, Vec::new())?;
    let is_encrypted = Some(sealed.is_sealed());
    match file {
        None => {
            let request = SvcSetCfg {
                service_group: Some(group.into()),
                cfg: Some(sealed.content),
                version: Some(version),
                is_encrypted,
                allow_leap: None,
                empty: Some(true),
                signature: sealed.signature,
            };
            order(global, args, &request).await
        }
        Some(name) => {
            let request = SvcFilePut {
                service_group: Some(group.into()),
                content: Some(sealed.content),
                filename: Some(name.to_owned()),
                version: Some(version),
                is_encrypted,
                allow_leap: None,
                signature: sealed.signature,
            };
            order(global, args, &request).await
        }
    }
}

async fn order(global: &Global, args: &Args, request: &impl CtlMessage) -> Result<(), CliError> {
    group::give(global, &args.through, request).await
}

/// The leader hands over by an order to its own supervisor, which alone can let it: where it is another's, the row says
/// which.
async fn hand_over(
    global: &Global,
    args: &Args,
    ring: &RingStatus,
    group: &ServiceGroup,
    known: Option<&RingGroup>,
) -> Result<Option<Vec<String>>, CliError> {
    let Some(known) = known.filter(|known| known.election != "none") else { return Ok(None) };
    let before = format!("term {}, {}", known.term, known.election);
    let row = |after: String, by: &str| vec!["election".to_owned(), before.clone(), after, by.to_owned()];
    if known.leader.is_empty() {
        return Ok(Some(row("the next election goes on from this term".to_owned(), "-")));
    }
    let leader = host_of(ring, &known.leader);
    if known.leader != ring.answered_by {
        let at = ring.members.iter().find(|member| member.member_id == known.leader);
        let at = at.map_or("", |member| &member.address);
        return Ok(Some(row(
            format!("{leader} leads on: give this order to its supervisor, --peer {at}"),
            &leader,
        )));
    }
    let request = GroupHandOver { service_group: Some(group.into()) };
    let client = args.through.connect(global).await?;
    client.request(&request, |_| ()).await?;
    Ok(Some(row(format!("a later term, {leader} hands over"), &leader)))
}
