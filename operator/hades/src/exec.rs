//! `…/exec`: a command in a container over a WebSocket, in Kubernetes's protocol
//! `v5.channel.k8s.io`: each message begins with the number of its channel.
//!
//! ```text
//! client ──0 stdin─────▶          ──input──▶  command in
//!        ──4 resize────▶  session             a container
//!        ◀─1 stdout────           ◀─output──
//!        ◀─2 stderr────
//!        ◀─3 status────  once, at the end
//! ```
//!
//! What is held of either direction is a few messages: whoever doesn't read holds
//! up the other side, for hours if need be, as a pager does. So a client that says
//! nothing is no sign of anything; that it has gone is told by TCP, which gives up
//! when pings are not acknowledged. A session's end hangs up on its command.
//! Source: kubernetes.io/docs, "WebSocket streaming"; package
//! `k8s.io/apimachinery/pkg/util/remotecommand`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures::stream::{SplitSink, SplitStream};
use futures::{Sink, SinkExt, StreamExt};
use hades_apiserver::Unread;
use hades_apiserver::audit::Trail;
use hades_apiserver::wire::status::StatusError;
use hades_controllers::environment::{ExecError, exec};
use hades_controllers::{Context, ProjectValues, error_chain};
use hades_provider::{ErrorClass, ExecControl, ExecOptions, ExecSession, TerminalSize};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The protocols that are spoken, the preferred one first. The fourth lacks only
/// the sign that a channel has ended.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Sessions at once. Each costs two connections and some buffers.
const SESSIONS: usize = 64;
/// The longest message of a client: input comes in pieces.
const MESSAGE_BYTES: usize = 1024 * 1024;
/// Pieces of input that may wait for a command to read them.
const INPUT_PIECES: usize = 8;
/// How often a client is sent something, so that both sides notice a connection
/// that is lost.
const PING: Duration = Duration::from_secs(15);
/// A session in which nothing is typed or written for so long ends, as kubelets
/// end theirs. A client may leave output unread for as long.
const IDLE: Duration = Duration::from_secs(4 * 60 * 60);
/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// The sessions of a server.
pub(crate) struct Sessions {
    context: Arc<Context>,
    places: Arc<Semaphore>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Sessions {
    /// None yet; all end with `shutdown`.
    pub(crate) fn new(context: Arc<Context>, shutdown: CancellationToken) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(SESSIONS));
        Arc::new(Self { context, places, tracker: TaskTracker::new(), shutdown })
    }

    /// Returns once all sessions have ended, after `shutdown`.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// What the address of a session says: the parameters of Kubernetes's `exec`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    container: String,
    options: ExecOptions,
}

impl Wanted {
    fn read(query: Vec<(String, String)>) -> Result<Self, StatusError> {
        let mut wanted = Self::default();
        for (key, value) in query {
            let flag = || value.is_empty() || value == "true" || value == "1";
            match key.as_str() {
                "container" => wanted.container = value,
                "command" => wanted.options.command.push(value),
                "tty" => wanted.options.tty = flag(),
                "stdin" => wanted.options.stdin = flag(),
                // Always sent: who doesn't want it doesn't look.
                "stdout" | "stderr" => {}
                "user" => wanted.options.user = Some(value),
                "workingDir" => wanted.options.working_dir = Some(value),
                other => {
                    let message = format!("exec has no parameter {other:?}");
                    return Err(StatusError::bad_request(message));
                }
            }
        }
        if wanted.container.is_empty() {
            let message = "say in which container: container=SERVICE or container=SERVICE/REPLICA";
            return Err(StatusError::bad_request(message));
        }
        if wanted.options.command.is_empty() {
            return Err(StatusError::bad_request("say what to run: command=PROGRAM"));
        }
        Ok(wanted)
    }
}

