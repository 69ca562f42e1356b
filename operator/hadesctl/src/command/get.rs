//! `hadesctl get`.

use std::pin::pin;

use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use hades_client::object::{self, Selection};
use hades_client::table::{self, Change, Column, Row, Table};
use hades_client::{Kind, Session};
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::layout::{Columns, cell};
use crate::output;
use crate::target::{self, Search, Target};

const AFTER_HELP: &str = "\
Examples:
  hadesctl get env -A                  environments of all projects
  hadesctl get env shop/production     one environment
  hadesctl get hades                   everything of Hades
  hadesctl get env,dh -o wide          two kinds, with all columns
  hadesctl get cr -w                   config repositories, and how they change";

/// Show objects of a kind as a table, YAML or JSON
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// KIND [NAME…], KIND/NAME… or PROJECT/ENVIRONMENT…; a kind goes by its name, plural or
    /// short name, several are separated by commas
    #[arg(required = true, value_name = "KIND")]
    what: Vec<String>,

    /// Of all projects
    #[arg(short = 'A', long, visible_alias = "all-namespaces", conflicts_with = "project")]
    all_projects: bool,

    /// Only objects with these labels: a=b,c!=d
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    /// Go on and show changes
    #[arg(short, long)]
    watch: bool,

    /// Show who owns which field (yaml and json)
    #[arg(long)]
    show_managed_fields: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Wide,
    Yaml,
    Json,
    Name,
}

/// Shows the objects.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let first = arguments.what.first().map(String::as_str).unwrap_or_default();
    if first.contains('/') || arguments.what.len() > 1 {
        let targets = target::targets(context, &arguments.what, Search::AllProjects).await?;
        return named(context, arguments, targets).await;
    }
    let kinds = target::kinds(context, first).await?;
    if arguments.watch {
        let [kind] = kinds.as_slice() else {
            return Err(Error::usage(
                "only one kind can be watched at a time",
                "name one kind, such as `hadesctl get env -w`",
            ));
        };
        let namespace = namespace(context, arguments, kind).await?;
        return watch(context, arguments, kind, &selection(arguments, namespace, None)).await;
    }
    if matches!(arguments.output, Output::Yaml | Output::Json) {
        return listed(context, arguments, &kinds).await;
    }
    tables(context, arguments, &kinds).await
}

/// The project to look into, or none for all of them.
async fn namespace(
    context: &Context,
    arguments: &Arguments,
    kind: &Kind,
) -> Result<Option<String>, Error> {
    if arguments.all_projects || !kind.namespaced {
        return Ok(None);
    }
    context.project().await
}

fn selection(arguments: &Arguments, namespace: Option<String>, name: Option<&str>) -> Selection {
    Selection {
        namespace,
        labels: arguments.selector.clone(),
        fields: name.map(|name| format!("metadata.name={name}")),
    }
}

/// Objects that were named.
async fn named(
    context: &Context,
    arguments: &Arguments,
    targets: Vec<Target>,
) -> Result<(), Error> {
    let session = context.session().await?;
    if arguments.watch {
        let [Target { kind, namespace, name }] = targets.as_slice() else {
            return Err(Error::usage(
                "only one object can be watched at a time",
                "name one, or none to watch all of a kind",
            ));
        };
        let selection = selection(arguments, namespace.clone(), Some(name));
        return watch(context, arguments, kind, &selection).await;
    }
    if matches!(arguments.output, Output::Yaml | Output::Json) {
        let mut values = vec![];
        for target in &targets {
            let Target { kind, namespace, name } = target;
            let Some(found) = object::get(session, kind, namespace.as_deref(), name).await? else {
                return Err(target::not_found(session, target).await);
            };
            values.push(output::value(&found, arguments.show_managed_fields)?);
        }
        let one = if values.len() == 1 { values.remove(0) } else { output::list(values) };
        return encoded(context, arguments.output, &one);
    }
    // Rows of one kind and project share a head.
    let mut sections: Vec<(Kind, Table)> = vec![];
    for target in &targets {
        let Target { kind, namespace, name } = target;
        let selection = Selection::of_project(namespace.as_deref());
        let table = match table::get(session, kind, &selection, Some(name)).await {
            Ok(table) => table,
            Err(error) => return Err(target::explain(session, target, error).await),
        };
        match sections.last_mut() {
            Some((last, rows)) if last == kind => rows.rows.extend(table.rows),
            _ => sections.push((kind.clone(), table)),
        }
    }
    let projects: std::collections::BTreeSet<_> =
        targets.iter().filter_map(|target| target.namespace.clone()).collect();
    let layout = Layout {
        wide: arguments.output == Output::Wide,
        projects: projects.len() > 1,
        qualified: sections.len() > 1,
    };
    print_sections(context, arguments.output, layout, &sections)
}

