//! `hadesctl user create`.

use clap::Args;
use hades_api::{User, UserSpec};
use hades_client::{FIELD_MANAGER, accounts};
use kube::Api;
use kube::api::PostParams;

use crate::context::Context;
use crate::error::Error;
use crate::prompt;

/// Make a user and set the password
///
/// The password is asked for, or read as a line of standard input.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name: lower-case letters, digits, '-' and '.'
    name: String,

    /// Name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,

    /// Mail address
    #[arg(long)]
    email: Option<String>,

    /// Groups that the user is in; repeat it, or separate them by commas
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    groups: Vec<String>,

    /// A program, such as a CI job: it has tokens and no password
    #[arg(long)]
    robot: bool,

    /// Set no password: the user logs in by single sign-on, or gets one later
    #[arg(long, conflicts_with = "robot")]
    no_password: bool,
}

/// Makes the user.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Arguments { name, display_name, email, groups, robot, no_password } = arguments;
    let session = context.session().await?;
    // Asked for first: a user whose password nobody knows is of no use.
    let password = match *robot || *no_password {
        true => None,
        false => Some(prompt::new_password(context, &format!("Password of {name}"))?),
    };
    let spec = UserSpec {
        display_name: display_name.clone(),
        email: email.clone(),
        groups: groups.clone(),
        disabled: None,
        robot: robot.then_some(true),
    };
    let api: Api<User> = Api::all(session.client().clone());
    let parameters =
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let made = api.create(&parameters, &User::new(name, spec)).await;
    made.map_err(|error| session.error(error))?;
    context.terminal.line(&format!("user {name} created"))?;
    if let Some(password) = password {
        accounts::set_password(session, name, &password).await.map_err(|error| {
            Error::Incomplete {
                message: format!("user {name} has no password yet: {error}"),
                hint: Some(format!("set one by `hadesctl user passwd {name}`")),
            }
        })?;
    }
    let next = match *robot {
        true => format!("hadesctl token create NAME --user {name} makes a token for it"),
        false => format!("hadesctl grant {name} viewer -p PROJECT makes it a member of a project"),
    };
    context.terminal.note(&next);
    Ok(())
}
