//! `hadesctl grant` and `hadesctl revoke`: who works on a project, as what.

use clap::Args;
use hades_api::{HadesProject, Member, ProjectRole};
use hades_client::members::{self, Grant, Members, Membership, Revocation, Who};
use hades_client::ownership::Ownership;
use hades_client::rights::{self, Right};
use hades_client::{Session, catalog, object};
use kube::api::DynamicObject;
use serde_json::json;

use crate::change::{self, Changed, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::standing;
use crate::target::{self, Target};

const AFTER_HELP: &str = "\
Examples:
  hadesctl grant alice deployer -p shop
  hadesctl grant alice viewer -p shop --environment production --environment staging
  hadesctl grant --group dev viewer -p shop

viewer sees; deployer also deploys, changes variables and secrets, opens consoles; admin
also deletes and makes members. Whoever may change the HadesProject makes a member there;
a project's admin makes a RoleBinding in the project.";

/// Make somebody a member of a project
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct GrantArguments {
    /// USER ROLE; ROLE alone after --group or --serviceaccount. Roles: viewer, deployer, admin
    #[arg(required = true, num_args = 1..=2, value_name = "USER ROLE")]
    words: Vec<String>,

    #[command(flatten)]
    whom: Whom,

    /// Make a RoleBinding in the project even where the HadesProject could be changed
    #[arg(long)]
    binding: bool,

    #[command(flatten)]
    overriding: OverrideFlags,
}

/// Take somebody's role in a project
///
/// Without a role all that he has there is taken: as a member of the HadesProject,
/// and by RoleBindings in the project.
#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// USER [ROLE]; ROLE alone, or nothing, after --group or --serviceaccount
    #[arg(num_args = 0..=2, value_name = "USER ROLE")]
    words: Vec<String>,

    #[command(flatten)]
    whom: Whom,

    #[command(flatten)]
    overriding: OverrideFlags,
}

/// Whom it is about, if it is no user, and where.
#[derive(Debug, Args)]
struct Whom {
    /// A group of users
    #[arg(long, conflicts_with = "serviceaccount", value_name = "NAME")]
    group: Option<String>,

    /// A service account of the project
    #[arg(long, alias = "service-account", value_name = "NAME")]
    serviceaccount: Option<String>,

    /// Only in this environment; repeat it for more
    #[arg(long = "environment", value_name = "NAME", value_delimiter = ',')]
    environments: Vec<String>,
}

impl Whom {
    /// Who, and which role, out of the words.
    fn read(&self, words: &[String]) -> Result<(Who, Option<ProjectRole>), Error> {
        let other = self.group.clone().map(Who::Group);
        let other = other.or_else(|| self.serviceaccount.clone().map(Who::ServiceAccount));
        let (who, rest) = match (other, words) {
            (Some(who), rest) => (who, rest),
            (None, [user, rest @ ..]) => (Who::User(user.clone()), rest),
            (None, []) => {
                return Err(Error::usage(
                    "nothing says who is meant",
                    "write USER, --group NAME or --serviceaccount NAME",
                ));
            }
        };
        let role = match rest {
            [] => None,
            [role] => Some(role_of(role)?),
            [_, more, ..] => {
                return Err(Error::usage(
                    format!("{more:?} is one word too many"),
                    "write USER ROLE, or --group NAME ROLE",
                ));
            }
        };
        Ok((who, role))
    }

    fn environments(&self) -> Option<Vec<String>> {
        (!self.environments.is_empty()).then(|| self.environments.clone())
    }
}

fn role_of(word: &str) -> Result<ProjectRole, Error> {
    let short = word.strip_prefix("hades:").unwrap_or(word);
    let known = ProjectRole::ALL.into_iter().find(|role| role.name() == short);
    known.ok_or_else(|| {
        let names = ProjectRole::ALL.map(ProjectRole::name);
        let nearest = hades_client::nearest::nearest(word, names.iter().copied());
        let hint = match nearest {
            Some(name) => format!("did you mean {name}? roles: {}", names.join(", ")),
            None => format!("roles: {}", names.join(", ")),
        };
        Error::usage(format!("there is no role {word:?}"), hint)
    })
}

