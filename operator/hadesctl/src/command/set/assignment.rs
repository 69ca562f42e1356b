//! `NAME=VALUE` and `NAME-`, on the command line and in files.

use std::collections::BTreeMap;

use crate::error::Error;

/// What becomes of variables: a value, or none for one that goes.
pub type Assignments = BTreeMap<String, Option<String>>;

/// Reads words of the command line.
///
/// # Errors
/// For a word that is neither.
pub fn of_words(words: &[String]) -> Result<Assignments, Error> {
    let mut assignments = Assignments::new();
    for word in words {
        let (name, value) = match (word.split_once('='), word.strip_suffix('-')) {
            (Some((name, value)), _) => (name, Some(value.to_owned())),
            (None, Some(name)) => (name, None),
            (None, None) => {
                return Err(Error::usage(
                    format!("{word:?} says neither what the variable is nor that it goes"),
                    format!("write {word}=VALUE to set it, {word}- to remove it"),
                ));
            }
        };
        check(name).map_err(|why| Error::usage(format!("{word:?}: {why}"), "write NAME=VALUE"))?;
        assignments.insert(name.to_owned(), value);
    }
    Ok(assignments)
}

/// Reads a file of `NAME=VALUE` lines, as compose and Docker do: blank lines and
/// lines with `#` are skipped, `export ` may go before, quotes around a value are
/// taken off (`\n`, `\"` and `\\` in double ones count).
///
/// # Errors
/// For the first line that is none; values are not in the error.
pub fn of_file(name: &str, text: &str) -> Result<Assignments, Error> {
    let mut assignments = Assignments::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{name}:{}", index + 1);
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((key, value)) = line.split_once('=') else {
            return Err(Error::usage(
                format!("{}: this line is no NAME=VALUE", place()),
                "lines that start with # are skipped",
            ));
        };
        let key = key.trim_end();
        check(key)
            .map_err(|why| Error::usage(format!("{}: {why}", place()), "write NAME=VALUE"))?;
        let value = unquoted(value.trim()).ok_or_else(|| {
            Error::usage(
                format!("{}: the quote of {key} is never closed", place()),
                "a value ends with its line; write \\n in double quotes for a line break",
            )
        })?;
        assignments.insert(key.to_owned(), Some(value));
    }
    Ok(assignments)
}

fn check(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("the variable has no name"),
        name if name.contains(char::is_whitespace) => Err("a name holds no blanks"),
        _ => Ok(()),
    }
}

/// A value without its quotes; none when they aren't closed.
fn unquoted(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        return rest.strip_suffix('\'').map(str::to_owned);
    }
    let Some(rest) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut text = String::new();
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return letters.next().is_none().then_some(text),
            '\\' => text.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            letter => text.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<Assignments, Error> {
        of_words(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_the_command_line() {
        let found = words(&["A=1", "B-", "C=x=y-", "D="]).unwrap();
        let expected = [("A", Some("1")), ("B", None), ("C", Some("x=y-")), ("D", Some(""))];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(found, Assignments::from(expected));
        for bad in ["A", "=1", "-", "A B=1"] {
            assert!(words(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_of_a_file() {
        let found = of_file(
            ".env",
            "# a comment\n\nexport A=1\nB = two words \nC='$x'\nD=\"a\\n\\\"b\\\"\"\nE=\nF=a#b\n",
        )
        .unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$x"),
            ("D", "a\n\"b\""),
            ("E", ""),
            ("F", "a#b"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        assert_eq!(found, Assignments::from(expected));
        for (text, part) in [("A=1\nnonsense s3cret\n", ".env:2"), ("A=\"s3cret\n", "never closed")]
        {
            let error = of_file(".env", text).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
