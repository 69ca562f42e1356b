//! Secrets of the type that holds keys for sealed files are made by the controllers
//! only: whoever put a key of his own there could read what others seal to it.

use hades_api::SOPS_AGE_TYPE;
use hades_apiserver::{Admission, Cause, Validator};

use super::forbidden;

/// Checks who makes keys for sealed files.
pub(super) struct SopsKeys;

impl Validator for SopsKeys {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        let Admission { kind, caller, object, old, .. } = *admission;
        let is_key =
            kind.kind == "Secret" && kind.group.is_empty() && object["type"] == SOPS_AGE_TYPE;
        let was_key = old.is_some_and(|old| old["type"] == SOPS_AGE_TYPE);
        if !is_key || was_key || caller.reads_secrets() {
            return Vec::new();
        }
        let why = "Hades makes these by itself; keys that you have go into a Secret of another type, \
                   which spec.decryption.secretRef of the ConfigRepository names";
        vec![forbidden("type", why)]
    }
}
