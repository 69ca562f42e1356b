//! `hadesctl render`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hades_api::{API_VERSION, EnvironmentSpec, EnvironmentTemplateSpec, HadesProjectSpec};
use hades_client::nearest::suggestion;
use hades_client::{Address, catalog, object};
use hades_source::manifest::Document;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::manifest::{self, Project};
use crate::output;
use crate::target::{self, Target};

/// Show an environment merged over its template, with its project's variables
///
/// With -f it needs no server.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT; with -f all environments in the files when left out
    address: Option<String>,

    /// Manifests to take environment and template from: files, folders, or -
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Yaml,
    Json,
}

/// Shows merged environments.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let rendered = if arguments.files.is_empty() {
        let address = context.address_or_default(arguments.address.as_deref()).await?;
        vec![of_server(context, &address).await?]
    } else {
        of_files(context, arguments)?
    };
    for (index, value) in rendered.iter().enumerate() {
        if index > 0 && arguments.output == Output::Yaml {
            context.terminal.line("---")?;
        }
        let text = match arguments.output {
            Output::Yaml => output::yaml(value)?,
            Output::Json => output::json(value)?,
        };
        context.terminal.print(&text)?;
    }
    Ok(())
}

async fn of_server(context: &Context, address: &Address) -> Result<Value, Error> {
    let session = context.session().await?;
    let project = Some(address.project.as_str());
    let target = Target::environment(address);
    let found = object::get(session, &target.kind, project, &address.environment).await?;
    let Some(environment) = found else {
        return Err(target::not_found(session, &target).await);
    };
    let spec: EnvironmentSpec = spec_of(&environment)?;
    let template = match &spec.template_ref {
        None => None,
        Some(reference) => {
            let kind = catalog::environment_template();
            let target =
                Target { kind, namespace: target.namespace.clone(), name: reference.name.clone() };
            let found = object::get(session, &target.kind, project, &reference.name).await?;
            let Some(template) = found else {
                return Err(target::not_found(session, &target).await);
            };
            Some(spec_of(&template)?)
        }
    };
    let of_project = project_of_server(context, &address.project).await?;
    Ok(rendered(&address.project, &address.environment, spec, template.as_ref(), &of_project))
}

/// What the project has for all its environments. Not everybody may read it.
pub async fn project_of_server(
    context: &Context,
    project: &str,
) -> Result<HadesProjectSpec, Error> {
    let session = context.session().await?;
    match object::get(session, &catalog::project(), None, project).await {
        Ok(Some(found)) => spec_of(&found),
        Ok(None) => Ok(HadesProjectSpec::default()),
        Err(error) if error.is_forbidden() => {
            context.terminal.note(&format!(
                "without the variables of project {project}, which you may not read"
            ));
            Ok(HadesProjectSpec::default())
        }
        Err(error) => Err(error.into()),
    }
}

fn spec_of<T: serde::de::DeserializeOwned>(object: &DynamicObject) -> Result<T, Error> {
    let spec = object.data.get("spec").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(spec).map_err(|error| Error::Encode(Box::new(error)))
}

fn of_files(context: &Context, arguments: &Arguments) -> Result<Vec<Value>, Error> {
    // The address may say the project that the files leave out.
    let address = match &arguments.address {
        Some(text) => Some(Address::parse(text, context.project_flag())?),
        None => None,
    };
    let fallback = address.as_ref().map(|address| address.project.as_str());
    let project = Project { flag: context.project_flag(), fallback };
    let documents = manifest::load(&arguments.files, project)?;
    let of_kind = |kind: &'static str| {
        documents
            .iter()
            .filter(move |document| document.api_version == API_VERSION && document.kind == kind)
    };
    let wanted = |document: &&Document| match &address {
        Some(address) => {
            document.name == address.environment
                && document.namespace.as_deref() == Some(address.project.as_str())
        }
        None => true,
    };
    let chosen: Vec<&Document> = of_kind("Environment").filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<String> = of_kind("Environment").map(full_name).collect();
        let wanted = address.map_or_else(|| "any".to_owned(), |address| address.to_string());
        return Err(Error::NotFound {
            what: format!("environment {wanted} is not in the files"),
            hint: suggestion(&wanted, "environments in the files", &names),
        });
    }
    let templates: Vec<&Document> = of_kind("EnvironmentTemplate").collect();
    let mut values = vec![];
    let mut errors = vec![];
    for document in chosen {
        let spec: EnvironmentSpec = parsed(document)?;
        let template = match &spec.template_ref {
            None => None,
            Some(reference) => {
                let found = templates.iter().find(|template| {
                    template.name == reference.name && template.namespace == document.namespace
                });
                match found {
                    Some(template) => Some(parsed::<EnvironmentTemplateSpec>(template)?),
                    None => {
                        let names: Vec<String> = templates
                            .iter()
                            .filter(|template| template.namespace == document.namespace)
                            .map(|template| template.name.clone())
                            .collect();
                        let hint = suggestion(&reference.name, "templates in the files", &names);
                        errors.push(document.error_at(
                            "spec.templateRef.name",
                            format!(
                                "the template {:?} is not in the files: {hint}",
                                reference.name
                            ),
                        ));
                        continue;
                    }
                }
            }
        };
        let project = document.namespace.as_deref().unwrap_or_default();
        let of_project = match of_kind("HadesProject").find(|found| found.name == project) {
            Some(found) => parsed(found)?,
            None => HadesProjectSpec::default(),
        };
        values.push(rendered(project, &document.name, spec, template.as_ref(), &of_project));
    }
    if errors.is_empty() { Ok(values) } else { Err(Error::Manifests(errors)) }
}

fn full_name(document: &Document) -> String {
    format!("{}/{}", document.namespace.as_deref().unwrap_or_default(), document.name)
}

fn parsed<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, Error> {
    let spec = document.value.get("spec").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(spec)
        .map_err(|error| Error::Manifests(vec![document.error_at("spec", error.to_string())]))
}

/// The environment as one manifest that needs no template and no project.
fn rendered(
    project: &str,
    name: &str,
    spec: EnvironmentSpec,
    template: Option<&EnvironmentTemplateSpec>,
    of_project: &HadesProjectSpec,
) -> Value {
    let merged = match template {
        Some(template) => hades_plan::merge(template, &spec),
        None => spec,
    };
    let mut merged = hades_plan::with_project(of_project, merged);
    merged.template_ref = None;
    json!({
        "apiVersion": API_VERSION,
        "kind": "Environment",
        "metadata": {"name": name, "namespace": project},
        "spec": merged,
    })
}
