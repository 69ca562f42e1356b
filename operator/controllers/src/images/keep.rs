//! The record of what Hades pulled onto a host, in the status of its DockerHost.

use hades_api::{DockerHost, PulledImage};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::Context;
use crate::driver::ReconcileError;
use crate::status::FIELD_MANAGER;

/// Images that a record holds; the oldest are forgotten, and then stay for ever.
const RECORDED: usize = 500;
/// Age from which on the time of a pull that is noted already is written anew.
const RENEWED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Times that a change is tried when somebody else's comes between.
const TRIES: u32 = 5;

/// Notes that an image is about to be pulled, or was just now. A survey finds out
/// which it is, and drops what the record has already.
pub(super) async fn intend(
    context: &Context,
    host: &str,
    image: &str,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    change(context, host, |images| {
        let is_coming = |known: &&mut PulledImage| known.image == image && known.id.is_none();
        match images.iter_mut().find(is_coming) {
            // Of a pull that came to no end, as a rule. It must not pass for that one.
            Some(known) if now.duration_since(known.pulled_at) > RENEWED_AFTER => {
                known.pulled_at = now;
            }
            Some(_) => {}
            None => images.push(PulledImage {
                image: image.to_owned(),
                pulled_at: now,
                ..PulledImage::default()
            }),
        }
    })
    .await
}

/// Forgets an image that wasn't pulled after all.
pub(super) async fn give_up(
    context: &Context,
    host: &str,
    image: &str,
) -> Result<(), ReconcileError> {
    change(context, host, |images| {
        images.retain(|known| known.image != image || known.id.is_some());
    })
    .await
}

/// Changes the record. It is changed by nobody else, and with the version that was
/// read.
pub(super) async fn change(
    context: &Context,
    host: &str,
    change: impl Fn(&mut Vec<PulledImage>),
) -> Result<(), ReconcileError> {
    let turn = context.images.record_of(host);
    let _turn = turn.lock().await;
    let api: Api<DockerHost> = Api::all(context.client.clone());
    let action = || format!("record images of DockerHost {host}");
    for tries_left in (0..TRIES).rev() {
        let found = api.get_opt(host).await.map_err(ReconcileError::api(action()))?;
        let Some(found) = found else { return Ok(()) };
        let before = found.status.as_ref().map(|status| status.images.clone()).unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        let surplus = after.len().saturating_sub(RECORDED);
        after.drain(..surplus);
        if after == before {
            return Ok(());
        }
        let patch = json!({
            "metadata": {"resourceVersion": found.resource_version()},
            "status": {"images": after},
        });
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(host, &params, &Patch::Merge(patch)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && tries_left > 0 => {}
            Err(error) => return Err(ReconcileError::api(action())(error)),
        }
    }
    Ok(())
}