/// Makes a member.
pub async fn grant(context: &Context, arguments: &GrantArguments) -> Result<(), Error> {
    let (who, role) = arguments.whom.read(&arguments.words)?;
    let Some(role) = role else {
        return Err(Error::usage(
            format!("nothing says which role {who} gets"),
            "write USER ROLE; roles: viewer, deployer, admin",
        ));
    };
    let project = project(context).await?;
    let session = context.session().await?;
    let grant = Grant { who, role, environments: arguments.whom.environments() };
    tell_unknown(context, session, &grant.who).await;
    if !arguments.binding
        && let Some((target, object)) = writable(session, &project).await?
    {
        in_project(context, &target, &object, &grant, &arguments.overriding).await?;
        standing::tell_beside(context, session, &project, &grant).await;
        return Ok(());
    }
    if arguments.overriding.override_until.is_some() {
        return Err(Error::usage(
            "a RoleBinding of the project itself overrides nothing",
            "leave --override-until away",
        ));
    }
    let name = members::bind(session, &project, &grant).await?;
    context.terminal.line(&format!("{} (RoleBinding {name})", is(&grant, &project)))?;
    standing::tell_beside(context, session, &project, &grant).await;
    Ok(())
}

/// A member who isn't there is no mistake: he may come by single sign-on. Mostly it is
/// one all the same.
async fn tell_unknown(context: &Context, session: &Session, who: &Who) {
    if let Who::User(name) = who
        && !name.contains(':')
        && let Ok(None) = object::get(session, &catalog::user(), None, name).await
    {
        context.terminal.warn(&format!("there is no user {name} yet"));
    }
}

fn is(grant: &Grant, project: &str) -> String {
    let Grant { who, role, environments } = grant;
    let place = standing::place(environments.as_deref().unwrap_or_default());
    format!("{who} is {role} of project {project}{place}")
}

async fn project(context: &Context) -> Result<String, Error> {
    context.project().await?.ok_or_else(|| {
        Error::usage("nothing says which project is meant", "name it with -p PROJECT")
    })
}

/// The HadesProject, if one may change it. On a server that keeps it from being seen
/// it can't be changed either.
async fn writable(
    session: &Session,
    project: &str,
) -> Result<Option<(Target, DynamicObject)>, Error> {
    let kind = catalog::project();
    let right = Right {
        verb: "patch".to_owned(),
        group: kind.resource.group.clone(),
        resource: kind.resource.plural.clone(),
        name: project.to_owned(),
        ..Right::default()
    };
    if !rights::can_i(session, &right).await?.allowed {
        return Ok(None);
    }
    let target = Target { kind, namespace: None, name: project.to_owned() };
    match object::get(session, &target.kind, None, project).await? {
        Some(found) => Ok(Some((target, found))),
        None => Err(target::not_found(session, &target).await),
    }
}

fn members_of(object: &DynamicObject) -> Result<Vec<Member>, Error> {
    let value = serde_json::to_value(object).map_err(|error| Error::Encode(Box::new(error)))?;
    let project: HadesProject =
        serde_json::from_value(value).map_err(|error| Error::Encode(Box::new(error)))?;
    Ok(project.spec.members)
}

/// Whoever read the members writes them, unless somebody changed them meanwhile.
fn patch(object: &DynamicObject, members: &[Member]) -> serde_json::Value {
    json!({
        "metadata": {"resourceVersion": object.metadata.resource_version},
        "spec": {"members": members},
    })
}

