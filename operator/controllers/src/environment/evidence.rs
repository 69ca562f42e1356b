//! What a container that fails last said, for a person to read where the failure
//! is told.

use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use hades_plan::{Plan, Target, WaitCause, Waiting};
use hades_provider::{LogChunk, LogOptions, Provider};
use hades_redact::Redactor;

use super::gather::Gathered;

/// Lines that are shown.
const LINES: u32 = 5;
/// Entries of the engine's log that are read. The first may go on with a line that is
/// longer than an entry, and with a value that began in the one before.
const ENTRIES: usize = 15;
/// So many entries after the beginning of a line nothing goes on with it any more.
const FAR: usize = 10;
/// Characters that are shown of a line.
const LONGEST_LINE: usize = 200;
/// Bytes that are read: enough for entries of 16 KiB, and no more than fits anywhere.
const MOST_BYTES: usize = 256 * 1024;
/// Containers of an environment that are asked.
const MOST_CONTAINERS: usize = 3;
/// How long an engine may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last lines of containers that fail, by host and name.
pub(crate) type LastLines = BTreeMap<(String, String), String>;

/// A container and the way in which it fails.
type Failing = (String, Discriminant<WaitCause>);

/// Lines that have been asked for, by UID of the environment and what fails:
/// asked for once, so that the same failure is told in the same words.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<(String, Failing), String>>);

impl Remembered {
    fn get(&self, uid: &str, failing: &Failing) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(&(uid.to_owned(), failing.clone())).cloned()
    }

    fn put(&self, uid: &str, failing: &Failing, lines: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((uid.to_owned(), failing.clone()), lines);
    }

    /// Keeps only those of what still fails.
    fn keep(&self, uid: &str, failing: &[Failing]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(of, known), _| of != uid || failing.contains(known));
    }

    pub(super) fn forget(&self, uid: &str) {
        self.keep(uid, &[]);
    }
}

/// Asks for the last lines of what fails.
pub(super) async fn last_lines(
    remembered: &Remembered,
    uid: &str,
    plan: &Plan,
    gathered: &Gathered,
    redactor: &(dyn Fn() -> Redactor + Sync),
) -> LastLines {
    let failing = plan.waiting.iter().filter(|waiting| {
        matches!(
            waiting.cause,
            WaitCause::ContainerFailing { .. }
                | WaitCause::RolloutFailed { .. }
                | WaitCause::Unhealthy { .. }
        )
    });
    let (mut found, mut all) = (LastLines::new(), Vec::new());
    for Waiting { target, cause } in failing.take(MOST_CONTAINERS) {
        let Some(id) = id_of(plan, target) else { continue };
        let failing = (id.clone(), discriminant(cause));
        let lines = match (remembered.get(uid, &failing), gathered.providers.get(&target.host)) {
            (Some(lines), _) => lines,
            (None, Some(provider)) => {
                // What can't be had now is asked for again by the next pass.
                let redactor = redactor();
                let text = read(&**provider, &id, &redactor);
                let Ok(Some(text)) = tokio::time::timeout(PATIENCE, text).await else { continue };
                let lines = shown(&text);
                remembered.put(uid, &failing, lines.clone());
                lines
            }
            (None, None) => continue,
        };
        all.push(failing);
        if !lines.is_empty() {
            found.insert((target.host.clone(), target.name.clone()), lines);
        }
    }
    remembered.keep(uid, &all);
    found
}

fn id_of(plan: &Plan, target: &Target) -> Option<String> {
    plan.resources.iter().find(|found| found.target == *target)?.id.clone()
}

/// The last output without values of Secrets, or none if it can't be had.
async fn read(provider: &dyn Provider, id: &str, redactor: &Redactor) -> Option<String> {
    let options = LogOptions { tail: u32::try_from(ENTRIES).ok(), ..LogOptions::default() };
    let mut output = provider.logs(id, &options).await.ok()?;
    let mut pieces = Vec::new();
    let mut size = 0;
    while let Some(chunk) = output.next().await {
        let chunk = chunk.ok()?;
        size += chunk.bytes.len();
        pieces.push(chunk);
        if size >= MOST_BYTES {
            break;
        }
    }
    Some(clear(&pieces, redactor))
}

/// What the last entries of a log say. Of each output what may go on with an earlier
/// line is left out, unless these are all entries.
fn clear(entries: &[LogChunk], redactor: &Redactor) -> String {
    let mut within = [entries.len() >= ENTRIES; 2];
    let mut seen = [false; 2];
    let (mut stdout, mut stderr) = (redactor.stream(), redactor.stream());
    let mut bytes = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let of = usize::from(entry.stderr);
        within[of] &= seen[of] || index < FAR;
        seen[of] = true;
        let mut text = entry.bytes.as_ref();
        if within[of] {
            let Some(end) = text.iter().position(|byte| *byte == b'\n') else { continue };
            (within[of], text) = (false, &text[end + 1..]);
        }
        let stream = if entry.stderr { &mut stderr } else { &mut stdout };
        stream.push(text, &mut bytes);
    }
    stdout.finish(&mut bytes);
    stderr.finish(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The lines in one, each cut short.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).take(LONGEST_LINE).collect::<String>())
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let skipped = lines.len().saturating_sub(LINES as usize);
    lines[skipped..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_of_a_value_is_not_shown() {
        let entry = |stderr: bool, text: &str| LogChunk { stderr, bytes: text.to_owned().into() };
        let redactor = Redactor::new([b"hunter22-hunter22".as_slice()]);
        let mut entries: Vec<LogChunk> =
            (0..ENTRIES - 3).map(|number| entry(false, &format!("line {number}\n"))).collect();
        entries.insert(0, entry(false, "-hunter22 said\n"));
        entries.insert(1, entry(true, "22 complained\n"));
        entries.push(entry(true, "it ends with hunter22-hunter22\n"));
        let text = clear(&entries, &redactor);
        assert!(text.starts_with("line 0\n") && text.ends_with("it ends with ***\n"), "{text}");
        // The only line of its output.
        entries.remove(1);
        entries.insert(0, entry(false, "begin\n"));
        let text = clear(&entries, &redactor);
        assert!(text.ends_with("it ends with ***\n") && !text.contains("begin"), "{text}");
        // Fewer than were asked for are all.
        let text = clear(&entries[..2], &redactor);
        assert_eq!(text, "begin\n-hunter22 said\n");
    }

    #[test]
    fn the_last_lines_in_one() {
        let text = "one\ntwo\n\n\u{1b}[31mthree\u{7}\r\nfour\nfive\nsix";
        assert_eq!(shown(text), "two | [31mthree | four | five | six");
        assert_eq!(shown(&"x".repeat(1000)).len(), LONGEST_LINE);
        assert_eq!(shown("\n \n"), "");
    }
}
