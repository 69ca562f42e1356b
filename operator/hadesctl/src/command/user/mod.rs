//! `hadesctl user`: who may log in.

mod create;

use clap::{Args, Subcommand};
use hades_api::User;
use hades_client::object::{self, Selection};
use hades_client::{Session, accounts, catalog};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::json;

use crate::age::age;
use crate::change::{self, Changed, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output::{self, ListForm};
use crate::prompt;
use crate::target::{self, Target};

const AFTER_HELP: &str = "\
Examples:
  hadesctl user create alice --display-name 'Alice A.' --group dev
  hadesctl user create ci --robot               a program: it has tokens, no password
  hadesctl user disable alice                   out at once, tokens and logins included
  hadesctl user totp reset alice                when the telephone is lost

What users may do, say the members of projects: `hadesctl grant`.";

/// Make users, keep them out, set their passwords
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do with users.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make a user and set the password
    Create(create::Arguments),
    /// Show the users
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Keep users out at once: no login, no token, no session
    Disable(Named),
    /// Let users in again
    Enable(Named),
    /// Set the password of somebody else; all his logins end
    Passwd(One),
    /// Remove users, with all that they log in with
    #[command(visible_alias = "rm")]
    Delete(Removal),
    /// Look after second factors
    Totp(Factor),
}

/// How to show the users.
#[derive(Debug, Args)]
struct Listing {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: ListForm,
}

/// Some users.
#[derive(Debug, Args)]
struct Named {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    overriding: OverrideFlags,
}

/// One user.
#[derive(Debug, Args)]
struct One {
    /// Its name
    name: String,
}

/// Which users to remove.
#[derive(Debug, Args)]
struct Removal {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

/// What to do with second factors.
#[derive(Debug, Args)]
struct Factor {
    #[command(subcommand)]
    command: FactorCommand,
}

#[derive(Debug, Subcommand)]
enum FactorCommand {
    /// Remove the second factor of a user who lost it
    Reset(One),
}

/// Carries it out.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Create(arguments) => create::run(context, arguments).await,
        Command::List(listing) => list(context, listing.output).await,
        Command::Disable(named) => let_in(context, named, false).await,
        Command::Enable(named) => let_in(context, named, true).await,
        Command::Passwd(One { name }) => set_password(context, name).await,
        Command::Delete(removal) => delete(context, removal).await,
        Command::Totp(Factor { command: FactorCommand::Reset(One { name }) }) => {
            let session = context.session().await?;
            find(session, name).await?;
            accounts::reset_factor(session, name).await?;
            context.terminal.line(&format!("the second factor of user {name} is removed"))
        }
    }
}

fn target(name: &str) -> Target {
    Target { kind: catalog::user(), namespace: None, name: name.to_owned() }
}

async fn find(session: &Session, name: &str) -> Result<(Target, DynamicObject), Error> {
    let target = target(name);
    match object::get(session, &target.kind, None, name).await? {
        Some(found) => Ok((target, found)),
        None => Err(target::not_found(session, &target).await),
    }
}

async fn set_password(context: &Context, name: &str) -> Result<(), Error> {
    let session = context.session().await?;
    // Before a password is typed for nobody.
    let (_, found) = find(session, name).await?;
    if found.data.pointer("/spec/robot") == Some(&json!(true)) {
        return Err(Error::usage(
            format!("user {name} is a robot, which has no password"),
            format!("`hadesctl token create NAME --user {name}` makes a token for it"),
        ));
    }
    let password = prompt::new_password(context, &format!("New password of {name}"))?;
    accounts::set_password(session, name, &password).await?;
    context.terminal.line(&format!("password of user {name} set; all its logins ended"))
}

async fn let_in(context: &Context, named: &Named, enable: bool) -> Result<(), Error> {
    let session = context.session().await?;
    let mut found = vec![];
    for name in &named.names {
        found.push(find(session, name).await?);
    }
    let state = if enable { "enabled" } else { "disabled" };
    for (target, object) in &found {
        // Absent is the same as false, and reads better.
        let value = if enable { serde_json::Value::Null } else { json!(true) };
        let patch = json!({"spec": {"disabled": value}});
        let line = match change::merge(context, target, object, &patch, &named.overriding).await? {
            Changed::Yes if enable => format!("user {} enabled", target.name),
            Changed::Yes => {
                format!("user {} disabled: all its logins and tokens are refused now", target.name)
            }
            Changed::No => format!("user {} is {state} already", target.name),
        };
        context.terminal.line(&line)?;
    }
    Ok(())
}