async fn in_project(
    context: &Context,
    target: &Target,
    object: &DynamicObject,
    grant: &Grant,
    overriding: &OverrideFlags,
) -> Result<(), Error> {
    let before = members_of(object)?;
    let (after, former) = members::with(&before, grant);
    let said = is(grant, &target.name);
    if former == Some(grant.role) {
        return context.terminal.line(&format!("{said} already"));
    }
    let added = after.iter().filter(|member| !before.contains(member));
    let entries = added.map(|member| format!("+ {}", entry(member)));
    let removed = before.iter().filter(|member| !after.contains(member));
    let entries = removed.map(|member| format!("- {}", entry(member))).chain(entries);
    let other = "or pass --binding, to make a RoleBinding beside it";
    keep_to_git(context, target, object, overriding, entries.collect(), Some(other))?;
    change::merge(context, target, object, &patch(object, &after), overriding).await?;
    let was = former.map_or_else(String::new, |former| format!(", no longer {former}"));
    context.terminal.line(&format!("{said}{was} (HadesProject {})", target.name))
}

fn entry(member: &Member) -> String {
    serde_json::to_string(member).unwrap_or_default()
}

/// What a repository owns is changed there, unless it is overridden.
fn keep_to_git(
    context: &Context,
    target: &Target,
    object: &DynamicObject,
    overriding: &OverrideFlags,
    entries: Vec<String>,
    otherwise: Option<&str>,
) -> Result<(), Error> {
    let Some(ownership) = Ownership::of(object, context.now()) else { return Ok(()) };
    if overriding.override_until.is_some() || ownership.overridden_until().is_some() {
        return Ok(());
    }
    let place = match &ownership.file {
        Some(file) => format!("{file} of the repository {}", ownership.owner),
        None => format!("the repository {}", ownership.owner),
    };
    let mut hint = format!("commit this to spec.members in {place}:");
    for entry in entries {
        hint.push_str(&format!("\n    {entry}"));
    }
    for line in [otherwise, Some("or pass --override-until 2h, to change it here until then")] {
        hint.extend(line.into_iter().flat_map(|line| ["\n  ", line]));
    }
    Err(Error::Incomplete {
        message: format!("{target} belongs to the repository {}", ownership.owner),
        hint: Some(hint),
    })
}

/// Takes a role.
pub async fn revoke(context: &Context, arguments: &RevokeArguments) -> Result<(), Error> {
    let (who, role) = arguments.whom.read(&arguments.words)?;
    let project = project(context).await?;
    let session = context.session().await?;
    let revocation = Revocation { who, role, environments: arguments.whom.environments() };
    let before = standing::read(session, &project).await?;
    let taken = take(context, session, &project, &before, &revocation, arguments).await?;
    let after = match taken.is_empty() {
        true => before,
        false => match standing::read(session, &project).await {
            Ok(after) => after,
            Err(error) => {
                context.terminal.line(&from(&revocation, &project, &taken))?;
                return Err(error);
            }
        },
    };
    let left = after.of(&revocation.who);
    if !taken.is_empty() {
        context.terminal.line(&told(&revocation, &project, &left, &taken))?;
    }
    let is_other_set = taken.is_empty() && revocation.environments.is_some();
    let others = left.iter().filter(|it| it.project_role().is_some());
    let mut others = others.filter(|it| revocation.role.is_none_or(|_| it.project_role() == role));
    match others.next() {
        // All that could be taken was.
        _ if left.iter().any(|it| revocation.is_about(it)) => Err(Error::Incomplete {
            message: format!(
                "{} is a member by the HadesProject {project}, which is not yours to change",
                revocation.who
            ),
            hint: Some("whoever may write HadesProjects can: ask an administrator of Hades".into()),
        }),
        Some(other) if is_other_set => Err(another_set(other, &project)),
        _ => {
            standing::tell_left(context, session, &project, &after, &revocation).await;
            match taken.is_empty() {
                false => Ok(()),
                true => Err(nothing_taken(&revocation, &project)),
            }
        }
    }
}

