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
    // Before the files: records that are written meanwhile come after it.
    let head = Head::read(directory, key)?;
    let names = files::list(directory)?;
    let mut look = Look { directory, key, last: Link::default(), report: Report::default() };
    look.report.files = names.len();
    match &head {
        Some(head) => look.last = head.before,
        None if names.is_empty() => {}
        None => look.problem(
            "the file head is missing or was changed: records may be missing at either end"
                .to_owned(),
        ),
    }
    look.report.first = look.last.number + 1;
    for (index, name) in names.iter().enumerate() {
        look.file(*name, names.get(index + 1).copied())?;
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

impl Look<'_> {
    fn problem(&mut self, text: String) {
        match self.report.problems.len() {
            MOST => self.report.problems.push("there are more problems".to_owned()),
            count if count > MOST => {}
            _ => self.report.problems.push(text),
        }
    }

    fn file(&mut self, name: Name, next: Option<Name>) -> io::Result<()> {
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
                    if self.is_torn(name, offset, length, next)? {
                        let rest = length - offset;
                        let note =
                            format!("the last {rest} bytes of {name} were cut off by a crash");
                        self.report.notes.push(note);
                        return Ok(());
                    }
                    if !complete && next.is_none() {
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
        line.link.number == self.last.number + 1 && self.key.follows(&self.last.hash, line)
    }

    /// Whether the next file begins with a record that says that this one ends here.
    fn is_torn(
        &self,
        name: Name,
        offset: u64,
        length: u64,
        next: Option<Name>,
    ) -> io::Result<bool> {
        let Some(next) = next else { return Ok(false) };
        let mut line = Vec::new();
        read_line(&mut BufReader::new(File::open(next.path(self.directory))?), &mut line)?;
        line.pop_if(|byte| *byte == b'\n');
        let words = format!("{TORN:?}:{:?}", torn(&name.to_string(), offset, length - offset));
        let says = line.windows(words.len()).any(|window| window == words.as_bytes());
        Ok(says && Line::read(&line).is_some_and(|found| self.continues(&found)))
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
