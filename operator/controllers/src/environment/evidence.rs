//! What a container that fails last said, for a person to read where the failure
//! is told.

use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use hades_plan::{Plan, Target, WaitCause, Waiting};
use hades_provider::{LogOptions, Provider};
use hades_redact::Redactor;

use super::gather::Gathered;

/// Lines that are shown.
const LINES: u32 = 5;
/// Characters that are shown of a line.
const LONGEST_LINE: usize = 200;
/// Bytes that are read: enough for the lines, and no more than fits anywhere.
const MOST_BYTES: usize = 64 * 1024;
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
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let mut output = provider.logs(id, &options).await.ok()?;
    let (mut stdout, mut stderr) = (redactor.stream(), redactor.stream());
    let mut bytes = Vec::new();
    while let Some(chunk) = output.next().await {
        let chunk = chunk.ok()?;
        let stream = if chunk.stderr { &mut stderr } else { &mut stdout };
        stream.push(&chunk.bytes, &mut bytes);
        if bytes.len() >= MOST_BYTES {
            // What is held back may be the beginning of a value.
            bytes.truncate(MOST_BYTES);
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    stdout.finish(&mut bytes);
    stderr.finish(&mut bytes);
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
    fn the_last_lines_in_one() {
        let text = "one\ntwo\n\n\u{1b}[31mthree\u{7}\r\nfour\nfive\nsix";
        assert_eq!(shown(text), "two | [31mthree | four | five | six");
        assert_eq!(shown(&"x".repeat(1000)).len(), LONGEST_LINE);
        assert_eq!(shown("\n \n"), "");
    }
}
