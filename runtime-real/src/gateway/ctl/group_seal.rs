//! Checks what comes sealed for a service group before the ring gets it, and refuses what comes plain for a group that is
//! sealed. A supervisor without the group's key passes on what it cannot open.

use annulus_core::limits::SEALED_BYTES_MAX;
use annulus_core::{FileName, RumorKey, Sealed, ServiceGroup};

use super::Ctl;
use super::group::WARNING;
use super::message::{ErrCode, NetErr};
use crate::gateway::disk;
use crate::keys::{KeyCache, KeyError, KeyKind, Purpose, SealError};

/// What a request gives to a group.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) group: ServiceGroup,
    pub(super) file: Option<FileName>,
    pub(super) version: u64,
}

fn refused(reason: impl std::fmt::Display) -> NetErr {
    NetErr::new(ErrCode::InvalidPayload, reason.to_string())
}

/// The body of a sealed version, with remarks for the operator.
///
/// # Errors
/// It is no box for this group, or this host can tell that no member would open it.
pub(super) async fn check(
    ctl: &Ctl,
    given: Given,
    text: Vec<u8>,
    signature: Option<Vec<u8>>,
) -> Result<(Vec<u8>, Vec<String>), NetErr> {
    let sealed = Sealed { text: &text, signature: signature.as_deref().unwrap_or_default() };
    KeyCache::check_box(sealed, &given.group).map_err(refused)?;
    let body = sealed.to_body().ok_or_else(|| refused("a box is text without zero bytes"))?;
    if body.len() > SEALED_BYTES_MAX {
        let text = format!("the box has more than {SEALED_BYTES_MAX} bytes, which is what a ring carries");
        return Err(NetErr::new(ErrCode::EntityTooLarge, text));
    }
    let vault = std::sync::Arc::clone(&ctl.vault);
    let checked = disk::read(move || {
        let Given { group, file, version } = &given;
        if !vault.keys().opens(group)? {
            return Ok((body, Vec::new()));
        }
        let purpose = Purpose { group, file: file.as_ref().map(FileName::as_str), version: *version };
        match vault.keys().unseal(Sealed::of_body(&body), purpose, vault.takes_unsigned()) {
            Ok(_) => Ok((body, Vec::new())),
            // Other members may have this revision.
            Err(error @ SealError::Key(KeyError::Missing { kind: KeyKind::BoxSecret, .. })) => {
                let remark = format!("{WARNING}this host cannot open it: {error}");
                Ok((body, vec![remark]))
            }
            Err(error) => Err(error),
        }
    });
    let checked: Result<_, SealError> =
        checked.await.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))?;
    checked.map_err(refused)
}

/// Refuses what comes plain for a group that is sealed: this host holds its key, or the ring holds something sealed for it.
pub(super) async fn refuse_plain(ctl: &Ctl, given: &Given) -> Result<(), NetErr> {
    let (group, vault) = (given.group.clone(), std::sync::Arc::clone(&ctl.vault));
    let has_key = disk::read(move || vault.is_sealed(&group)).await;
    let has_key = has_key.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))?;
    let group = given.group.clone();
    let was_sealed = ctl.handle.read(move |node| {
        let census = node.census();
        let versions = census.group(&group).map(|group| &group.versions);
        versions.is_some_and(|v| v.sealed_config.is_some() || !v.sealed_files.is_empty())
            || node.rumor(&RumorKey::SealedConfig(group.clone())).is_some()
    });
    let was_sealed = was_sealed.await.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    if has_key || was_sealed { Err(refused(plain_refusal(given))) } else { Ok(()) }
}

fn plain_refusal(given: &Given) -> String {
    let Given { group, file, version } = given;
    let command = if file.is_some() { "file upload" } else { "config apply" };
    format!(
        "the members of {group} take only what a user sealed for them: `annulus {command} {group} {version} FILE --user NAME`, \
         on a host with the user's secret key and the group's public key in its key cache"
    )
}
