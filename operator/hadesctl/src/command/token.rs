//! `hadesctl token`: API tokens for programs.

use clap::{Args, Subcommand, ValueEnum};
use hades_client::accounts::{self, Token, TokenSpec, Whose};
use jiff::{Span, SpanRelativeTo, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::age::age;
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output::{self, ListForm};

const AFTER_HELP: &str = "\
Examples:
  hadesctl token create laptop                         all that you may, for 90 days
  hadesctl token create ci --user ci-bot -p shop --expires 30d
  umask 077; hadesctl token create grafana -p shop -p blog --read-only > token.txt
  hadesctl token revoke laptop";

/// Make, list and revoke API tokens
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token; it is printed, this once
    Create(Creation),
    /// Show tokens, what they are limited to and when they were used
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Make tokens worthless at once
    #[command(visible_alias = "rm")]
    Revoke(Revocation),
}

/// What token to make.
#[derive(Debug, Args)]
struct Creation {
    /// Name to know it by later
    name: String,

    /// Make it for this user, such as a robot; for yourself when left out
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Only good in this project; repeat it for more
    // In place of the flag of all commands, which names one project.
    #[arg(id = "project", short, long, alias = "namespace", short_alias = 'n')]
    #[arg(value_name = "PROJECT", value_delimiter = ',')]
    projects: Vec<String>,

    /// Only good for looking: get, list and watch
    #[arg(long, conflicts_with = "verbs")]
    read_only: bool,

    /// Only good for these verbs: get,list,watch,create,update,patch,delete …
    #[arg(long, value_name = "VERBS", value_delimiter = ',')]
    verbs: Vec<String>,

    /// How long it is good: 90d, 12h; robots may have `never`
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime, default_value = "90d")]
    expires: Lifetime,

    /// Form of the output: the token alone, or with what is known of it
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Text,
    Yaml,
    Json,
}

/// How long a token is good, in seconds; 0 for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lifetime(i64);

/// Whose tokens to show.
#[derive(Debug, Args)]
struct Listing {
    /// Of this user; your own when left out
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: ListForm,
}

/// Which tokens to revoke.
#[derive(Debug, Args)]
struct Revocation {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    /// Of this user; your own when left out
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

/// Carries it out.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Create(creation) => create(context, creation).await,
        Command::List(listing) => list(context, listing).await,
        Command::Revoke(revocation) => {
            let session = context.session().await?;
            for name in &revocation.names {
                accounts::revoke_token(session, whose(&revocation.user), name).await?;
                context.terminal.line(&format!("token {name} revoked"))?;
            }
            Ok(())
        }
    }
}

fn whose(user: &Option<String>) -> Whose<'_> {
    user.as_deref().map_or(Whose::Own, Whose::Of)
}

/// `90d`, `12h`, `never`.
fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime(0));
    }
    let refused = || format!("{text:?} is no length of time: write it like 90d, 12h or never");
    let span: Span = text.parse().map_err(|_| refused())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
    // A second number 0 would be for ever.
    match length.as_secs() {
        seconds if seconds > 0 => Ok(Lifetime(seconds)),
        _ => Err(refused()),
    }
}

async fn create(context: &Context, creation: &Creation) -> Result<(), Error> {
    let session = context.session().await?;
    let read = creation.read_only.then(|| "read".to_owned());
    let spec = TokenSpec {
        projects: creation.projects.clone(),
        verbs: read.into_iter().chain(creation.verbs.iter().cloned()).collect(),
        expiration_seconds: Some(creation.expires.0),
    };
    let made =
        accounts::create_token(session, whose(&creation.user), &creation.name, &spec).await?;
    let Some(token) = &made.status.token else {
        return Err(Error::incomplete("the server made a token and doesn't show it"));
    };
    // Alone on standard output, so that scripts can take it.
    context.terminal.note(&told(&made));
    let whole = || -> Result<Value, Error> {
        let mut value =
            serde_json::to_value(&made).map_err(|error| Error::Encode(Box::new(error)))?;
        // Left out of everything else that is printed.
        value["status"]["token"] = json!(token.expose_secret());
        Ok(value)
    };
    match creation.output {
        Form::Text => context.terminal.line(token.expose_secret()),
        Form::Json => context.terminal.print(&output::json(&whole()?)?),
        Form::Yaml => context.terminal.print(&output::yaml(&whole()?)?),
    }
}

