//! `hadesctl login`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use hades_client::anonymous::{self, Anonymous};
use hades_client::authority::{self, Authority};
use hades_client::kubeconfig_file::{Current, KubeconfigFile, Login};
use hades_client::login::{self, Answered, Device, LoggedIn, Progress};
use hades_client::{Failure, ServerUrl, identity};

use crate::context::Context;
use crate::error::Error;
use crate::prompt;

const AFTER_HELP: &str = "\
Examples:
  hadesctl login hades.example.com              by a browser
  hadesctl login                                once more, where you were
  hadesctl login hades.example.com --user alice
  hadesctl login hades.example.com --token - < token.txt";

/// Log in to a server, by a browser unless something else is said
///
/// What shows who you are goes into the kubeconfig, which only you can read. The
/// server's certificate is checked by --ca-file, by what the kubeconfig knows of the
/// server, or by the authorities of this machine; else you are asked.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Address of the server, https://HOST[:PORT]; that of the context when left out
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Log in by a password; it, and a code of the second factor, are asked for
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Log in by an API token, which is read from standard input
    #[arg(long, value_name = "-", value_parser = ["-"], conflicts_with = "user")]
    token: Option<String>,

    /// Log in by a browser, even where nobody seems to sit at this terminal
    #[arg(long, conflicts_with_all = ["user", "token"])]
    browser: bool,

    /// Certificate of the authority (PEM) that the server's certificate is of
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Logs in.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let file = KubeconfigFile::of(&context.locations())?;
    file.check_own()?;
    let current = file.current(context.context_flag())?;
    let server = match (&arguments.url, &current) {
        (Some(url), _) => ServerUrl::parse(url)?,
        (None, Some(current)) => ServerUrl::parse(&current.server)?,
        (None, None) => {
            return Err(Error::usage(
                "nothing says which server to log in to",
                "write its address: hadesctl login hades.example.com",
            ));
        }
    };
    let by_browser_alone = arguments.user.is_none() && arguments.token.is_none();
    if by_browser_alone && !arguments.browser && !context.terminal.can_ask() {
        return Err(Error::usage(
            "nobody sits at a terminal to log in by a browser",
            "pass --token - with an API token on standard input, --user NAME with the password, or \
             --browser",
        ));
    }
    let reached = reach(context, &file, &server, arguments.ca_file.as_ref()).await?;
    let LoggedIn { token, until } = if arguments.token.is_some() {
        LoggedIn { token: prompt::secret(context, "API token")?, until: None }
    } else if let Some(user) = &arguments.user {
        by_password(context, &reached, &server, user).await?
    } else {
        by_browser(context, &reached).await?
    };
    let warnings = context.terminal.server_warnings();
    let session = anonymous::session(&server, reached.authority(), token.clone(), warnings)?;
    let user = identity::of(&session).await?.user;
    let name = context_name(context, arguments, &server, current.as_ref());
    file.keep(&Login {
        context: &name,
        server: &server,
        authority: reached.authority(),
        user: &user,
        token: &token,
        until,
    })?;
    let until = until.map_or_else(String::new, |until| format!(" until {until} at most"));
    context.terminal.line(&format!("logged in to {server} as {user}{until}"))?;
    let path = file.path().display();
    context
        .terminal
        .note(&format!("kept as context {name} of {path}, the current one from now on"));
    Ok(())
}

/// The context that the login goes into: the one that was asked for, the same one
/// once more, or one that is called like the server.
fn context_name(
    context: &Context,
    arguments: &Arguments,
    server: &ServerUrl,
    current: Option<&Current>,
) -> String {
    if let Some(name) = context.context_flag() {
        return name.to_owned();
    }
    match current {
        Some(current) if arguments.url.is_none() && current.is_login => current.context.clone(),
        _ => server.short_name(),
    }
}

/// The server, once it is certain that it is the right one.
async fn reach(
    context: &Context,
    file: &KubeconfigFile,
    server: &ServerUrl,
    ca_file: Option<&PathBuf>,
) -> Result<Anonymous, Error> {
    let known = match ca_file {
        Some(path) => Some(Authority::of_file(path)?),
        None => file.authority_of(server)?,
    };
    match Anonymous::new(server, known.clone()) {
        Ok(reached) => match reached.probe().await {
            Ok(()) => return Ok(reached),
            Err(error) if ca_file.is_some() || !is_unknown(&error) => return Err(error.into()),
            Err(_) => {}
        },
        // A machine without any authorities of its own.
        Err(_) if known.is_none() => {}
        Err(error) => return Err(error.into()),
    }
    let shown = authority::shown_by(server).await?;
    let fingerprint = shown.fingerprint();
    if known.is_some() {
        return Err(Error::Incomplete {
            message: format!(
                "the certificate of {server} is not of the authority that the kubeconfig knows \
                 this server by; the one that it shows now has the SHA-256 fingerprint \
                 {fingerprint}"
            ),
            hint: Some(
                "somebody may listen in between. If the server was set up anew, take ca.crt from \
                 its data directory and pass it by --ca-file"
                    .to_owned(),
            ),
        });
    }
    let reached = Anonymous::new(server, Some(shown))?;
    reached.probe().await.map_err(|error| match is_unknown(&error) {
        false => Error::Client(error),
        true => Error::Incomplete {
            message: format!(
                "the certificate of {server} is of an authority that this machine doesn't know, \
                 and the server doesn't show it"
            ),
            hint: Some("pass the authority's certificate by --ca-file".to_owned()),
        },
    })?;
    agree(context, server, &fingerprint)?;
    Ok(reached)
}

