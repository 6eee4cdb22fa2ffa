//! Who is in the ring: SWIM with Lifeguard's extensions.

mod member;

pub use member::{MemberRecord, State};
