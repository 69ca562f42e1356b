//! `hadesctl secret reveal`.

use std::io::{self, Write};

use clap::Args;
use hades_client::{catalog, reveal};

use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Search};

const AFTER_HELP: &str = "\
It needs spec.policy.reveal: true of the project, and the right get on secrets/reveal.
Each look is in the audit log. Credentials of hosts, forges and registries are never
shown.";

/// Show a value of a project's own Secret
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// PROJECT/NAME
    secret: String,

    /// Key of the value
    key: String,
}

/// Prints the value as it is, and a line end behind it on a terminal.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Arguments { secret, key } = arguments;
    let target = target::named(context, &catalog::secret(), secret, Search::OneProject).await?;
    let session = context.session().await?;
    let project = target.namespace.as_deref().unwrap_or_default();
    let value = match reveal::value(session, project, &target.name, key).await {
        Ok(value) => value,
        Err(error) => return Err(target::explain(session, &target, error).await),
    };
    let mut out = io::stdout().lock();
    let end: &[u8] =
        if context.terminal.is_live() && !value.ends_with(b"\n") { b"\n" } else { b"" };
    out.write_all(&value)
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
        .map_err(|error| Error::incomplete(format!("the value could not be printed: {error}")))
}
