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
    let is_line = context.terminal.is_live() && !value.ends_with(b"\n");
    print(&mut io::stdout().lock(), &value, if is_line { b"\n" } else { b"" })
}

fn print(out: &mut impl Write, value: &[u8], end: &[u8]) -> Result<(), Error> {
    out.write_all(value)
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_enough_is_no_error() {
        let (read, mut write) = io::pipe().unwrap();
        drop(read);
        let error = print(&mut write, b"value", b"\n").unwrap_err();
        assert!(error.is_broken_pipe(), "{error}");
    }
}
