//! `hades serve`: puts the parts together and takes them apart again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hades_accounts::{
    Accounts, AccountsError, FIRST_USER, ProviderSettings, SignIn, SignInError, SignInSettings,
    UserRules,
};
use hades_apiserver::audit::AuditOptions;
use hades_apiserver::bootstrap::{self, DirectoryError, DirectoryLock, Installation};
use hades_apiserver::{ApiServer, Identity, IdentitySource, OpenError, ServerConfig, StoreError};
use hades_backup::Recipient;
use hades_controllers::{Context, Fingerprint, Settings};
use hades_provider::Connect;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin_socket::AdminSocket;
use crate::backup_flags::BackupFlagsError;
use crate::backups::Backups;
use crate::certificates::CertificateError;
use crate::cli::ServeFlags;
use crate::exec::Sessions;
use crate::instance::{self, InstanceError};
use crate::notify::Notifier;
use crate::oidc_flags::{self, OidcFlagsError};
use crate::probes::Probes;
use crate::project_policy::ProjectRules;
use crate::public::{PublicError, PublicListener};
use crate::scheduled_backups::ScheduledBackups;
use crate::secrets::{SecretIndex, ShortValues};
use crate::validator::Typed;
use crate::{
    admission, api_certificate, audit_events, audit_log, backup, hooks, identity, local_host,
    operations, secrets, self_projects, user, webhooks,
};

