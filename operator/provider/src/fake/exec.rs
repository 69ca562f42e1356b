//! Commands in the containers of a fake host: `echo`, `cat`, `false`, `size`
//! (prints that of its terminal) and `sleep`, which ends when it is hung up on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use hades_api::reason;
use hades_plan::ContainerState;
use tokio::io::{AsyncReadExt, AsyncWrite, DuplexStream};
use tokio::sync::watch;

use super::engine::FakeEngine;
use super::faults::CallKind;
use super::plain_error;
use crate::engine::CallError;
use crate::{
    ContainerStats, ErrorClass, ExecControl, ExecOptions, ExecSession, LogChunk, LogStream,
    ProviderError, TerminalSize,
};

/// What a command may have in flight to its input.
const INPUT_BYTES: usize = 1024;

/// Exit status of what SIGHUP ended.
const HUNG_UP: i64 = 129;

struct Control {
    size: Mutex<Option<TerminalSize>>,
    code: i64,
    hung_up: watch::Sender<bool>,
}

#[async_trait]
impl ExecControl for Arc<Control> {
    async fn resize(&self, size: TerminalSize) -> Result<(), ProviderError> {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = Some(size);
        Ok(())
    }

    async fn exit_code(&self) -> Result<i64, ProviderError> {
        Ok(if *self.hung_up.borrow() { HUNG_UP } else { self.code })
    }

    async fn hang_up(&self) {
        self.hung_up.send_replace(true);
    }
}

fn absent(id: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Conflict,
        reason::ACTION_FAILED,
        format!("there is no container {id} on the host any more"),
    )
}

pub(super) async fn stats(engine: &FakeEngine, id: &str) -> Result<ContainerStats, ProviderError> {
    let found = engine.call(CallKind::Stats, id, |state| Ok(state.container(id)?.stats)).await;
    found.map_err(|error| match error {
        CallError::Absent => absent(id),
        error => plain_error(error),
    })
}

pub(super) async fn start(
    engine: &FakeEngine,
    id: &str,
    options: &ExecOptions,
) -> Result<ExecSession, ProviderError> {
    let running = engine
        .call(CallKind::Exec, id, |state| {
            Ok(state.container(id)?.seen.state == ContainerState::Running)
        })
        .await
        .map_err(|error| match error {
            CallError::Absent => absent(id),
            error => plain_error(error),
        })?;
    if !running {
        let message = format!("container {id} is not running");
        return Err(ProviderError::new(ErrorClass::Conflict, reason::ACTION_FAILED, message));
    }
    let program = options.command.first().map(String::as_str).unwrap_or_default();
    let (hung_up, hang_ups) = watch::channel(false);
    let code = i64::from(program == "false");
    let control = Arc::new(Control { size: Mutex::new(options.size), code, hung_up });
    let (input, theirs) = tokio::io::duplex(INPUT_BYTES);
    let output: LogStream = match program {
        "echo" => once(format!("{}\n", options.command[1..].join(" "))),
        "false" => stream::empty().boxed(),
        "size" => {
            let control = control.clone();
            stream::once(async move {
                let size = *control.size.lock().unwrap_or_else(PoisonError::into_inner);
                let size = size.unwrap_or(TerminalSize { width: 0, height: 0 });
                Ok(chunk(format!("{}x{}\n", size.width, size.height)))
            })
            .boxed()
        }
        "cat" => cat(theirs),
        "sleep" => sleep(hang_ups),
        other => {
            return Err(ProviderError::new(
                ErrorClass::Terminal,
                reason::ACTION_FAILED,
                format!("{other:?} can't be started: executable file not found"),
            ));
        }
    };
    let input: Pin<Box<dyn AsyncWrite + Send>> = Box::pin(input);
    Ok(ExecSession { output, input, control: Box::new(control) })
}

fn chunk(text: impl Into<Bytes>) -> LogChunk {
    LogChunk { stderr: false, bytes: text.into() }
}

fn once(text: String) -> LogStream {
    stream::iter([Ok(chunk(text))]).boxed()
}

fn cat(input: DuplexStream) -> LogStream {
    stream::unfold(input, |mut input| async move {
        let mut buffer = vec![0; INPUT_BYTES];
        match input.read(&mut buffer).await {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                buffer.truncate(count);
                Some((Ok(chunk(buffer)), input))
            }
        }
    })
    .boxed()
}

fn sleep(mut hang_ups: watch::Receiver<bool>) -> LogStream {
    stream::once(async move {
        // An error means that whoever could hang up is gone.
        let _ = hang_ups.wait_for(|hung_up| *hung_up).await;
    })
    .filter_map(|()| async { None })
    .boxed()
}
