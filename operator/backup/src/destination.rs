//! Destination: where the backups of a schedule go.

use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;

use crate::folder::{self, FolderError};
use crate::s3::{Place, S3, S3Error, S3Settings};
use crate::{BackupError, BackupName, Gathered, Recipient, Written};

/// A folder, or a part of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`.
    S3(Place),
}

/// Why a backup isn't where it should be.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// It can't be made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The bucket can't be used.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The work panicked or was cut off.
    #[error("the backup was cut off: {0}")]
    CutOff(String),
}

impl FromStr for Destination {
    type Err = S3Error;

    fn from_str(text: &str) -> Result<Self, S3Error> {
        match text.strip_prefix("s3://") {
            Some(rest) => Place::read(rest).map(Self::S3),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3(place) => place.fmt(f),
        }
    }
}

impl Destination {
    /// When the newest backup of an installation there was made. Those that say that
    /// they are later than `now`, made when the clock was wrong or by somebody else,
    /// don't count.
    ///
    /// # Errors
    /// When the destination can't be reached.
    pub async fn newest(
        &self,
        settings: &S3Settings,
        installation: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, DestinationError> {
        let names = match self {
            Self::Folder(path) => {
                let (path, installation) = (path.clone(), installation.to_owned());
                blocking(move || Ok(folder::list(&path, &installation)?)).await?
            }
            Self::S3(place) => S3::new(place, settings)?.list(installation).await?,
        };
        Ok(names.into_iter().map(|name| name.time).filter(|time| *time <= now).max())
    }

    /// Makes a backup there, and then removes those of this installation that are too
    /// many. Where the latter fails, the backup is made all the same, and the error
    /// says so.
    ///
    /// # Errors
    /// When it can't be made or sent.
    pub async fn store(
        &self,
        settings: &S3Settings,
        recipients: Vec<Recipient>,
        keep: usize,
        gather: impl FnOnce() -> Result<Gathered, BackupError> + Send + 'static,
    ) -> Result<Stored, DestinationError> {
        match self {
            Self::Folder(path) => {
                let path = path.clone();
                blocking(move || {
                    folder::check(&path)?;
                    let gathered = gather()?;
                    let name = name_of(&gathered);
                    let written = folder::store(&path, &name, gathered, &recipients)?;
                    let removed = folder::prune(&path, &name, keep);
                    Ok(Stored::new(name, written, removed.map_err(|error| chain(&error))))
                })
                .await
            }
            Self::S3(place) => {
                let s3 = S3::new(place, settings)?;
                let (name, spooled) = blocking(move || {
                    let gathered = gather()?;
                    let name = name_of(&gathered);
                    Ok((name, crate::s3::spool(gathered, &recipients)?))
                })
                .await?;
                let written = s3.put(&name, spooled).await?;
                let removed = s3.prune(&name, keep).await;
                Ok(Stored::new(name, written, removed.map_err(|error| chain(&error))))
            }
        }
    }
}

/// An error with all that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn name_of(gathered: &Gathered) -> BackupName {
    BackupName::new(&gathered.manifest().installation, gathered.manifest().time)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DestinationError> + Send + 'static,
) -> Result<T, DestinationError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(DestinationError::CutOff(error.to_string())))
}

/// A backup that is where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name there.
    pub name: BackupName,
    /// What was written.
    pub written: Written,
    /// How many older ones were removed, or why that failed.
    pub removed: Result<usize, String>,
}

impl Stored {
    fn new(name: BackupName, written: Written, removed: Result<usize, String>) -> Self {
        Self { name, written, removed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_s3_is_a_bucket() {
        let text = |text: &str| text.parse::<Destination>().unwrap().to_string();
        assert_eq!(text("/var/backups/hades"), "/var/backups/hades");
        assert_eq!(text("s3://studio-backups/hades/"), "s3://studio-backups/hades");
        assert_eq!(text("s3://studio-backups"), "s3://studio-backups");
        for bad in ["s3://", "s3:///x", "s3://a b/x", "s3://b/../x", "s3://b//x", "s3://UPPER/x"] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
    }
}