/// How long passes and requests under way may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Why the server can't start or had to stop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address}; choose another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{}{}", .0, give_away(.0))]
    Directory(DirectoryError),
    #[error("the certificate of --tls-cert can't be used")]
    Certificate(#[from] CertificateError),
    #[error(
        "a restore into {} was not finished: run `hades restore` again (after emptying the \
         directory, if it says so)",
        .0.display()
    )]
    Unfinished(PathBuf),
    #[error("cannot use the data folder {}", path.display())]
    Prepare { path: PathBuf, source: bootstrap::BootstrapError },
    #[error("cannot open the store in {}", path.display())]
    Open { path: PathBuf, source: OpenError },
    #[error("cannot read the Secrets")]
    Secrets(#[from] StoreError),
    #[error("the API server doesn't work")]
    Api { source: Box<kube::Error> },
    #[error("the API server stopped")]
    Stopped { source: io::Error },
    #[error("cannot read the accounts of users")]
    Accounts(#[from] AccountsError),
    #[error("logins can't be as the flags want them")]
    Oidc(#[from] OidcFlagsError),
    #[error("logins can't be as the flags want them")]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
    Backup(#[from] BackupFlagsError),
    #[error(transparent)]
    Public(#[from] PublicError),
    #[error("a part of the server panicked, which is a bug; the log says which")]
    Broken,
    #[error("cannot wait for signals")]
    Signals { source: io::Error },
}

/// What else can be done about a directory of somebody else: only whoever is to be the
/// server may have it.
fn give_away(error: &DirectoryError) -> String {
    match error {
        DirectoryError::Foreign { path, me, .. } => {
            let path = path.display();
            format!(
                "; or, if the server is to run as user {me}, give everything in it away: chown -R \
                 {me} {path}"
            )
        }
        _ => String::new(),
    }
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn serve(flags: ServeFlags) -> Result<(), ServeError> {
    let provider = flags.oidc.settings()?;
    let recipients = flags.backup.recipients()?;
    let shutdown = on_signal()?;
    let listener = TcpListener::bind(flags.listen)
        .await
        .map_err(|source| ServeError::Listen { address: flags.listen, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| ServeError::Listen { address: flags.listen, source })?;
    let public = PublicListener::open(&flags.public).await?;
    bootstrap::check_directory(&flags.data_dir).map_err(ServeError::Directory)?;
    let installation = Arc::new(prepare(&flags, address)?);
    let given = flags.tls_cert.clone().zip(flags.tls_key.clone());
    api_certificate::keep(Arc::clone(&installation), given, &shutdown)?;
    let notifier = Arc::new(Notifier::from_env());
    let server = open(&flags, &installation).await?;
    // Only now is it certain that no other server has the directory.
    let copied = instance::is_copy(&flags.data_dir)?;
    let (accounts, sign_in) = logins(&flags, &server, provider).await?;
    let client = server.client(Identity::controller("controllers"));
    let connect = connector(&installation.id);
    let context = context(&flags, &server, &installation.id, connect.clone())?;
    let mut registry = Registry::default();
    server.register_metrics(&mut registry);
    context.metrics().register(&mut registry);
    let backups = backups(&flags, &server, recipients);
    let scheduled =
        ScheduledBackups::new(&flags.backup, backups.clone(), &installation.id, &mut registry);
    let probes = Probes::new(registry);
    let sessions = Sessions::new(context.clone(), shutdown.clone());
    let hooked = webhooks::router(
        context.clone(),
        flags.public.public_url.as_deref(),
        &own_url(address),
        copied,
    );
    let operations = operations::router(context.clone(), sessions.clone(), copied).merge(hooked);
    let server = with_operations(server, operations)
        .public_routes(probes.router())
        .public_routes(hooks::router(context.clone()));
    let server = with_logins(server, &accounts, &sign_in);
    let made = local_host::ensure(&client, &*connect, &flags.docker_socket)
        .await
        .map_err(|source| ServeError::Api { source: Box::new(source) })?;
    if let Some(public) = public {
        public.announce();
        tokio::spawn(public.serve(hooks::public_router(context.clone()), shutdown.clone()));
    }
    let controllers = tokio::spawn(work(context, copied, shutdown.clone()));
    if let Some(scheduled) = scheduled.filter(|_| !copied) {
        tokio::spawn(scheduled.run(server.clone(), shutdown.clone()));
    }
    let admin = serve_admin(&flags.data_dir, backups, &server, &shutdown);
    probes.set_ready(true);
    notifier.ready();
    let (living, ends) = (Arc::clone(&notifier), shutdown.clone());
    tokio::spawn(async move { living.live(ends).await });
    greet(&flags, &installation, address, made, accounts.first_login().await.as_deref());
    if copied {
        warn_of_copy(&flags);
    }
    let serving = server.clone().serve(listener, &installation.tls, shutdown.clone());
    let result = tokio::select! {
        result = serving => result.map_err(|source| ServeError::Stopped { source }),
        () = server.broken() => Err(ServeError::Broken),
    };
    probes.set_ready(false);
    notifier.stopping();
    shutdown.cancel();
    wind_down(&sessions, controllers, admin).await;
    accounts.flush().await;
    server.shutdown().await;
    result
}

fn context(
    flags: &ServeFlags,
    server: &ApiServer,
    installation: &str,
    connect: Arc<dyn Connect>,
) -> Result<Arc<Context>, StoreError> {
    let secret_values = Arc::new(SecretIndex::default());
    server.observe(Arc::<SecretIndex>::clone(&secret_values))?;
    Ok(Context::new(Settings {
        client: server.client(Identity::controller("controllers")),
        connect,
        installation: installation.to_owned(),
        fingerprint: fingerprint(server),
        secret_values,
        cache_dir: flags.data_dir.join("repositories"),
        clock: Arc::new(Timestamp::now),
    }))
}

/// What isn't in the API of Kubernetes.
fn with_operations(server: ApiServer, operations: Router) -> ApiServer {
    let projects =
        self_projects::router(server.clone(), server.client(Identity::controller("controllers")));
    let revealed = secrets::router(server.client(Identity::controller("reveal")));
    let recorded = audit_events::router(server.audit());
    server
        .with_routes(operations::PREFIX, recorded)
        .with_routes(operations::PREFIX, operations.merge(revealed).merge(projects))
}

/// Whoever can log in, and the ways to do so.
async fn logins(
    flags: &ServeFlags,
    server: &ApiServer,
    provider: Option<ProviderSettings>,
) -> Result<(Accounts, Arc<SignIn>), ServeError> {
    let accounts = Accounts::open(server, hades_accounts::Settings::new(&*flags.data_dir)).await?;
    server.authenticate_with(accounts.authenticator());
    let external_url = flags.external_url.clone();
    let sign_in = SignIn::new(&accounts, SignInSettings { external_url, provider })?;
    server.authenticate_with(sign_in.authenticator());
    Ok((accounts, sign_in))
}

fn with_logins(server: ApiServer, accounts: &Accounts, sign_in: &Arc<SignIn>) -> ApiServer {
    server
        .with_routes(operations::PREFIX, accounts.router().merge(sign_in.router()))
        .public_routes(accounts.public_router())
        .public_routes(sign_in.public_router())
}

/// Waits for what is under way, but not for ever.
async fn wind_down(
    sessions: &Sessions,
    controllers: JoinHandle<()>,
    admin: Option<JoinHandle<()>>,
) {
    // Says so to those who sit at a terminal, and hangs up on their commands.
    let _ = tokio::time::timeout(GRACE, sessions.ended()).await;
    if tokio::time::timeout(GRACE, controllers).await.is_err() {
        tracing::warn!("passes under way were cut off; the next start goes on from what is there");
    }
    if let Some(admin) = admin {
        let _ = tokio::time::timeout(GRACE, admin).await;
    }
}

fn backups(flags: &ServeFlags, server: &ApiServer, recipients: Vec<Recipient>) -> Backups {
    let data_dir = flags.data_dir.clone();
    let audit_dir = audit_log::options(&flags.audit).folder(&data_dir);
    if let Err(error) = hades_backup::remove_scratch(&data_dir) {
        tracing::warn!(%error, "what a backup left that was killed could not be removed");
    }
    Backups::new(server.clone(), data_dir, audit_dir, recipients)
}

/// Serves the admin socket. Without it, as where the path of the data directory is too
/// long for one, the server does all the rest.
fn serve_admin(
    data_dir: &Path,
    backups: Backups,
    server: &ApiServer,
    shutdown: &CancellationToken,
) -> Option<JoinHandle<()>> {
    let routes = user::router(server.clone())
        .merge(backup::router(backups, server.clone()))
        .merge(identity::router(server.clone()));
    match AdminSocket::open(data_dir) {
        Ok(socket) => Some(tokio::spawn(socket.serve(routes, shutdown.clone()))),
        Err(error) => {
            let error = hades_controllers::error_chain(&error);
            tracing::error!(error, "there is no admin socket; `hades backup` has to wait");
            None
        }
    }
}

/// Runs the controllers; those of a copied directory do nothing.
async fn work(context: Arc<Context>, copied: bool, shutdown: CancellationToken) {
    if copied {
        shutdown.cancelled().await;
    } else {
        hades_controllers::run(context, shutdown).await;
    }
}

/// Says why nothing is done, on the terminal and in the log.
fn warn_of_copy(flags: &ServeFlags) {
    let data = flags.data_dir.display();
    tracing::warn!(
        "{data} is a copy of another data directory, or was restored: nothing is done until \
         `hades store adopt` says that it is the only one"
    );
    println!();
    println!("SUSPENDED: {data} is a copy of another data directory, or was restored.");
    println!("Two that run would take each other's containers for their own, so this one only");
    println!("serves its API. If the other one will never run again: stop this server, then");
    println!("  hades store adopt --data-dir {data}");
    println!("and start it again.");
}

fn prepare(flags: &ServeFlags, address: SocketAddr) -> Result<Installation, ServeError> {
    let mut names = Vec::new();
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    names.extend(flags.tls_san.iter().cloned());
    names.extend(flags.external_url.as_deref().map(|url| oidc_flags::host(url).to_owned()));
    let url = own_url(address);
    let failed = |source| ServeError::Prepare { path: flags.data_dir.clone(), source };
    let lock = DirectoryLock::make(&flags.data_dir).map_err(failed)?;
    // Under the lock, which a restore has that is under way, and before anything is
    // made there.
    if flags.data_dir.join(hades_backup::UNFINISHED).exists() {
        return Err(ServeError::Unfinished(flags.data_dir.clone()));
    }
    bootstrap::prepare_locked(lock, &flags.data_dir, &names, &url).map_err(failed)
}

/// Where clients on this machine find the API.
fn own_url(address: SocketAddr) -> String {
    format!("https://{}", SocketAddr::new(reachable(address.ip()), address.port()))
}

/// An address that a client on this machine can use.
fn reachable(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { ip }
}

/// The server of a data directory, without any credential.
pub(crate) fn server_config(
    data_dir: &Path,
    audit: AuditOptions,
    identity: IdentitySource,
) -> ServerConfig {
    let mut config = ServerConfig::new(data_dir, hades_api::schema::crds());
    config.validators =
        vec![Arc::new(Typed), Arc::new(UserRules), Arc::new(ProjectRules), Arc::new(ShortValues)];
    config.validators.extend(admission::validators());
    config.first_objects = hades_api::role::first_objects();
    config.announced = operations::announced();
    config.audit = audit;
    config.identity = identity;
    config
}

async fn open(flags: &ServeFlags, installation: &Installation) -> Result<ApiServer, ServeError> {
    let (audit, identity) = (audit_log::options(&flags.audit), flags.identity.source());
    let mut config = server_config(&flags.data_dir, audit, identity);
    config.credentials = installation.credentials.clone();
    ApiServer::open(config)
        .await
        .map_err(|source| ServeError::Open { path: flags.data_dir.clone(), source })
}

/// Fingerprints of values that containers of a project get, in a place of their own
/// so that they can't be matched with those of Secrets, nor with other projects'.
fn fingerprint(server: &ApiServer) -> Fingerprint {
    let server = server.clone();
    Arc::new(move |project, value| server.fingerprint(&["container", project], value.as_bytes()))
}

#[cfg(feature = "docker")]
fn connector(installation: &str) -> Arc<dyn Connect> {
    Arc::new(hades_provider_docker::DockerConnect::new(installation))
}

#[cfg(not(feature = "docker"))]
fn connector(_installation: &str) -> Arc<dyn Connect> {
    use hades_provider::{ErrorClass, HostAddress, Provider, ProviderError};
    struct NoProvider;
    impl Connect for NoProvider {
        fn connect(&self, address: &HostAddress) -> Result<Arc<dyn Provider>, ProviderError> {
            let endpoint = &address.endpoint;
            let message = format!("{endpoint}: this build of hades has no Docker provider");
            Err(ProviderError::new(
                ErrorClass::Terminal,
                hades_api::reason::INVALID_ENDPOINT,
                message,
            ))
        }
    }
    Arc::new(NoProvider)
}

fn on_signal() -> Result<CancellationToken, ServeError> {
    let signals = |source| ServeError::Signals { source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; what runs keeps running");
        token.cancel();
    });
    Ok(shutdown)
}

fn greet(
    flags: &ServeFlags,
    installation: &Installation,
    address: SocketAddr,
    made: bool,
    first_login: Option<&Path>,
) {
    let kubeconfig = installation.kubeconfig.display();
    tracing::info!(%address, installation = installation.id, "hades is ready");
    println!("Hades {} serves https://{address}", env!("CARGO_PKG_VERSION"));
    println!("Installation {}, data in {}", installation.id, flags.data_dir.display());
    let external_url = flags.external_url.clone().unwrap_or_else(|| own_url(address));
    println!("Browsers log in at {external_url}/login");
    if let Some(url) = &flags.public.public_url {
        println!("Webhooks at {url}{}", hades_controllers::hook::path("PROJECT", "REPOSITORY"));
    }
    if made {
        println!("DockerHost {} was made for {}", local_host::NAME, flags.docker_socket.display());
    }
    println!();
    if let Some(path) = first_login {
        println!("The password of the first user, {FIRST_USER}, is in {}", path.display());
        println!("until it is changed:");
        println!("  hadesctl login {} --user {FIRST_USER}", own_url(address));
        println!("  hadesctl passwd");
        println!();
    }
    println!("What to do next, in another terminal:");
    println!("  hadesctl --kubeconfig {kubeconfig} get dockerhosts");
    println!("  hadesctl init my-config               # a repository of manifests to start from");
    println!("  hadesctl apply -f my-config           # or point a ConfigRepository at it");
    println!("After a login --kubeconfig isn't needed. kubectl works with the same files.");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn only_a_server_may_be_given_the_directory_of_somebody_else() {
        let path = PathBuf::from("/var/lib/hades");
        let foreign = DirectoryError::Foreign { path: path.clone(), owner: 999, me: 7 };
        let of_command = foreign.to_string();
        assert!(of_command.ends_with("run it as the owner: sudo -u '#999' hades …"));
        let error = ServeError::Directory(foreign);
        let text = hades_controllers::error_chain(&error);
        assert_eq!(text.strip_prefix(&of_command), Some(&*give_away_to(7)), "{text}");
        let open = DirectoryError::Open { path, mode: 0o755 };
        assert_eq!(ServeError::Directory(open).to_string().matches("chmod 700").count(), 1);
    }

    fn give_away_to(me: u32) -> String {
        format!(
            "; or, if the server is to run as user {me}, give everything in it away: chown -R {me} \
             /var/lib/hades"
        )
    }

    #[tokio::test]
    async fn the_same_value_looks_different_in_every_project() {
        let dir = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(dir.path(), hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        let fingerprint = fingerprint(&server);
        assert_eq!(fingerprint("shop", "hunter2"), fingerprint("shop", "hunter2"));
        assert_ne!(fingerprint("shop", "hunter2"), fingerprint("blog", "hunter2"));
        assert_ne!(fingerprint("shop", "hunter2"), fingerprint("shop", "hunter3"));
    }

    #[test]
    fn nothing_is_made_where_a_restore_is_not_finished() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let args = ["hades", "serve", "--data-dir", data.to_str().unwrap()];
        let Command::Serve(flags) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        let partial = data.join(hades_backup::UNFINISHED);
        std::fs::create_dir_all(&partial).unwrap();
        let address = "127.0.0.1:7443".parse().unwrap();
        // It is under way, and may have come to its end when the lock is free.
        let held = DirectoryLock::take(&data).unwrap();
        let error = prepare(&flags, address).unwrap_err();
        assert!(matches!(error, ServeError::Prepare { .. }), "{error}");
        drop(held);
        let error = prepare(&flags, address).unwrap_err();
        assert!(matches!(error, ServeError::Unfinished(_)), "{error}");
        assert!(!data.join("installation-id").exists());
        std::fs::remove_dir(&partial).unwrap();
        prepare(&flags, address).unwrap();
    }
}
