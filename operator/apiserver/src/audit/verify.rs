//! Looks through the log for what was changed, put in or taken out.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use serde::Serialize;

use super::annotations::TORN;
use super::auditor::{AuditError, AuditOptions};
use super::chain::{ChainKey, Line, Link};
use super::files::{self, Name};
use super::head::Head;
use super::recover::{read_line, torn};
use crate::seal::Keyring;

/// Problems that are told one by one.
const MOST: usize = 100;

/// How often a look begins anew because the oldest files were removed meanwhile.
const ATTEMPTS: usize = 4;

/// What a look at the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Files there are.
    pub files: usize,
    /// Records that are in order.
    pub records: u64,
    /// Number of the first record, and of the last.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// What is wrong; the first hundred of it.
    pub problems: Vec<String>,
    /// What is unusual and explained: writes that a crash cut off.
    pub notes: Vec<String>,
}

/// Looks through the log of a data directory, whether a server runs or not.
/// `directory` is where the log is kept, if not in the data directory.
///
/// # Errors
/// When the key or a file can't be read.
pub fn verify(data_dir: &Path, directory: Option<&Path>) -> Result<Report, AuditError> {
    let options =
        AuditOptions { directory: directory.map(Path::to_owned), ..AuditOptions::default() };
    let folder = options.folder(data_dir);
    let key = Keyring::load(data_dir)?.audit_key();
    look(&folder, &key).map_err(|source| AuditError::File { path: folder.clone(), source })
}

struct Look<'a> {
    directory: &'a Path,
    key: &'a ChainKey,
    last: Link,
    report: Report,
}

/// Looks through the files of a folder.
///
/// # Errors
/// When one can't be read.
pub fn look(directory: &Path, key: &ChainKey) -> io::Result<Report> {
    look_after(directory, key, || Head::read(directory, key))
}

