//! `hadesctl use`.

use clap::Args;

use crate::context::Context;
use crate::error::Error;
use crate::service;

/// Keep an address that is meant when none is written
///
/// Without an address it shows the one that is kept; `-` forgets it. It is kept
/// for this kubeconfig and context, in ~/.hades.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT, or - for none
    address: Option<String>,
}

/// Shows or changes the address.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Some(kept) = context.default_address() else {
        // Says what there is to say about a kubeconfig that isn't there.
        context.session().await?;
        return Err(Error::incomplete("there is no home directory to keep an address in"));
    };
    match arguments.address.as_deref() {
        None => match kept.read() {
            Some(address) => context.terminal.line(&address.to_string()),
            None => {
                context
                    .terminal
                    .note("no address is kept; `hadesctl use PROJECT/ENVIRONMENT` keeps one");
                Ok(())
            }
        },
        Some("-") => {
            kept.write(None)?;
            context.terminal.line("no address is kept any more")
        }
        Some(text) => {
            let address = context.address(text).await?;
            if address.service.is_some() {
                return Err(Error::usage(
                    format!("{address} is a service, and an environment is kept"),
                    format!("write {}; /SERVICE is then a service of it", address.whole()),
                ));
            }
            service::environment(context, &address).await?;
            kept.write(Some(&address))?;
            context
                .terminal
                .line(&format!("{address} is meant from now on when no address is written"))
        }
    }
}
