//! Traces: one JSON object per line, in the order of the records.
//!
//! Every line has `t` (nanoseconds of the world's time) and `what`; hosts are named. By `what`:
//!
//! | what | fields |
//! |---|---|
//! | `action` | `action`: its name, `from`, `to`, `both`, `loss`, `service` where they apply, `text`: in words |
//! | `host_started` | `host`, `member`, `restored` |
//! | `restored` | `host`, `versions`: those found on its disk, each as in `holds` |
//! | `host_stopped` | `host`, `why`: `left`, `departed`, `reset`, `crashed`, `killed` |
//! | `event` | `host`, `id`, `cause` {`input`, `event`}, `kind` and the kind's own fields, as in `/events` |
//! | `asked` | `host`, `request`: of an operator, by the action before it |
//! | `reply` | `host`, `request`, `reply` |
//! | `beyond_limit` | `host`, `of`: what, `count`, `limit` |
//! | `leads` | `host`, `service_group`, `term`, `until`: when its lease ends by the world's clock, null when it leads no longer |
//! | `holds` | `host`, `rumor`: its kind, with its key as in an event, `version`: the accepted one |
//! | `confirmed` | `host`, a version as in `holds`, `on`: an operator that waits was told that it is in effect there |
//! | `process_started` | `host`, `service`, `pid` |
//! | `build` | `host`, `build`, `fact`: `installed`, `fits`, `misfits`, `recorded`: it is to run, by the disk, `started`: what became of a build there |
//! | `process_signalled` | `host`, `service`, `pid`, `signal`, `accepting`: whether its supervisor says that it takes work, `unaware`: the supervisors that were not told otherwise |
//! | `process_exited` | `host`, `service`, `pid`, `status` |
//! | `lease_ran_out` | `host`, `service`, `pid`: its guard kills it |
//! | `hook_ended` | `host`, `service`, `hook`, `succeeded` |
//! | `rendered` | `host`, `service`, and what the templates of its files were given: `service_group`, `role`: `leader`, `follower`, `waiting`, null in a group without a leader, `term`, `leader`: by the census, `config`: the version of the group's configuration |
//! | `sent` | `packet`, `from`, `input`, `to`, `channel`: `datagram` or `stream`, `bytes`, `message`: of its content `kind`, `speaker`, `seq`, `about`, `ballot`: an election's step with term and verdict, `tells`: members' records, `carries`: versions of configuration and files |
//! | `delivered` | `packet`, `to`, `input` |
//! | `dropped` | `packet`, `to`, `why`: see [`DropReason::name`](crate::engine::record::DropReason::name) |
//! | `refused` | `packet`, `to`: its sender, `input` |
//!
//! The ids link the lines. An event's cause is an input of its host, and perhaps an earlier event of the same
//! host. `delivered` says which packet an input was; `sent` says in which input of which host that packet
//! left, and so on backwards. Ids of inputs and events count from 1 at each start of a host's supervisor.
//!
//! A [`Line`] is one of these as a value. [`read_jsonl`] reads a trace back, and a line that it has read is written
//! again unchanged. The core names the kinds and fields of events, here as everywhere.

mod fields;
mod line;
mod read;
mod record;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

pub use line::{Act, Ballot, Held, Line, Nanos, Said, Sent, Tells, Told};
pub use read::{ReadError, read_jsonl};

use crate::action::world::Record;
use crate::engine::scene::Scene;

/// Writes records as lines of JSON.
///
/// # Errors
/// The writer's error.
pub fn write_jsonl(out: &mut impl Write, scene: &dyn Scene, records: &[Record]) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, &Line::of(scene, record))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
