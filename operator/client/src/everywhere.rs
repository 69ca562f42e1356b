//! Questions about all projects, of people who may not ask them all at once: then
//! each of their projects is asked.

use futures::future::try_join_all;

use crate::{Error, Kind, Session, projects};

/// As many projects are asked at a time.
const AT_A_TIME: usize = 8;

/// Answers about all projects.
pub(crate) struct Answers<T> {
    /// One, or one for each project that was asked.
    pub parts: Vec<T>,
    /// Whether each project had to be asked.
    pub one_by_one: bool,
}

/// Asks about all projects at once (`None`), and where that isn't allowed, about
/// each one in which the person has any right. What may not be seen in one of them
/// is told as a warning, unless it may be seen in none.
pub(crate) async fn ask<T, F>(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    question: impl Fn(Option<String>) -> F,
) -> Result<Answers<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let refused = match question(namespace.map(str::to_owned)).await {
        Ok(answer) => return Ok(Answers { parts: vec![answer], one_by_one: false }),
        Err(error) if namespace.is_none() && kind.namespaced && error.is_forbidden() => error,
        Err(error) => return Err(error),
    };
    // Whoever may not even ask for his projects has the first refusal to tell.
    let Ok(own) = projects::own(session).await else { return Err(refused) };
    let names: Vec<String> = own.items.into_iter().map(|project| project.name).collect();
    let mut answers = vec![];
    let mut hidden = vec![];
    for some in names.chunks(AT_A_TIME) {
        let asked = some.iter().map(|name| async {
            match question(Some(name.clone())).await {
                Err(error) if error.is_forbidden() => Ok(Err(name.clone())),
                answered => answered.map(Ok),
            }
        });
        for answer in try_join_all(asked).await? {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(name) => hidden.push(name),
            }
        }
    }
    if answers.is_empty() {
        return Err(refused);
    }
    if !hidden.is_empty() {
        let plural = &kind.resource.plural;
        session.warn(&format!("{plural} of {} are not yours to see", hidden.join(", ")));
    }
    Ok(Answers { parts: answers, one_by_one: true })
}
