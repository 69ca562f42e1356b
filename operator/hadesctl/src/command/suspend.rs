//! `hadesctl suspend` and `hadesctl resume`.

use clap::Args;
use hades_client::object::{self, Owner};
use hades_client::request;

use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Search, Target};

/// Kinds that have a `spec.suspend`.
const KINDS: [&str; 3] = ["Environment", "ConfigRepository", "HadesProject"];

/// Hold changes back, or let them through again
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT, cr/[PROJECT/]NAME or hp/NAME
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Sets or removes `spec.suspend`.
pub async fn run(context: &Context, arguments: &Arguments, suspend: bool) -> Result<(), Error> {
    let session = context.session().await?;
    for word in &arguments.targets {
        let target = target::slashed(context, word, Search::AllProjects).await?;
        if !KINDS.contains(&target.kind.resource.kind.as_str()) {
            return Err(Error::usage(
                format!("a {} can't be suspended", target.kind.singular),
                "write PROJECT/ENVIRONMENT, cr/NAME or hp/NAME",
            ));
        }
        let Target { kind, namespace, name } = &target;
        let before = object::get(session, kind, namespace.as_deref(), name).await?;
        let Some(before) = before else {
            return Err(target::not_found(session, &target).await);
        };
        let was = before.data.pointer("/spec/suspend") == Some(&serde_json::Value::Bool(true));
        let word = if suspend { "suspended" } else { "resumed" };
        if was == suspend {
            let already = if suspend { "is suspended already" } else { "is not suspended" };
            context.terminal.line(&format!("{target} {already}"))?;
            continue;
        }
        request::suspend(session, kind, namespace.as_deref(), name, suspend).await?;
        context.terminal.line(&format!("{target} {word}"))?;
        if let Some(owner) = Owner::of(&before) {
            context.terminal.note(&format!(
                "  it comes from the repository {owner}: a manifest there that sets \
                 spec.suspend wins with the next sync"
            ));
        }
    }
    Ok(())
}