/// Everything of some kinds as tables.
async fn tables(context: &Context, arguments: &Arguments, kinds: &[Kind]) -> Result<(), Error> {
    let session = context.session().await?;
    let mut sections = vec![];
    let mut hidden = Hidden::default();
    let mut across = false;
    let mut looked_into = None;
    for kind in kinds {
        let namespace = namespace(context, arguments, kind).await?;
        across |= kind.namespaced && namespace.is_none();
        looked_into = looked_into.or_else(|| namespace.clone());
        let selection = selection(arguments, namespace, None);
        match table::get(session, kind, &selection, None).await {
            Ok(table) if table.rows.is_empty() => {}
            Ok(table) => sections.push((kind.clone(), table)),
            Err(error) => hidden.note(kind, error)?,
        }
    }
    let seen: Vec<Kind> = kinds
        .iter()
        .filter(|kind| !hidden.kinds.contains(&kind.resource.plural))
        .cloned()
        .collect();
    hidden.tell(context, kinds)?;
    if sections.is_empty() {
        return nothing(context, session, &seen, looked_into.as_deref()).await;
    }
    let layout = Layout {
        wide: arguments.output == Output::Wide,
        projects: across,
        qualified: kinds.len() > 1,
    };
    print_sections(context, arguments.output, layout, &sections)
}

/// Everything of some kinds as YAML or JSON.
async fn listed(context: &Context, arguments: &Arguments, kinds: &[Kind]) -> Result<(), Error> {
    let session = context.session().await?;
    let mut values = vec![];
    let mut hidden = Hidden::default();
    for kind in kinds {
        let namespace = namespace(context, arguments, kind).await?;
        match object::list(session, kind, &selection(arguments, namespace, None)).await {
            Ok(found) => {
                for object in found {
                    values.push(output::value(&object, arguments.show_managed_fields)?);
                }
            }
            Err(error) => hidden.note(kind, error)?,
        }
    }
    hidden.tell(context, kinds)?;
    encoded(context, arguments.output, &output::list(values))
}

/// Kinds among several that the person may not see.
#[derive(Default)]
struct Hidden {
    kinds: Vec<String>,
    first: Option<hades_client::Error>,
}

impl Hidden {
    /// Keeps a refusal; every other error is one.
    fn note(&mut self, kind: &Kind, error: hades_client::Error) -> Result<(), Error> {
        if !error.is_forbidden() {
            return Err(error.into());
        }
        self.kinds.push(kind.resource.plural.clone());
        self.first.get_or_insert(error);
        Ok(())
    }

    /// Says what isn't shown. Where all is refused, that is the answer.
    fn tell(self, context: &Context, asked: &[Kind]) -> Result<(), Error> {
        match self.first {
            None => Ok(()),
            Some(error) if self.kinds.len() == asked.len() => Err(error.into()),
            Some(_) => {
                let kinds = self.kinds.join(", ");
                context.terminal.warn(&format!("{kinds}: not yours to see"));
                Ok(())
            }
        }
    }
}

fn encoded(context: &Context, form: Output, value: &Value) -> Result<(), Error> {
    let text = match form {
        Output::Json => output::json(value)?,
        _ => output::yaml(value)?,
    };
    context.terminal.print(&text)
}

