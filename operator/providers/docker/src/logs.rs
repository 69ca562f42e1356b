//! Output of containers.

use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder};
use futures::StreamExt;
use hades_api::reason;
use hades_provider::{ErrorClass, LogChunk, LogOptions, LogStream, ProviderError};

use crate::client::Client;
use crate::failure::Failure;
use crate::wire::left_unread;

/// Opens the output of a container. Without `follow` the engine ends it.
pub(crate) async fn open(
    client: Arc<Client>,
    id: &str,
    options: &LogOptions,
) -> Result<LogStream, ProviderError> {
    let LogOptions { follow, tail, since, timestamps } = options;
    // The stream would tell only when it is read.
    let found = client.look(|docker| async move {
        docker.inspect_container(id, None::<InspectContainerOptions>).await
    });
    if let Err(failure) = found.await {
        return Err(error(failure, id));
    }
    let mut query = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .follow(*follow)
        .timestamps(*timestamps)
        .tail(&tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()));
    if let Some(since) = since {
        query = query.since(i32::try_from(*since).unwrap_or(i32::MAX));
    }
    let (docker, cut) = client.stream().await.map_err(|failure| error(failure, id))?;
    let id = id.to_owned();
    let output = docker.logs(&id, Some(query.build())).map(move |piece| match piece {
        Ok(LogOutput::StdErr { message }) => Ok(LogChunk { stderr: true, bytes: message }),
        Ok(
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message },
        ) => Ok(LogChunk { stderr: false, bytes: message }),
        Err(_) if cut.happened() => Err(left_unread()),
        Err(failed) => Err(error(client.failure(&failed), &id)),
    });
    Ok(output.boxed())
}

fn error(failure: Failure, id: &str) -> ProviderError {
    if failure.is_not_found() {
        return ProviderError::new(
            ErrorClass::Conflict,
            reason::ACTION_FAILED,
            format!("there is no container {id} on the host any more"),
        );
    }
    failure.into_provider_error()
}
