//! `hadesctl webhook`.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use hades_client::ownership::{self, Ownership};
use hades_client::webhook::{self, Webhook};
use hades_client::{Session, catalog, object};
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Search, Target};

/// Set up a webhook, so that a push is applied at once
///
/// Shows where the forge delivers to and what to enter there. Makes the secret
/// that the forge signs with, if there is none yet.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The config repository, [PROJECT/]NAME
    #[arg(value_name = "PROJECT/REPOSITORY")]
    repository: String,

    /// What runs at the other end; told by the URL or the account when left out
    #[arg(long, value_enum)]
    forge: Option<Forge>,

    /// Have Hades register it in the forge, with the repository's GitAccount
    #[arg(long)]
    register: bool,

    /// Make a new secret; the forge has to be given it, too
    #[arg(long)]
    rotate: bool,

    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Forge {
    Github,
    Gitlab,
    /// Gitea or Forgejo
    #[value(alias = "forgejo")]
    Gitea,
    Bitbucket,
}

/// Sets a webhook up.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let target = find(context, &arguments.repository).await?;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let described = webhook::describe(session, namespace, &target.name).await;
    let webhook = match described {
        Ok(webhook) => webhook,
        Err(error) => return Err(target::explain(session, &target, error).await),
    };
    let secret = webhook.secret.clone().unwrap_or_else(|| webhook::secret_name(&target.name));
    if arguments.register {
        // Known before a token is made that the forge then doesn't have.
        can_register(&target, &webhook)?;
    }
    let mut token = None;
    if !webhook.has_token || arguments.rotate {
        check_secret(context, session, &target, &secret).await?;
        if !agreed(context, arguments, &target, &secret)? {
            return Ok(());
        }
        let made = webhook::new_token()
            .map_err(|error| Error::incomplete(format!("no random numbers: {error}")))?;
        webhook::set_token(session, (namespace, &target.name), &secret, &made).await?;
        tell_commit(context, session, &target, &secret).await?;
        token = Some(made);
    }
    if !webhook.public {
        context.terminal.warn(
            "hades serve has no --public-url: this address is its own, with a certificate that \
             forges don't trust. See docs/webhooks.md",
        );
    }
    if arguments.register {
        let done = match webhook::register(session, namespace, &target.name).await {
            Ok(done) => done,
            Err(error) => {
                if token.is_some() {
                    context.terminal.warn(
                        "the new token is stored, and the forge doesn't have it yet: once this is \
                         mended, run the command again with --register and without --rotate",
                    );
                }
                return Err(error.into());
            }
        };
        let line = format!("webhook of {} {}: {}", done.repository, done.outcome, done.url);
        return context.terminal.line(&line);
    }
    let forge = arguments.forge.or_else(|| by_name(webhook.forge.as_deref()?));
    context.terminal.print(&instructions(&webhook, namespace, &secret, token.as_deref(), forge))
}

/// Refuses where it is known that Hades can't register anything.
fn can_register(target: &Target, webhook: &Webhook) -> Result<(), Error> {
    let refuse = |message: String, hint: &str| {
        let hint = format!("{hint}, or leave --register away for the steps to do it by hand");
        Err(Error::Incomplete { message, hint: Some(hint) })
    };
    if !webhook.public {
        return refuse(
            "hades serve has no --public-url, so no forge could deliver to it".to_owned(),
            "start it with --public-url (docs/webhooks.md)",
        );
    }
    let Some(account) = &webhook.account else {
        return refuse(
            format!("{target} has no GitAccount by which Hades could register anything"),
            "name one in spec.account",
        );
    };
    match webhook.forge.as_deref().and_then(by_name) {
        Some(Forge::Github | Forge::Gitlab | Forge::Gitea) => Ok(()),
        Some(Forge::Bitbucket) | None => refuse(
            format!(
                "GitAccount {account} isn't there, or is of a forge whose webhooks Hades can't \
                 register"
            ),
            "make it one of GitHub, GitLab or Gitea",
        ),
    }
}

/// Refuses to put a token into a Secret that git owns: its next sync would take it
/// out again.
async fn check_secret(
    context: &Context,
    session: &Session,
    repository: &Target,
    secret: &str,
) -> Result<(), Error> {
    let namespace = repository.namespace.as_deref();
    let found = object::get(session, &catalog::secret(), namespace, secret).await?;
    let owned = found.and_then(|found| Ownership::of(&found, context.now()));
    let Some(Ownership { owner, file, overridden: _ }) = owned else { return Ok(()) };
    let place = file.map_or_else(String::new, |file| format!(" ({file})"));
    let project = namespace.unwrap_or_default();
    Err(Error::Incomplete {
        message: format!("Secret {project}/{secret} belongs to the repository {owner}"),
        hint: Some(format!(
            "change its key {} there{place}, or take it out there and name another one in \
             spec.webhook of {repository}",
            webhook::KEY
        )),
    })
}

/// A repository out of `[PROJECT/]NAME`.
async fn find(context: &Context, word: &str) -> Result<Target, Error> {
    let kind = catalog::config_repository();
    let word = word.strip_prefix("cr/").unwrap_or(word);
    match word.split_once('/') {
        None => target::named(context, &kind, word, Search::AllProjects).await,
        Some((project, name)) => {
            Ok(Target { kind, namespace: Some(project.to_owned()), name: name.to_owned() })
        }
    }
}

