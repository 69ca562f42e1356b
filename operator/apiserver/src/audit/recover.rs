//! Where the log ends, found out at the start, whatever the last process came to.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use super::annotations::{MISSING, TORN};
use super::chain::{ChainKey, Line, Link};
use super::files::{self, Name};
use super::head::Head;

/// No line is longer.
pub const MAX_LINE: usize = 1 << 20;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The record that the next one follows on.
    pub last: Link,
    /// The file that can be appended to, and its length.
    pub open: Option<(Name, u64)>,
    /// What the next record must tell: annotations and their values.
    pub tell: Vec<(&'static str, String)>,
}

/// The words for the end of a file that can't be read, as `verify` expects them.
pub fn torn(name: &str, offset: u64, bytes: u64) -> String {
    format!("{name} from byte {offset}, {bytes} bytes")
}

/// How far the records of a file go on from a link.
#[derive(Debug)]
pub struct Reach {
    pub last: Link,
    /// Where the first line is that doesn't follow, or the end.
    pub offset: u64,
    /// Length of the file.
    pub length: u64,
}

/// Follows the chain through a file, from a place on.
///
/// # Errors
/// When it can't be read.
pub fn reach(path: &Path, from: u64, last: Link, key: &ChainKey) -> io::Result<Reach> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from))?;
    let mut reach = Reach { last, offset: from, length };
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if read_line(&mut reader, &mut line)? == 0 || line.pop() != Some(b'\n') {
            return Ok(reach);
        }
        match Line::read(&line) {
            Some(found)
                if found.link.number == reach.last.number + 1
                    && key.follows(&reach.last.hash, &found) =>
            {
                reach.last = found.link;
                reach.offset += line.len() as u64 + 1;
            }
            _ => return Ok(reach),
        }
    }
}

/// Reads a line with its newline, no more than [`MAX_LINE`] bytes of it.
pub fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    use std::io::Read;
    reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', line)
}

/// Finds the end of the log of a folder. `head` is what its file says, if it can be
/// trusted.
///
/// # Errors
/// When files can't be read.
pub fn recover(directory: &Path, key: &ChainKey, head: Option<&Head>) -> io::Result<Found> {
    let names = files::list(directory)?;
    let Some(head) = head else { return without_head(directory, key, &names) };
    let mut found = Found { last: head.last, ..Found::default() };
    let start = Name::read(&head.file);
    let known: Vec<Name> = names.into_iter().filter(|name| Some(*name) >= start).collect();
    let kept = known.first().copied().filter(|name| Some(*name) == start);
    let mut from = head.length;
    if start.is_some() {
        let length = match kept {
            Some(name) => std::fs::metadata(name.path(directory))?.len(),
            None => 0,
        };
        if length < head.length {
            // The chain goes on from what the head knows, so that the gap shows.
            found.tell.push((MISSING, format!("the end of the log, up to {}", head.last.number)));
            return Ok(found);
        }
    }
    for name in known {
        let path = name.path(directory);
        let reach = reach(&path, from, found.last, key)?;
        from = 0;
        if reach.last != found.last {
            // Whoever wrote this told what was before it, and ended before the head did.
            found.tell.clear();
        } else if !found.tell.is_empty() && has_lines(&path)? {
            // No crash leaves that, so it stays a problem.
            return Ok(found);
        }
        found.last = reach.last;
        found.open = Some((name, reach.length));
        if reach.offset < reach.length {
            let rest = reach.length - reach.offset;
            found.tell.push((TORN, torn(&name.to_string(), reach.offset, rest)));
            found.open = None;
        }
    }
    Ok(found)
}

/// Whether a file holds more than the beginning of a line.
fn has_lines(path: &Path) -> io::Result<bool> {
    let mut line = Vec::new();
    let read = read_line(&mut BufReader::new(File::open(path)?), &mut line)?;
    Ok(read > 0 && (line.ends_with(b"\n") || read >= MAX_LINE))
}

/// Without a head that can be trusted, the last file says where it ends.
fn without_head(directory: &Path, key: &ChainKey, names: &[Name]) -> io::Result<Found> {
    let Some(name) = names.last() else { return Ok(Found::default()) };
    let path = name.path(directory);
    let mut reader = BufReader::new(File::open(&path)?);
    let mut line = Vec::new();
    let length = read_line(&mut reader, &mut line)? as u64;
    let mut found = Found { tell: vec![(MISSING, "the file head".to_owned())], ..Found::default() };
    // The first line is taken as it is: what is before it is not known.
    let first = line.strip_suffix(b"\n").and_then(Line::read);
    let Some(first) = first else { return Ok(found) };
    found.last = reach(&path, length, first.link, key)?.last;
    Ok(found)
}
