//! Warnings that a server sends along with its answers, as `Warning` headers
//! (RFC 7234) with the code 299.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, header};

/// Hands every warning on, each text once.
#[derive(Clone)]
pub struct Warnings(Arc<Inner>);

struct Inner {
    told: Mutex<HashSet<String>>,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Warnings {
    /// Calls `tell` for every warning that is new.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { told: Mutex::default(), tell: Box::new(tell) }))
    }

    /// Reads the headers of an answer.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let values = headers.get_all(header::WARNING).iter();
        for text in values.filter_map(|value| value.to_str().ok()).flat_map(texts) {
            self.tell(&text);
        }
    }

    /// Hands a warning of our own on.
    pub(crate) fn tell(&self, text: &str) {
        let new = {
            let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert(text.to_owned())
        };
        if new {
            (self.0.tell)(text);
        }
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warnings").finish_non_exhaustive()
    }
}

/// The texts of one header: `299 - "text"`, several with commas between them.
/// Control characters are left out: they could move the cursor of a terminal.
fn texts(value: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = value;
    while let Some((head, after)) = rest.split_once('"') {
        let Some((text, after)) = quoted(after) else {
            break;
        };
        // A second quoted text is the date of the warning before.
        let code = head.trim_start_matches([',', ' ']).split(' ').next().unwrap_or_default();
        if code == "299" {
            texts.push(text);
        }
        rest = after;
    }
    texts
}

/// The text up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut letters = text.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '"' => return Some((content, text.get(index + 1..).unwrap_or_default())),
            '\\' => content.extend(letters.next().map(|(_, letter)| letter)),
            letter if letter.is_control() => {}
            letter => content.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_hold_quoted_texts() {
        assert_eq!(texts(r#"299 - "unknown field \"spec.x\"""#), [r#"unknown field "spec.x""#]);
        assert_eq!(
            texts(r#"299 - "one, two" "Sat, 01 Jan 2000 00:00:00 GMT", 299 agent "three""#),
            ["one, two", "three"]
        );
        assert_eq!(texts(r#"110 - "stale", 299 - "mine""#), ["mine"]);
        for broken in ["", "299 -", "299 - \"open", "\"x\""] {
            assert_eq!(texts(broken), Vec::<String>::new(), "{broken}");
        }
    }

    #[test]
    fn each_warning_is_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        let warnings = Warnings::new(move |text| list.lock().unwrap().push(text.to_owned()));
        let mut headers = HeaderMap::new();
        for value in ["299 - \"a\"", "299 - \"b\"", "299 - \"a\""] {
            headers.append(header::WARNING, value.parse().unwrap());
        }
        warnings.note(&headers);
        warnings.note(&headers);
        assert_eq!(*told.lock().unwrap(), ["a", "b"]);
    }
}