fn told(token: &Token) -> String {
    let Token { metadata, spec, status } = token;
    let place = match spec.projects.as_slice() {
        [] => String::new(),
        projects => format!(" in {}", projects.join(", ")),
    };
    let verbs = match spec.verbs.as_slice() {
        [] => format!("all that {} may", status.user),
        verbs => format!("{} as {}", verbs.join(", "), status.user),
    };
    let until = match status.expiration_timestamp {
        Some(until) => format!("until {until}"),
        None => "for ever".to_owned(),
    };
    format!("token {} is good for {verbs}{place}, {until}; it is shown only now", metadata.name)
}

async fn list(context: &Context, listing: &Listing) -> Result<(), Error> {
    let session = context.session().await?;
    let tokens = accounts::tokens(session, whose(&listing.user)).await?;
    match listing.output {
        ListForm::Table if tokens.is_empty() => {
            context.terminal.note("no tokens found");
            Ok(())
        }
        ListForm::Table => context.terminal.print(&table(&tokens, context.now())),
        ListForm::Json => context.terminal.print(&output::json(&tokens)?),
        ListForm::Yaml => context.terminal.print(&output::yaml(&tokens)?),
        ListForm::Name => {
            tokens.iter().try_for_each(|token| context.terminal.line(&token.metadata.name))
        }
    }
}

fn table(tokens: &[Token], now: Timestamp) -> String {
    let heads = ["NAME", "PROJECTS", "VERBS", "EXPIRES", "LAST USED", "AGE"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let all = |list: &[String]| match list {
        [] => "all".to_owned(),
        some => some.join(","),
    };
    for Token { metadata, spec, status } in tokens {
        let expires = match status.expiration_timestamp {
            _ if status.expired => "expired".to_owned(),
            None => "never".to_owned(),
            // How long it will be is counted as how long something was.
            Some(until) => format!("in {}", age(now, until)),
        };
        let used = status
            .last_used_time
            .map_or_else(|| "never".to_owned(), |used| format!("{} ago", age(used, now)));
        let age = metadata.creation_timestamp.map(|made| age(made, now)).unwrap_or_default();
        let name = metadata.name.clone();
        rows.push(vec![name, all(&spec.projects), all(&spec.verbs), expires, used, age]);
    }
    columns(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        assert_eq!(parse_lifetime("90d"), Ok(Lifetime(90 * 86400)));
        assert_eq!(parse_lifetime("1d12h"), Ok(Lifetime(36 * 3600)));
        assert_eq!(parse_lifetime("never"), Ok(Lifetime(0)));
        for bad in ["", "0s", "-5d", "90", "soon"] {
            assert!(parse_lifetime(bad).unwrap_err().contains("90d"), "{bad}");
        }
    }

    #[test]
    fn tokens_in_columns() {
        let token = |value| serde_json::from_value::<Token>(value).unwrap();
        let tokens = [
            token(json!({"metadata": {"name": "ci", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"projects": ["shop", "blog"], "verbs": ["get", "list"]},
                "status": {"user": "bot", "expirationTimestamp": "2026-03-01T00:00:00Z",
                    "lastUsedTime": "2026-01-02T00:00:00Z"}})),
            token(json!({"metadata": {"name": "old"},
                "status": {"user": "bot", "expired": true,
                    "expirationTimestamp": "2026-01-01T00:00:00Z"}})),
            token(json!({"metadata": {"name": "robot"}, "status": {"user": "bot"}})),
        ];
        insta::assert_snapshot!(table(&tokens, "2026-01-11T00:00:00Z".parse().unwrap()));
        insta::assert_snapshot!(format!("{}\n{}", told(&tokens[0]), told(&tokens[2])));
    }
}
