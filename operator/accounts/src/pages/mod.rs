//! Pages: what people see of logging in. Plain HTML without scripts; every answer
//! forbids scripts, frames, and forms that lead elsewhere.

mod browser;
mod device;
mod html;
mod login;
mod logout;
mod next;
mod page;
mod sso;

pub(crate) use device::{decide as decide_device, show as show_device};
pub(crate) use login::{log_in, show as show_login};
pub(crate) use logout::{log_out, show as show_logout};
pub(crate) use sso::{come_back, start};

/// Where people log in.
pub(crate) const LOGIN: &str = "/login";
/// Where they log out.
pub(crate) const LOGOUT: &str = "/logout";
/// Where device logins are confirmed.
pub(crate) const DEVICE: &str = "/login/device";
/// Where the way to the provider of identities begins.
pub(crate) const START: &str = "/login/oidc/sso";
/// Where it ends.
pub(crate) const CALLBACK: &str = "/login/oidc/sso/callback";
