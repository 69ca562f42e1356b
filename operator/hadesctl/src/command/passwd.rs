//! `hadesctl passwd`.

use clap::Args;
use hades_client::{accounts, identity};

use crate::context::Context;
use crate::error::Error;
use crate::prompt;

/// Change your own password; all your other logins end
///
/// The current and the new password are asked for, or read as two lines of standard
/// input. Passwords of others: `hadesctl user passwd NAME`.
#[derive(Debug, Args)]
pub struct Arguments {}

/// Changes the password.
pub async fn run(context: &Context, _arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let user = identity::of(session).await?.user;
    let current = prompt::secret(context, &format!("Current password of {user}"))?;
    let new = prompt::new_password(context, "New password")?;
    accounts::change_password(session, &current, &new).await?;
    context.terminal.line(&format!("password of {user} changed; all other logins ended"))
}