/// Says that there is nothing, or that there is no such project.
async fn nothing(
    context: &Context,
    session: &Session,
    kinds: &[Kind],
    project: Option<&str>,
) -> Result<(), Error> {
    if let Some(project) = project
        && let Some(error) = target::project_not_found(session, project).await
    {
        return Err(error);
    }
    let what: Vec<&str> = kinds.iter().map(|kind| kind.resource.plural.as_str()).collect();
    let place = project.map_or_else(String::new, |project| format!(" in project {project}"));
    context.terminal.note(&format!("no {} found{place}", what.join(", ")));
    Ok(())
}

/// Which columns to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Layout {
    /// Those of low priority as well.
    wide: bool,
    /// The project of each object.
    projects: bool,
    /// The kind before each name.
    qualified: bool,
}

fn print_sections(
    context: &Context,
    form: Output,
    layout: Layout,
    sections: &[(Kind, Table)],
) -> Result<(), Error> {
    for (index, (kind, table)) in sections.iter().enumerate() {
        if form == Output::Name {
            for row in &table.rows {
                context.terminal.line(&full_name(kind, row))?;
            }
            continue;
        }
        if index > 0 {
            context.terminal.line("")?;
        }
        let layout = Layout { projects: layout.projects && kind.namespaced, ..layout };
        let mut columns = Columns::default();
        for line in lines(kind, &table.column_definitions, table, layout, &mut columns, true) {
            context.terminal.line(&line)?;
        }
    }
    Ok(())
}

fn full_name(kind: &Kind, row: &Row) -> String {
    let name = row.object.metadata.name.as_deref().unwrap_or_default();
    format!("{}/{name}", kind.qualified())
}

/// The lines of a table.
fn lines(
    kind: &Kind,
    definitions: &[Column],
    table: &Table,
    layout: Layout,
    columns: &mut Columns,
    head: bool,
) -> Vec<String> {
    let shown: Vec<usize> = definitions
        .iter()
        .enumerate()
        .filter(|(_, column)| layout.wide || column.priority == 0)
        .map(|(index, _)| index)
        .collect();
    let mut rows = vec![];
    if head {
        let project = layout.projects.then(|| "PROJECT".to_owned());
        let names = shown.iter().map(|&index| definitions[index].name.to_uppercase());
        rows.push(project.into_iter().chain(names).collect::<Vec<_>>());
    }
    for row in &table.rows {
        let project =
            layout.projects.then(|| row.object.metadata.namespace.clone().unwrap_or_default());
        let cells = shown.iter().map(|&index| {
            let is_name = definitions[index].name.eq_ignore_ascii_case("name");
            match row.cells.get(index) {
                Some(_) if is_name && layout.qualified => full_name(kind, row),
                Some(value) => cell(value),
                None => String::new(),
            }
        });
        rows.push(project.into_iter().chain(cells).collect());
    }
    columns.fit(&rows);
    rows.iter().map(|row| columns.row(row)).collect()
}

