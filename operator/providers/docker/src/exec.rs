//! Commands in running containers: created and inspected through the client
//! library, attached to over a connection of their own ([`crate::hijack`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::exec::CreateExecOptions;
use bollard::query_parameters::ResizeExecOptionsBuilder;
use hades_api::reason;
use hades_provider::{
    ErrorClass, ExecControl, ExecOptions, ExecSession, ProviderError, TerminalSize,
};
use tokio::time::sleep;

use crate::client::Client;
use crate::failure::Failure;
use crate::hijack;

/// Variable by which the processes of a session are found again when its person
/// has gone: the engine has no call that ends them.
const MARK: &str = "HADES_EXEC";

/// Sends SIGHUP to every process that carries the mark in `$0`, as far as the
/// image has a shell. A constant: nothing of a request is part of its text.
const HANG_UP: &str = r#"for p in /proc/[0-9]*; do
  if grep -qszxF "$0" "$p/environ"; then kill -HUP "${p#/proc/}" 2>/dev/null; fi
done"#;

/// The engine notes the end of a command a moment after its output has ended.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a command and attaches to it.
pub(crate) async fn start(
    client: Arc<Client>,
    container: &str,
    options: &ExecOptions,
) -> Result<ExecSession, ProviderError> {
    let ExecOptions { command, tty, stdin, size, user, working_dir } = options;
    let mark = format!("{MARK}={}", fresh_mark());
    let create = CreateExecOptions {
        attach_stdin: Some(*stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(*tty),
        cmd: Some(command.clone()),
        env: Some(vec![mark.clone()]),
        user: user.clone(),
        working_dir: working_dir.clone(),
        ..CreateExecOptions::default()
    };
    let created = client
        .change(|docker| async move { docker.create_exec(container, create).await })
        .await
        .map_err(|failure| error(failure, container, command))?;
    let attached = hijack::start_exec(&client, &created.id, *tty)
        .await
        .map_err(|failure| error(failure, container, command))?;
    let control = Control {
        client,
        container: container.to_owned(),
        id: created.id,
        mark,
        user: user.clone(),
    };
    if let Some(size) = size.filter(|_| *tty)
        && let Err(error) = control.resize(size).await
    {
        // Nobody would have the session, and the command would run on.
        control.hang_up().await;
        return Err(error);
    }
    Ok(ExecSession { output: attached.output, input: attached.input, control: Box::new(control) })
}

/// Not a secret, only unlike any other: the time in nanoseconds and a counter.
fn fresh_mark() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{time:x}-{}-{:x}.", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

struct Control {
    client: Arc<Client>,
    container: String,
    id: String,
    mark: String,
    user: Option<String>,
}

impl Control {
    /// Exit status, or none while it runs.
    async fn ended(&self) -> Result<Option<i64>, Failure> {
        let found =
            self.client.look(|docker| async move { docker.inspect_exec(&self.id).await }).await?;
        Ok(found.exit_code.filter(|_| found.running != Some(true)))
    }
}

#[async_trait]
impl ExecControl for Control {
    async fn resize(&self, size: TerminalSize) -> Result<(), ProviderError> {
        let options = ResizeExecOptionsBuilder::new()
            .w(i32::from(size.width))
            .h(i32::from(size.height))
            .build();
        let resized = self
            .client
            .look(|docker| async move { docker.resize_exec(&self.id, options).await })
            .await;
        match resized {
            Ok(()) | Err(Failure::Refused { .. }) => Ok(()),
            Err(failure) => Err(failure.into_provider_error()),
        }
    }

    async fn exit_code(&self) -> Result<i64, ProviderError> {
        for _ in 0..LOOKS {
            match self.ended().await {
                Ok(Some(code)) => return Ok(code),
                Ok(None) => sleep(PAUSE).await,
                Err(failure) => return Err(failure.into_provider_error()),
            }
        }
        Err(ProviderError::new(
            ErrorClass::Retry,
            reason::ACTION_FAILED,
            "the command has closed its output and runs on",
        ))
    }

    async fn hang_up(&self) {
        if !matches!(self.ended().await, Ok(None)) {
            return;
        }
        let create = CreateExecOptions {
            cmd: Some(vec![
                "/bin/sh".to_owned(),
                "-c".to_owned(),
                HANG_UP.to_owned(),
                self.mark.clone(),
            ]),
            user: self.user.clone(),
            ..CreateExecOptions::default()
        };
        let done = self
            .client
            .change(|docker| async move {
                let created = docker.create_exec(&self.container, create).await?;
                let detached = bollard::exec::StartExecOptions {
                    detach: true,
                    ..bollard::exec::StartExecOptions::default()
                };
                docker.start_exec(&created.id, Some(detached)).await?;
                Ok::<_, Error>(())
            })
            .await;
        if let Err(failure) = done {
            // An image without a shell: its command reads the end of its input.
            tracing::debug!(container = self.container, ?failure, "a command was not hung up on");
        }
    }
}

/// The engine refuses with 409 when the container doesn't run, and with 400 or
/// 500 and words of the runtime when there is no such program.
fn error(failure: Failure, container: &str, command: &[String]) -> ProviderError {
    let Failure::Refused { status, words } = failure else {
        return failure.into_provider_error();
    };
    let conflict =
        |message| ProviderError::new(ErrorClass::Conflict, reason::ACTION_FAILED, message);
    match status {
        404 => conflict(format!("there is no container {container} on the host any more")),
        409 => conflict(words),
        _ => {
            let program = command.first().map(String::as_str).unwrap_or_default();
            ProviderError::new(
                ErrorClass::Terminal,
                reason::ACTION_FAILED,
                format!("{program:?} can't be started: {words}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_and_none_is_the_beginning_of_another() {
        let marks: Vec<String> = (0..20).map(|_| fresh_mark()).collect();
        for (index, mark) in marks.iter().enumerate() {
            let others = marks.iter().enumerate().filter(|(other, _)| *other != index);
            assert!(others.into_iter().all(|(_, other)| !other.starts_with(mark.as_str())));
        }
    }

    #[test]
    fn refusals() {
        let refused = |status| Failure::Refused { status, words: "words".to_owned() };
        let command = vec!["bash".to_owned()];
        assert_eq!(error(refused(404), "c", &command).class, ErrorClass::Conflict);
        assert_eq!(error(refused(409), "c", &command).message, "words");
        let missing = error(refused(400), "c", &command);
        assert_eq!(missing.class, ErrorClass::Terminal);
        assert_eq!(missing.message, "\"bash\" can't be started: words");
    }
}
