//! What this supervisor knew when it last ran: its database, and the spec files, which say what services are wanted.

use std::sync::Arc;

use annulus_core::{MemberId, Snapshot, Write};

use super::StartError;
use crate::entropy;
use crate::root::SupDir;
use crate::specs::Specs;
use crate::store::Store;

/// Reads both; specs that an older version left in the database become files.
pub(super) fn load(sup: &SupDir) -> Result<(Store, Arc<Specs>, Option<Snapshot>), StartError> {
    let store = Store::open(&sup.data())?;
    let mut restored = store.load()?;
    let rows = restored.as_mut().map(|snapshot| std::mem::take(&mut snapshot.services)).unwrap_or_default();
    let moved: Vec<Write> = rows.iter().map(|spec| Write::no_service(&spec.name())).collect();
    let specs = Specs::open(sup.specs(), rows)?;
    // Only now: whatever crashes in between, each spec is in one of the two.
    store.forget(&moved)?;
    let services = specs.known();
    if restored.is_none() && !services.is_empty() {
        // A new member, because its data directory is new, with services that are wanted all the same.
        let mut id = [0; 16];
        let bytes = id.len();
        id.copy_from_slice(&entropy::seed()?[..bytes]);
        restored = Some(Snapshot::new(MemberId::from_random(id)));
    }
    if let Some(snapshot) = &mut restored {
        snapshot.services = services;
    }
    Ok((store, Arc::new(specs), restored))
}
