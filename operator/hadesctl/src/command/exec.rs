//! `hadesctl exec`.

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::Args;
use futures::stream::{self, Stream, StreamExt};
use hades_client::Address;
use hades_client::exec::{self, ExecError, ExecQuery, Origin, TerminalSize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::error::Error;
use crate::raw_mode::RawMode;
use crate::target::{self, Target};

/// Bytes of input read at once, and pieces that may wait to be sent.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 4;

const AFTER_HELP: &str = "\
The exit status is that of the command. It ends when hadesctl ends or its
connection is lost.

Examples:
  hadesctl exec -it shop/production/api -- sh
  hadesctl exec shop/production/api/2 -- env
  hadesctl exec -i shop/production/db -- psql -U app < dump.sql";

/// Run a command in a container
///
/// Without a replica it is the first one that runs.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT/SERVICE[/REPLICA]
    #[arg(value_name = "ADDRESS")]
    address: String,

    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Give the command a terminal
    #[arg(short = 't', long)]
    tty: bool,

    /// Container by its own name, as `hadesctl ps -o wide` shows it
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,

    /// User, or user:group, to run as
    #[arg(short, long)]
    user: Option<String>,

    /// Folder to start in
    #[arg(short, long, value_name = "FOLDER")]
    workdir: Option<String>,

    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
    let address = context.container_address(Some(&arguments.address)).await?;
    let container = container(&address, arguments.container.as_deref())?;
    let session = context.session().await?;
    let person = io::stdin().is_terminal();
    let tty = arguments.tty && person;
    if arguments.tty && !tty {
        context.terminal.warn("standard input is no terminal, so the command gets none either");
    }
    let query = ExecQuery {
        container,
        command: arguments.command.clone(),
        tty,
        stdin: arguments.stdin,
        user: arguments.user.clone(),
        working_dir: arguments.workdir.clone(),
    };
    context.terminal.flush()?;
    let raw = if tty && arguments.stdin { Some(RawMode::begin()?) } else { None };
    let (input, sizes) = (input(arguments.stdin), sizes(tty));
    let environment = address.whole();
    let outcome = tokio::select! {
        outcome = exec::run(session, &environment, &query, input, write, sizes) => outcome,
        () = ended_from_outside() => Err(ExecError::Ended("hadesctl was told to stop".to_owned())),
    };
    match (outcome, raw) {
        (Ok(code), raw) => {
            drop(raw);
            Ok(exit_code(code))
        }
        (Err(error), raw) => {
            if let Some(raw) = raw {
                raw.abandon();
            }
            Err(explain(context, &address, error).await)
        }
    }
}

/// What the server is to look for.
fn container(address: &Address, name: Option<&str>) -> Result<String, Error> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let Some(service) = &address.service else {
        return Err(Error::usage(
            format!("{address} is a whole environment, and a command runs in one container"),
            format!("write {address}/SERVICE; `hadesctl ps {address}` shows what there is"),
        ));
    };
    Ok(match &address.instance {
        None => service.clone(),
        Some(instance) if address.replica().is_some() => format!("{service}/{instance}"),
        Some(name) => name.clone(),
    })
}

fn write(origin: Origin, bytes: &[u8]) -> io::Result<()> {
    let write = |mut stream: Box<dyn Write>| {
        stream.write_all(bytes)?;
        stream.flush()
    };
    match origin {
        Origin::Stdout => write(Box::new(io::stdout().lock())),
        Origin::Stderr => write(Box::new(io::stderr().lock())),
    }
}

/// Standard input in pieces as they come; nothing unless it is wanted, so that it
/// is left to whoever reads it next.
fn input(wanted: bool) -> impl Stream<Item = Vec<u8>> {
    let (pieces, receiver) = mpsc::channel(PIECES);
    if wanted {
        // A thread, as a read that never ends can't be given up.
        std::thread::spawn(move || {
            let mut piece = vec![0; PIECE];
            while let Ok(count @ 1..) = io::stdin().lock().read(&mut piece) {
                let read = piece.get(..count).unwrap_or_default().to_vec();
                if pieces.blocking_send(read).is_err() {
                    return;
                }
            }
        });
    }
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// Sizes of our terminal, the present one first.
fn sizes(tty: bool) -> impl Stream<Item = TerminalSize> {
    let size = || {
        let (width, height) = crossterm::terminal::size().ok()?;
        Some(TerminalSize { width, height })
    };
    let changes = signal(SignalKind::window_change()).ok().filter(|_| tty);
    let first = stream::iter(size().filter(|_| tty));
    first.chain(
        stream::unfold(changes, move |changes| async move {
            let Some(mut changes) = changes else { return std::future::pending().await };
            changes.recv().await?;
            Some((size(), Some(changes)))
        })
        .filter_map(std::future::ready),
    )
}

/// Waits until somebody ends us other than by a key, which the command gets.
async fn ended_from_outside() {
    let signals = [SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<Signal> =
        signals.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    let waits: Vec<_> = waits.collect();
    if waits.is_empty() {
        return std::future::pending().await;
    }
    futures::future::select_all(waits).await;
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn explain(context: &Context, address: &Address, error: ExecError) -> Error {
    match error {
        ExecError::Client(error) if error.is_not_found() => match context.session().await {
            Ok(session) => target::not_found(session, &Target::environment(address)).await,
            Err(error) => error,
        },
        ExecError::Client(error) => error.into(),
        ExecError::Output(error) => Error::Output(error),
        ended @ ExecError::Ended(_) => Error::incomplete(ended.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers() {
        let address = |text: &str| Address::parse(text, None).unwrap();
        let pick = |text: &str| container(&address(text), None);
        assert_eq!(pick("shop/production/api").unwrap(), "api");
        assert_eq!(pick("shop/production/api/2").unwrap(), "api/2");
        assert_eq!(
            pick("shop/production/api/shop_production_api-2").unwrap(),
            "shop_production_api-2"
        );
        assert_eq!(container(&address("shop/production"), Some("c1")).unwrap(), "c1");
        let error = pick("shop/production").unwrap_err();
        assert!(error.hint().unwrap().contains("shop/production/SERVICE"), "{error}");
    }
}