/// Shows a table and every change to it, until somebody stops it.
async fn watch(
    context: &Context,
    arguments: &Arguments,
    kind: &Kind,
    selection: &Selection,
) -> Result<(), Error> {
    let session = context.session().await?;
    let layout = Layout {
        wide: arguments.output == Output::Wide,
        projects: kind.namespaced && selection.namespace.is_none(),
        qualified: false,
    };
    let mut printer = Watched {
        context,
        form: arguments.output,
        show_managed_fields: arguments.show_managed_fields,
        kind,
        layout,
        columns: Columns::default(),
        definitions: vec![],
        headed: false,
    };
    loop {
        // By field selector, so that a name that isn't there yet can be watched.
        let table = table::get(session, kind, selection, None).await?;
        let mut version = table.metadata.resource_version.clone();
        if version.is_empty() {
            return Err(Error::usage(
                "what you may see can't be followed at once with your rights",
                "name one project by -p PROJECT, or one object, such as PROJECT/ENVIRONMENT",
            ));
        }
        printer.show(session, &table).await?;
        loop {
            let changes = table::watch(session, kind, selection, &version).await;
            match follow(session, &mut printer, changes, &mut version).await {
                // The server ends watches now and then: go on from there.
                Ok(()) => {}
                // It has forgotten what happened since: look at everything again.
                Err(Error::Client(hades_client::Error::Api(status))) if status.code == 410 => break,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn follow(
    session: &Session,
    printer: &mut Watched<'_>,
    changes: Result<
        impl futures::Stream<Item = Result<Change, hades_client::Error>>,
        hades_client::Error,
    >,
    version: &mut String,
) -> Result<(), Error> {
    let mut changes = pin!(changes?);
    while let Some(change) = changes.try_next().await? {
        match change {
            Change::Rows(table) | Change::Gone(table) => {
                if let Some(seen) = table
                    .rows
                    .iter()
                    .filter_map(|r| r.object.metadata.resource_version.clone())
                    .next_back()
                {
                    *version = seen;
                }
                printer.show(session, &table).await?;
            }
            Change::Bookmark(seen) => *version = seen,
        }
    }
    Ok(())
}

/// Prints a watched table as it changes.
struct Watched<'a> {
    context: &'a Context,
    form: Output,
    show_managed_fields: bool,
    kind: &'a Kind,
    layout: Layout,
    columns: Columns,
    definitions: Vec<Column>,
    headed: bool,
}

impl Watched<'_> {
    async fn show(&mut self, session: &Session, table: &Table) -> Result<(), Error> {
        if !table.column_definitions.is_empty() {
            self.definitions.clone_from(&table.column_definitions);
        }
        match self.form {
            Output::Name => {
                for row in &table.rows {
                    self.context.terminal.line(&full_name(self.kind, row))?;
                }
            }
            Output::Yaml | Output::Json => self.show_objects(session, table).await?,
            Output::Table | Output::Wide => {
                if table.rows.is_empty() {
                    return Ok(());
                }
                let lines = lines(
                    self.kind,
                    &self.definitions,
                    table,
                    self.layout,
                    &mut self.columns,
                    !self.headed,
                );
                self.headed = true;
                for line in lines {
                    self.context.terminal.line(&line)?;
                }
            }
        }
        self.context.terminal.flush()
    }

    async fn show_objects(&self, session: &Session, table: &Table) -> Result<(), Error> {
        for row in &table.rows {
            let meta = &row.object.metadata;
            let name = meta.name.as_deref().unwrap_or_default();
            let found = object::get(session, self.kind, meta.namespace.as_deref(), name).await?;
            // Gone again: nothing is left to show.
            let Some(found) = found else { continue };
            let value = output::value(&found, self.show_managed_fields)?;
            if self.form == Output::Yaml {
                self.context.terminal.line("---")?;
            }
            encoded(self.context, self.form, &value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hades_client::catalog;
    use serde_json::json;

    fn table() -> Table {
        serde_json::from_value(json!({
            "columnDefinitions": [
                {"name": "Name", "type": "string", "priority": 0},
                {"name": "Ready", "type": "string", "priority": 0},
                {"name": "Message", "type": "string", "priority": 1},
            ],
            "rows": [
                {"cells": ["production", "2/2", null],
                 "object": {"metadata": {"name": "production", "namespace": "shop"}}},
                {"cells": ["preview", null, "no\nhost"],
                 "object": {"metadata": {"name": "preview", "namespace": "shop"}}},
            ],
            "metadata": {"resourceVersion": "7"},
        }))
        .unwrap()
    }

    fn text(layout: Layout) -> String {
        let table = table();
        let kind = catalog::environment();
        let mut columns = Columns::default();
        lines(&kind, &table.column_definitions, &table, layout, &mut columns, true).join("\n")
    }

    #[test]
    fn narrow_and_wide() {
        insta::assert_snapshot!(text(Layout::default()));
        insta::assert_snapshot!(text(Layout { wide: true, projects: true, qualified: false }));
        insta::assert_snapshot!(text(Layout { wide: false, projects: false, qualified: true }));
    }
}