async fn delete(context: &Context, removal: &Removal) -> Result<(), Error> {
    let session = context.session().await?;
    let mut found = vec![];
    for name in &removal.names {
        let (target, object) = find(session, name).await?;
        if let Some(owner) = object::Owner::of(&object) {
            context.terminal.warn(&format!(
                "{target} comes from the repository {owner}, whose next sync makes it again: \
                 remove its manifest there"
            ));
        }
        found.push((target, object));
    }
    if !removal.yes && context.terminal.can_ask() {
        let question = format!("Delete {}?", removal.names.join(", "));
        if !context.terminal.confirm(&question)? {
            context.terminal.note("nothing was deleted");
            return Ok(());
        }
    }
    for (target, object) in &found {
        object::delete(session, &target.kind, None, &target.name, object.metadata.uid.as_deref())
            .await?;
        context.terminal.line(&format!("user {} deleted", target.name))?;
    }
    context.terminal.note(
        "members and bindings that name a deleted user give its rights to the next one of that \
         name: `hadesctl revoke` takes them",
    );
    Ok(())
}

async fn list(context: &Context, form: ListForm) -> Result<(), Error> {
    let session = context.session().await?;
    let found = object::list(session, &catalog::user(), &Selection::default()).await?;
    // As `hadesctl get users` has them.
    let all = || -> Result<_, Error> {
        let values: Result<_, _> = found.iter().map(|it| output::value(it, false)).collect();
        Ok(output::list(values?))
    };
    match form {
        ListForm::Table if found.is_empty() => {
            context.terminal.note("no users found");
            Ok(())
        }
        ListForm::Table => context.terminal.print(&table(&found, context.now())),
        ListForm::Json => context.terminal.print(&output::json(&all()?)?),
        ListForm::Yaml => context.terminal.print(&output::yaml(&all()?)?),
        ListForm::Name => found.iter().try_for_each(|user| context.terminal.line(&user.name_any())),
    }
}

fn table(users: &[DynamicObject], now: Timestamp) -> String {
    let heads = ["NAME", "DISPLAY NAME", "GROUPS", "STATE", "SECOND FACTOR", "LAST LOGIN"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for object in users {
        let name = object.name_any();
        // Kinds that are newer than this program are shown as far as they are known.
        let spec = &object.data["spec"];
        let user = User::new(&name, serde_json::from_value(spec.clone()).unwrap_or_default());
        let status: hades_api::UserStatus =
            serde_json::from_value(object.data["status"].clone()).unwrap_or_default();
        let (disabled, robot) =
            (user.spec.disabled.unwrap_or_default(), user.spec.robot.unwrap_or_default());
        let state = match (disabled, robot) {
            (true, true) => "disabled, robot",
            (true, false) => "disabled",
            (false, true) => "robot",
            (false, false) => "",
        };
        rows.push(vec![
            name,
            user.spec.display_name.unwrap_or_default(),
            user.spec.groups.join(","),
            state.to_owned(),
            if status.second_factor == Some(true) { "yes" } else { "" }.to_owned(),
            status
                .last_login_time
                .map(|time| format!("{} ago", age(time, now)))
                .unwrap_or_default(),
        ]);
    }
    columns(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_in_columns() {
        let user = |value: serde_json::Value| serde_json::from_value(value).unwrap();
        let users = [
            user(json!({"metadata": {"name": "alice"},
                "spec": {"displayName": "Alice A.", "groups": ["dev", "ops"]},
                "status": {"secondFactor": true, "lastLoginTime": "2026-01-01T00:00:00Z"}})),
            user(json!({"metadata": {"name": "ci"}, "spec": {"robot": true, "disabled": true}})),
        ];
        insta::assert_snapshot!(table(&users, "2026-01-01T03:00:00Z".parse().unwrap()));
    }
}
