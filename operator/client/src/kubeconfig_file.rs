//! Writing logins into a kubeconfig, and taking them out again. What else is in the
//! file stays as it is.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::authority::Authority;
use crate::{Credential, Error, Locations, ServerUrl};

/// What is beside a kubeconfig that is the server's own: in its data directory.
const DATA_DIRECTORY_SIGN: &str = "installation-id";

/// A login as it is kept.
#[derive(Debug)]
pub struct Login<'a> {
    /// Context that it is used by, and that is the current one from now on.
    pub context: &'a str,
    /// Where the server is.
    pub server: &'a ServerUrl,
    /// Authority of its certificate, where that isn't one of the system's.
    pub authority: Option<&'a Authority>,
    /// Who it is.
    pub user: &'a str,
    /// What shows that.
    pub token: &'a SecretString,
    /// When that ends at the latest.
    pub until: Option<Timestamp>,
}

/// The context that is in use, as far as a login is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Name of the context.
    pub context: String,
    /// Address of its server.
    pub server: String,
    /// The authority of the server's certificate, where the file has it.
    pub authority: Option<Authority>,
    /// Whether `hadesctl login` made the user of the context.
    pub is_login: bool,
}

/// A kubeconfig that is written.
#[derive(Debug, Clone)]
pub struct KubeconfigFile {
    path: PathBuf,
}

impl KubeconfigFile {
    /// The file that comes first in the order of looking, whether it is there or not.
    ///
    /// # Errors
    /// [`Error::NoKubeconfig`] where there is no home directory either.
    pub fn of(locations: &Locations) -> Result<Self, Error> {
        let Locations { flag, variable, home } = locations;
        let first = variable
            .as_deref()
            .and_then(|list| std::env::split_paths(list).find(|path| !path.as_os_str().is_empty()));
        let path = flag.clone().or(first).or_else(|| home.clone());
        Ok(Self { path: path.ok_or(Error::NoKubeconfig { home: None })? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a login may be kept in it: not where it is somebody else's, who could
    /// not read it any more, and not where it is the server's own, which has to lead to
    /// the administrator whatever happens.
    ///
    /// # Errors
    /// [`Error::NotForLogins`].
    pub fn check_own(&self) -> Result<(), Error> {
        self.check_owner()?;
        let real = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        if real.with_file_name(DATA_DIRECTORY_SIGN).exists() {
            let why = "it is the server's own, for emergencies, in its data directory";
            return Err(Error::NotForLogins { path: self.path.clone(), why });
        }
        Ok(())
    }

    fn check_owner(&self) -> Result<(), Error> {
        let owner = std::fs::metadata(&self.path).map(|metadata| metadata.uid());
        match owner {
            Ok(owner) if owner != rustix::process::geteuid().as_raw() => {
                let why = "it belongs to another user of this machine, who could not use it then";
                Err(Error::NotForLogins { path: self.path.clone(), why })
            }
            _ => Ok(()),
        }
    }

    /// Keeps a login.
    ///
    /// # Errors
    /// [`Error::NotForLogins`], [`Error::Kubeconfig`] and [`Error::WriteKubeconfig`].
    pub fn keep(&self, login: &Login<'_>) -> Result<(), Error> {
        self.check_own()?;
        let mut config = self.read()?;
        add(&mut config, login);
        self.write(&config)
    }

    /// Forgets what shows who one is: of a context, or of the current one. Says
    /// which; none where nothing was kept by a login.
    ///
    /// # Errors
    /// [`Error::NotForLogins`], [`Error::Kubeconfig`] and [`Error::WriteKubeconfig`].
    pub fn forget(&self, context: Option<&str>) -> Result<Option<String>, Error> {
        self.check_owner()?;
        let mut config = self.read()?;
        let Some(context) = take_token(&mut config, context) else { return Ok(None) };
        self.write(&config)?;
        Ok(Some(context))
    }

    /// What is known of a context, or of the current one.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub fn current(&self, context: Option<&str>) -> Result<Option<Current>, Error> {
        Ok(current(&self.read()?, context, self.path.parent()))
    }

    /// An authority that some context knows a server by.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub fn authority_of(&self, server: &ServerUrl) -> Result<Option<Authority>, Error> {
        let config = self.read()?;
        let of_server = |cluster: &&Value| {
            let known = cluster["cluster"]["server"].as_str().map(ServerUrl::parse);
            matches!(known, Some(Ok(known)) if known == *server)
        };
        let clusters = entries(&config, "clusters").iter();
        Ok(clusters.filter(of_server).find_map(|found| authority(found, self.path.parent())))
    }

    fn read(&self) -> Result<Value, Error> {
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| Error::Kubeconfig {
            path: self.path.clone(),
            source,
        };
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(refuse(Box::new(error))),
        };
        if text.trim().is_empty() {
            return Ok(json!({"apiVersion": "v1", "kind": "Config"}));
        }
        // Without the reader's drawing of the line: a token may stand there.
        let config: Option<Value> = serde_saphyr::from_str(&text).ok();
        config
            .filter(Value::is_object)
            .ok_or_else(|| refuse("it is no YAML of a kubeconfig".into()))
    }

