//! `hadesctl logout`.

use clap::Args;
use hades_client::kubeconfig_file::KubeconfigFile;
use hades_client::{Credential, login};

use crate::context::Context;
use crate::error::Error;

/// End the login on the server and forget it here
///
/// The context stays, so that `hadesctl login` knows the server.
#[derive(Debug, Args)]
pub struct Arguments {}

/// Logs out.
pub async fn run(context: &Context, _arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    match session.credential() {
        Credential::Session { .. } => match login::end(session).await {
            Ok(true) => {}
            Ok(false) => context.terminal.note("the login had ended already"),
            // The token has to go from here all the same.
            Err(error) => context.terminal.warn(&format!(
                "the login could not be ended on the server, where it ends by itself: {error}"
            )),
        },
        Credential::ApiToken => context.terminal.warn(
            "the API token is only forgotten here and still good: `hadesctl token revoke` ends it",
        ),
        Credential::None | Credential::Other => {
            return Err(Error::usage(
                "nobody is logged in: what the kubeconfig holds comes from no login",
                "`hadesctl login URL` makes one",
            ));
        }
    }
    let file = KubeconfigFile::of(&context.locations())?;
    match file.forget(context.context_flag())? {
        Some(name) => {
            context.terminal.line(&format!("logged out of {} ({name})", session.server()))
        }
        None => Err(Error::Incomplete {
            message: format!("{} holds no login that could be forgotten", file.path().display()),
            hint: Some("the login may be in another file of KUBECONFIG: remove it there".into()),
        }),
    }
}
