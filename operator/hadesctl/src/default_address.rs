//! The address that is meant when none is written: kept by `hadesctl use`, for
//! each kubeconfig and context, in a small file of the person's own. Kubeconfigs
//! hold credentials and are left as they are.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use hades_client::Address;

use crate::error::Error;

/// The file, and the entry in it that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultAddress {
    path: PathBuf,
    key: String,
}

type Entries = BTreeMap<String, String>;

impl DefaultAddress {
    /// For a kubeconfig and the context of it that is used, if it has any. None where
    /// there is no home.
    pub fn of(kubeconfig: PathBuf, context: Option<&str>) -> Option<Self> {
        let path = std::env::home_dir()?.join(".hades/default-addresses.json");
        // The same file by another path is the same server.
        let kubeconfig = std::fs::canonicalize(&kubeconfig).unwrap_or(kubeconfig);
        let key = format!("{}#{}", kubeconfig.display(), context.unwrap_or_default());
        Some(Self { path, key })
    }

    /// The address, if one is kept.
    pub fn read(&self) -> Option<Address> {
        Address::parse(self.entries().get(&self.key)?, None).ok()
    }

    /// Keeps an address, or none from now on.
    pub fn write(&self, address: Option<&Address>) -> Result<(), Error> {
        let mut entries = self.entries();
        match address {
            Some(address) => entries.insert(self.key.clone(), address.to_string()),
            None => entries.remove(&self.key),
        };
        let text = crate::output::json(&entries)?;
        self.store(&text).map_err(|source| Error::File {
            verb: "write",
            path: self.path.clone(),
            source,
        })
    }

    /// A file that can't be read is as good as none: nothing in it is precious.
    fn entries(&self) -> Entries {
        let text = std::fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn store(&self, text: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // In one step, so that two commands at a time leave one whole file.
        let fresh = self.path.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_context_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |key: &str| DefaultAddress {
            path: folder.path().join("deep/file.json"),
            key: key.to_owned(),
        };
        assert_eq!(at("a").read(), None);
        let staging = Address::environment("shop", "staging");
        at("a").write(Some(&staging)).unwrap();
        at("b").write(Some(&Address::environment("blog", "production"))).unwrap();
        assert_eq!(at("a").read(), Some(staging));
        at("a").write(None).unwrap();
        assert_eq!(at("a").read(), None);
        assert_eq!(at("b").read().unwrap().to_string(), "blog/production");
        std::fs::write(folder.path().join("deep/file.json"), "not json").unwrap();
        assert_eq!(at("b").read(), None);
    }
}
