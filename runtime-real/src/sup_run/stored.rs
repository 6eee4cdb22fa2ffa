//! Reads what this supervisor knew when it last ran: its key, its database, and the spec files, which say which services
//! are wanted. Changes them only to move specs of an older version, and to add a service to load.

use std::ffi::OsStr;
use std::sync::Arc;

use annulus_core::{DesiredState, ServiceSpec, Sign as _, Snapshot, Write};

use super::StartError;
use crate::gateway::ctl::convert;
use crate::gateway::ctl::message::SvcLoad;
use crate::host::owner::{self, OwnerError};
use crate::host::root::{Root, SupDir};
use crate::prepare;
use crate::supervisor::identity::MemberKey;
use crate::supervisor::specs::Specs;
use crate::supervisor::store::Store;

/// Reads all three. Specs that an older version left in the database become files. A service to `load` is wanted from now
/// on; options that `load` leaves out keep the values that they had.
pub(super) fn load(
    root: &Root,
    sup: &SupDir,
    org: Option<&str>,
    load: Option<&SvcLoad>,
) -> Result<(Store, Arc<Specs>, MemberKey, Option<Snapshot>), StartError> {
    let store = Store::open(&sup.data())?;
    let key = MemberKey::load_or_create(&sup.data())?;
    let mut restored = store.load()?;
    let rows = restored.as_mut().map(|snapshot| std::mem::take(&mut snapshot.services)).unwrap_or_default();
    let moved: Vec<Write> = rows.iter().map(|spec| Write::no_service(&spec.name())).collect();
    let specs = Specs::open(sup.specs(), rows)?;
    // Only now, so that a crash at any moment leaves each spec in one of the two.
    store.forget(&moved)?;
    if let Some(load) = load {
        want((root, sup), &specs, org, load).map_err(StartError::Load)?;
    }
    let services = specs.known();
    if restored.is_none() && !services.is_empty() {
        // The data directory is new and so is the member; the spec files still say which services are wanted.
        restored = Some(Snapshot::new(key.id()));
    }
    if let Some(snapshot) = &mut restored {
        snapshot.services = services;
    }
    Ok((store, Arc::new(specs), key, restored))
}

fn want(
    (root, sup): (&Root, &SupDir),
    specs: &Specs,
    org: Option<&str>,
    load: &SvcLoad,
) -> Result<(), String> {
    let ident = convert::ident(load.ident.as_ref()).map_err(|refusal| refusal.msg)?;
    let before = specs.known().into_iter().find(|spec| spec.name() == ident.service_name());
    let spec = convert::spec(load, before.as_ref()).map_err(|refusal| refusal.msg)?;
    let spec = ServiceSpec { desired: DesiredState::Up, ..spec };
    spec.service_group(org).map_err(|error| format!("group {:?} cannot be used: {error}", spec.group))?;
    // A refusal now is better than a service that fails to start for ever.
    let own_name = sup.path().file_name().and_then(OsStr::to_str);
    if let Some(by) = owner::holder(root, &spec.name()).filter(|by| own_name != Some(by.name.as_str())) {
        return Err(OwnerError::Held { service: spec.name().to_string(), by }.to_string());
    }
    prepare::check(root, &spec).map_err(|error| error.to_string())?;
    if before.as_ref() == Some(&spec) {
        Ok(())
    } else {
        specs.persist(&spec.name(), Some(&spec)).map_err(|error| error.to_string())
    }
}
