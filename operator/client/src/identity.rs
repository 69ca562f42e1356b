//! Who one is to the server.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;
use serde::{Deserialize, Serialize};

use crate::{Error, Session};

/// Key among what else is known of a user, for how he showed who he is:
/// `session/ID` or `token/NAME`.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// Who one is to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Name.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
    /// `session/ID` or `token/NAME`, where the server tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl Identity {
    /// Id of the session by which one asks.
    pub fn session(&self) -> Option<&str> {
        self.credential.as_deref()?.strip_prefix("session/")
    }

    /// Name of the API token by which one asks.
    pub fn token(&self) -> Option<&str> {
        self.credential.as_deref()?.strip_prefix("token/")
    }
}

/// Asks who one is.
///
/// # Errors
/// [`Error::Unauthorized`] when the server doesn't know; or when it doesn't answer.
pub async fn of(session: &Session) -> Result<Identity, Error> {
    let api: Api<SelfSubjectReview> = Api::all(session.client().clone());
    let asked = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let asked = asked.map_err(|error| session.error(error))?;
    let info = asked.status.and_then(|status| status.user_info).unwrap_or_default();
    let extra = info.extra.unwrap_or_default();
    Ok(Identity {
        user: info.username.unwrap_or_default(),
        groups: info.groups.unwrap_or_default(),
        credential: extra.get(CREDENTIAL).and_then(|values| values.first()).cloned(),
    })
}
