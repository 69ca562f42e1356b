//! Files of a container as the tar archive that the engine unpacks.

use std::collections::BTreeMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use hades_plan::ContainerFile;
use tar::{Builder, EntryType, Header};

/// An archive of `files`, to be unpacked at the root folder. It holds the values
/// of secrets: it must not be logged. Folders are left out, so that those that
/// are there keep their owners; the engine makes the others.
///
/// # Errors
/// When a path is longer than archives can have.
pub fn of(files: &BTreeMap<String, ContainerFile>) -> io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let mut archive = Builder::new(Vec::new());
    for (path, file) in files {
        let ContainerFile { content, mode, uid, gid } = file;
        let content = content.expose().unwrap_or_default().as_bytes();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(*mode);
        header.set_uid(u64::from(*uid));
        header.set_gid(u64::from(*gid));
        header.set_mtime(now);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path.trim_start_matches('/'), content)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use hades_plan::FileContent;

    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let long = format!("/{}/app.conf", "folder/".repeat(40).trim_end_matches('/'));
        let file = |text: &str| ContainerFile {
            content: FileContent::Plain {
                sha256: String::new(),
                size: text.len() as u64,
                text: Some(text.to_owned()),
            },
            mode: 0o640,
            uid: 1000,
            gid: 1001,
        };
        let files = BTreeMap::from([("/etc/a".to_owned(), file("one")), (long.clone(), file(""))]);
        let bytes = of(&files).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            assert_eq!(header.mode().unwrap(), 0o640);
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1001));
            seen.push((entry.path().unwrap().to_string_lossy().into_owned(), text));
        }
        let expected =
            [("etc/a".to_owned(), "one".to_owned()), (long[1..].to_owned(), String::new())];
        assert_eq!(seen, expected);
    }
}