/// Takes what may be taken, and says by what it was given.
async fn take(
    context: &Context,
    session: &Session,
    project: &str,
    known: &Members,
    revocation: &Revocation,
    arguments: &RevokeArguments,
) -> Result<Vec<String>, Error> {
    let of_project = known.of_project.as_deref().unwrap_or_default();
    let (left, gone) = members::without(of_project, revocation);
    let mut taken = vec![];
    if !gone.is_empty()
        && let Some((target, object)) = writable(session, project).await?
    {
        let flags = &arguments.overriding;
        let entries = gone.iter().map(|member| format!("- {}", entry(member))).collect();
        keep_to_git(context, &target, &object, flags, entries, None)?;
        let patch = patch(&object, &left);
        if change::merge(context, &target, &object, &patch, flags).await? == Changed::Yes {
            taken.push(format!("HadesProject {project}"));
        }
    }
    let names = members::unbind(session, known, revocation).await?;
    taken.extend(names.into_iter().map(|name| format!("RoleBinding {name}")));
    Ok(taken)
}

/// `no member`, `no viewer`.
fn what(revocation: &Revocation) -> String {
    revocation.role.map_or_else(|| "no member".to_owned(), |role| format!("no {role}"))
}

fn from(revocation: &Revocation, project: &str, taken: &[String]) -> String {
    format!("taken from {} in project {project}: {}", revocation.who, taken.join(", "))
}

/// What came of it. Whoever has such a role all the same is not told to be without.
fn told(revocation: &Revocation, project: &str, left: &[Membership], taken: &[String]) -> String {
    let is_such =
        |it: &Membership| revocation.role.is_none_or(|role| it.project_role() == Some(role));
    if left.iter().any(is_such) {
        return from(revocation, project, taken);
    }
    let (who, what) = (&revocation.who, what(revocation));
    format!("{who} is {what} of project {project} any more ({})", taken.join(", "))
}

fn nothing_taken(revocation: &Revocation, project: &str) -> Error {
    let (who, what) = (&revocation.who, what(revocation));
    Error::NotFound {
        what: format!("{who} is {what} of project {project}, so nothing was taken"),
        hint: format!("`hadesctl members -p {project}` shows who is"),
    }
}

/// A role is for some environments together, and is taken as it was given.
fn another_set(membership: &Membership, project: &str) -> Error {
    let Membership { who, role, environments, .. } = membership;
    let place = standing::place(environments);
    Error::NotFound {
        what: format!(
            "{who} is {role} of project {project}{place}: --environment names exactly those that \
             a role is for, so nothing was taken"
        ),
        hint: format!(
            "{} takes it; then grant what is to stay",
            standing::taking(membership, project)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(group: Option<&str>) -> Whom {
        let group = group.map(str::to_owned);
        Whom { group, serviceaccount: None, environments: vec![] }
    }

    fn read(whom: &Whom, words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        match whom.read(&words) {
            Ok((who, role)) => Ok(format!("{who}: {}", role.map_or("all", ProjectRole::name))),
            Err(error) => Err(format!("{error}; {}", error.hint().unwrap_or_default())),
        }
    }

    #[test]
    fn who_and_what() {
        assert_eq!(read(&whom(None), &["alice", "deployer"]).unwrap(), "alice: deployer");
        assert_eq!(read(&whom(None), &["alice"]).unwrap(), "alice: all");
        assert_eq!(read(&whom(Some("dev")), &["hades:admin"]).unwrap(), "group dev: admin");
        assert_eq!(read(&whom(Some("dev")), &[]).unwrap(), "group dev: all");
        assert!(read(&whom(None), &[]).unwrap_err().contains("who is meant"));
        assert!(read(&whom(None), &["a", "deploier"]).unwrap_err().contains("mean deployer?"));
        assert!(read(&whom(Some("dev")), &["alice", "admin"]).unwrap_err().contains("too many"));
        assert!(read(&whom(Some("dev")), &["admin", "x"]).unwrap_err().contains("too many"));
    }
}
