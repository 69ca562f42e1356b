//! `hades user`: what is done about users on the machine of the server, by its admin
//! socket, or by whoever may read the data directory of one that is stopped.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hades_accounts::{ADMINISTRATORS, Accounts, AccountsError, FIRST_USER};
use hades_api::{User, UserSpec};
use hades_apiserver::audit::AuditEvent;
use hades_apiserver::{ApiServer, IdentitySource};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, AdminClientError};
use crate::admin_socket::{self, PREFIX, Refusal};
use crate::cli::{RecoverFlags, UserCommand};
use crate::operations;
use crate::stopped::{Stopped, StoppedError};

/// Why a user wasn't recovered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserCommandError {
    #[error(transparent)]
    Server(#[from] AdminClientError),
    #[error("the server's answer can't be read")]
    Answer(#[source] reqwest::Error),
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    #[error("cannot read the accounts of users")]
    Accounts(#[from] AccountsError),
    #[error("{name:?} is no name of a user")]
    Name { name: String },
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

impl UserCommandError {
    /// How the socket answers it, and the reason that the audit log has.
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Name { .. } => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::NoUser { .. } => (StatusCode::NOT_FOUND, "NotFound"),
            Self::Robot { .. } => (StatusCode::CONFLICT, "Conflict"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        }
    }
}

/// The routes of the admin socket.
pub(crate) fn router(server: ApiServer) -> Router {
    let path = format!("{PREFIX}/users/{{name}}/recover");
    Router::new().route(&path, post(recover_by_socket)).with_state(server)
}

async fn recover_by_socket(
    State(server): State<ApiServer>,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<Value>, Refusal> {
    let recovered = recover_recorded(&server, &name).await;
    let password = recovered.map_err(|error| Refusal::new(error.answer().0, &error))?;
    Ok(Json(json!({"password": password.expose_secret()})))
}

/// Runs a command and prints its result.
pub(crate) async fn run(
    command: &UserCommand,
    out: &mut impl Write,
) -> Result<(), UserCommandError> {
    let UserCommand::Recover(RecoverFlags { data_dir, audit_dir, identity, name }) = command;
    check_name(name)?;
    let password = match AdminClient::connect(data_dir).await? {
        Some(server) => ask(&server, name).await?,
        None => recover_stopped(data_dir, audit_dir.clone(), identity.source(), name).await?,
    };
    writeln!(out, "user: {name}")?;
    writeln!(out, "password: {}", password.expose_secret())?;
    writeln!(out)?;
    writeln!(out, "The second factor was removed, and all sessions ended. Log in and change the")?;
    writeln!(out, "password: hadesctl login --user {name}; hadesctl passwd")?;
    Ok(())
}

async fn ask(server: &AdminClient, name: &str) -> Result<SecretString, UserCommandError> {
    let request = server.post(&format!("{PREFIX}/users/{name}/recover"));
    let answer = server.ask(request).await?;
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.map_err(UserCommandError::Answer)?;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let password = answer["password"].as_str().ok_or(AdminClientError::Status(status))?;
    Ok(SecretString::from(password.to_owned()))
}

/// Opens the directory of a server that is stopped, as that would, and does it there.
async fn recover_stopped(
    data_dir: &Path,
    audit_dir: Option<PathBuf>,
    identity: IdentitySource,
    name: &str,
) -> Result<SecretString, UserCommandError> {
    let Stopped { server, .. } = &Stopped::open(data_dir, audit_dir, identity).await?;
    let accounts = Accounts::open(server, hades_accounts::Settings::new(data_dir)).await?;
    let served = server.clone().with_routes(operations::PREFIX, accounts.router());
    let recovered = recover_recorded(&served, name).await;
    accounts.flush().await;
    server.shutdown().await;
    recovered
}

/// What a User can be called needs no escaping in a path.
fn check_name(name: &str) -> Result<(), UserCommandError> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && name.len() <= 253 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(UserCommandError::Name { name: name.to_owned() })
}

async fn recover_recorded(
    server: &ApiServer,
    name: &str,
) -> Result<SecretString, UserCommandError> {
    let identity = admin_socket::identity();
    let recovered = match check_name(name) {
        Ok(()) => recover(server.client(identity.clone()), name).await,
        Err(error) => Err(error),
    };
    let (code, reason) =
        recovered.as_ref().map_or_else(UserCommandError::answer, |_| (StatusCode::OK, ""));
    let event = AuditEvent::new("recover", "").by(&identity).answered(code.as_u16(), reason, "");
    server.audit().record(event.about("hades.dev", "users", "", name));
    recovered
}

fn refused(what: &'static str) -> impl Fn(kube::Error) -> UserCommandError {
    move |error| UserCommandError::Refused { what, source: Box::new(error) }
}

/// Gives a user a new password, removes the second factor and lets the user in
/// again. The first user is made again if need be.
async fn recover(client: Client, name: &str) -> Result<SecretString, UserCommandError> {
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
    Ok(password)
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
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use hades_accounts::{Cost, Origin, Settings};
    use hades_apiserver::bootstrap::DirectoryLock;
    use hades_apiserver::{Identity, ServerConfig};
    use kube::api::DeleteParams;

    use super::*;
    use crate::identity_flags::IdentityFlags;

    async fn opened(data: &Path) -> (ApiServer, Accounts) {
        let config = ServerConfig::new(data, hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        let mut settings = Settings::new(data);
        settings.cost = Cost { memory: 64, passes: 1, lanes: 1 };
        let accounts = Accounts::open(&server, settings).await.unwrap();
        (server.with_routes(operations::PREFIX, accounts.router()), accounts)
    }

    /// For its owner alone, as a data directory must be.
    fn closed_directory() -> tempfile::TempDir {
        let mode = std::fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(mode).tempdir().unwrap()
    }

    async fn bed() -> (ApiServer, Accounts, tempfile::TempDir) {
        let directory = closed_directory();
        let (server, accounts) = opened(directory.path()).await;
        (server, accounts, directory)
    }

    #[tokio::test]
    async fn a_stopped_server_s_users_are_recovered_and_others_are_left_alone() {
        let (server, accounts, directory) = bed().await;
        accounts.flush().await;
        server.shutdown().await;
        drop((server, accounts));
        let data = directory.path();
        let flags = |name: &str| {
            let (data_dir, name) = (data.to_owned(), name.to_owned());
            UserCommand::Recover(RecoverFlags {
                data_dir,
                audit_dir: None,
                identity: IdentityFlags::default(),
                name,
            })
        };
        let mut out = Vec::new();
        run(&flags(FIRST_USER), &mut out).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        let password = text.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
        let (server, accounts) = opened(data).await;
        let password = SecretString::from(password.to_owned());
        accounts.log_in(FIRST_USER, &password, None, &Origin::default()).await.unwrap();
        let error = run(&flags(FIRST_USER), &mut Vec::new()).await.unwrap_err();
        assert!(
            matches!(error, UserCommandError::Stopped(StoppedError::Open { .. })),
            "it is in use: {error}"
        );
        let held = DirectoryLock::take(data).unwrap();
        let error = run(&flags(FIRST_USER), &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, UserCommandError::Stopped(StoppedError::InUse(_))), "{error}");
        drop((held, server));
        for bad in ["", "../x", "a/b", "A", "a b", "-"] {
            let error = run(&flags(bad), &mut Vec::new()).await.unwrap_err();
            assert!(matches!(error, UserCommandError::Name { .. }), "{bad:?}: {error}");
        }
        let empty = closed_directory();
        let data_dir = empty.path().to_owned();
        let name = FIRST_USER.to_owned();
        let command = UserCommand::Recover(RecoverFlags {
            data_dir,
            audit_dir: None,
            identity: IdentityFlags::default(),
            name,
        });
        let error = run(&command, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, UserCommandError::Stopped(StoppedError::NoStore(_))), "{error}");
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn whoever_is_locked_out_is_let_in_again() {
        let (server, accounts, _directory) = bed().await;
        let client = server.client(Identity::administrator("tester"));
        let users: Api<User> = Api::all(client.clone());
        let (from, disabled) = (Origin::default(), json!({"disabled": true, "groups": []}));
        let patch = Patch::Merge(json!({"spec": disabled}));
        users.patch(FIRST_USER, &PatchParams::default(), &patch).await.unwrap();
        let password = recover(client.clone(), FIRST_USER).await.unwrap();
        accounts.log_in(FIRST_USER, &password, None, &from).await.unwrap();
        assert!(accounts.first_login().await.is_none(), "the first password is no longer good");
        assert_eq!(users.get(FIRST_USER).await.unwrap().spec.groups, [ADMINISTRATORS]);
        users.delete(FIRST_USER, &DeleteParams::default()).await.unwrap();
        let password = recover(client.clone(), FIRST_USER).await.unwrap();
        accounts.log_in(FIRST_USER, &password, None, &from).await.unwrap();
        let error = recover(client.clone(), "nobody").await.unwrap_err();
        assert!(matches!(error, UserCommandError::NoUser { .. }), "{error}");
        let robot = UserSpec { robot: Some(true), ..UserSpec::default() };
        users.create(&PostParams::default(), &User::new("ci", robot)).await.unwrap();
        let error = recover(client.clone(), "ci").await.unwrap_err();
        assert!(matches!(error, UserCommandError::Robot { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_audit_log_has_each_recovery_as_it_was_answered() {
        let (server, accounts, directory) = bed().await;
        for (name, code) in [("../x", 400), ("nobody", 404), (FIRST_USER, 200)] {
            let answer = recover_by_socket(State(server.clone()), UrlPath(name.to_owned())).await;
            let answered = answer.map_or_else(|refusal| refusal.status, |_| StatusCode::OK);
            assert_eq!(answered, code, "{name}");
        }
        accounts.flush().await;
        server.shutdown().await;
        let log = std::fs::read_dir(directory.path().join("audit")).unwrap();
        let log: String =
            log.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
        let recoveries: Vec<(String, i64)> = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.get(line.find('{')?..)?).ok())
            .filter(|event| event["verb"] == "recover")
            .map(|event| {
                let name = event["objectRef"]["name"].as_str().unwrap().to_owned();
                (name, event["responseStatus"]["code"].as_i64().unwrap())
            })
            .collect();
        let expected = [("../x", 400), ("nobody", 404), (FIRST_USER, 200)];
        assert_eq!(recoveries, expected.map(|(name, code)| (name.to_owned(), code)));
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
            let outcome = recover(client.clone(), "jane").await;
            assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), expected, "{fails}");
            let is_disabled = users.get("jane").await.unwrap().spec.disabled;
            assert_eq!(outcome.is_err(), is_disabled == Some(true), "{fails}");
            assert_eq!(outcome.is_err(), fails != "none", "{fails}");
        }
    }
}