fn agreed(
    context: &Context,
    arguments: &Arguments,
    target: &Target,
    secret: &str,
) -> Result<bool, Error> {
    let project = target.namespace.as_deref().unwrap_or_default();
    context.terminal.note(&format!(
        "This makes a new token in Secret {secret} of {project} and names it in spec.webhook of \
         {target}."
    ));
    if arguments.yes {
        return Ok(true);
    }
    if !context.terminal.can_ask() {
        return Err(Error::usage("nobody is there to agree to that", "pass --yes"));
    }
    let agreed = context.terminal.confirm("Go on?")?;
    if !agreed {
        context.terminal.note("nothing was changed");
    }
    Ok(agreed)
}

/// A repository whose own manifest is in git: the field belongs there.
async fn tell_commit(
    context: &Context,
    session: &Session,
    target: &Target,
    secret: &str,
) -> Result<(), Error> {
    let Target { kind, namespace, name } = target;
    let Some(found) = object::get(session, kind, namespace.as_deref(), name).await? else {
        return Ok(());
    };
    if let Some(owned) = Ownership::of(&found, context.now()) {
        let change = ownership::FieldChange {
            field: "spec.webhook".to_owned(),
            before: None,
            after: Some(json!({"secretRef": {"name": secret}})),
        };
        context.terminal.warn(&format!("{target} comes from git: {}", owned.as_commit(&[change])));
    }
    Ok(())
}

fn by_name(name: &str) -> Option<Forge> {
    Forge::from_str(name, true).ok()
}

/// What to enter in the forge.
fn instructions(
    webhook: &Webhook,
    namespace: &str,
    secret: &str,
    token: Option<&str>,
    forge: Option<Forge>,
) -> String {
    let mut text = format!("URL:     {}\n", webhook.url);
    let _ = match token {
        Some(token) => writeln!(
            text,
            "Secret:  {token}\n         (shown only now; it is in Secret {secret} of {namespace})"
        ),
        None => writeln!(
            text,
            "Secret:  the one in Secret {secret} of {namespace}; it can't be shown, --rotate makes a new one"
        ),
    };
    for one in [Forge::Github, Forge::Gitlab, Forge::Gitea, Forge::Bitbucket] {
        if forge.is_none_or(|forge| forge == one) {
            let _ = write!(text, "\n{}\n", steps(one));
        }
    }
    let account = webhook.account.is_some();
    text.push_str(match (account, forge) {
        (true, Some(Forge::Github | Forge::Gitlab | Forge::Gitea)) => {
            "\nOr let Hades do that: add --register.\n"
        }
        _ => "",
    });
    text
}

fn steps(forge: Forge) -> &'static str {
    match forge {
        Forge::Github => {
            "GitHub: Settings > Webhooks > Add webhook\n  \
             1. Payload URL: the URL above\n  \
             2. Content type: application/json\n  \
             3. Secret: the secret above\n  \
             4. Just the push event; Add webhook. GitHub sends a ping, which is answered 200"
        }
        Forge::Gitlab => {
            "GitLab: Settings > Webhooks > Add new webhook\n  \
             1. URL: the URL above\n  \
             2. Signing token: the secret above; where GitLab has no such field yet: Secret token\n  \
             3. Push events (Tag push events for a repository that follows a tag)\n  \
             4. Add webhook, then Test > Push events"
        }
        Forge::Gitea => {
            "Gitea, Forgejo: Settings > Webhooks > Add Webhook > Gitea or Forgejo\n  \
             1. Target URL: the URL above\n  \
             2. POST content type: application/json\n  \
             3. Secret: the secret above\n  \
             4. Trigger on: Push Events; Add Webhook, then Test Delivery"
        }
        Forge::Bitbucket => {
            "Bitbucket: Repository settings > Webhooks > Add webhook\n  \
             1. URL: the URL above\n  \
             2. Secret: the secret above\n  \
             3. Triggers: Repository push; Save"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(account: bool) -> Webhook {
        Webhook {
            url: "https://hooks.example.com/hooks/config/shop/config".to_owned(),
            public: true,
            forge: None,
            account: account.then(|| "studio".to_owned()),
            secret: None,
            has_token: true,
        }
    }

    #[test]
    fn a_token_is_shown_when_it_is_made_and_never_again() {
        let made = instructions(&webhook(false), "shop", "config-webhook", Some("whsec_x"), None);
        assert!(made.contains("whsec_x") && made.contains("shown only now"), "{made}");
        let later = instructions(&webhook(false), "shop", "config-webhook", None, None);
        assert!(later.contains("Secret config-webhook of shop; it can't be shown"), "{later}");
    }

    #[test]
    fn one_forge_or_all_of_them() {
        let all = instructions(&webhook(true), "shop", "s", None, None);
        for name in ["GitHub: ", "GitLab: ", "Gitea, Forgejo: ", "Bitbucket: "] {
            assert!(all.contains(name), "{all}");
        }
        assert!(!all.contains("--register"));
        let one = instructions(&webhook(true), "shop", "s", None, by_name("gitlab"));
        assert!(one.contains("GitLab: ") && !one.contains("GitHub: "), "{one}");
        assert!(one.ends_with("add --register.\n"), "{one}");
        assert_eq!(by_name("forgejo"), Some(Forge::Gitea));
    }
}
