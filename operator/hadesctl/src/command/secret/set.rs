//! `hadesctl secret set`.

use clap::Args;
use hades_client::ownership::Ownership;
use hades_client::secret::{self, Changes, KeyChange, OPAQUE, Shown};
use kube::api::DynamicObject;

use super::usage::Usage;
use super::values::{self, Sources};
use super::{changes_text, find};
use crate::change::{self, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::rollout::{self, WaitFlags};
use crate::target::{self, Target};

/// Set and remove values; containers that use them are replaced
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/NAME
    #[arg(value_name = "SECRET")]
    name: String,

    #[command(flatten)]
    sources: Sources,

    /// Type of a Secret that is made: tls, basic-auth, ssh-auth, dockerconfigjson, or one in full;
    /// Opaque when left out
    #[arg(long = "type", value_name = "TYPE")]
    secret_type: Option<String>,

    #[command(flatten)]
    overriding: OverrideFlags,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Sets values.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    if arguments.sources.is_empty() {
        return Err(Error::usage(
            "nothing says what to set",
            "write KEY to be asked for its value, or pass --from-file, --from-stdin or \
             --from-env-file",
        ));
    }
    let (target, before) = find(context, &arguments.name).await?;
    if before.is_none() && arguments.sources.only_remove() {
        return Err(target::not_found(context.session().await?, &target).await);
    }
    let wanted = arguments.secret_type.as_deref().map(values::type_of);
    check_before(context, &target, before.as_ref(), wanted.as_deref(), &arguments.overriding)?;
    let changes = arguments.sources.read(context)?;
    let shown = Shown::of(before.as_ref());
    for (key, _) in changes.iter().filter(|(_, value)| value.is_none()) {
        if !shown.keys().any(|known| known == key) {
            context.terminal.warn(&format!("{target} has no key {key}"));
        }
    }
    let after = match &before {
        Some(before) => merge(context, &target, before, &changes, &arguments.overriding).await?,
        None => create(context, &target, wanted.as_deref(), &changes).await?,
    };
    let difference = shown.difference(&Shown::of(Some(&after)));
    let done = difference.iter().filter(|(key, _)| changes.contains_key(*key));
    let is_changed = difference.values().any(|change| *change != KeyChange::Same);
    let verb = match (&before, is_changed) {
        (None, _) => "created",
        (Some(_), true) => "changed",
        (Some(_), false) => "is so already",
    };
    context.terminal.line(&format!("{target} {verb}"))?;
    context.terminal.print(&changes_text(done))?;
    if is_changed {
        follow(context, &target, &arguments.waiting).await?;
    }
    Ok(())
}

/// What can be refused before somebody types a value.
fn check_before(
    context: &Context,
    target: &Target,
    before: Option<&DynamicObject>,
    wanted: Option<&str>,
    flags: &OverrideFlags,
) -> Result<(), Error> {
    let Some(before) = before else { return Ok(()) };
    let found = before.data["type"].as_str().unwrap_or(OPAQUE);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        return Err(Error::usage(
            format!("{target} is of type {found}, and no Secret changes its type to {wanted}"),
            "leave --type away, or delete it first",
        ));
    }
    let Some(ownership) = Ownership::of(before, context.now()) else { return Ok(()) };
    if flags.override_until.is_some() || ownership.overridden_until().is_some() {
        return Ok(());
    }
    Err(owned(target, &ownership))
}

/// What to say of a Secret that a repository owns.
pub fn owned(target: &Target, ownership: &Ownership) -> Error {
    let Ownership { owner, file, overridden: _ } = ownership;
    let place = file.as_ref().map_or_else(String::new, |file| format!(" in {file}"));
    Error::Incomplete {
        message: format!("{target} belongs to the repository {owner}"),
        hint: Some(format!(
            "seal the new values with `hadesctl secret seal` and commit them there{place};\n  \
             or pass --override-until 2h, to change them here until then"
        )),
    }
}

async fn merge(
    context: &Context,
    target: &Target,
    before: &DynamicObject,
    changes: &Changes,
    flags: &OverrideFlags,
) -> Result<DynamicObject, Error> {
    let patch = secret::patch(changes);
    change::merge(context, target, before, &patch, flags).await?;
    let session = context.session().await?;
    let Target { kind, namespace, name } = target;
    let after = hades_client::object::get(session, kind, namespace.as_deref(), name).await?;
    match after {
        Some(after) => Ok(after),
        None => Err(target::not_found(session, target).await),
    }
}

async fn create(
    context: &Context,
    target: &Target,
    secret_type: Option<&str>,
    changes: &Changes,
) -> Result<DynamicObject, Error> {
    let secret_type = secret_type.unwrap_or(OPAQUE);
    values::check_type(secret_type, changes)?;
    let session = context.session().await?;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let created =
        secret::create(session, namespace, &target.name, secret_type, changes, false).await;
    match created {
        Ok(created) => Ok(created),
        // The project isn't there.
        Err(error) => Err(match target::project_not_found(session, namespace).await {
            Some(missing) if error.is_not_found() => missing,
            _ => error.into(),
        }),
    }
}

/// Says who takes the change up, and waits for them where that is wanted.
async fn follow(context: &Context, target: &Target, waiting: &WaitFlags) -> Result<(), Error> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let usage = Usage::read(context, Some(namespace)).await?;
    let users = usage.text(namespace, &target.name);
    let rolled = usage.environments(namespace, &target.name);
    context.terminal.note(&match users.as_str() {
        "" => "nothing uses it yet".to_owned(),
        users if rolled.is_empty() => format!("used by {users}; no container is replaced"),
        users => format!("used by {users}"),
    });
    if waiting.wait {
        for address in rolled {
            rollout::request_and_follow(context, &address, waiting.timeout).await?;
        }
    }
    Ok(())
}
