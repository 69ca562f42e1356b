//! `hadesctl whoami`.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use hades_client::Session;
use hades_client::accounts::{self, SessionStatus, Token};
use hades_client::identity::{self, Identity};
use hades_client::projects::{self, HeldRole, OwnProjects};
use jiff::Timestamp;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;

/// Show who you are to the server, and where you may do what
#[derive(Debug, Args)]
pub struct Arguments {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Yaml,
    Json,
}

/// By what somebody shows who he is.
#[derive(Debug)]
enum Shown {
    Login(SessionStatus),
    Token(Token),
    Else,
}

/// Shows who one is.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let who = identity::of(session).await?;
    let shown = shown(session, &who).await?;
    let own = match projects::own(session).await {
        Ok(own) => own,
        // Whoever isn't a member anywhere is somebody all the same.
        Err(error) if error.is_forbidden() || error.is_not_found() => OwnProjects::default(),
        Err(error) => return Err(error.into()),
    };
    match arguments.output {
        Output::Text => context.terminal.print(&text(session.server(), &who, &shown, &own)),
        form => {
            let (how, until) = how(&shown);
            let value = json!({
                "server": session.server(), "user": who.user, "groups": who.groups, "by": how,
                "until": until.map(|until| until.to_string()), "projects": own.items,
                "everywhere": own.everywhere,
            });
            match form {
                Output::Json => context.terminal.print(&output::json(&value)?),
                _ => context.terminal.print(&output::yaml(&value)?),
            }
        }
    }
}

async fn shown(session: &Session, who: &Identity) -> Result<Shown, Error> {
    let found = match (who.session(), who.token()) {
        (Some(id), _) => {
            accounts::own_session(session, id).await.map(|entry| Shown::Login(entry.status))
        }
        (_, Some(name)) => accounts::own_token(session, name).await.map(Shown::Token),
        _ => return Ok(Shown::Else),
    };
    match found {
        Ok(shown) => Ok(shown),
        // A token that is limited to a project may not ask.
        Err(error) if error.is_forbidden() || error.is_not_found() => Ok(Shown::Else),
        Err(error) => Err(error.into()),
    }
}

fn how(shown: &Shown) -> (String, Option<Timestamp>) {
    match shown {
        Shown::Login(status) => (status.how().to_owned(), status.expiration_timestamp),
        Shown::Token(token) => {
            let name = &token.metadata.name;
            (format!("the API token {name}"), token.status.expiration_timestamp)
        }
        Shown::Else => ("what the kubeconfig holds".to_owned(), None),
    }
}

fn text(server: &str, who: &Identity, shown: &Shown, own: &OwnProjects) -> String {
    let (how, until) = how(shown);
    let mut by = how;
    if let Shown::Login(SessionStatus { address: Some(address), .. }) = shown {
        let _ = write!(by, ", from {address}");
    }
    let mut rows = vec![
        vec!["User:".to_owned(), who.user.clone()],
        vec!["Groups:".to_owned(), who.groups.join(", ")],
        vec!["Server:".to_owned(), server.to_owned()],
        vec!["By:".to_owned(), by],
    ];
    if let Some(until) = until {
        rows.push(vec!["Until:".to_owned(), format!("{until} at most")]);
    }
    if let Shown::Token(token) = shown {
        let list = |list: &[String], all: &str| match list {
            [] => all.to_owned(),
            some => some.join(", "),
        };
        let (projects, verbs) = (&token.spec.projects, &token.spec.verbs);
        let limits = format!("{}; {}", list(projects, "all projects"), list(verbs, "all verbs"));
        rows.push(vec!["Limited to:".to_owned(), limits]);
    }
    let mut text = columns(&rows, 0);
    text.push('\n');
    text.push_str(&table(own));
    text
}

fn table(own: &OwnProjects) -> String {
    if own.items.is_empty() && own.everywhere.is_empty() {
        return "no project is yours: whoever is an administrator can make you a member\n"
            .to_owned();
    }
    let heads = ["PROJECT", "ROLE", "ENVIRONMENTS", "BY"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let row = |project: &str, held: &HeldRole| {
        let environments = match held.environments.as_slice() {
            [] => "all".to_owned(),
            some => some.join(","),
        };
        let by = format!("{}, as {}", held.binding, held.subject);
        vec![project.to_owned(), role_name(&held.name), environments, by]
    };
    rows.extend(own.everywhere.iter().map(|held| row("(all)", held)));
    for project in &own.items {
        rows.extend(project.roles.iter().map(|held| row(&project.name, held)));
        if project.roles.is_empty() && own.everywhere.is_empty() {
            rows.push(vec![project.name.clone()]);
        }
    }
    columns(&rows, 0)
}

/// `deployer` for `hades:deployer`, and for `hades:deployer:0123456789`, which is
/// the same for some environments.
fn role_name(role: &str) -> String {
    let name = role.strip_prefix("hades:").and_then(|rest| rest.split(':').next());
    let granted = role.strip_prefix("grant:").and_then(|rest| rest.split(':').next());
    let known = |name: &&str| hades_api::ProjectRole::ALL.iter().any(|role| role.name() == *name);
    name.or(granted).filter(known).unwrap_or(role).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_as_people_call_them() {
        assert_eq!(role_name("hades:deployer"), "deployer");
        assert_eq!(role_name("hades:viewer:0123456789"), "viewer");
        assert_eq!(role_name("grant:admin:user:alice:0123456789"), "admin");
        assert_eq!(role_name("hades:config-repository"), "hades:config-repository");
        assert_eq!(role_name("somebodys"), "somebodys");
    }

    #[test]
    fn what_is_shown() {
        let who = Identity {
            user: "alice".to_owned(),
            groups: vec!["dev".to_owned(), "system:authenticated".to_owned()],
            credential: Some("session/1".to_owned()),
        };
        let entry: SessionStatus = serde_json::from_value(json!({
            "user": "alice", "method": "device", "expirationTimestamp": "2026-01-01T12:00:00Z",
            "address": "192.0.2.7",
        }))
        .unwrap();
        let own: OwnProjects = serde_json::from_value(json!({
            "everywhere": [{"name": "cluster-admin", "binding": "ClusterRoleBinding x",
                "subject": "Group ops"}],
            "items": [
                {"name": "blog", "roles": []},
                {"name": "shop", "roles": [{"name": "hades:deployer:ab", "environments": ["staging"],
                    "binding": "RoleBinding hades:deployer:ab", "subject": "User alice"}]},
            ],
        }))
        .unwrap();
        insta::assert_snapshot!(text("https://h", &who, &Shown::Login(entry), &own));
        insta::assert_snapshot!(text("https://h", &who, &Shown::Else, &OwnProjects::default()));
    }
}
