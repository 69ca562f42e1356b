//! The first user: `admin`, who may do everything, with a password that a file in
//! the data directory holds until it is changed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hades_api::{User, UserSpec};
use hades_apiserver::{Identity, VaultError};
use kube::Api;
use kube::api::PostParams;
use secrecy::{ExposeSecret, SecretString};

use crate::accounts::{Accounts, Inner};
use crate::passwords::PasswordError;
use crate::random;

/// Name of the first user.
pub const FIRST_USER: &str = "admin";

/// The group that a ClusterRoleBinding lets do everything.
pub use hades_api::role::ADMINISTRATORS;

/// The file in the data directory that holds the first password.
pub const FIRST_LOGIN: &str = "first-login";

/// The record that says that the first user was made.
const DONE: &str = "first-start";

/// A random password of a hundred bits, to be typed once and changed.
///
/// # Errors
/// When the system has no randomness.
pub fn new_password() -> Result<SecretString, getrandom::Error> {
    random::clear_text::<20>().map(SecretString::from)
}

/// Why the first user can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// The User can't be written.
    #[error("the User {FIRST_USER} can't be made")]
    User(#[source] Box<kube::Error>),
    /// The file can't be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The vault can't be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The password can't be set.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The User was deleted at this moment.
    #[error("the User {FIRST_USER} is gone again")]
    Gone,
}

impl Accounts {
    /// Where the first password is, as long as it is good.
    pub async fn first_login(&self) -> Option<PathBuf> {
        let path = self.inner.first_login_path();
        tokio::fs::try_exists(&path).await.is_ok_and(|exists| exists).then_some(path)
    }

    /// Makes the first user, once. A start that was cut off in between begins
    /// again, with another password.
    pub(crate) async fn first_start(&self) -> Result<(), FirstStartError> {
        let marks = self.inner.server.vault("accounts");
        if marks.get::<bool>(DONE)?.is_some() {
            return self.check_first_login().await;
        }
        let users: Api<User> = Api::all(self.inner.server.client(Identity::controller("accounts")));
        let user = User::new(
            FIRST_USER,
            UserSpec {
                display_name: Some("First administrator".to_owned()),
                groups: vec![ADMINISTRATORS.to_owned()],
                ..UserSpec::default()
            },
        );
        match users.create(&PostParams::default(), &user).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(FirstStartError::User(Box::new(error))),
        }
        let person = self.inner.directory.get(FIRST_USER).ok_or(FirstStartError::Gone)?;
        let password = new_password()?;
        self.write_first_login(password.clone()).await?;
        let record = self.inner.passwords.prepare(&person, &password, true, self.now()).await?;
        self.inner.passwords.set(FIRST_USER, record).await?;
        marks.create(DONE, &true).await?;
        Ok(())
    }

    /// The file goes where its password is no longer good: the process may have ended
    /// between the two.
    async fn check_first_login(&self) -> Result<(), FirstStartError> {
        let inner = &*self.inner;
        let person = inner.directory.get(FIRST_USER);
        let record = person.map(|person| inner.passwords.of(&person)).transpose()?.flatten();
        if !record.is_some_and(|record| record.value.first) {
            inner.forget_first_login(FIRST_USER).await;
        }
        Ok(())
    }

    async fn write_first_login(&self, password: SecretString) -> Result<(), FirstStartError> {
        let path = self.inner.first_login_path();
        let at = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&at, password.expose_secret()));
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|source| FirstStartError::File { path, source })
    }
}

impl Inner {
    fn first_login_path(&self) -> PathBuf {
        self.settings.data_dir.join(FIRST_LOGIN)
    }

    /// Removes the file with the first password, if it is this user's that is no
    /// longer good.
    pub async fn forget_first_login(&self, user: &str) {
        if user != FIRST_USER {
            return;
        }
        let path = self.first_login_path();
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "remove this file by hand: the \
                    password in it is no longer in use");
            }
            _ => {}
        }
    }
}

fn write(path: &Path, password: &str) -> io::Result<()> {
    // What is left of a start that was cut off may have another mode.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "user: {FIRST_USER}")?;
    writeln!(file, "password: {password}")?;
    file.sync_all()
}
