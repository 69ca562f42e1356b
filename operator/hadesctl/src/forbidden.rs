//! What to say when somebody may not: which right is missing, which role has it, and
//! who can give it.

use std::time::Duration;

use hades_client::members::{Members, Who};
use hades_client::rights::{self, Right};

use crate::context::Context;
use crate::error::Error;

/// How long to look for those who can help.
const PATIENCE: Duration = Duration::from_secs(3);

/// An error of a command; where it is a refusal, with what to do about it.
pub async fn explained(context: &Context, error: Error) -> Error {
    let Error::Client(hades_client::Error::Api(status)) = &error else { return error };
    if !status.is_forbidden() {
        return error;
    }
    let Some(right) = rights::refused_right(&status.message) else { return error };
    let mut admins = vec![];
    if !right.namespace.is_empty()
        && let Ok(session) = context.session().await
        && let Ok(Ok(members)) =
            tokio::time::timeout(PATIENCE, Members::read(session, &right.namespace)).await
    {
        admins = members.admins();
    }
    Error::Forbidden { message: status.message.clone(), hint: hint(&right, &admins) }
}

fn hint(right: &Right, admins: &[Who]) -> String {
    let missing = format!("the right to {right} is missing");
    if right.namespace.is_empty() {
        return format!("{missing}; an administrator of Hades can give it");
    }
    let project = &right.namespace;
    let missing = match rights::least_role(right) {
        Some(role) => format!("{missing}, which comes with the role {role}"),
        None => format!("{missing}, which no role of a project has"),
    };
    let names: Vec<String> = admins.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [] if rights::least_role(right).is_none() => {
            format!("{missing}; an administrator of Hades can give it")
        }
        [] => format!("{missing}; an admin of {project} or an administrator of Hades can give it"),
        names => format!("{missing}; who can give it in {project}: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_who_can_help() {
        let right = |verb: &str, group: &str, resource: &str, namespace: &str| Right {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            ..Right::default()
        };
        let admins = [Who::User("bob".to_owned()), Who::Group("ops".to_owned())];
        assert_eq!(
            hint(&right("list", "", "secrets", "shop"), &admins),
            "the right to list secrets in project shop is missing, which comes with the role \
             deployer; who can give it in shop: bob, group ops"
        );
        assert_eq!(
            hint(&right("list", "hades.dev", "users", ""), &admins),
            "the right to list users is missing; an administrator of Hades can give it"
        );
    }
}
