//! Hashes over what is planned, never over a secret's value.

use std::fmt::Write as _;

use hades_api::name::EnvironmentName;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::action::Action;
use crate::desired::ContainerSpec;

/// Hash over all that decides how the containers of a service run: the same
/// for all its replicas.
pub(crate) fn spec_hash(
    environment: &EnvironmentName,
    service: &str,
    spec: &ContainerSpec,
) -> String {
    sha256(&(&environment.project, &environment.environment, service, spec))
}

/// Digest of a plan: over its actions in their order.
pub(crate) fn plan(actions: &[Action]) -> String {
    sha256(&actions)
}

/// A number that is the same for the same environment and spread evenly over all
/// of them.
pub(crate) fn place(environment: &EnvironmentName) -> usize {
    let hash = Sha256::digest(environment.to_string());
    hash.iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// SHA-256 of a text, hex.
pub(crate) fn text(text: &str) -> String {
    hex(text.as_bytes())
}

/// Maps are sorted and structs keep the order of their fields, so that the JSON
/// of equal values is equal. Plain data can't fail to serialise; were it ever
/// to, the hash of nothing would differ from every real one.
fn sha256(value: &impl Serialize) -> String {
    hex(&serde_json::to_vec(value).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
