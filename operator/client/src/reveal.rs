//! Values of a project's own Secrets, for those who may see them.

use std::collections::BTreeMap;

use hades_api::role::OPERATIONS_GROUP;
use http::Request;
use k8s_openapi::ByteString;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::{Error, Session};

/// What the server answers; never printed.
#[derive(Deserialize)]
struct Revealed {
    #[serde(default)]
    data: BTreeMap<String, ByteString>,
}

/// A value of a Secret. Each call is in the audit log.
///
/// # Errors
/// When the project's policy or the caller's rights don't allow it, the Secret is a
/// credential of something, it or the key isn't there, or the server doesn't answer.
pub async fn value(
    session: &Session,
    project: &str,
    secret: &str,
    key: &str,
) -> Result<Vec<u8>, Error> {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let path = format!(
        "/apis/{OPERATIONS_GROUP}/v1alpha1/namespaces/{}/secrets/{}/reveal?key={}",
        encoded(project),
        encoded(secret),
        encoded(key)
    );
    let request = Request::get(path).body(vec![]).map_err(|error| session.protocol(error))?;
    let Revealed { mut data } =
        session.client().request(request).await.map_err(|error| session.error(error))?;
    data.remove(key)
        .map(|value| value.0)
        .ok_or_else(|| session.protocol("the answer lacks the value"))
}
