//! `hadesctl host add`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hades_api::name::check_label;
use hades_api::{DockerHost, SSH_PRIVATE_KEY, SYSTEM_NAMESPACE, condition, reason};
use hades_client::{FIELD_MANAGER, Session, host};
use hades_ssh::{HostKey, KeyPair};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::login::Login;
use super::prepare::{self, Prepared};
use super::{check_not_owned, described, hosts};
use crate::age::parse_duration;
use crate::context::Context;
use crate::error::Error;

/// Socket of an engine that was installed the usual way.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// On Secrets that were made here: the DockerHost that they are for.
const MADE_FOR: &str = "hades.dev/docker-host";
/// How long to rest between two tests of a new host.
const PAUSE: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Logs in with your own ssh (configuration, agent, jump hosts and passphrases work),
installs Docker if it is missing (Debian and Ubuntu), lets in a key that is made
for Hades alone, and pins the machine's host key. The server must reach the same
ADDRESS itself. Done again, the host gets a new key and its host key is read anew.";

/// Prepare a machine by SSH and add it; again, to give it a new key
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// USER@ADDRESS; Hades logs in as the same user
    #[arg(value_parser = parse_destination, value_name = "USER@ADDRESS")]
    destination: Destination,

    /// Name of the DockerHost; the first part of the address when absent
    #[arg(long)]
    name: Option<String>,

    /// Port of the SSH server
    #[arg(long, default_value_t = 22)]
    port: u16,

    /// Label of the DockerHost, for placement; may be given several times
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,

    /// Your private key for the first login; what ssh chooses when absent
    #[arg(short, long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// Socket of the engine there
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: String,

    /// How long to wait at most until the server reaches it
    #[arg(long, value_parser = parse_duration, default_value = "90s")]
    timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Destination {
    user: String,
    host: String,
}

fn parse_destination(text: &str) -> Result<Destination, String> {
    let refusal = || format!("{text:?} is not USER@ADDRESS, such as root@203.0.113.7");
    let (user, host) = text.split_once('@').ok_or_else(refusal)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_user = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:_".contains(c);
    if user.is_empty() || host.is_empty() || !user.chars().all(is_user) || !host.chars().all(is_host)
        // It would be taken for an option.
        || user.starts_with('-') || host.starts_with('-')
    {
        return Err(refusal());
    }
    if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(format!("{text:?}: write the port with --port"));
    }
    Ok(Destination { user: user.to_owned(), host: host.to_owned() })
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

/// A name out of an address: `web-1` of `web-1.example.com`, `203-0-113-7` of an IP.
fn default_name(host: &str) -> String {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host.replace(['.', ':'], "-").trim_matches('-').to_owned();
    }
    host.split('.').next().unwrap_or(host).to_lowercase().replace('_', "-")
}

/// Adds the host.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Arguments { destination, name, port, labels, identity, socket, timeout } = arguments;
    let name = name.clone().unwrap_or_else(|| default_name(&destination.host));
    check_label(&name).map_err(|error| {
        Error::usage(
            format!("{name:?} can't be the name of a host: {error}"),
            "give one with --name",
        )
    })?;
    let session = context.session().await?;
    // What can't be done at the end had better fail before the machine is changed.
    let before = hosts(session).get_opt(&name).await.map_err(|error| session.error(error))?;
    let endpoint = endpoint(destination, *port, socket);
    if let Some(before) = &before
        && before.spec.endpoint != endpoint
    {
        return Err(Error::usage(
            format!("there is a DockerHost {name} already, at {}", before.spec.endpoint),
            "choose another name with --name, or remove that one first (`hadesctl host rm`)",
        ));
    }
    if let Some(before) = &before {
        check_not_owned(
            before,
            "choose another name with --name, or put a new key into its Secret and its host keys \
             into spec.ssh.hostKeys",
        )?;
    }
    let secret = format!("host-{name}");
    check_secret(session, &secret, &name).await?;
    let comment = comment(session, &name).await?;
    let keys = KeyPair::generate(&comment).map_err(|error| unexpected("making a key", &error))?;

    context.terminal.note(&format!("preparing {}", destination.host));
    let login = Login {
        user: destination.user.clone(),
        host: destination.host.clone(),
        port: (*port != 22).then_some(*port),
        identity: identity.clone(),
    };
    let prepared = prepare::prepare(context, &login, &keys.public, &comment, socket).await?;
    let pinned = pinned(&prepared)?;
    for key in &pinned {
        context.terminal.note(&format!("  its host key is {}", key.fingerprint()));
    }

    store_key(session, &secret, &name, &keys).await?;
    let host = manifest(&name, &endpoint, &secret, &pinned, labels);
    store_host(session, &name, &host).await?;
    context.terminal.note(&format!(
        "DockerHost {name} {}",
        match before {
            Some(_) => "has a new key",
            None => "was made; the server connects to it",
        }
    ));
    let deadline = Instant::now() + *timeout;
    let info = reached(session, &name, deadline).await?;
    ready(session, &name, deadline).await?;
    context.terminal.line(&format!("{name} is ready: {}", described(&info)))
}

