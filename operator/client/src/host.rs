//! What can be asked of hosts.

use http::Request;
use serde::{Deserialize, Serialize};

use crate::{Error, Session};

/// What a test of a host found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostTest {
    /// What the engine is, when it answered.
    #[serde(default)]
    pub info: Option<HostInfo>,
    /// How long a call took on the open connection, in milliseconds.
    #[serde(default)]
    pub round_trip: Option<u64>,
    /// A word of [`hades_api::reason`], when it didn't answer.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why it didn't.
    #[serde(default)]
    pub message: Option<String>,
}

/// What an engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Its version.
    pub version: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: i64,
}

/// Has the server connect to a host anew and says what came of it.
///
/// # Errors
/// When there is no such host, or the server refuses or doesn't answer.
pub async fn test(session: &Session, name: &str) -> Result<HostTest, Error> {
    let path = format!("/apis/operations.hades.dev/v1alpha1/dockerhosts/{name}/test");
    let request = Request::post(path).body(vec![]).map_err(|error| session.protocol(error))?;
    session.client().request(request).await.map_err(|error| session.error(error))
}
