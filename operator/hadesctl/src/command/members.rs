//! `hadesctl members`.

use clap::{Args, ValueEnum};
use hades_client::members::Membership;

use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;
use crate::standing;

/// Show who works on a project, as what, and what makes them a member
#[derive(Debug, Args)]
pub struct Arguments {
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

/// Shows the members.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Some(project) = context.project().await? else {
        return Err(Error::usage("nothing says which project is meant", "name it with -p PROJECT"));
    };
    let found = standing::read(context.session().await?, &project).await?;
    let all = found.all();
    standing::tell_partial(context, &found);
    match arguments.output {
        Output::Table if all.is_empty() => {
            context.terminal.note(&format!("project {project} has no members"));
            Ok(())
        }
        Output::Table => context.terminal.print(&table(&all)),
        Output::Json => context.terminal.print(&output::json(&all)?),
        Output::Yaml => context.terminal.print(&output::yaml(&all)?),
    }
}

fn table(members: &[Membership]) -> String {
    let mut rows = vec![["WHO", "ROLE", "ENVIRONMENTS", "BY"].map(str::to_owned).to_vec()];
    for Membership { who, role, environments, binding } in members {
        let environments = match environments.as_slice() {
            [] => "all".to_owned(),
            some => some.join(","),
        };
        let by = match binding {
            None => "HadesProject".to_owned(),
            Some(name) => format!("RoleBinding {name}"),
        };
        rows.push(vec![who.to_string(), role.clone(), environments, by]);
    }
    columns(&rows, 0)
}
