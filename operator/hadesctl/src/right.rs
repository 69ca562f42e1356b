//! From the words of an argument to a right: `get environments`, `create
//! environments --subresource exec`.

use hades_client::rights::Right;
use hades_client::{Catalog, Kind};

use crate::context::Context;
use crate::error::Error;
use crate::target;

/// Group of what isn't an object.
const OPERATIONS: &str = "operations.hades.dev";

/// Parts of objects that are in the object's own group; all others of Hades are in
/// [`OPERATIONS`].
const OWN_PARTS: [&str; 5] = ["finalizers", "policy", "scale", "status", "volumes"];

/// Whom `impersonate` is about: no kinds that can be listed.
const PERSONS: [(&str, &str); 6] = [
    ("user", "users"),
    ("users", "users"),
    ("group", "groups"),
    ("groups", "groups"),
    ("serviceaccount", "serviceaccounts"),
    ("serviceaccounts", "serviceaccounts"),
];

/// Reads `VERB KIND[/NAME]`, for the project that the command line or the kubeconfig
/// names.
///
/// # Errors
/// When there is no such kind.
pub async fn read(
    context: &Context,
    verb: &str,
    what: &str,
    subresource: Option<&str>,
) -> Result<Right, Error> {
    let verb = verb.to_lowercase();
    let (word, name) = what.split_once('/').unwrap_or((what, ""));
    let subresource = subresource.unwrap_or_default();
    let right = |group: &str, resource: &str, namespace: String| Right {
        verb: verb.clone(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace,
        name: name.to_owned(),
    };
    let person = PERSONS.iter().find(|(known, _)| *known == word.to_lowercase());
    if let Some((_, resource)) = person.filter(|_| verb == "impersonate") {
        return Ok(right("", resource, String::new()));
    }
    if word == "*" {
        return Ok(right("*", "*", context.project().await?.unwrap_or_default()));
    }
    let kind = match (Catalog::built_in().kind(word), word.split_once('.')) {
        (Some(kind), _) => kind.clone(),
        // What is served nowhere may still be a right.
        (None, Some((resource, group))) => {
            let project = context.project().await?.unwrap_or_default();
            return Ok(right(group, resource, project));
        }
        (None, None) if word.starts_with("self") => {
            return Ok(right(OPERATIONS, word, String::new()));
        }
        (None, None) if word == "auditevents" => {
            let project = context.project().await?.unwrap_or_default();
            return Ok(right(OPERATIONS, word, project));
        }
        (None, None) => target::kind(context, word).await?,
    };
    let namespace = match kind.namespaced {
        true => context.project().await?.unwrap_or_default(),
        false => String::new(),
    };
    Ok(right(group(&kind, subresource), &kind.resource.plural, namespace))
}

fn group<'a>(kind: &'a Kind, subresource: &str) -> &'a str {
    let elsewhere = !subresource.is_empty() && !OWN_PARTS.contains(&subresource);
    if kind.resource.group == hades_api::GROUP && elsewhere {
        return OPERATIONS;
    }
    &kind.resource.group
}

#[cfg(test)]
mod tests {
    use super::*;
    use hades_client::catalog;

    #[test]
    fn parts_of_objects_are_in_two_groups() {
        let environment = catalog::environment();
        assert_eq!(group(&environment, ""), "hades.dev");
        assert_eq!(group(&environment, "status"), "hades.dev");
        assert_eq!(group(&environment, "exec"), OPERATIONS);
        // Rights on which nothing is served.
        assert_eq!(group(&environment, hades_api::role::DATA_DELETION.1), "hades.dev");
        assert_eq!(group(&catalog::project(), hades_api::role::PROJECT_POLICY.1), "hades.dev");
        assert_eq!(group(&catalog::project(), "finalizers"), "hades.dev");
        assert_eq!(group(&catalog::namespace(), "status"), "");
    }
}
