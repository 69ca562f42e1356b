//! Secrets as the server as a whole knows them: which values are hidden where, which
//! can't be, and which may be revealed.

mod index;
mod kept;
mod registry_login;
mod reveal;
mod short;

pub(crate) use index::SecretIndex;
pub(crate) use reveal::{announced, router};
pub(crate) use short::ShortValues;

/// Where Secrets are stored, `group/plural`.
const SECRETS: &str = "/secrets";
