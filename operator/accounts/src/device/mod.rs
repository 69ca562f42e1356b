//! Device login: the CLI logs in by a code that somebody confirms in a browser
//! (RFC 8628). Hades itself is the authorization server.

mod grants;
mod routes;

pub(crate) use grants::{Approval, Asked, Grants};
pub(crate) use routes::{authorize, token};
