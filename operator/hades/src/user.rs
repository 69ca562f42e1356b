//! `hades user`: what is done about users on the machine of the server, by the
//! kubeconfig in its data directory.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hades_accounts::{ADMINISTRATORS, FIRST_USER};
use hades_api::{User, UserSpec};
use hades_apiserver::bootstrap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::cli::{RecoverFlags, UserCommand};
use crate::operations;

/// The administrator's kubeconfig in the data directory.
const KUBECONFIG: &str = "admin.kubeconfig";

/// Why a user wasn't recovered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserCommandError {
    #[error(
        "cannot use {}; name the data directory of the server with --data-dir, and run this as \
         the user that the server runs as",
        path.display()
    )]
    Kubeconfig { path: PathBuf, source: Box<KubeconfigError> },
    #[error("the server can't be reached; it must be running")]
    Unreachable { source: Box<kube::Error> },
    #[error("there is no user {name:?}; `kubectl get users` lists them")]
    NoUser { name: String },
    #[error("{name} is a robot, which has no password; make it another token instead")]
    Robot { name: String },
    #[error("the server refuses to {what}")]
    Refused { what: &'static str, source: Box<kube::Error> },
    #[error("the system gives no randomness: {0}")]
    Random(String),
    #[error("the result could not be printed")]
    Print(#[from] io::Error),
}

/// Runs a command and prints its result.
pub(crate) async fn run(
    command: &UserCommand,
    out: &mut impl Write,
) -> Result<(), UserCommandError> {
    match command {
        UserCommand::Recover(RecoverFlags { data_dir, name }) => {
            // Several are linked, and TLS would not know which to take.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let config = config(&data_dir.join(KUBECONFIG)).await?;
            let client = Client::try_from(config)
                .map_err(|source| UserCommandError::Unreachable { source: Box::new(source) })?;
            recover(client, name, out).await
        }
    }
}

/// By the context that the server writes: another one may be the current one, such as
/// that of a login which has ended by now.
async fn config(path: &Path) -> Result<Config, UserCommandError> {
    let failed =
        |source| UserCommandError::Kubeconfig { path: path.to_owned(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
    let context = Some(bootstrap::CONTEXT.to_owned());
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)
}

fn refused(what: &'static str) -> impl Fn(kube::Error) -> UserCommandError {
    move |error| match error {
        error @ kube::Error::Api(_) => UserCommandError::Refused { what, source: Box::new(error) },
        error => UserCommandError::Unreachable { source: Box::new(error) },
    }
}

/// Gives a user a new password, removes the second factor and lets the user in
/// again. The first user is made again if need be.
async fn recover(client: Client, name: &str, out: &mut impl Write) -> Result<(), UserCommandError> {
    let users: Api<User> = Api::all(client.clone());
    let found = users.get_opt(name).await.map_err(refused("show the user"))?;
    let there = match found {
        Some(user) if user.spec.robot.unwrap_or_default() => {
            return Err(UserCommandError::Robot { name: name.to_owned() });
        }
        Some(user) => Some(user),
        None if name == FIRST_USER => {
            let groups = vec![ADMINISTRATORS.to_owned()];
            let user = User::new(name, UserSpec { groups, ..UserSpec::default() });
            let made = users.create(&PostParams::default(), &user).await;
            made.map_err(refused("make the user"))?;
            None
        }
        None => return Err(UserCommandError::NoUser { name: name.to_owned() }),
    };
    let password = hades_accounts::new_password()
        .map_err(|error| UserCommandError::Random(error.to_string()))?;
    // In this order: wherever it ends, nobody is let in by the old password, which may
    // have been stolen, that wasn't let in before.
    set_password(&client, name, &password).await?;
    reset_factor(&client, name).await?;
    if let Some(user) = there {
        let_in(&users, name, &user.spec).await?;
    }
    writeln!(out, "user: {name}")?;
    writeln!(out, "password: {}", password.expose_secret())?;
    writeln!(out)?;
    writeln!(out, "The second factor was removed, and all sessions ended. Log in and change the")?;
    writeln!(out, "password: hadesctl login --user {name}; hadesctl passwd")?;
    Ok(())
}

/// A disabled user is enabled; the first one is an administrator again.
async fn let_in(users: &Api<User>, name: &str, spec: &UserSpec) -> Result<(), UserCommandError> {
    let mut changes = json!({});
    if spec.disabled.unwrap_or_default() {
        changes["disabled"] = json!(false);
    }
    if name == FIRST_USER && !spec.groups.iter().any(|group| group == ADMINISTRATORS) {
        let groups = spec.groups.iter().map(String::as_str).chain([ADMINISTRATORS]);
        changes["groups"] = groups.collect();
    }
    if changes == json!({}) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"spec": changes}));
    let patched = users.patch(name, &PatchParams::default(), &patch).await;
    patched.map_err(refused("enable the user"))?;
    Ok(())
}

fn request(method: &str, name: &str, what: &str, body: &Value) -> http::Request<Vec<u8>> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut request = http::Request::new(body);
    // Names that a User can have need no escaping in a path.
    let path = format!("{}/users/{name}/{what}", operations::PREFIX);
    if let (Ok(method), Ok(uri)) = (method.parse(), path.parse()) {
        *request.method_mut() = method;
        *request.uri_mut() = uri;
    }
    request
}

async fn reset_factor(client: &Client, name: &str) -> Result<(), UserCommandError> {
    let request = request("DELETE", name, "totp", &Value::Null);
    let answer = client.request::<Value>(request).await;
    answer.map_err(refused("remove the second factor"))?;
    Ok(())
}