    fn write(&self, config: &Value) -> Result<(), Error> {
        let text = serde_saphyr::to_string(config).map_err(io::Error::other);
        let written = text.and_then(|text| store(&self.path, &text));
        written.map_err(|source| Error::WriteKubeconfig { path: self.path.clone(), source })
    }
}

/// In one step and for its owner alone. Where the path is a link, what it leads to
/// is replaced and the link stays.
fn store(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = write_private(&fresh, text).and_then(|()| std::fs::rename(&fresh, &path));
    if written.is_err() {
        // A token must not be left in a file that nobody looks for.
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // Somebody else's file of this name is not written into.
    let _ = std::fs::remove_file(path);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn add(config: &mut Value, login: &Login<'_>) {
    let Login { context, server, authority, user, token, until } = login;
    let cluster_name = server.short_name();
    let user_name = format!("{user}@{cluster_name}");
    let cluster = cluster(config, &cluster_name, server, *authority);
    let mut credentials = json!({"token": token.expose_secret()});
    if let Some(until) = until {
        credentials["extensions"] = Credential::extensions(*until);
    }
    let before = named(config, "contexts", context).map(|found| found["context"].clone());
    let before = before.unwrap_or_default();
    // The project that was chosen stays, on the same server.
    let mut inner = match before["cluster"] == *cluster_name {
        true => before.clone(),
        false => json!({"cluster": cluster_name}),
    };
    inner["user"] = json!(user_name);
    put(config, "clusters", "cluster", &cluster_name, cluster);
    put(config, "users", "user", &user_name, credentials);
    put(config, "contexts", "context", context, inner);
    config["current-context"] = json!(context);
    // The one who was logged in here before, unless another context needs him.
    if let Some(former) = before["user"].as_str()
        && former != user_name
        && is_login_name(former)
        && !entries(config, "contexts").iter().any(|known| known["context"]["user"] == former)
    {
        remove(config, "users", former);
    }
}

/// How a server is reached: as before, and by the authority that it was just known by.
fn cluster(config: &Value, name: &str, server: &ServerUrl, authority: Option<&Authority>) -> Value {
    let known = named(config, "clusters", name).map(|found| found["cluster"].clone());
    let is_same = |known: &Value| {
        let address = known["server"].as_str().map(ServerUrl::parse);
        matches!(address, Some(Ok(address)) if address == *server)
    };
    let mut cluster = known.filter(is_same).unwrap_or_else(|| json!({}));
    cluster["server"] = json!(server.to_string());
    if let Some(fields) = cluster.as_object_mut() {
        // The login looked at its certificate, and so does whoever comes after.
        fields.remove("insecure-skip-tls-verify");
        if let Some(authority) = authority {
            fields.remove("certificate-authority");
            let data = json!(STANDARD.encode(authority.pem()));
            fields.insert("certificate-authority-data".to_owned(), data);
        }
    }
    cluster
}

/// Users that logins make are called `NAME@SERVER`.
fn is_login_name(user: &str) -> bool {
    user.contains('@')
}

fn take_token(config: &mut Value, context: Option<&str>) -> Option<String> {
    let context = context.or_else(|| config["current-context"].as_str())?.to_owned();
    let user = named(config, "contexts", &context)?["context"]["user"].as_str()?.to_owned();
    if !is_login_name(&user) {
        return None;
    }
    named(config, "users", &user)?["user"].get("token")?;
    put(config, "users", "user", &user, json!({}));
    Some(context)
}

fn current(config: &Value, context: Option<&str>, folder: Option<&Path>) -> Option<Current> {
    let context = context.or_else(|| config["current-context"].as_str())?;
    let found = &named(config, "contexts", context)?["context"];
    let cluster = named(config, "clusters", found["cluster"].as_str()?)?;
    Some(Current {
        context: context.to_owned(),
        server: cluster["cluster"]["server"].as_str()?.to_owned(),
        authority: authority(cluster, folder),
        is_login: found["user"].as_str().is_some_and(is_login_name),
    })
}

fn authority(cluster: &Value, folder: Option<&Path>) -> Option<Authority> {
    let cluster = &cluster["cluster"];
    if let Some(data) = cluster["certificate-authority-data"].as_str() {
        return Authority::of_pem(&STANDARD.decode(data).ok()?);
    }
    // Relative paths are relative to the file.
    let path = Path::new(cluster["certificate-authority"].as_str()?);
    let path = folder.map_or_else(|| path.to_owned(), |folder| folder.join(path));
    Authority::of_file(&path).ok()
}

fn entries<'a>(config: &'a Value, list: &str) -> &'a [Value] {
    config[list].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn named<'a>(config: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    entries(config, list).iter().find(|entry| entry["name"] == name)
}

