//! The ground floor: the data that two features name, the inputs and outputs of the node, and the tools that every
//! feature needs (time, chance, limits).
//!
//! No module here decides, waits or encodes, and none may name a codec, a feature or the node.
//!
//! | files | what |
//! |---|---|
//! | `time`, `rng`, `digest`, `limits`, `error` | the tools that every feature needs |
//! | `id`, `identity`, `ident`, `ring_key`, `member`, `accusers`, `service`, `update`, `election`, `ballot` | the words of the ring |
//! | `rumor`, `statement`, `census`, `facts` | the ring's knowledge, group by group, and the part that a service is shown |
//! | `stamp`, `challenge` | the numbers of sealed messages, and the question whether a member speaks now |
//! | `command`, `channel`, `exit_status`, `prepared`, `lease`, `row`, `event`, `io` | the data that crosses the border |
//! | `config`, `planted`, `mutant`, `metrics`, `context` | the parameters of a node, and the context of every verb |

pub(crate) mod accusers;
pub(crate) mod ballot;
pub(crate) mod census;
pub(crate) mod challenge;
pub(crate) mod channel;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod digest;
pub(crate) mod election;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod exit_status;
pub(crate) mod facts;
pub(crate) mod id;
pub(crate) mod ident;
pub(crate) mod identity;
pub(crate) mod io;
pub(crate) mod lease;
pub mod limits;
pub(crate) mod member;
pub(crate) mod metrics;
pub(crate) mod mutant;
pub(crate) mod planted;
pub(crate) mod prepared;
pub mod reach;
pub(crate) mod ring_key;
pub(crate) mod rng;
pub(crate) mod row;
pub(crate) mod rumor;
pub(crate) mod service;
pub(crate) mod stamp;
pub(crate) mod statement;
pub(crate) mod time;
pub(crate) mod update;
