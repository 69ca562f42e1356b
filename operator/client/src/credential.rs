//! By what a kubeconfig shows who somebody is, as far as its form tells.

use jiff::Timestamp;
use kube::config::AuthInfo;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Name of the extension of a kubeconfig's user that says until when a login is
/// good.
const EXTENSION: &str = "hades.dev/login";

/// What the tokens of sessions and API tokens begin with.
const SESSION: &str = "hds_";
const API_TOKEN: &str = "hdt_";

/// By what a kubeconfig shows who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// By nothing.
    None,
    /// By the token of a login.
    Session {
        /// When it ends at the latest, where the login said so.
        until: Option<Timestamp>,
    },
    /// By an API token.
    ApiToken,
    /// By something else, such as the token in admin.kubeconfig.
    Other,
}

impl Credential {
    /// Of a user in a kubeconfig.
    pub(crate) fn of(user: &AuthInfo) -> Self {
        let Some(token) = &user.token else {
            let otherwise = user.token_file.is_some()
                || user.exec.is_some()
                || user.auth_provider.is_some()
                || user.username.is_some()
                || user.client_certificate.is_some()
                || user.client_certificate_data.is_some();
            return if otherwise { Self::Other } else { Self::None };
        };
        let extensions = user.extensions.iter().flatten();
        let until = || {
            let mut ours = extensions.filter(|known| known.name == EXTENSION);
            ours.next()?.extension.get("until")?.as_str()?.parse().ok()
        };
        Self::of_token(token.expose_secret(), until())
    }

    /// Of a token, which may be known to be good until some time.
    pub fn of_token(token: &str, until: Option<Timestamp>) -> Self {
        match token {
            token if token.starts_with(SESSION) => Self::Session { until },
            token if token.starts_with(API_TOKEN) => Self::ApiToken,
            _ => Self::Other,
        }
    }

    /// Until when a login is good, as extensions of a kubeconfig's user.
    pub(crate) fn extensions(until: Timestamp) -> Value {
        json!([{"name": EXTENSION, "extension": {"until": until.to_string()}}])
    }

    /// What the server does with it when it says 401.
    pub(crate) fn refused(self) -> String {
        match self {
            Self::None => "wants to know who you are, and the kubeconfig doesn't say".to_owned(),
            Self::Session { until: None } => "doesn't accept your login any more".to_owned(),
            Self::Session { until: Some(until) } => {
                format!("doesn't accept your login any more (it was good until {until} at most)")
            }
            Self::ApiToken => "doesn't accept the API token of the kubeconfig".to_owned(),
            Self::Other => "doesn't accept the credentials of the kubeconfig".to_owned(),
        }
    }

    /// What to do then.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::None => "log in: hadesctl login",
            Self::Session { .. } => {
                "a login ends by itself, when nothing happens for a while, or when somebody ends \
                 it: log in again, by `hadesctl login`"
            }
            Self::ApiToken => {
                "it may have expired or been revoked: `hadesctl login`, then `hadesctl token \
                 create` makes another one"
            }
            Self::Other => {
                "the token may be of another installation: `hadesctl login`, or take \
                 admin.kubeconfig from the data directory of this server"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: Value) -> Credential {
        Credential::of(&serde_json::from_value(user).unwrap())
    }

    #[test]
    fn told_by_their_form() {
        let until: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let login = json!({"token": "hds_x", "extensions": Credential::extensions(until)});
        assert_eq!(of(login), Credential::Session { until: Some(until) });
        assert_eq!(of(json!({"token": "hds_x"})), Credential::Session { until: None });
        assert_eq!(of(json!({"token": "hdt_x"})), Credential::ApiToken);
        assert_eq!(of(json!({"token": "abc"})), Credential::Other);
        assert_eq!(of(json!({"tokenFile": "/x"})), Credential::Other);
        assert_eq!(of(json!({})), Credential::None);
    }
}