async fn set_password(
    client: &Client,
    name: &str,
    password: &SecretString,
) -> Result<(), UserCommandError> {
    let body = json!({"spec": {"newPassword": password.expose_secret()}});
    let request = request("POST", name, "password", &body);
    let answer = client.request::<Value>(request).await;
    answer.map_err(refused("set the password"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use hades_accounts::{Accounts, Cost, Origin, Settings};
    use hades_apiserver::{ApiServer, Identity, ServerConfig};
    use kube::api::DeleteParams;

    use super::*;

    async fn bed() -> (ApiServer, Accounts, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path(), hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        let mut settings = Settings::new(directory.path());
        settings.cost = Cost { memory: 64, passes: 1, lanes: 1 };
        let accounts = Accounts::open(&server, settings).await.unwrap();
        (server.with_routes(operations::PREFIX, accounts.router()), accounts, directory)
    }

    async fn recovered(client: &Client, name: &str) -> Result<SecretString, UserCommandError> {
        let mut out = Vec::new();
        recover(client.clone(), name, &mut out).await?;
        let text = String::from_utf8(out).unwrap();
        let password = text.lines().find_map(|line| line.strip_prefix("password: "));
        Ok(SecretString::from(password.unwrap()))
    }

    #[tokio::test]
    async fn it_is_the_administrator_who_recovers_whoever_is_logged_in() {
        let directory = tempfile::tempdir().unwrap();
        let installation =
            bootstrap::prepare(directory.path(), &[], "https://127.0.0.1:7443").unwrap();
        let text = std::fs::read_to_string(&installation.kubeconfig).unwrap();
        let mut file: Value = serde_json::from_str(&text).unwrap();
        let token = file["users"][0]["user"]["token"].clone();
        let list = |file: &mut Value, list: &str, entry: Value| {
            file[list].as_array_mut().unwrap().push(entry);
        };
        list(&mut file, "users", json!({"name": "a@h", "user": {"token": "hds_ended"}}));
        let context = json!({"cluster": bootstrap::CONTEXT, "user": "a@h"});
        list(&mut file, "contexts", json!({"name": "h", "context": context}));
        file["current-context"] = json!("h");
        std::fs::write(&installation.kubeconfig, file.to_string()).unwrap();
        let config = config(&installation.kubeconfig).await.unwrap();
        let shown = config.auth_info.token.unwrap();
        assert_eq!(json!(shown.expose_secret()), token);
    }

    #[tokio::test]
    async fn whoever_is_locked_out_is_let_in_again() {
        let (server, accounts, _directory) = bed().await;
        let client = server.client(Identity::administrator("tester"));
        let users: Api<User> = Api::all(client.clone());
        let (from, disabled) = (Origin::default(), json!({"disabled": true, "groups": []}));
        let patch = Patch::Merge(json!({"spec": disabled}));
        users.patch(FIRST_USER, &PatchParams::default(), &patch).await.unwrap();
        let password = recovered(&client, FIRST_USER).await.unwrap();
        accounts.log_in(FIRST_USER, &password, None, &from).await.unwrap();
        assert!(accounts.first_login().await.is_none(), "the first password is no longer good");
        assert_eq!(users.get(FIRST_USER).await.unwrap().spec.groups, [ADMINISTRATORS]);
        users.delete(FIRST_USER, &DeleteParams::default()).await.unwrap();
        let password = recovered(&client, FIRST_USER).await.unwrap();
        accounts.log_in(FIRST_USER, &password, None, &from).await.unwrap();
        let error = recovered(&client, "nobody").await.unwrap_err();
        assert!(matches!(error, UserCommandError::NoUser { .. }), "{error}");
        let robot = UserSpec { robot: Some(true), ..UserSpec::default() };
        users.create(&PostParams::default(), &User::new("ci", robot)).await.unwrap();
        let error = recovered(&client, "ci").await.unwrap_err();
        assert!(matches!(error, UserCommandError::Robot { .. }), "{error}");
    }

    #[tokio::test]
    async fn who_gets_no_new_password_stays_as_he_was() {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path(), hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        // A server that fails with the request that is named.
        let answer = move |fails: &'static str| {
            let noted = Arc::clone(&noted);
            move |request: axum::extract::Request| async move {
                let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
                let fails = path == fails;
                noted.lock().unwrap().push(path);
                match fails {
                    true => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                    false => axum::Json(json!({"kind": "Status"})).into_response(),
                }
            }
        };
        let client = server.client(Identity::administrator("tester"));
        let users: Api<User> = Api::all(client);
        let disabled = UserSpec { disabled: Some(true), ..UserSpec::default() };
        users.create(&PostParams::default(), &User::new("jane", disabled)).await.unwrap();
        for (fails, expected) in [
            ("password", &["password"][..]),
            ("totp", &["password", "totp"]),
            ("none", &["password", "totp"]),
        ] {
            let routes = axum::Router::new().fallback(answer(fails));
            let server = server.clone().with_routes(operations::PREFIX, routes);
            let client = server.client(Identity::administrator("tester"));
            let outcome = recovered(&client, "jane").await;
            assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), expected, "{fails}");
            let is_disabled = users.get("jane").await.unwrap().spec.disabled;
            assert_eq!(outcome.is_err(), is_disabled == Some(true), "{fails}");
            assert_eq!(outcome.is_err(), fails != "none", "{fails}");
        }
    }
}
