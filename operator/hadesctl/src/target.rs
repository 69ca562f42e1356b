//! From the words of an argument to objects: kinds, names, addresses.

use hades_client::nearest::suggestion;
use hades_client::wait::Subject;
use hades_client::{Address, Catalog, Kind, Session, catalog, object};
use kube::api::DynamicObject;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its project, for kinds that are in one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Target {
    /// The environment of an address.
    pub fn environment(address: &Address) -> Self {
        Self {
            kind: catalog::environment(),
            namespace: Some(address.project.clone()),
            name: address.environment.clone(),
        }
    }

    /// For waiting.
    pub fn subject(&self) -> Subject<'_> {
        Subject { kind: &self.kind, namespace: self.namespace.as_deref(), name: &self.name }
    }
}

/// `environment shop/production`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.subject().fmt(f)
    }
}

/// Whether a name without a project may be looked for in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// If exactly one project has it, that one is meant.
    AllProjects,
    /// The project has to be named: for what can't be undone.
    OneProject,
}

/// Objects out of `KIND NAME…`, `KIND/NAME…` or `ADDRESS…`.
pub async fn targets(
    context: &Context,
    words: &[String],
    search: Search,
) -> Result<Vec<Target>, Error> {
    let Some((first, rest)) = words.split_first() else {
        return Ok(vec![]);
    };
    if first.contains('/') {
        let mut found = vec![];
        for word in words {
            found.push(slashed(context, word, search).await?);
        }
        return Ok(found);
    }
    let kind = kind(context, first).await?;
    let mut found = vec![];
    for name in rest {
        found.push(named(context, &kind, name, search).await?);
    }
    Ok(found)
}

/// An object out of `KIND/[PROJECT/]NAME` or an address.
pub async fn slashed(context: &Context, word: &str, search: Search) -> Result<Target, Error> {
    if let Some((head, tail)) = word.split_once('/')
        && let Some(kind) = Catalog::built_in().kind(head)
    {
        return named(context, kind, tail, search).await;
    }
    let address = context.address(word).await?;
    if let Some(service) = &address.service {
        let whole = Address::environment(&address.project, &address.environment);
        return Err(Error::usage(
            format!("{word:?} names the service {service}, but this works on whole environments"),
            format!("write {whole}"),
        ));
    }
    Ok(Target::environment(&address))
}

/// An object of a kind out of `NAME` or `PROJECT/NAME`.
pub async fn named(
    context: &Context,
    kind: &Kind,
    name: &str,
    search: Search,
) -> Result<Target, Error> {
    let target = |namespace: Option<String>, name: &str| Target {
        kind: kind.clone(),
        namespace,
        name: name.to_owned(),
    };
    if !kind.namespaced {
        return Ok(target(None, name));
    }
    if let Some((project, name)) = name.split_once('/') {
        return Ok(target(Some(project.to_owned()), name));
    }
    if let Some(project) = context.project().await? {
        return Ok(target(Some(project), name));
    }
    let session = context.session().await?;
    let all = object::names(session, kind, None).await?;
    let projects: Vec<&String> =
        all.iter().filter(|(_, other)| other == name).filter_map(|(ns, _)| ns.as_ref()).collect();
    match projects.as_slice() {
        [project] if search == Search::AllProjects => Ok(target(Some((*project).clone()), name)),
        [] => {
            let known: Vec<String> = all
                .iter()
                .map(|(ns, name)| format!("{}/{name}", ns.as_deref().unwrap_or_default()))
                .collect();
            Err(Error::NotFound {
                what: format!("{} {name:?} not found in any project", kind.singular),
                hint: suggestion(name, &kind.resource.plural, &known),
            })
        }
        several => {
            let written: Vec<String> =
                several.iter().map(|project| format!("{project}/{name}")).collect();
            Err(Error::usage(
                format!("which project's {} {name} is meant?", kind.singular),
                format!("write {}", written.join(" or ")),
            ))
        }
    }
}

/// The kind that a word stands for.
pub async fn kind(context: &Context, word: &str) -> Result<Kind, Error> {
    if let Some(kind) = Catalog::built_in().kind(word) {
        return Ok(kind.clone());
    }
    let catalog = Catalog::discover(context.session().await?).await?;
    catalog.kind(word).cloned().ok_or_else(|| unknown_kind(&catalog, word))
}

