//! `hadesctl session`: logins that go on.

use clap::{Args, Subcommand};
use hades_client::accounts::{self, SessionEntry, Whose};
use jiff::Timestamp;

use crate::age::age;
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output::{self, ListForm};

/// Letters of a client's name that are shown in a table.
const CLIENT_WIDTH: usize = 40;

const AFTER_HELP: &str = "\
Examples:
  hadesctl session list                        where you are logged in
  hadesctl session end 4be1a2c3d4
  hadesctl session end --others                all but this one
  hadesctl session list --user alice           as an administrator";

/// Show and end logins
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show logins: from where, by what, when they were used
    #[command(visible_alias = "ls")]
    List(Listing),
    /// End logins at once
    End(Ending),
}

/// Whose sessions to show.
#[derive(Debug, Args)]
struct Listing {
    /// Of this user; your own when left out
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: ListForm,
}

/// Which sessions to end.
#[derive(Debug, Args)]
struct Ending {
    /// Their ids, as `session list` shows them
    #[arg(required_unless_present = "others", value_name = "ID")]
    ids: Vec<String>,

    /// Of this user; your own when left out
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// All of your own but the one that asks
    #[arg(long, conflicts_with_all = ["ids", "user"])]
    others: bool,
}

/// Carries it out.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::List(listing) => list(context, listing).await,
        Command::End(ending) => end(context, ending).await,
    }
}

fn whose(user: &Option<String>) -> Whose<'_> {
    user.as_deref().map_or(Whose::Own, Whose::Of)
}

async fn end(context: &Context, ending: &Ending) -> Result<(), Error> {
    let session = context.session().await?;
    if ending.others {
        let told = accounts::end_other_sessions(session).await?;
        return context.terminal.line(&told);
    }
    for id in &ending.ids {
        accounts::end_session(session, whose(&ending.user), id).await?;
        context.terminal.line(&format!("session {id} ended"))?;
    }
    Ok(())
}

async fn list(context: &Context, listing: &Listing) -> Result<(), Error> {
    let session = context.session().await?;
    let sessions = accounts::sessions(session, whose(&listing.user)).await?;
    match listing.output {
        ListForm::Table if sessions.is_empty() => {
            context.terminal.note("no sessions found");
            Ok(())
        }
        ListForm::Table => context.terminal.print(&table(&sessions, context.now())),
        ListForm::Json => context.terminal.print(&output::json(&sessions)?),
        ListForm::Yaml => context.terminal.print(&output::yaml(&sessions)?),
        ListForm::Name => {
            sessions.iter().try_for_each(|entry| context.terminal.line(&entry.metadata.name))
        }
    }
}

/// The one that asks has a star, as the context that is in use has in kubectl.
fn table(sessions: &[SessionEntry], now: Timestamp) -> String {
    let heads = ["CURRENT", "ID", "BY", "FROM", "CLIENT", "LAST USED", "AGE", "ENDS"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for SessionEntry { metadata, status } in sessions {
        let used = status.last_used_time.map(|used| format!("{} ago", age(used, now)));
        let ends = status.expiration_timestamp.map(|end| format!("in {}", age(now, end)));
        rows.push(vec![
            if status.current { "*" } else { "" }.to_owned(),
            metadata.name.clone(),
            status.how().to_owned(),
            status.address.clone().unwrap_or_default(),
            client(&status.user_agent),
            used.unwrap_or_default(),
            metadata.creation_timestamp.map(|began| age(began, now)).unwrap_or_default(),
            ends.unwrap_or_default(),
        ]);
    }
    columns(&rows, 0)
}

/// What a client says of itself, as far as it may be shown: it is whatever whoever
/// logged in wanted.
fn client(text: &str) -> String {
    let shown: String = text.chars().filter(|letter| !letter.is_control()).collect();
    match shown.char_indices().nth(CLIENT_WIDTH) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sessions_in_columns() {
        let session = |value| serde_json::from_value::<SessionEntry>(value).unwrap();
        let sessions = [
            session(
                json!({"metadata": {"name": "4be1", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"user": "alice", "method": "device", "current": true,
                    "address": "192.0.2.7", "userAgent": "hadesctl/0.1",
                    "lastUsedTime": "2026-01-01T02:00:00Z",
                    "expirationTimestamp": "2026-01-01T12:00:00Z"}}),
            ),
            session(json!({"metadata": {"name": "77aa"},
                "status": {"user": "alice", "method": "password",
                    "userAgent": format!("\u{1b}[31m{}", "x".repeat(60))}})),
        ];
        insta::assert_snapshot!(table(&sessions, "2026-01-01T03:00:00Z".parse().unwrap()));
    }
}
