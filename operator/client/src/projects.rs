//! The projects in which one may do anything at all.

use http::Method;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};

use crate::{Error, Session, catalog};

const PATH: &str = "/apis/operations.hades.dev/v1alpha1/selfprojects";

/// A project, and what one is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnProject {
    /// Its name.
    pub name: String,
    /// The roles that are bound there.
    pub roles: Vec<HeldRole>,
}

/// A role that one has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldRole {
    /// Its name, such as `hades:deployer`.
    pub name: String,
    /// What binds it, such as `RoleBinding hades:deployer`.
    pub binding: String,
    /// Who is bound, such as `Group dev`.
    pub subject: String,
    /// The environments that it is for; all where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
}

/// Where one may do anything at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnProjects {
    /// Roles that are good in all projects.
    pub everywhere: Vec<HeldRole>,
    /// The projects, by name.
    pub items: Vec<OwnProject>,
}

/// Asks the server. One that has no such answer, as Kubernetes, is asked for the
/// HadesProjects that one may see; nothing is then known of roles.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn own(session: &Session) -> Result<OwnProjects, Error> {
    match session.call::<OwnProjects>(Method::GET, PATH, None).await {
        Err(error) if error.is_not_found() || error.is_forbidden() => {}
        answered => return answered,
    }
    let all = ListParams::default();
    let found = session.api(&catalog::project(), None).list_metadata(&all).await;
    let found = found.map_err(|error| session.error(error))?;
    let names = found.items.into_iter().filter_map(|project| project.metadata.name);
    let items = names.map(|name| OwnProject { name, roles: vec![] }).collect();
    Ok(OwnProjects { everywhere: vec![], items })
}