/// Looks again where the oldest files made room meanwhile, which the head tells.
fn look_after(
    directory: &Path,
    key: &ChainKey,
    read: impl Fn() -> io::Result<Option<Head>>,
) -> io::Result<Report> {
    let mut head = read()?;
    for _ in 1..ATTEMPTS {
        let report = look_from(directory, key, head.as_ref());
        let is_odd = match &report {
            Ok(report) => !report.problems.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let before = |head: &Option<Head>| head.as_ref().map(|head| head.before);
        let now = read()?;
        if !is_odd || before(&now) == before(&head) {
            return report;
        }
        head = now;
    }
    look_from(directory, key, head.as_ref())
}

/// One look at the files, after the head: records that are written meanwhile come
/// after it.
fn look_from(directory: &Path, key: &ChainKey, head: Option<&Head>) -> io::Result<Report> {
    let names = files::list(directory)?;
    let mut look = Look { directory, key, last: Link::default(), report: Report::default() };
    look.report.files = names.len();
    match head {
        Some(head) => look.last = head.before,
        None if names.is_empty() => {}
        None => look.problem(
            "the file head is missing or was changed: records may be missing at either end"
                .to_owned(),
        ),
    }
    look.report.first = look.last.number + 1;
    for (index, name) in names.iter().enumerate() {
        look.file(*name, names.get(index + 1..).unwrap_or_default())?;
    }
    if let Some(head) = head
        && look.last.number < head.last.number
    {
        let (from, to) = (look.last.number + 1, head.last.number);
        look.problem(format!("{} missing at the end", records(from, to)));
    }
    look.report.last = look.last.number;
    if look.report.last == 0 {
        look.report.first = 0;
    }
    Ok(look.report)
}

fn records(from: u64, to: u64) -> String {
    if from == to { format!("record {from} is") } else { format!("records {from} to {to} are") }
}

/// Whether a record is the next one of the chain.
fn follows(key: &ChainKey, last: &Link, line: &Line<'_>) -> bool {
    line.link.number == last.number + 1 && key.follows(&last.hash, line)
}

impl Look<'_> {
    fn problem(&mut self, text: String) {
        match self.report.problems.len() {
            MOST => self.report.problems.push("there are more problems".to_owned()),
            count if count > MOST => {}
            _ => self.report.problems.push(text),
        }
    }

    fn file(&mut self, name: Name, later: &[Name]) -> io::Result<()> {
        let file = File::open(name.path(self.directory))?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let (mut offset, mut count) = (0_u64, 0_u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = read_line(&mut reader, &mut line)? as u64;
            if read == 0 {
                return Ok(());
            }
            count += 1;
            let complete = line.pop_if(|byte| *byte == b'\n').is_some();
            let found = Line::read(&line).filter(|_| complete);
            if count == 1
                && let Some(found) = &found
                && found.link.number < self.report.first
            {
                let note = format!("{name} is about to be removed, it was too old or too much");
                self.report.notes.push(note);
                return Ok(());
            }
            match found {
                Some(found) if self.continues(&found) => {
                    self.last = found.link;
                    self.report.records += 1;
                }
                found => {
                    if self.is_torn(name, offset, length, later)? {
                        let rest = length - offset;
                        let note =
                            format!("the last {rest} bytes of {name} were cut off by a crash");
                        self.report.notes.push(note);
                        return Ok(());
                    }
                    if !complete && later.is_empty() {
                        let note = format!(
                            "the last record of {name} isn't complete: it is being written, or was cut off by a crash"
                        );
                        self.report.notes.push(note);
                        return Ok(());
                    }
                    self.wrong(name, count, found.as_ref());
                }
            }
            offset += read;
        }
    }

    fn continues(&self, line: &Line<'_>) -> bool {
        follows(self.key, &self.last, line)
    }

    /// Whether the records go on in a later file, which begins by saying that this one
    /// ends here. There may be files between them that were begun and got no record:
    /// of several crashes the last start tells, one record each.
    fn is_torn(&self, name: Name, offset: u64, length: u64, later: &[Name]) -> io::Result<bool> {
        let words = format!("{TORN:?}:{:?}", torn(&name.to_string(), offset, length - offset));
        let holds = |line: &[u8], words: &str| {
            line.windows(words.len()).any(|window| window == words.as_bytes())
        };
        for next in later {
            let mut reader = BufReader::new(File::open(next.path(self.directory))?);
            let (mut last, mut line) = (self.last, Vec::new());
            loop {
                line.clear();
                read_line(&mut reader, &mut line)?;
                line.pop_if(|byte| *byte == b'\n');
                match Line::read(&line).filter(|found| follows(self.key, &last, found)) {
                    Some(_) if holds(&line, &words) => return Ok(true),
                    Some(found) if holds(&line, &format!("{TORN:?}:")) => last = found.link,
                    Some(_) => return Ok(false),
                    None => break,
                }
            }
        }
        Ok(false)
    }

    fn wrong(&mut self, name: Name, count: u64, line: Option<&Line<'_>>) {
        let Some(line) = line else {
            return self.problem(format!("line {count} of {name} is no record"));
        };
        let (number, expected) = (line.link.number, self.last.number + 1);
        if number > expected {
            let missing = records(expected, number - 1);
            self.problem(format!("{missing} missing before line {count} of {name}"));
        } else if number < expected {
            self.problem(format!(
                "line {count} of {name} is record {number}, after record {}",
                self.last.number
            ));
        } else {
            self.problem(format!(
                "record {number}, line {count} of {name}, was changed, or the one before it was"
            ));
        }
        self.last = line.link;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::audit::writer::tests::log_that_made_room;

    #[test]
    fn what_is_removed_while_somebody_looks_is_no_problem() {
        let directory = tempfile::tempdir().unwrap();
        let key = ChainKey::of_bytes(&[1; 32]);
        let old = log_that_made_room(directory.path(), &key);
        assert!(!look_from(directory.path(), &key, Some(&old)).unwrap().problems.is_empty());
        let looks = Cell::new(0);
        let report = look_after(directory.path(), &key, || {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                Ok(Some(old.clone()))
            } else {
                Head::read(directory.path(), &key)
            }
        });
        assert_eq!(report.unwrap().problems, [""; 0]);
        // Nobody hides behind it.
        let oldest = files::list(directory.path()).unwrap()[0];
        std::fs::remove_file(oldest.path(directory.path())).unwrap();
        assert!(!look(directory.path(), &key).unwrap().problems.is_empty());
    }
}
