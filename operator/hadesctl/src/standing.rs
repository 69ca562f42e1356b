//! What somebody is in a project besides what a command was about, and what takes it.

use hades_client::members::{Grant, Members, Membership, Revocation, Who};
use hades_client::{Session, catalog, object};
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Target};

/// The members of a project.
///
/// # Errors
/// When there is no such project, or nothing of them may be seen.
pub async fn read(session: &Session, project: &str) -> Result<Members, Error> {
    match Members::read(session, project).await {
        Err(error) if error.is_not_found() => {
            let name = project.to_owned();
            let target = Target { kind: catalog::project(), namespace: None, name };
            Err(target::not_found(session, &target).await)
        }
        read => Ok(read?),
    }
}

/// `, environments staging, test alone`; nothing for a whole project.
pub fn place(environments: &[String]) -> String {
    match environments {
        [] => String::new(),
        [one] => format!(", environment {one} alone"),
        several => format!(", environments {} alone", several.join(", ")),
    }
}

/// Warns of what somebody has besides a grant that was just made, and that it doesn't
/// cover: roles add up, so a lesser one takes nothing by itself.
pub async fn tell_beside(context: &Context, session: &Session, project: &str, grant: &Grant) {
    let who = &grant.who;
    let members = match Members::read(session, project).await {
        Ok(members) => members,
        Err(error) => {
            let unknown = format!("what else {who} is in project {project} can't be told: {error}");
            return context.terminal.warn(&unknown);
        }
    };
    for other in members.of(who).iter().filter(|other| !grant.covers(other)) {
        let is = is(other, project);
        let mut warning = format!("{who} is also {is}: {} takes that", taking(other, project));
        if revocation(other).is_about(&granted(grant)) {
            warning.push_str(", and this grant too, to be made once more then");
        }
        context.terminal.warn(&warning);
    }
    tell_partial(context, &members);
}

/// Warns where not all of the members are seen.
pub fn tell_partial(context: &Context, members: &Members) {
    if members.is_partial() {
        context
            .terminal
            .warn("there may be more: RoleBindings are for the project's admins to see");
    }
}

/// Tells what somebody has after a revocation: what it wasn't about, and what groups
/// give.
pub async fn tell_left(
    context: &Context,
    session: &Session,
    project: &str,
    members: &Members,
    revocation: &Revocation,
) {
    let who = &revocation.who;
    for other in members.of(who).iter().filter(|other| !revocation.is_about(other)) {
        let is = is(other, project);
        let note = format!("{who} is still {is}: {} takes that", taking(other, project));
        context.terminal.note(&note);
    }
    tell_partial(context, members);
    let given = members.of_groups();
    let Who::User(name) = who else { return };
    if given.is_empty() {
        return;
    }
    let groups = groups_of(session, name).await;
    let is_his = |it: &&Membership| matches!(&it.who, Who::Group(name) if groups.contains(name));
    let his: Vec<&Membership> = given.iter().filter(is_his).collect();
    if his.is_empty() {
        let note =
            format!("what groups give {who} stays: `hadesctl members -p {project}` shows it");
        context.terminal.note(&note);
    }
    for membership in his {
        let (group, is) = (&membership.who, is(membership, project));
        context.terminal.warn(&format!("{who} is still in {group}, which is {is}"));
    }
}

/// The groups that a User is in, as far as they may be seen. A single sign-on may give
/// more.
async fn groups_of(session: &Session, user: &str) -> Vec<String> {
    let found = object::get(session, &catalog::user(), None, user).await.ok().flatten();
    let mut groups = vec!["system:authenticated".to_owned()];
    if let Some(found) = found {
        let listed = found.data.pointer("/spec/groups").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        groups.extend(listed.map(str::to_owned));
    }
    groups
}

/// `admin of project shop, environment staging alone, by RoleBinding x`.
fn is(membership: &Membership, project: &str) -> String {
    let Membership { who: _, role, environments, binding } = membership;
    let by = match binding {
        None => "the HadesProject".to_owned(),
        Some(name) => format!("RoleBinding {name}"),
    };
    format!("{role} of project {project}{}, by {by}", place(environments))
}

/// The command that takes a membership.
pub fn taking(membership: &Membership, project: &str) -> String {
    let Membership { who, role, environments, binding } = membership;
    if membership.project_role().is_none() {
        let name = binding.as_deref().unwrap_or_default();
        return format!("`kubectl -n {project} edit rolebinding {name}`");
    }
    let who = match who {
        Who::User(name) => name.clone(),
        Who::Group(name) => format!("--group {name}"),
        Who::ServiceAccount(name) => format!("--serviceaccount {name}"),
    };
    let limits: String = environments.iter().map(|it| format!(" --environment {it}")).collect();
    format!("`hadesctl revoke {who} {role} -p {project}{limits}`")
}

/// What that command is about.
fn revocation(membership: &Membership) -> Revocation {
    let environments = &membership.environments;
    Revocation {
        who: membership.who.clone(),
        role: membership.project_role(),
        environments: (!environments.is_empty()).then(|| environments.clone()),
    }
}

fn granted(grant: &Grant) -> Membership {
    Membership {
        who: grant.who.clone(),
        role: grant.role.name().to_owned(),
        environments: grant.environments.clone().unwrap_or_default(),
        binding: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_a_role() {
        let membership = |who: Who, role: &str, environments: &[&str]| Membership {
            who,
            role: role.to_owned(),
            environments: environments.iter().map(|&name| name.to_owned()).collect(),
            binding: Some("b".to_owned()),
        };
        let alice = || Who::User("alice".to_owned());
        for (membership, command) in [
            (membership(alice(), "admin", &[]), "`hadesctl revoke alice admin -p shop`"),
            (
                membership(Who::Group("dev".to_owned()), "viewer", &["a", "b"]),
                "`hadesctl revoke --group dev viewer -p shop --environment a --environment b`",
            ),
            (membership(alice(), "Role logs", &[]), "`kubectl -n shop edit rolebinding b`"),
        ] {
            assert_eq!(taking(&membership, "shop"), command);
        }
    }
}