fn is_unknown(error: &hades_client::Error) -> bool {
    matches!(error, hades_client::Error::Unreachable { failure: Failure::UnknownCa, .. })
}

/// Has the person compare the fingerprint, as ssh does.
fn agree(context: &Context, server: &ServerUrl, fingerprint: &str) -> Result<(), Error> {
    let known = format!("this machine doesn't know who signed the certificate of {server}");
    if !context.terminal.can_ask() {
        return Err(Error::usage(
            format!("{known} (SHA-256 fingerprint {fingerprint})"),
            "pass ca.crt from the server's data directory by --ca-file",
        ));
    }
    context.terminal.note(&format!(
        "{known}. If it is the server's own authority, its SHA-256 fingerprint is\n  \
         {fingerprint}\nCompare it with what this says on the server:\n  sudo openssl x509 -in \
         /var/lib/hades/ca.crt -noout -fingerprint -sha256"
    ));
    match context.terminal.confirm("Trust it?")? {
        true => Ok(()),
        false => Err(Error::incomplete("not trusted, nothing was sent there")),
    }
}

async fn by_password(
    context: &Context,
    reached: &Anonymous,
    server: &ServerUrl,
    user: &str,
) -> Result<LoggedIn, Error> {
    let password = prompt::secret(context, &format!("Password of {user} at {server}"))?;
    match login::with_password(reached, user, &password, None).await? {
        Answered::In(logged_in) => return Ok(logged_in),
        Answered::CodeNeeded => {}
    }
    let code = prompt::visible(context, "Code of the second factor")?;
    match login::with_password(reached, user, &password, Some(&code)).await? {
        Answered::In(logged_in) => Ok(logged_in),
        Answered::CodeNeeded => Err(Error::incomplete("the server wants another code")),
    }
}

async fn by_browser(context: &Context, reached: &Anonymous) -> Result<LoggedIn, Error> {
    let mut device =
        Device::begin(reached, &host_name()).await.map_err(|error| Error::Incomplete {
            message: format!("a login by a browser can't begin: {}", told(&error)),
            hint: Some("--user NAME logs in by a password".to_owned()),
        })?;
    let page = device.verification_uri_complete.as_ref().unwrap_or(&device.verification_uri);
    context.terminal.note(&format!(
        "Open this page, and let this machine in if it shows the code {}:\n  {page}",
        device.user_code
    ));
    open(page);
    let end = tokio::time::Instant::now() + device.patience();
    loop {
        tokio::time::sleep(device.interval()).await;
        let progress = match device.ask(reached, context.now()).await {
            // The person is in the browser meanwhile, and nothing is lost.
            Err(error) if error.is_passing() && tokio::time::Instant::now() < end => {
                device.ask_less();
                continue;
            }
            answered => answered?,
        };
        match progress {
            Progress::In(logged_in) => return Ok(logged_in),
            Progress::Pending if tokio::time::Instant::now() < end => {}
            Progress::Pending | Progress::Expired => {
                return Err(Error::incomplete("nobody agreed in time; begin again"));
            }
            Progress::Denied => {
                return Err(Error::incomplete("it was refused in the browser"));
            }
        }
    }
}

/// An error with what is behind it.
fn told(error: &hades_client::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The name of this machine, for the person who sees it in the browser.
fn host_name() -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_program = || {
        let output = Command::new("hostname").stdin(Stdio::null()).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let name = of_kernel.or_else(of_program).unwrap_or_default();
    name.trim().to_owned()
}

/// Opens a page where there is a desktop to open it on. The person has its address
/// anyway, so nothing is said when it doesn't work.
fn open(page: &str) {
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = match () {
        () if cfg!(target_os = "macos") => "open",
        () if has("DISPLAY") || has("WAYLAND_DISPLAY") => "xdg-open",
        () => return,
    };
    // What the server says is never an option, and never another kind of address.
    if !page.starts_with("https://") {
        return;
    }
    let mut command = Command::new(program);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.spawn();
}
