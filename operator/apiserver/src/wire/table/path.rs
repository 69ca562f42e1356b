//! JSONPath as printer columns write it, which is older than RFC 9535: no leading
//! `$`, optional braces, dashes in names and `\.` for a dot inside a name.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::wire::raw;

/// The path of a printer column. Most are plain names, which are found in the
/// bytes of an object; only what is behind them is parsed.
#[derive(Debug)]
pub(super) struct CellPath {
    names: Vec<String>,
    rest: Option<JsonPath>,
}

impl CellPath {
    /// The first value that the path leads to.
    pub fn first(&self, object: &[u8]) -> Option<Value> {
        let value = raw::find(object, &self.names)?;
        let value: Value = serde_json::from_slice(value).ok()?;
        match &self.rest {
            None => Some(value),
            Some(rest) => rest.query(&value).first().cloned(),
        }
    }
}

/// Compiles the path of a printer column.
pub(super) fn compile(text: &str) -> Result<CellPath, String> {
    if text.is_empty() {
        return Err("jsonPath must not be empty".to_owned());
    }
    check_work(text)?;
    let (names, rest) = standard(text);
    // The parser panics on an escape that breaks off.
    let parsed = std::panic::catch_unwind(|| JsonPath::parse(&rest).map_err(|e| e.to_string()));
    let parsed = parsed.unwrap_or_else(|_| Err("it ends within an escape".to_owned()));
    let path = parsed.map_err(|problem| {
        format!("jsonPath {text:?} can't be read: {problem}; write it as in .status.phase")
    })?;
    Ok(CellPath { names, rest: (rest != "$").then_some(path) })
}

/// Longer paths are refused.
const MAX_LENGTH: usize = 1024;

/// How often a path may look at everything below a place, and how deep its
/// filters may stand in one another: each time multiplies the work by the size
/// of the object, for every row of every table.
const MAX_DESCENTS: usize = 1;
const MAX_FILTERS: usize = 2;

fn check_work(text: &str) -> Result<(), String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("jsonPath must not be longer than {MAX_LENGTH} bytes"));
    }
    if text.matches("..").count() > MAX_DESCENTS {
        return Err(format!("jsonPath must not have .. more than {MAX_DESCENTS} time"));
    }
    if text.matches('?').count() > MAX_FILTERS {
        return Err(format!("jsonPath must not have more than {MAX_FILTERS} filters"));
    }
    Ok(())
}

/// The names that the path begins with, and the rest in the grammar of RFC 9535.
fn standard(text: &str) -> (Vec<String>, String) {
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let text = text.strip_prefix('$').unwrap_or(text);
    let mut names = Vec::new();
    let mut path = String::from("$");
    let mut letters = text.chars().peekable();
    if !text.starts_with(['.', '[']) {
        names.push(name(&mut letters));
    }
    while let Some(letter) = letters.next() {
        match letter {
            '.' if letters.peek().is_some_and(|next| is_name(*next)) => {
                let name = name(&mut letters);
                if path == "$" {
                    names.push(name);
                } else {
                    push_name(&mut path, &name);
                }
            }
            '.' if letters.next_if_eq(&'.').is_some() => {
                path.push_str("..");
                if letters.peek().is_some_and(|next| is_name(*next)) {
                    push_name(&mut path, &name(&mut letters));
                }
            }
            '[' => {
                path.push('[');
                copy_brackets(&mut path, &mut letters);
            }
            other => path.push(other),
        }
    }
    (names, path)
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '\\' | '/')
}

fn name(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|letter| is_name(*letter)) {
        match letter {
            '\\' => name.extend(letters.next()),
            other => name.push(other),
        }
    }
    name
}

/// Writes a name in brackets, where any letter is allowed.
fn push_name(path: &mut String, name: &str) {
    path.push_str("['");
    path.push_str(&name.replace('\\', "\\\\").replace('\'', "\\'"));
    path.push_str("']");
}

/// Copies what stands in brackets, quoted texts and nested brackets included.
fn copy_brackets(path: &mut String, letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut depth = 1;
    let mut quote = None;
    while let Some(letter) = letters.next() {
        path.push(letter);
        match (quote, letter) {
            (Some(_), '\\') => path.extend(letters.next()),
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
            _ => {}
        }
    }
}