/// The route.
pub(crate) async fn open(
    State(sessions): State<Arc<Sessions>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    unread: Option<Extension<Unread>>,
    trail: Option<Extension<Trail>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let wanted = match Wanted::read(query) {
        Ok(wanted) => wanted,
        Err(error) => return error.into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols(PROTOCOLS).max_message_size(MESSAGE_BYTES),
        Err(error) => {
            let message = format!("exec is a WebSocket of {}: {error}", PROTOCOLS[0]);
            return StatusError::bad_request(message).into_response();
        }
    };
    if upgrade.selected_protocol().is_none() {
        let message = format!("exec speaks {}", PROTOCOLS.join(" and "));
        return StatusError::bad_request(message).into_response();
    }
    let Ok(place) = sessions.places.clone().try_acquire_owned() else {
        let message = format!("{SESSIONS} commands are followed already, which is the most");
        return StatusError::too_many_requests(message, 30).into_response();
    };
    let Wanted { container, options } = wanted;
    let started = exec(&sessions.context, &namespace, &name, &container, &options).await;
    let session = match started {
        Ok(Some(session)) => session,
        Ok(None) => {
            return StatusError::not_found("hades.dev", "environments", &name).into_response();
        }
        Err(error) => return refusal(&error).into_response(),
    };
    tracing::info!(namespace, name, container, tty = options.tty, "a command was started");
    if let Some(Extension(unread)) = unread {
        unread.allow(IDLE);
    }
    let token = sessions.tracker.token();
    let shutdown = sessions.shutdown.clone();
    let values = sessions.context.project_values(&namespace);
    upgrade.on_upgrade(move |socket| async move {
        let _held = (place, token);
        let later = trail.map(|Extension(trail)| trail.later());
        let end = follow(socket, session, &values, shutdown).await;
        if let Some(later) = later {
            later.end(&end);
        }
        tracing::info!(namespace, name, container, "a command was left");
    })
}

fn refusal(error: &ExecError) -> StatusError {
    match error {
        ExecError::Pick(error) => StatusError::bad_request(error.to_string()),
        ExecError::Provider(error) if error.class == ErrorClass::Unreachable => {
            StatusError::unavailable(error.message.clone())
        }
        ExecError::Provider(error) => StatusError::bad_request(error.message.clone()),
        ExecError::Api(error) => StatusError::internal(error_chain(error)),
    }
}

/// Why a session is over.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The command has ended.
    Command,
    /// The client has gone.
    Client,
    /// Hades ends it, for this reason.
    Hades(String),
}

/// When something was typed, or written and sent, last.
struct Activity {
    start: Instant,
    /// In milliseconds after `start`.
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }

    fn note(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }
}

/// The times of a session.
#[derive(Debug, Clone, Copy)]
struct Times {
    ping: Duration,
    idle: Duration,
}

impl Times {
    /// Why a session ends in which nothing happens for too long.
    fn idle_end(self) -> End {
        let hours = self.idle.as_secs() / 3600;
        End::Hades(format!("nothing was typed, written or read for {hours} hours"))
    }
}

/// Passes on what comes until either side has ended; says how it ended, for the
/// audit log.
async fn follow(
    socket: WebSocket,
    session: ExecSession,
    values: &ProjectValues,
    shutdown: CancellationToken,
) -> String {
    let ExecSession { output, input, control } = session;
    let (mut sink, stream) = socket.split();
    let activity = Activity::new();
    let times = Times { ping: PING, idle: IDLE };
    let (pieces, mut typed) = mpsc::channel::<Option<Bytes>>(INPUT_PIECES);
    let write = async {
        let mut input = input;
        while let Some(Some(piece)) = typed.recv().await {
            // A command that has closed its input is none the worse for it.
            if input.write_all(&piece).await.is_err() || input.flush().await.is_err() {
                break;
            }
        }
        let _ = input.shutdown().await;
        // What comes now goes nowhere, and must not hold up the client.
        while typed.recv().await.is_some() {}
        std::future::pending::<End>().await
    };
    let end = tokio::select! {
        end = hear(stream, &pieces, &*control, &activity) => end,
        end = speak(&mut sink, output, &activity, times, values) => end,
        end = write => end,
        () = shutdown.cancelled() => End::Hades("Hades stops".to_owned()),
    };
    let (status, words) = match &end {
        End::Command => match control.exit_code().await {
            Ok(code) => (ended(code), format!("exit status {code}")),
            Err(mut error) => {
                values.clear(&mut error);
                (failed(&error.message), "ended, its exit status is not known".to_owned())
            }
        },
        End::Hades(why) => (failed(why), why.clone()),
        End::Client => (Value::Null, "the client left".to_owned()),
    };
    if end != End::Client {
        let _ = timeout(FAREWELL, farewell(&mut sink, &status)).await;
    }
    if end != End::Command {
        control.hang_up().await;
    }
    words
}