/// Sets the entry of that name, what is unknown beside its value included.
fn put(config: &mut Value, list: &str, key: &str, name: &str, value: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let Some(entries) = config[list].as_array_mut() else { return };
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(name));
    entry.insert(key.to_owned(), value);
    match entries.iter_mut().find(|entry| entry["name"] == name) {
        Some(known) => *known = Value::Object(entry),
        None => entries.push(Value::Object(entry)),
    }
}

fn remove(config: &mut Value, list: &str, name: &str) {
    if let Some(entries) = config[list].as_array_mut() {
        entries.retain(|entry| entry["name"] != name);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ADMIN: &str = r#"
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters: [{name: hades, cluster: {server: "https://127.0.0.1:7443"}}]
users: [{name: admin, user: {token: t0p}}]
contexts: [{name: hades, context: {cluster: hades, user: admin, namespace: shop}}]
current-context: hades
"#;

    fn file() -> (tempfile::TempDir, KubeconfigFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/kubeconfig");
        (folder, KubeconfigFile { path })
    }

    fn log_in(file: &KubeconfigFile, user: &str, token: &str) {
        let server = ServerUrl::parse("hades.example.com").unwrap();
        let token = SecretString::from(token.to_owned());
        let login = Login {
            context: "hades.example.com",
            server: &server,
            authority: Some(&Authority::of_der(vec![vec![1, 2, 3]])),
            user,
            token: &token,
            until: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        };
        file.keep(&login).unwrap();
    }

    #[test]
    fn a_login_in_a_new_file_is_private() {
        let (_folder, file) = file();
        log_in(&file, "alice", "hds_1");
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let current = file.current(None).unwrap().unwrap();
        assert_eq!(current.context, "hades.example.com");
        assert_eq!(current.server, "https://hades.example.com:7443");
        assert!(current.is_login);
        assert_eq!(current.authority, Some(Authority::of_der(vec![vec![1, 2, 3]])));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_written_is_what_clients_read() {
        let (_folder, file) = file();
        log_in(&file, "alice", "hds_1");
        let source = crate::KubeconfigSource { paths: vec![file.path().to_owned()] };
        let config = source.config(None).await.unwrap();
        assert_eq!(config.auth_info.token.as_ref().unwrap().expose_secret(), "hds_1");
        let until = Some("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(Credential::of(&config.auth_info), Credential::Session { until });
        assert_eq!(config.root_cert, Some(vec![vec![1, 2, 3]]));
    }

    #[test]
    fn everything_else_stays() {
        let (_folder, file) = file();
        std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
        std::fs::write(file.path(), ADMIN).unwrap();
        let before = file.read().unwrap();
        log_in(&file, "alice", "hds_1");
        let after = file.read().unwrap();
        assert_eq!(after["preferences"], before["preferences"]);
        for list in ["clusters", "users", "contexts"] {
            assert_eq!(after[list][0], before[list][0]);
            assert_eq!(after[list].as_array().unwrap().len(), 2);
        }
        // The administrator's token is no login, so that logging out leaves it.
        assert_eq!(file.forget(Some("hades")).unwrap(), None);
    }

    #[test]
    fn the_next_login_takes_the_place_of_the_one_before() {
        let (_folder, file) = file();
        log_in(&file, "alice", "hds_1");
        let mut config = file.read().unwrap();
        config["contexts"][0]["context"]["namespace"] = json!("shop");
        file.write(&config).unwrap();
        log_in(&file, "bob", "hds_2");
        let config = file.read().unwrap();
        let text = config.to_string();
        assert!(!text.contains("hds_1") && text.contains("hds_2"), "{text}");
        assert_eq!(config["contexts"][0]["context"]["namespace"], "shop");
        assert_eq!(file.forget(None).unwrap().as_deref(), Some("hades.example.com"));
        let config = file.read().unwrap();
        assert!(!config.to_string().contains("hds_"), "{config}");
        assert!(file.current(None).unwrap().is_some(), "the server is still known");
        assert_eq!(file.forget(None).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        let (_folder, file) = file();
        std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
        std::fs::write(file.path(), "- token: s3cret\n\t").unwrap();
        let error = file.forget(None).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!format!("{error} {cause}").contains("s3cret"), "{error} {cause}");
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "- token: s3cret\n\t");
    }

    #[test]
    fn how_a_server_is_reached_stays() {
        let (_folder, file) = file();
        std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
        let written = |server: &str| {
            format!(
                "apiVersion: v1\nkind: Config\n\
                 clusters: [{{name: hades.example.com, cluster: {{server: '{server}', \
                 proxy-url: 'socks5://127.0.0.1:1080', tls-server-name: inner, \
                 certificate-authority: ca.crt, insecure-skip-tls-verify: true}}}}]\n\
                 contexts: [{{name: hades.example.com, context: {{cluster: hades.example.com, \
                 user: x, namespace: shop, extensions: [{{name: e}}]}}}}]\n"
            )
        };
        std::fs::write(file.path(), written("https://hades.example.com:7443")).unwrap();
        log_in(&file, "alice", "hds_1");
        let config = file.read().unwrap();
        let mut cluster = config["clusters"][0]["cluster"].clone();
        assert!(cluster["certificate-authority-data"].take().is_string(), "{config}");
        let expected = json!({"server": "https://hades.example.com:7443", "tls-server-name": "inner",
            "proxy-url": "socks5://127.0.0.1:1080", "certificate-authority-data": null});
        assert_eq!(cluster, expected);
        let context = &config["contexts"][0]["context"];
        let expected = json!({"cluster": "hades.example.com", "user": "alice@hades.example.com",
            "namespace": "shop", "extensions": [{"name": "e"}]});
        assert_eq!(*context, expected);
        // What is called the same and is elsewhere is another one.
        std::fs::write(file.path(), written("https://elsewhere.example.com")).unwrap();
        log_in(&file, "alice", "hds_1");
        let config = file.read().unwrap();
        assert!(config["clusters"][0]["cluster"].get("proxy-url").is_none(), "{config}");
    }

    #[test]
    fn the_kubeconfig_of_the_server_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("installation-id"), "x").unwrap();
        let real = folder.path().join("admin.kubeconfig");
        std::fs::write(&real, ADMIN).unwrap();
        let link = folder.path().join("deep/link");
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for path in [real.clone(), link] {
            let error = KubeconfigFile { path }.check_own().unwrap_err();
            assert!(error.to_string().contains("server's own"), "{error}");
            assert!(error.hint().unwrap().contains("unset KUBECONFIG"), "{error:?}");
        }
        assert_eq!(std::fs::read_to_string(&real).unwrap(), ADMIN);
        // A copy of it is somebody's.
        let copy = folder.path().join("deep/copy");
        std::fs::copy(&real, &copy).unwrap();
        KubeconfigFile { path: copy }.check_own().unwrap();
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let others = match rustix::process::geteuid().is_root() {
            true => {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("kubeconfig");
                std::fs::write(&path, ADMIN).unwrap();
                std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
                let error = KubeconfigFile { path: path.clone() }.check_own().unwrap_err();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), ADMIN);
                error
            }
            false => KubeconfigFile { path: "/etc/passwd".into() }.check_own().unwrap_err(),
        };
        assert!(others.to_string().contains("another user"), "{others}");
    }

    #[test]
    fn links_stay_links() {
        let (folder, file) = file();
        let real = folder.path().join("real");
        std::fs::write(&real, ADMIN).unwrap();
        std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&real, file.path()).unwrap();
        log_in(&file, "alice", "hds_1");
        assert!(std::fs::symlink_metadata(file.path()).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().contains("hds_1"));
    }
}
