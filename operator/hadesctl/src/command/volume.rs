//! `hadesctl volume`.

use std::pin::pin;

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use hades_client::volume::{self, VolumeCopy};

use crate::context::Context;
use crate::error::Error;

/// Look after volumes
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy a volume to another host, through the server
    Copy(Copying),
}

/// A copy.
#[derive(Debug, Args)]
struct Copying {
    /// PROJECT/ENVIRONMENT/VOLUME
    #[arg(value_name = "VOLUME")]
    volume: String,

    /// Host that gets the copy
    #[arg(long, value_name = "HOST")]
    to: String,

    /// Host that has the volume; needed when several do
    #[arg(long, value_name = "HOST")]
    from: Option<String>,

    /// Copy while a container may write to it: what is there at the moment
    #[arg(long)]
    live: bool,
}

/// Does it.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Command::Copy(Copying { volume, to, from, live }) = &arguments.command;
    let mut address = context.address(volume).await?;
    let Some(key) = address.service.take() else {
        return Err(Error::usage(
            format!("{volume} doesn't say which volume"),
            "write PROJECT/ENVIRONMENT/VOLUME",
        ));
    };
    let session = context.session().await?;
    let request = VolumeCopy { volume: key, to: to.clone(), from: from.clone(), live: *live };
    let mut progress = pin!(volume::copy(session, &address, &request).await?);
    while let Some(piece) = progress.try_next().await? {
        if let Some(error) = piece.error {
            return Err(Error::Incomplete {
                message: format!("volume {volume} was not copied to {to}: {error}"),
                hint: None,
            });
        }
        if piece.done {
            return context.terminal.line(&format!(
                "volume {volume} was copied to {to} ({}); the one it was copied from is as it was",
                size(piece.bytes)
            ));
        }
        context.terminal.note(&format!("copying: {}", size(piece.bytes)));
    }
    Err(Error::incomplete(format!(
        "the server ended the connection before the copy of {volume} was done; see whether it is \
         on {to}"
    )))
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const MIB: f64 = (1_u64 << 20) as f64;
    format!("{:.1} MiB", bytes as f64 / MIB)
}