/// The kinds that words stand for, categories such as `hades` included.
pub async fn kinds(context: &Context, words: &str) -> Result<Vec<Kind>, Error> {
    let built_in = Catalog::built_in();
    let words: Vec<&str> = words.split(',').map(str::trim).filter(|w| !w.is_empty()).collect();
    let known: Vec<Kind> = words.iter().filter_map(|w| built_in.kind(w).cloned()).collect();
    if known.len() == words.len() {
        return Ok(known);
    }
    let catalog = Catalog::discover(context.session().await?).await?;
    let mut kinds: Vec<Kind> = vec![];
    for word in words {
        let found = match built_in.kind(word).or_else(|| catalog.kind(word)) {
            Some(kind) => vec![kind],
            None => catalog.category(word),
        };
        if found.is_empty() {
            return Err(unknown_kind(&catalog, word));
        }
        for kind in found {
            if !kinds.contains(kind) {
                kinds.push(kind.clone());
            }
        }
    }
    Ok(kinds)
}

/// What there is a command for, and no kind.
const COMMANDS: [(&str, &str); 6] = [
    ("selfpassword", "passwd"),
    ("selfprojects", "whoami"),
    ("selfsessions", "session list"),
    ("selftokens", "token list"),
    ("selftotp", "totp status"),
    ("auditevents", "audit"),
];

fn unknown_kind(catalog: &Catalog, word: &str) -> Error {
    let plain = word.split('.').next().unwrap_or_default().to_lowercase();
    if let Some((_, command)) = COMMANDS.into_iter().find(|(known, _)| *known == plain) {
        return Error::NotFound {
            what: format!("{word} are no objects that this command works on"),
            hint: format!("`hadesctl {command}` is for them"),
        };
    }
    let names = catalog.names();
    let nearest = hades_client::nearest::nearest(word, names.iter().map(String::as_str));
    let mut plurals: Vec<&str> =
        catalog.kinds.iter().map(|kind| kind.resource.plural.as_str()).collect();
    plurals.sort_unstable();
    plurals.dedup();
    let listed = format!("kinds: {}", plurals.join(", "));
    Error::NotFound {
        what: format!("there is no kind {word:?}"),
        hint: match nearest {
            Some(name) => format!("did you mean {name}? {listed}"),
            None => listed,
        },
    }
}

/// What to say of an object that isn't there: the project, or its name in it,
/// with the nearest names that are.
pub async fn not_found(session: &Session, target: &Target) -> Error {
    let Target { kind, namespace, name } = target;
    if let Some(project) = namespace
        && let Some(error) = project_not_found(session, project).await
    {
        return error;
    }
    let known = object::names(session, kind, namespace.as_deref()).await.unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|(_, name)| name).collect();
    let place = namespace.as_ref().map_or_else(String::new, |ns| format!(" in project {ns}"));
    Error::NotFound {
        what: format!("{} {name:?} not found{place}", kind.singular),
        hint: suggestion(name, &format!("{}{place}", kind.resource.plural), &known),
    }
}

/// An error if there is no such project, and none if there is.
pub async fn project_not_found(session: &Session, project: &str) -> Option<Error> {
    let namespaces = object::names(session, &catalog::namespace(), None).await.ok()?;
    let known: Vec<String> = namespaces.into_iter().map(|(_, name)| name).collect();
    if known.iter().any(|name| name == project) {
        return None;
    }
    let projects: Vec<String> = known
        .into_iter()
        .filter(|name| !hades_api::name::is_reserved(name) || name == hades_api::SYSTEM_NAMESPACE)
        .collect();
    Some(Error::NotFound {
        what: format!("project {project:?} not found"),
        hint: suggestion(project, "projects", &projects),
    })
}

/// `error`, or what to say when it says that the target isn't there.
pub async fn explain(session: &Session, target: &Target, error: hades_client::Error) -> Error {
    if error.is_not_found() { not_found(session, target).await } else { error.into() }
}

/// An error if the environment that was found has no such service.
pub fn service_not_found(address: &Address, service: &str, known: &[String]) -> Option<Error> {
    if known.iter().any(|name| name == service) {
        return None;
    }
    let place = format!("{}/{}", address.project, address.environment);
    Some(Error::NotFound {
        what: format!("service {service:?} not found in environment {place}"),
        hint: suggestion(service, &format!("services of {place}"), known),
    })
}

/// Names of the services of an environment, those of its template included.
pub async fn services(session: &Session, environment: &DynamicObject) -> Vec<String> {
    let of = |object: &DynamicObject| -> Vec<String> {
        let services = object.data.pointer("/spec/services").and_then(Value::as_object);
        services.map(|services| services.keys().cloned().collect()).unwrap_or_default()
    };
    let mut names = of(environment);
    let template = environment.data.pointer("/spec/templateRef/name").and_then(Value::as_str);
    if let Some(template) = template {
        let kind = catalog::environment_template();
        let namespace = environment.metadata.namespace.as_deref();
        if let Ok(Some(template)) = object::get(session, &kind, namespace, template).await {
            names.extend(of(&template));
        }
    }
    names.sort();
    names.dedup();
    names
}
