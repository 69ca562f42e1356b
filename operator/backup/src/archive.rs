//! The file itself: an age-encrypted tar, so that `age --decrypt | tar --list` works
//! wherever hades isn't at hand. The manifest comes first, the files in its order.

use std::io::{self, BufReader, Read, Write};

use age::stream::StreamReader;
use tar::{Archive, Builder, Entries, EntryType, Header};

use crate::digest::{self, Hashing};
use crate::gather::Content;
use crate::manifest::{self, MAX_BYTES};
use crate::{BackupError, FileEntry, Gathered, Key, Manifest, Recipient, RestoreError};

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of the encrypted file in hexadecimal: what tells this backup from one
    /// that somebody else made for the same recipient.
    pub sha256: String,
}

impl Gathered {
    /// Writes the backup, encrypted to all recipients.
    ///
    /// # Errors
    /// When nobody is to open it, a file changed since it was gathered, or it can't be
    /// written. What is written by then is of no use.
    pub fn write(
        self,
        recipients: &[Recipient],
        out: &mut dyn Write,
    ) -> Result<Written, BackupError> {
        if recipients.is_empty() {
            return Err(BackupError::NoRecipient);
        }
        let Self { mut manifest, contents, data_dir: _ } = self;
        manifest.recipients = recipients.iter().map(ToString::to_string).collect();
        let keys = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(keys)
            .map_err(|error| BackupError::Encrypt(error.to_string()))?;
        let encrypted = encryptor.wrap_output(Hashing::new(out)).map_err(BackupError::Write)?;
        let mut tar = Builder::new(encrypted);
        let text = manifest.to_bytes()?;
        let time = u64::try_from(manifest.time.as_second()).unwrap_or(0);
        append(&mut tar, manifest::FILE, text.len() as u64, time, &text[..])
            .map_err(BackupError::Write)?;
        for (entry, content) in manifest.files.iter().zip(contents) {
            let FileEntry { name, size, sha256 } = entry;
            let reader: Box<dyn Read> = match content {
                Content::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
                Content::File(file) => Box::new(BufReader::with_capacity(64 << 10, file)),
            };
            let mut hashing = Hashing::new(reader.take(*size));
            append(&mut tar, name, *size, time, &mut hashing).map_err(BackupError::Write)?;
            let (read, digest, _) = hashing.finish();
            if read != *size || digest::hex(&digest) != *sha256 {
                return Err(BackupError::Changed(name.clone()));
            }
        }
        let encrypted = tar.into_inner().map_err(BackupError::Write)?;
        let mut hashing = encrypted.finish().map_err(BackupError::Write)?;
        hashing.flush().map_err(BackupError::Write)?;
        let (size, digest, _) = hashing.finish();
        Ok(Written { size, sha256: digest::hex(&digest) })
    }
}

fn append<W: Write>(
    tar: &mut Builder<W>,
    name: &str,
    size: u64,
    time: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, content)
}

/// Reads a whole backup and checks that it is as its manifest says, without writing
/// anything.
///
/// # Errors
/// When no key opens it, or it isn't whole.
pub fn inspect(backup: impl Read, key: &Key) -> Result<Manifest, RestoreError> {
    walk(
        backup,
        key,
        |_| Ok(()),
        |_, content| {
            io::copy(content, &mut io::sink()).map_err(of_stream)?;
            Ok(())
        },
    )
}

/// Reads a backup to its very end: shows its manifest, and then each file, whose
/// digest is compared afterwards.
pub(crate) fn walk(
    backup: impl Read,
    key: &Key,
    begin: impl FnOnce(&Manifest) -> Result<(), RestoreError>,
    mut visit: impl FnMut(&FileEntry, &mut dyn Read) -> Result<(), RestoreError>,
) -> Result<Manifest, RestoreError> {
    let mut archive = Archive::new(decrypt(backup, key)?);
    // Raw: what only extends the next entry, as a long name does, would be read into
    // memory, however long it is. No file of a backup needs any.
    let mut entries = archive.entries().map_err(of_stream)?.raw(true);
    let manifest = read_manifest(&mut entries)?;
    begin(&manifest)?;
    for file in &manifest.files {
        let FileEntry { name, size, sha256 } = file;
        let wrong = |why: String| RestoreError::Entry { name: name.clone(), why };
        let entry = entries.next().ok_or_else(|| wrong("it is missing".to_owned()))?;
        let entry = entry.map_err(of_stream)?;
        if !is_file(&entry, name) {
            return Err(wrong("something else is in its place".to_owned()));
        }
        if entry.size() != *size {
            return Err(wrong(format!("{} bytes instead of {size}", entry.size())));
        }
        let mut hashing = Hashing::new(entry);
        visit(file, &mut hashing)?;
        let (read, digest, _) = hashing.finish();
        if read != *size {
            return Err(RestoreError::Truncated);
        }
        if digest::hex(&digest) != *sha256 {
            return Err(wrong("its digest is another one".to_owned()));
        }
    }
    if let Some(more) = entries.next() {
        more.map_err(of_stream)?;
        return Err(RestoreError::Damaged("it holds more than its manifest says".to_owned()));
    }
    // To the end of what is encrypted: only that proves that nothing was cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(of_stream)?;
    Ok(manifest)
}

fn decrypt<R: Read>(backup: R, key: &Key) -> Result<StreamReader<BufReader<R>>, RestoreError> {
    let failed = |error| match error {
        age::DecryptError::NoMatchingKeys => RestoreError::WrongIdentity,
        age::DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            RestoreError::Truncated
        }
        age::DecryptError::Io(error) => RestoreError::Read(error),
        other @ (age::DecryptError::InvalidMac | age::DecryptError::DecryptionFailed) => {
            RestoreError::Damaged(other.to_string())
        }
        other => {
            // What follows is about upgrading age.
            let words = other.to_string();
            RestoreError::NotEncrypted(words.lines().next().unwrap_or_default().to_owned())
        }
    };
    let buffered = BufReader::with_capacity(64 << 10, backup);
    let decryptor = age::Decryptor::new_buffered(buffered).map_err(failed)?;
    if decryptor.is_scrypt() {
        return Err(RestoreError::NotEncrypted("it is encrypted with a passphrase".to_owned()));
    }
    decryptor.decrypt(key.0.iter().map(|key| &**key)).map_err(failed)
}

fn read_manifest<R: Read>(entries: &mut Entries<'_, R>) -> Result<Manifest, RestoreError> {
    let none = || RestoreError::Damaged(format!("it doesn't begin with {}", manifest::FILE));
    let mut entry = entries.next().ok_or_else(none)?.map_err(of_stream)?;
    if !is_file(&entry, manifest::FILE) || entry.size() > MAX_BYTES {
        return Err(none());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(of_stream)?;
    Ok(Manifest::read(&bytes)?)
}

fn is_file<R: Read>(entry: &tar::Entry<'_, R>, name: &str) -> bool {
    entry.header().entry_type() == EntryType::Regular && *entry.path_bytes() == *name.as_bytes()
}

/// What a failed read of the decrypted stream means.
pub(crate) fn of_stream(error: io::Error) -> RestoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => RestoreError::Truncated,
        io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            // It may repeat what is in the archive.
            RestoreError::Damaged(error.to_string().replace(char::is_control, "?"))
        }
        _ => RestoreError::Read(error),
    }
}