fn endpoint(destination: &Destination, port: u16, socket: &str) -> String {
    let Destination { user, host } = destination;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let port = if port == 22 { String::new() } else { format!(":{port}") };
    let socket = if socket == DEFAULT_SOCKET { "" } else { socket };
    format!("ssh://{user}@{host}{port}{socket}")
}

/// What the key is recognised by in `authorized_keys`: nothing but this
/// installation's key for this host ends with it.
async fn comment(session: &Session, name: &str) -> Result<String, Error> {
    let namespaces: Api<Namespace> = Api::all(session.client().clone());
    let system = namespaces.get(SYSTEM_NAMESPACE).await.map_err(|error| session.error(error))?;
    Ok(format!("hades/{}/{name}", system.uid().unwrap_or_default()))
}

fn pinned(prepared: &Prepared) -> Result<Vec<HostKey>, Error> {
    let pinned = prepared.pinned();
    if pinned.is_empty() {
        return Err(Error::Incomplete {
            message: "reading the host keys: the machine has none of a kind that Hades knows"
                .to_owned(),
            hint: Some("make one there: `ssh-keygen -A`, and restart its SSH server".to_owned()),
        });
    }
    Ok(pinned)
}

fn manifest(
    name: &str,
    endpoint: &str,
    secret: &str,
    pinned: &[HostKey],
    labels: &[(String, String)],
) -> Value {
    let keys: Vec<String> = pinned.iter().map(ToString::to_string).collect();
    let labels: BTreeMap<&String, &String> =
        labels.iter().map(|(key, value)| (key, value)).collect();
    json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "DockerHost",
        "metadata": {"name": name, "labels": labels},
        "spec": {"endpoint": endpoint, "ssh": {"secretRef": {"name": secret}, "hostKeys": keys}},
    })
}

/// Refuses to put a key over one that somebody else made.
async fn check_secret(session: &Session, secret: &str, host: &str) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(session.client().clone(), SYSTEM_NAMESPACE);
    let found = api.get_opt(secret).await.map_err(|error| session.error(error))?;
    match found {
        Some(found) if found.labels().get(MADE_FOR).is_none_or(|made_for| made_for != host) => {
            Err(Error::Incomplete {
                message: format!(
                    "Secret {secret} of {SYSTEM_NAMESPACE} is there already, and was not made by \
                     `hadesctl host add`"
                ),
                hint: Some(
                    "choose another name with --name, or delete it first if nothing uses it"
                        .to_owned(),
                ),
            })
        }
        Some(_) | None => Ok(()),
    }
}

async fn store_key(
    session: &Session,
    secret: &str,
    host: &str,
    keys: &KeyPair,
) -> Result<(), Error> {
    let manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/ssh-auth",
        "metadata": {
            "name": secret, "namespace": SYSTEM_NAMESPACE, "labels": {MADE_FOR: host},
        },
        "stringData": {SSH_PRIVATE_KEY: keys.private.expose_secret()},
    });
    let api: Api<Secret> = Api::namespaced(session.client().clone(), SYSTEM_NAMESPACE);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let stored = api.patch(secret, &parameters, &Patch::Apply(&manifest)).await;
    stored.map(drop).map_err(|error| session.error(error).into())
}

