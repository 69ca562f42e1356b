//! Questions about all projects, of people who may not ask them all at once: then
//! each of their projects is asked.

use futures::future::try_join_all;

use crate::projects::OwnProject;
use crate::{Error, Kind, Session, catalog, projects};

/// As many projects are asked at a time.
const AT_A_TIME: usize = 8;

/// Answers about all projects.
pub(crate) struct Answers<T> {
    /// One, or one for each project that was asked.
    pub parts: Vec<T>,
    /// Whether each project had to be asked.
    pub one_by_one: bool,
}

/// What is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// A project; all of them with none.
    pub project: Option<String>,
    /// One object in it, where only that may be seen.
    pub name: Option<String>,
}

/// Asks about a project, or about all of them at once. Where that isn't allowed:
/// about each project in which the person has any right, and where the person is
/// there for some environments only, about each of these. What may not be seen in
/// some projects is told as a warning, unless it may be seen in none.
pub(crate) async fn ask<T, F>(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    question: impl Fn(Place) -> F,
) -> Result<Answers<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let whole = Place { project: namespace.map(str::to_owned), name: None };
    let refused = match question(whole).await {
        Ok(answer) => return Ok(Answers { parts: vec![answer], one_by_one: false }),
        Err(error) if kind.namespaced && error.is_forbidden() => error,
        Err(error) => return Err(error),
    };
    // Whoever may not even ask for his projects has the first refusal to tell.
    let Ok(own) = projects::own(session).await else { return Err(refused) };
    let mut places = vec![];
    for project in own.items {
        let is_other = namespace.is_some_and(|namespace| namespace != project.name);
        if !is_other {
            places.extend(places_in(kind, project, namespace.is_some()));
        }
    }
    let mut answers = vec![];
    let mut hidden = vec![];
    for some in places.chunks(AT_A_TIME) {
        let asked = some.iter().map(|place| async {
            match question(place.clone()).await {
                Err(error) if error.is_forbidden() => Ok(Err(place.project.clone())),
                answered => answered.map(Ok),
            }
        });
        for answer in try_join_all(asked).await? {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(project) => hidden.extend(project),
            }
        }
    }
    if answers.is_empty() {
        return Err(refused);
    }
    if !hidden.is_empty() {
        hidden.dedup();
        let plural = &kind.resource.plural;
        session.warn(&format!("{plural} of {} are not yours to see", hidden.join(", ")));
    }
    Ok(Answers { parts: answers, one_by_one: true })
}

/// Where to look in a project: all of it, or the environments that all of one's
/// roles there are limited to. The whole of it `was_refused`, perhaps.
fn places_in(kind: &Kind, project: OwnProject, was_refused: bool) -> Vec<Place> {
    let OwnProject { name, roles } = project;
    let place =
        |name: &str, object: Option<String>| Place { project: Some(name.to_owned()), name: object };
    let limited = !roles.is_empty() && roles.iter().all(|role| !role.environments.is_empty());
    if limited && *kind == catalog::environment() {
        let mut names: Vec<String> = roles.into_iter().flat_map(|role| role.environments).collect();
        names.sort();
        names.dedup();
        return names.into_iter().map(|object| place(&name, Some(object))).collect();
    }
    if was_refused { vec![] } else { vec![place(&name, None)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projects::HeldRole;

    fn project(limits: &[&[&str]]) -> OwnProject {
        let held = |names: &&[&str]| HeldRole {
            environments: names.iter().map(|&name| name.to_owned()).collect(),
            ..HeldRole::default()
        };
        OwnProject { name: "shop".to_owned(), roles: limits.iter().map(held).collect() }
    }

    #[test]
    fn only_environments_are_asked_for_by_name() {
        let names = |kind: &Kind, limits: &[&[&str]], was_refused: bool| -> Vec<String> {
            let places = places_in(kind, project(limits), was_refused);
            places.into_iter().map(|place| place.name.unwrap_or("*".to_owned())).collect()
        };
        let environment = catalog::environment();
        assert_eq!(names(&environment, &[&["b", "a"], &["a"]], true), ["a", "b"]);
        assert_eq!(names(&environment, &[&["a"], &[]], false), ["*"]);
        assert_eq!(names(&environment, &[], false), ["*"]);
        assert_eq!(names(&environment, &[&[]], true), [""; 0]);
        assert_eq!(names(&catalog::event(), &[&["a"]], false), ["*"]);
    }
}
