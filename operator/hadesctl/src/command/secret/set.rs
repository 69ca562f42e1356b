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
    let wanted = arguments.secret_type.as_deref().map(values::type_of);
    let wanted = wanted.as_deref();
    if before.is_none() {
        check_new(context, &target, arguments).await?;
    }
    check_before(context, &target, before.as_ref(), wanted, &arguments.overriding)?;
    let is_new = before.is_none();
    let changes = arguments.sources.read(context, |changes| match is_new {
        true => values::check_type(wanted.unwrap_or(OPAQUE), changes),
        false => Ok(()),
    })?;
    let shown = Shown::of(before.as_ref());
    for (key, _) in changes.iter().filter(|(_, value)| value.is_none()) {
        if !shown.keys().any(|known| known == key) {
            context.terminal.warn(&format!("{target} has no key {key}"));
        }
    }
    let (before, after) =
        put(context, &target, before, wanted, &changes, &arguments.overriding).await?;
    let shown = Shown::of(before.as_ref());
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

/// What can be refused of a new one before somebody types a value.
async fn check_new(context: &Context, target: &Target, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    if arguments.sources.only_remove() {
        return Err(target::not_found(session, target).await);
    }
    let namespace = target.namespace.as_deref().unwrap_or_default();
    match target::project_not_found(session, namespace).await {
        Some(missing) => Err(missing),
        None if arguments.overriding.override_until.is_some() => {
            Err(change::nothing_to_override(target))
        }
        None => Ok(()),
    }
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
    refuse_owned(context, target, before, flags)
}

/// Refuses what a repository owns, unless that is overridden.
///
/// # Errors
/// With what to do about it.
pub fn refuse_owned(
    context: &Context,
    target: &Target,
    before: &DynamicObject,
    flags: &OverrideFlags,
) -> Result<(), Error> {
    let Some(ownership) = Ownership::of(before, context.now()) else { return Ok(()) };
    if flags.override_until.is_some() || ownership.overridden_until().is_some() {
        return Ok(());
    }
    Err(owned(target, &ownership))
}

/// What to say of a Secret that a repository owns.
fn owned(target: &Target, ownership: &Ownership) -> Error {
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

/// Writes values into a Secret, which is made where it isn't there. Returns it as it was
/// just before, and as it is.
///
/// # Errors
/// When it belongs to a repository, is of another type, or the server refuses.
pub async fn put(
    context: &Context,
    target: &Target,
    mut before: Option<DynamicObject>,
    wanted: Option<&str>,
    changes: &Changes,
    flags: &OverrideFlags,
) -> Result<(Option<DynamicObject>, DynamicObject), Error> {
    if before.is_none() {
        match create(context, target, wanted.unwrap_or(OPAQUE), changes).await {
            // Somebody else was first. What holds for theirs was not looked at yet.
            Err(Error::Client(error)) if error.is_already_there() => {
                before = Some(get(context, target).await?);
                check_before(context, target, before.as_ref(), wanted, flags)?;
            }
            created => return created.map(|created| (None, created)),
        }
    }
    if let Some(before) = &before {
        let patch = secret::patch(changes);
        change::merge(context, target, before, &patch, flags).await?;
    }
    let after = get(context, target).await?;
    Ok((before, after))
}

async fn get(context: &Context, target: &Target) -> Result<DynamicObject, Error> {
    let session = context.session().await?;
    let Target { kind, namespace, name } = target;
    match hades_client::object::get(session, kind, namespace.as_deref(), name).await? {
        Some(found) => Ok(found),
        None => Err(target::not_found(session, target).await),
    }
}

async fn create(
    context: &Context,
    target: &Target,
    secret_type: &str,
    changes: &Changes,
) -> Result<DynamicObject, Error> {
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
