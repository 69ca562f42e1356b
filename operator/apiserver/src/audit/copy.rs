//! The log as it is at one moment, for a backup, whether somebody writes it or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::files;
use super::head;
use super::recover::MAX_LINE;

/// How often the files are looked at again when they change meanwhile. The head is
/// written once a second.
const ATTEMPTS: u32 = 20;

/// The files of a log that fit together. They stay readable when the log goes on
/// and removes them.
#[derive(Debug, Default)]
pub struct LogCopy {
    /// What the file `head` holds; nothing where there is no log yet.
    pub head: Vec<u8>,
    /// The files with the records, the oldest first.
    pub files: Vec<LogFile>,
}

/// An open file of the log.
#[derive(Debug)]
pub struct LogFile {
    /// Its name in the folder.
    pub name: String,
    /// The file.
    pub file: File,
    /// How much of it is to be read. More may follow; what does isn't told of.
    pub length: u64,
}

/// Opens the files of a log. A folder that isn't there is an empty log.
///
/// # Errors
/// When a file can't be read.
pub fn copy(folder: &Path) -> io::Result<LogCopy> {
    let mut head = read_head(folder)?;
    for _ in 0..ATTEMPTS {
        let files = open(folder)?;
        // The head names the first record that is kept, and the last on the disk.
        // As long as it is the same, no file was removed, and none is too short.
        let now = read_head(folder)?;
        if now == head {
            return Ok(LogCopy { head, files });
        }
        head = now;
    }
    Err(io::Error::other("the audit log doesn't hold still"))
}

fn read_head(folder: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(folder.join(head::FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn open(folder: &Path) -> io::Result<Vec<LogFile>> {
    let names = match files::list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut opened = Vec::new();
    for name in &names {
        let file = match File::open(name.path(folder)) {
            // The head has changed, too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let length = file.metadata()?.len();
        // The last record may be under way. In earlier files, what a crash left is
        // told of by the record that follows, with its length.
        let length = if Some(name) == names.last() { complete(&file, length)? } else { length };
        opened.push(LogFile { name: name.to_string(), file, length });
    }
    Ok(opened)
}

/// The length of the records that are complete.
fn complete(file: &File, length: u64) -> io::Result<u64> {
    let start = length.saturating_sub(MAX_LINE as u64);
    let mut end = vec![0; usize::try_from(length - start).unwrap_or(0)];
    file.read_exact_at(&mut end, start)?;
    let newline = end.iter().rposition(|byte| *byte == b'\n');
    Ok(newline.map_or(start, |at| start + at as u64 + 1))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::audit::{AuditEvent, verify};
    use crate::{ApiServer, ServerConfig};

    fn write(copy: LogCopy, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(head::FILE), copy.head).unwrap();
        for LogFile { name, file, length } in copy.files {
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes).unwrap();
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    #[tokio::test]
    async fn a_copy_of_a_log_that_is_written_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("audit");
        assert!(copy(&folder).unwrap().files.is_empty(), "there is none yet");
        let server =
            ApiServer::open(ServerConfig::new(directory.path(), Vec::new())).await.unwrap();
        let auditor = server.audit();
        let place = tempfile::tempdir().unwrap();
        for round in 0..20 {
            for _ in 0..50 {
                auditor.record(AuditEvent::new("login", "/auth/login"));
            }
            let place = place.path().join(round.to_string());
            write(copy(&folder).unwrap(), &place);
            let report = verify(directory.path(), Some(&place)).unwrap();
            assert_eq!((report.problems, report.notes), (vec![], vec![]), "round {round}");
        }
        server.shutdown().await;
        // Half a record at the end stays behind.
        let file = copy(&folder).unwrap().files.pop().unwrap();
        let path = folder.join(&file.name);
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, file.length);
        bytes.extend(b"{\"kind\"");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(copy(&folder).unwrap().files.pop().unwrap().length, file.length);
    }
}