/// Takes what the client sends.
async fn hear(
    mut stream: SplitStream<WebSocket>,
    pieces: &mpsc::Sender<Option<Bytes>>,
    control: &dyn ExecControl,
    activity: &Activity,
) -> End {
    while let Some(Ok(message)) = stream.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        let Some((&channel, rest)) = bytes.split_first() else { continue };
        let piece = match channel {
            STDIN if rest.is_empty() => continue,
            STDIN => Some(bytes.slice(1..)),
            CLOSE if rest == [STDIN] => None,
            RESIZE => {
                // A size that can't be read, or set, is no reason to end.
                if let Ok(size) = serde_json::from_slice::<TerminalSize>(rest) {
                    let _ = control.resize(size).await;
                }
                continue;
            }
            _ => continue,
        };
        activity.note();
        // An error means that the session is over.
        let _ = pieces.send(piece).await;
    }
    End::Client
}

/// Sends the client what the command writes, and pings.
async fn speak(
    sink: &mut (impl Sink<Message> + Unpin),
    mut output: hades_provider::LogStream,
    activity: &Activity,
    times: Times,
    values: &ProjectValues,
) -> End {
    let mut pings = interval(times.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            chunk = output.next() => match chunk {
                None => return End::Command,
                Some(Err(mut error)) => {
                    values.clear(&mut error);
                    return End::Hades(error.message);
                }
                Some(Ok(chunk)) => {
                    on_channel(if chunk.stderr { STDERR } else { STDOUT }, &chunk.bytes)
                }
            },
            _ = pings.tick() => match activity.idle() > times.idle {
                true => return times.idle_end(),
                false => Message::Ping(Bytes::new()),
            },
        };
        let is_output = matches!(message, Message::Binary(_));
        // A client that reads nothing now is somebody at a pager; one that has gone
        // makes this fail.
        match timeout(times.idle, sink.send(message)).await {
            Ok(Ok(())) if is_output => activity.note(),
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Client,
            Err(_) => return times.idle_end(),
        }
    }
}

fn on_channel(channel: u8, bytes: &[u8]) -> Message {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Message::Binary(message.into())
}

async fn farewell(sink: &mut SplitSink<WebSocket, Message>, status: &Value) {
    let _ = sink.send(on_channel(STATUS, status.to_string().as_bytes())).await;
    let _ = sink.close().await;
}

/// The end of a command, as Kubernetes tells it.
fn ended(code: i64) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

