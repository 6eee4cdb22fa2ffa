//! The ways into a running supervisor: commands of operators (`ctl`), its knowledge for reading (`http`), and the
//! agent check of load balancers.
//!
//! A gateway asks the supervisor through its handle. It holds no state of the ring and never writes any, and the loop
//! does not wait for its reads of the disk.

pub mod agent_check;
pub mod arrivals;
pub mod ctl;
pub mod depot;
mod disk;
mod door;
pub mod http;
pub mod keyed;
pub mod lookout;
pub mod tls;