async fn store_host(session: &Session, name: &str, manifest: &Value) -> Result<(), Error> {
    let parameters = PatchParams::apply("hadesctl-host-add").force();
    let stored = hosts(session).patch(name, &parameters, &Patch::Apply(manifest)).await;
    stored.map(drop).map_err(|error| session.error(error).into())
}

/// Waits until the server reaches the host with its new key.
async fn reached(
    session: &Session,
    name: &str,
    deadline: Instant,
) -> Result<host::HostInfo, Error> {
    loop {
        let found = host::test(session, name).await?;
        if let Some(info) = found.info {
            return Ok(info);
        }
        let lasting = found.reason.as_deref().is_some_and(|reason| {
            [reason::HOST_IDENTITY_CHANGED, reason::ACCESS_DENIED, reason::INVALID_CREDENTIALS]
                .contains(&reason)
        });
        if lasting || Instant::now() + PAUSE > deadline {
            return Err(Error::Incomplete {
                message: format!(
                    "connecting from the server: {}",
                    found.message.as_deref().unwrap_or("no reason given")
                ),
                hint: Some(format!(
                    "the DockerHost {name} is kept: once that is mended it becomes ready by \
                     itself (`hadesctl host test {name}`); the server must reach the address \
                     that you gave"
                )),
            });
        }
        sleep(PAUSE).await;
    }
}

/// Waits until the controllers say so too.
async fn ready(session: &Session, name: &str, deadline: Instant) -> Result<(), Error> {
    let api = hosts(session);
    loop {
        let host: DockerHost = api.get(name).await.map_err(|error| session.error(error))?;
        let status = host.status.clone().unwrap_or_default();
        let found = condition::find(&status.conditions, condition::READY);
        if status.observed_generation == host.metadata.generation
            && found.is_some_and(|ready| ready.status == "True")
        {
            return Ok(());
        }
        let state = found.map_or("it wasn't looked at yet", |ready| ready.message.as_str());
        if timeout_at(deadline, sleep(PAUSE / 4)).await.is_err() {
            return Err(Error::Incomplete {
                message: format!("waiting until {name} is ready: {state}"),
                hint: Some(format!("see `hadesctl describe dockerhost {name}`")),
            });
        }
    }
}

/// Deletes the key that was made for a host, if one was; answers what its line in
/// `authorized_keys` ends with.
pub async fn forget_key(session: &Session, host: &DockerHost) -> Result<Option<String>, Error> {
    let Some(secret) = host.spec.secret() else { return Ok(None) };
    let api: Api<Secret> = Api::namespaced(session.client().clone(), SYSTEM_NAMESPACE);
    let found = api.get_opt(secret).await.map_err(|error| session.error(error))?;
    let name = host.name_any();
    let made_for = found.and_then(|found| found.labels().get(MADE_FOR).cloned());
    if made_for.as_deref() != Some(&*name) {
        return Ok(None);
    }
    api.delete(secret, &DeleteParams::default()).await.map_err(|error| session.error(error))?;
    comment(session, &name).await.map(Some)
}

fn unexpected(step: &str, error: &dyn std::fmt::Display) -> Error {
    Error::incomplete(format!("{step}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let parsed = parse_destination("root@203.0.113.7").unwrap();
        assert_eq!(endpoint(&parsed, 22, DEFAULT_SOCKET), "ssh://root@203.0.113.7");
        let parsed = parse_destination("deploy@[2001:db8::1]").unwrap();
        assert_eq!(endpoint(&parsed, 2222, "/x.sock"), "ssh://deploy@[2001:db8::1]:2222/x.sock");
        for bad in ["web-1", "@web-1", "root@", "root@a:22", "root@-oProxyCommand=x", "a b@c"] {
            assert!(parse_destination(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_hosts() {
        assert_eq!(default_name("web-1.example.com"), "web-1");
        assert_eq!(default_name("203.0.113.7"), "203-0-113-7");
        assert_eq!(default_name("2001:db8::1"), "2001-db8--1");
    }
}
