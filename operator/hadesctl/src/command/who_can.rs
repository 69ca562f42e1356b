//! `hadesctl who-can`.

use clap::{Args, ValueEnum};
use hades_client::rights::{Bindings, Holder};

use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;
use crate::right;

const AFTER_HELP: &str = "\
Examples:
  hadesctl who-can delete environments -p shop
  hadesctl who-can create env/production --subresource exec -p shop
  hadesctl who-can create users";

/// Show who may do something, and by which binding
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Such as get, list, create, update, patch, delete, impersonate
    verb: String,

    /// KIND, or KIND/NAME for one object
    #[arg(value_name = "KIND[/NAME]")]
    what: String,

    /// A part of it: logs, exec, plan, status …
    #[arg(long, value_name = "PART")]
    subresource: Option<String>,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Yaml,
    Json,
}

/// Shows who may.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Arguments { verb, what, subresource, output: form } = arguments;
    let right = right::read(context, verb, what, subresource.as_deref()).await?;
    let project = Some(right.namespace.as_str()).filter(|project| !project.is_empty());
    let bindings = Bindings::read(context.session().await?, project).await?;
    let holders = bindings.holders(&right);
    if !bindings.unseen.is_empty() {
        let unseen = bindings.unseen.join(", ");
        context.terminal.warn(&format!("there may be more: {unseen} are not yours to see"));
    }
    match form {
        Output::Table if holders.is_empty() => {
            context.terminal.note(&format!("no binding lets anybody {right}"));
        }
        Output::Table => context.terminal.print(&table(&holders))?,
        Output::Json => context.terminal.print(&output::json(&holders)?)?,
        Output::Yaml => context.terminal.print(&output::yaml(&holders)?)?,
    }
    Ok(())
}

fn table(holders: &[Holder]) -> String {
    let mut rows = vec![["WHO", "ROLE", "BY"].map(str::to_owned).to_vec()];
    rows.extend(holders.iter().map(|holder| {
        let Holder { kind, name, role, binding } = holder;
        vec![format!("{kind} {name}"), role.clone(), binding.clone()]
    }));
    columns(&rows, 0)
}
