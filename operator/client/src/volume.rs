//! Volumes: copies to other hosts.

use futures::{AsyncBufReadExt, Stream, StreamExt};
use http::Request;
use serde::{Deserialize, Serialize};

use crate::plan::operations;
use crate::{Address, Error, Session};

/// What to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VolumeCopy {
    /// Key of the volume in `spec.volumes`.
    pub volume: String,
    /// DockerHost that gets the copy.
    pub to: String,
    /// DockerHost that has it; needed when several do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Also while a container writes to it.
    pub live: bool,
}

/// How a copy gets on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CopyProgress {
    /// Bytes copied so far.
    pub bytes: u64,
    /// It is whole.
    pub done: bool,
    /// Why it came to nothing.
    pub error: Option<String>,
}

/// Has the server copy a volume of an environment.
///
/// # Errors
/// When the environment isn't there, or the server refuses or doesn't answer.
pub async fn copy(
    session: &Session,
    environment: &Address,
    copy: &VolumeCopy,
) -> Result<impl Stream<Item = Result<CopyProgress, Error>> + use<>, Error> {
    let body = serde_json::to_vec(copy).map_err(|error| session.protocol(error))?;
    let request = Request::post(operations(environment, "volumecopy"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| session.protocol(error))?;
    let reader =
        session.client().request_stream(request).await.map_err(|error| session.error(error))?;
    let session = session.clone();
    let lines = AsyncBufReadExt::lines(Box::pin(reader));
    Ok(lines.map(move |line| match line {
        Ok(line) => serde_json::from_str(&line).map_err(|error| session.protocol(error)),
        Err(error) => Err(session.error(kube::Error::ReadEvents(error))),
    }))
}
