//! Where the server is and who we are: finding and reading a kubeconfig.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::Error;

/// Where a kubeconfig may be, in the order of looking.
#[derive(Debug, Clone, Default)]
pub struct Locations {
    /// Named on the command line.
    pub flag: Option<PathBuf>,
    /// Value of `KUBECONFIG`: one path, or several in the form of `PATH`.
    pub variable: Option<OsString>,
    /// `~/.hades/kubeconfig`, used when it is there.
    pub home: Option<PathBuf>,
}

/// A kubeconfig that was found.
#[derive(Debug, Clone)]
pub struct KubeconfigSource {
    /// Files it was read from, the one that wins first.
    pub paths: Vec<PathBuf>,
}

impl Locations {
    /// As this process was started, with what `--kubeconfig` says.
    pub fn of_process(flag: Option<PathBuf>) -> Self {
        Self {
            flag,
            variable: std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()),
            home: std::env::home_dir().map(|home| home.join(".hades/kubeconfig")),
        }
    }

    /// The files to read.
    ///
    /// # Errors
    /// [`Error::NoKubeconfig`] when there is none.
    pub fn find(&self) -> Result<KubeconfigSource, Error> {
        // Named on purpose, so it has to be there.
        if let Some(path) = &self.flag {
            return Ok(KubeconfigSource { paths: vec![path.clone()] });
        }
        if let Some(list) = &self.variable {
            let all: Vec<PathBuf> =
                std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect();
            let there: Vec<PathBuf> = all.iter().filter(|path| path.exists()).cloned().collect();
            // With none of them there, reading the first one says so by name.
            let paths = if there.is_empty() { all.into_iter().take(1).collect() } else { there };
            return Ok(KubeconfigSource { paths });
        }
        match &self.home {
            Some(path) if path.exists() => Ok(KubeconfigSource { paths: vec![path.clone()] }),
            home => Err(Error::NoKubeconfig { home: home.clone() }),
        }
    }
}

impl KubeconfigSource {
    /// The context that is meant when none is chosen: of the first file that names one.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub fn current_context(&self) -> Result<Option<String>, Error> {
        for path in &self.paths {
            let file = read(path)?;
            if let Some(name) = file.current_context.filter(|name| !name.is_empty()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Reads the files and picks `context`, or the current one.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`] and [`Error::NoContext`].
    pub async fn config(&self, context: Option<&str>) -> Result<Config, Error> {
        let mut merged: Option<Kubeconfig> = None;
        for path in &self.paths {
            let next = read(path)?;
            merged = Some(match merged {
                None => next,
                Some(before) => {
                    before.merge(next).map_err(|source| refuse(path.clone(), source))?
                }
            });
        }
        let kubeconfig = merged.unwrap_or_default();
        let path = self.paths.first().cloned().unwrap_or_default();
        if let Some(name) = context {
            let known: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
            if !known.iter().any(|known| known == name) {
                return Err(Error::NoContext { path, name: name.to_owned(), known });
            }
        }
        let names_proxy = kubeconfig
            .clusters
            .iter()
            .filter_map(|named| named.cluster.as_ref())
            .any(|cluster| cluster.proxy_url.is_some());
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|source| refuse(path, source))?;
        // HTTPS_PROXY is for the web: a control plane is reached directly
        // unless its kubeconfig says otherwise.
        if !names_proxy {
            config.proxy_url = None;
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Kubeconfig, Error> {
    Kubeconfig::read_from(path).map_err(|source| refuse(path.to_owned(), source))
}

fn refuse(path: PathBuf, source: KubeconfigError) -> Error {
    Error::Kubeconfig { path, source: plain(source) }
}

/// Why a kubeconfig can't be used, without what the error around it says too.
fn plain(error: KubeconfigError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        KubeconfigError::ReadConfig(source, _) => Box::new(source),
        // Without its drawing of the line.
        KubeconfigError::Parse(source) => {
            source.to_string().lines().next().unwrap_or("it is no YAML").into()
        }
        other => Box::new(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
apiVersion: v1
kind: Config
clusters: [{name: hades, cluster: {server: "https://127.0.0.1:7443"}}]
users: [{name: admin, user: {token: t0p}}]
contexts: [{name: hades, context: {cluster: hades, user: admin, namespace: shop}}]
current-context: hades
"#;

    #[test]
    fn order_of_looking() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("home"), GOOD).unwrap();
        std::fs::write(path("b"), GOOD).unwrap();
        let mut locations = Locations {
            flag: Some(path("flag")),
            variable: Some(std::env::join_paths([path("a"), path("b")]).unwrap()),
            home: Some(path("home")),
        };
        assert_eq!(locations.find().unwrap().paths, [path("flag")]);
        locations.flag = None;
        assert_eq!(locations.find().unwrap().paths, [path("b")]);
        locations.variable = Some(path("missing").into());
        assert_eq!(locations.find().unwrap().paths, [path("missing")]);
        locations.variable = None;
        assert_eq!(locations.find().unwrap().paths, [path("home")]);
        locations.home = Some(path("nowhere"));
        let error = locations.find().unwrap_err();
        assert!(error.hint().unwrap().contains("nowhere"), "{error:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn contexts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, GOOD).unwrap();
        let source = KubeconfigSource { paths: vec![path] };
        let config = source.config(None).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:7443/");
        assert_eq!(config.default_namespace, "shop");
        let error = source.config(Some("hade")).await.unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean hades?");
    }

    #[test]
    fn the_first_file_that_names_a_context_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "apiVersion: v1\nkind: Config\n").unwrap();
        std::fs::write(path("b"), GOOD).unwrap();
        std::fs::write(path("c"), GOOD.replace("current-context: hades", "current-context: c"))
            .unwrap();
        let of =
            |names: &[&str]| KubeconfigSource { paths: names.iter().map(|n| path(n)).collect() };
        assert_eq!(of(&["a"]).current_context().unwrap(), None);
        assert_eq!(of(&["a", "b", "c"]).current_context().unwrap().as_deref(), Some("hades"));
        assert_eq!(of(&["c", "b"]).current_context().unwrap().as_deref(), Some("c"));
        assert!(of(&["nowhere", "b"]).current_context().is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn unreadable_files_are_named() {
        let source = KubeconfigSource { paths: vec![PathBuf::from("/nowhere/kubeconfig")] };
        let error = source.config(None).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/kubeconfig"), "{error}");
    }
}
