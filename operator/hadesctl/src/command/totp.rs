//! `hadesctl totp`: one's own second factor.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use hades_client::accounts::{self, Factor, Proof, Whose};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use crate::prompt;

/// Have your logins need a code from your telephone (TOTP)
///
/// Second factors of others: `hadesctl user totp reset NAME`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set it up
    Enable,
    /// Remove it
    Disable(Removal),
    /// Show whether it is set up
    Status(Look),
}

/// How to show it.
#[derive(Debug, Args)]
struct Look {
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

/// How to show who you are.
#[derive(Debug, Args)]
struct Removal {
    /// Show who you are by a code, or a recovery code, and not by the password
    #[arg(long)]
    by_code: bool,
}

/// Carries it out.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Enable => enable(context).await,
        Command::Disable(removal) => disable(context, removal).await,
        Command::Status(Look { output: form }) => {
            let session = context.session().await?;
            let factor = accounts::factor(session, Whose::Own).await?;
            // Not all of it: what sets one up is a secret.
            let Factor { enabled, since, recovery_codes_left, .. } = &factor;
            let value = json!({
                "enabled": enabled, "since": since, "recoveryCodesLeft": recovery_codes_left,
            });
            match form {
                Output::Text => context.terminal.line(&status(&factor)),
                Output::Json => context.terminal.print(&output::json(&value)?),
                Output::Yaml => context.terminal.print(&output::yaml(&value)?),
            }
        }
    }
}

async fn enable(context: &Context) -> Result<(), Error> {
    let session = context.session().await?;
    if accounts::factor(session, Whose::Own).await?.enabled {
        return Err(Error::usage(
            "a second factor is set up already",
            "`hadesctl totp disable` removes it",
        ));
    }
    let password = prompt::secret(context, "Password")?;
    let begun = accounts::set_up_factor(session, &Proof::Password(password)).await?;
    let (Some(url), Some(secret)) = (begun.url, begun.secret) else {
        return Err(Error::incomplete("the server begins no set-up"));
    };
    context.terminal.note(&invitation(&url, &secret));
    let code = prompt::visible(context, "Code that the app shows")?;
    let done = accounts::set_up_factor(session, &Proof::Code(code)).await?;
    context.terminal.note(
        "Logins need a code from now on. Without the telephone each of these is good for one \
         login; they are shown only now, so keep them where the password isn't:",
    );
    for code in &done.recovery_codes {
        context.terminal.line(code.expose_secret())?;
    }
    Ok(())
}

async fn disable(context: &Context, removal: &Removal) -> Result<(), Error> {
    let session = context.session().await?;
    if !accounts::factor(session, Whose::Own).await?.enabled {
        return context.terminal.line("no second factor is set up");
    }
    let proof = match removal.by_code {
        true => Proof::Code(prompt::visible(context, "Code")?),
        false => Proof::Password(prompt::secret(context, "Password")?),
    };
    accounts::remove_factor(session, &proof).await?;
    context.terminal.line("the second factor is removed: logins need the password alone")
}

fn status(factor: &Factor) -> String {
    let mut text = match (factor.enabled, factor.since) {
        (false, _) => return "logins need no second factor".to_owned(),
        (true, None) => "logins need a second factor".to_owned(),
        (true, Some(since)) => format!("logins need a second factor since {since}"),
    };
    if let Some(left) = factor.recovery_codes_left {
        let _ = write!(text, "; {left} recovery codes are left");
    }
    text
}

/// What an authenticator app is set up with: a picture for it, and the secret for
/// those that have no camera.
fn invitation(url: &SecretString, secret: &SecretString) -> String {
    let picture = picture(url.expose_secret()).unwrap_or_default();
    format!(
        "Scan this with an authenticator app:\n\n{picture}\n\nor enter the secret {} in it\n({})",
        secret.expose_secret(),
        url.expose_secret(),
    )
}

/// A QR code of half blocks: light on dark, as most terminals are; apps read both.
fn picture(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut drawing = code.render::<Dense1x2>();
    let light_on_dark = drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Some(light_on_dark.quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_telephone_is_shown() {
        let url = SecretString::from("otpauth://totp/Hades:alice?secret=ABC&issuer=Hades");
        let text = invitation(&url, &SecretString::from("ABC"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn how_it_stands() {
        let factor = |value| serde_json::from_value::<Factor>(value).unwrap();
        let off = factor(serde_json::json!({"enabled": false}));
        assert_eq!(status(&off), "logins need no second factor");
        let on = factor(serde_json::json!({
            "enabled": true, "since": "2026-01-01T00:00:00Z", "recoveryCodesLeft": 9,
        }));
        assert_eq!(
            status(&on),
            "logins need a second factor since 2026-01-01T00:00:00Z; 9 recovery codes are left"
        );
    }
}
