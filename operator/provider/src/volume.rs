//! The content of volumes, as tar archives.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::ProviderError;

/// A tar archive of a volume, as it comes. Its entries are below one folder,
/// which stands for the volume. Only the provider that made it need understand
/// how it names that folder: what [`crate::Provider::read_volume`] gives is what
/// [`crate::Provider::fill_volume`] takes.
pub type VolumeArchive = BoxStream<'static, Result<Bytes, ProviderError>>;

/// A volume to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewVolume<'a> {
    /// Name on the host.
    pub name: &'a str,
    /// All labels.
    pub labels: &'a BTreeMap<String, String>,
}
