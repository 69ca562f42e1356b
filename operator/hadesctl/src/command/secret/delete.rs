//! `hadesctl secret delete`.

use clap::Args;
use hades_client::object::{self, Owner};
use hades_client::secret::OPAQUE;
use kube::api::DynamicObject;

use super::find;
use super::usage::Usage;
use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Target};

/// What the types of Secrets that Hades makes begin with.
const OWN_TYPES: &str = "hades.dev/";

/// Delete Secrets
///
/// What runs with a deleted Secret runs on; its environment says that the Secret is
/// missing, and changes nothing until it is there again.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/NAME
    #[arg(required = true, value_name = "SECRET")]
    names: Vec<String>,

    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

/// Deletes.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let mut found = vec![];
    for name in &arguments.names {
        match find(context, name).await? {
            (target, Some(object)) => found.push((target, object)),
            (target, None) => return Err(target::not_found(session, &target).await),
        }
    }
    let mut used = false;
    for (target, object) in &found {
        used |= tell(context, target, object).await?;
    }
    if !arguments.yes {
        if !context.terminal.can_ask() && used {
            return Err(Error::usage("nobody is there to agree to that", "pass --yes"));
        }
        let names: Vec<String> = found.iter().map(|(target, _)| target.to_string()).collect();
        if context.terminal.can_ask()
            && !context.terminal.confirm(&format!("Delete {}?", names.join(", ")))?
        {
            context.terminal.note("nothing was deleted");
            return Ok(());
        }
    }
    for (target, object) in &found {
        let Target { kind, namespace, name } = target;
        let uid = object.metadata.uid.as_deref();
        object::delete(session, kind, namespace.as_deref(), name, uid).await?;
        context.terminal.line(&format!("{target} deleted"))?;
    }
    Ok(())
}

/// Says who makes the Secret again, and who misses it. Whether somebody does.
async fn tell(context: &Context, target: &Target, object: &DynamicObject) -> Result<bool, Error> {
    if let Some(owner) = Owner::of(object) {
        context.terminal.warn(&format!(
            "{target} comes from the repository {owner}, whose next sync makes it again: remove \
             its manifest there"
        ));
    }
    let secret_type = object.data["type"].as_str().unwrap_or(OPAQUE);
    let is_own = secret_type.starts_with(OWN_TYPES);
    if is_own {
        context.terminal.warn(&format!(
            "{target} of type {secret_type} is a key that Hades made: what was encrypted for it \
             can't be read once it is gone"
        ));
    }
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let usage = Usage::read(context, Some(namespace)).await?;
    let users = usage.text(namespace, &target.name);
    if !users.is_empty() {
        context.terminal.warn(&format!("{target} is used by {users}"));
    }
    Ok(is_own || !users.is_empty())
}