fn failed(why: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "message": why})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn parameters_are_those_of_kubernetes() {
        let wanted = Wanted::read(pairs(&[
            ("command", "sh"),
            ("command", "-c"),
            ("command", "exit 3"),
            ("container", "api/2"),
            ("stdin", "true"),
            ("stdout", "true"),
            ("tty", "true"),
        ]))
        .unwrap();
        assert_eq!(wanted.container, "api/2");
        assert_eq!(wanted.options.command, ["sh", "-c", "exit 3"]);
        assert!(wanted.options.tty && wanted.options.stdin);
        for (query, part) in [
            (pairs(&[("command", "sh")]), "in which container"),
            (pairs(&[("container", "api")]), "what to run"),
            (pairs(&[("container", "api"), ("comand", "sh")]), "no parameter \"comand\""),
        ] {
            let error = Wanted::read(query).unwrap_err();
            assert_eq!(error.code(), 400);
            assert!(error.to_value()["message"].as_str().unwrap().contains(part), "{error:?}");
        }
    }

    #[test]
    fn the_end_of_a_command_carries_its_exit_status() {
        assert_eq!(ended(0)["status"], "Success");
        assert_eq!(ended(3).pointer("/details/causes/0/message").unwrap(), "3");
    }

    fn none() -> ProjectValues {
        ProjectValues::new(Arc::new(hades_controllers::NoValues), "shop")
    }

    /// Knows the password of a host.
    struct OneValue;

    impl hades_controllers::SecretValues for OneValue {
        fn redactor(&self, namespace: &str) -> hades_redact::Redactor {
            let values = (namespace == "hades-system").then_some(b"host-password".as_slice());
            hades_redact::Redactor::new(values)
        }
    }

    #[tokio::test]
    async fn the_end_of_a_session_says_nothing_of_a_host_s_credentials() {
        let times = Times { ping: Duration::from_secs(600), idle: Duration::from_secs(600) };
        let (mut sink, _client) = futures::channel::mpsc::channel::<Message>(8);
        let lost = hades_provider::ProviderError::new(
            ErrorClass::Unreachable,
            hades_api::reason::HOST_UNREACHABLE,
            "host-password refused",
        );
        let output = futures::stream::iter([Err(lost)]).boxed();
        let values = ProjectValues::new(Arc::new(OneValue), "shop");
        let end = speak(&mut sink, output, &Activity::new(), times, &values).await;
        assert_eq!(end, End::Hades("*** refused".to_owned()));
    }

    fn written(texts: &'static [&'static str]) -> hades_provider::LogStream {
        let chunk = |text: &&str| {
            Ok(hades_provider::LogChunk {
                stderr: false,
                bytes: Bytes::copy_from_slice(text.as_bytes()),
            })
        };
        futures::stream::iter(texts.iter().map(chunk)).boxed()
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_for_a_while_loses_nothing() {
        let times = Times { ping: Duration::from_millis(1), idle: Duration::from_secs(600) };
        let (mut sink, mut client) = futures::channel::mpsc::channel::<Message>(0);
        // As long as the command writes nothing, pings come that nobody answers.
        let (end, pinged) = tokio::sync::oneshot::channel::<()>();
        let output = written(&["one", "two"])
            .chain(
                futures::stream::once(async move {
                    let _ = pinged.await;
                    written(&["three"])
                })
                .flatten(),
            )
            .boxed();
        let activity = Activity::new();
        let reads = async move {
            let mut texts = Vec::new();
            let (mut end, mut pings) = (Some(end), 0);
            while let Some(message) = client.next().await {
                match message {
                    Message::Ping(_) => pings += 1,
                    other => texts.push(other.into_data()),
                }
                if pings > 20
                    && let Some(end) = end.take()
                {
                    let _ = end.send(());
                }
            }
            texts
        };
        let reads = tokio::spawn(reads);
        assert_eq!(speak(&mut sink, output, &activity, times, &none()).await, End::Command);
        drop(sink);
        assert_eq!(reads.await.unwrap(), ["\u{1}one", "\u{1}two", "\u{1}three"]);
    }

    #[tokio::test]
    async fn a_session_in_which_nothing_happens_ends() {
        let times = Times { ping: Duration::from_millis(1), idle: Duration::from_millis(20) };
        let over = |end| matches!(end, End::Hades(why) if why.contains("hours"));
        // Nothing is written.
        let (mut sink, client) = futures::channel::mpsc::channel::<Message>(0);
        let reads = tokio::spawn(client.for_each(async |_| {}));
        let silent = futures::stream::pending().boxed();
        assert!(over(speak(&mut sink, silent, &Activity::new(), times, &none()).await));
        drop(sink);
        reads.await.unwrap();
        // Nothing is read.
        let (mut sink, _client) = futures::channel::mpsc::channel::<Message>(0);
        let output = written(&["one", "two", "three"]);
        assert!(over(speak(&mut sink, output, &Activity::new(), times, &none()).await));
        // The client has gone.
        let (mut sink, client) = futures::channel::mpsc::channel::<Message>(0);
        drop(client);
        let output = written(&["one"]);
        assert_eq!(speak(&mut sink, output, &Activity::new(), times, &none()).await, End::Client);
    }
}
