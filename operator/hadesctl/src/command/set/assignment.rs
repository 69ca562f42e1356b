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
        // Without the value, which may be a secret.
        check(name).map_err(|why| Error::usage(format!("{name:?}: {why}"), "write NAME=VALUE"))?;
        assignments.insert(name.to_owned(), value);
    }
    Ok(assignments)
}

/// Reads a file of `NAME=VALUE` lines as Docker Compose does: blank lines and lines with
/// `#` are skipped, `export ` may go before, quotes around a value are taken off, ` #`
/// behind a value begins a comment. `$NAME` stays as it is.
///
/// # Errors
/// For the first line that is none; values are not in the error.
pub fn of_file(name: &str, text: &str) -> Result<Assignments, Error> {
    let mut assignments = Assignments::new();
    // What editors on Windows put before the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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
        let value = unquoted(value)
            .map_err(|(what, hint)| Error::usage(format!("{}: {key}: {what}", place()), hint))?;
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

/// What is wrong with a value, and what to write instead.
type Unreadable = (&'static str, &'static str);

/// A value without its quotes and the comment behind it.
fn unquoted(value: &str) -> Result<String, Unreadable> {
    let trimmed = value.trim();
    let Some(quote) = trimmed.chars().next().filter(|letter| ['\'', '"'].contains(letter)) else {
        // A `#` within a word is part of it.
        let blank_before = |(at, _): &(usize, &str)| value[..*at].ends_with(char::is_whitespace);
        let comment = value.match_indices('#').find(blank_before);
        let end = comment.map_or(value.len(), |(at, _)| at);
        return Ok(value[..end].trim().to_owned());
    };
    let mut text = String::new();
    let mut letters = trimmed[quote.len_utf8()..].chars();
    loop {
        match letters.next() {
            Some(letter) if letter == quote => break,
            Some('\\') => escaped(quote, letters.next(), &mut text),
            Some(letter) => text.push(letter),
            None => {
                return Err((
                    "its quote is never closed",
                    "a value ends with its line; write \\n in double quotes for a line break",
                ));
            }
        }
    }
    let rest = letters.as_str().trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok(text);
    }
    Err((
        "something is behind the closing quote",
        "write a backslash before a quote that is part of the value",
    ))
}

/// What a backslash and the letter behind it stand for: in single quotes only `\'` counts.
fn escaped(quote: char, letter: Option<char>, text: &mut String) {
    let meant = match (quote, letter) {
        (quote, Some(letter)) if letter == quote => Some(letter),
        ('"', Some(letter @ ('\\' | '$'))) => Some(letter),
        ('"', Some('a')) => Some('\u{7}'),
        ('"', Some('b')) => Some('\u{8}'),
        ('"', Some('f')) => Some('\u{c}'),
        ('"', Some('n')) => Some('\n'),
        ('"', Some('r')) => Some('\r'),
        ('"', Some('t')) => Some('\t'),
        ('"', Some('v')) => Some('\u{b}'),
        _ => None,
    };
    match meant {
        Some(meant) => text.push(meant),
        None => {
            text.push('\\');
            text.extend(letter);
        }
    }
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
    fn a_word_is_told_without_its_value() {
        for word in ["A B=s3cret", "=s3cret"] {
            let error = words(&[word]).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn values_as_compose_reads_them() {
        for (line, expected) in [
            ("a # comment", "a"),
            ("a\t# comment", "a"),
            ("a#b #c", "a#b"),
            (" # comment", ""),
            ("#a", "#a"),
            (" a b ", "a b"),
            ("'a' # comment", "a"),
            ("\"a # b\"# comment", "a # b"),
            (r"'it\'s'", "it's"),
            (r"'a\n\\b'", r"a\n\\b"),
            (r#""a\r\n\t\\\"\$b""#, "a\r\n\t\\\"$b"),
            (r#""\d+\'\.""#, r"\d+\'\."),
            ("$NAME ${NAME}", "$NAME ${NAME}"),
            (r"C:\new", r"C:\new"),
            ("it's", "it's"),
        ] {
            assert_eq!(unquoted(line).unwrap(), expected, "{line}");
        }
        let found = of_file(".env", "\u{feff}A=1\r\nB=\"2\"\r\n").unwrap();
        let expected = [("A", "1"), ("B", "2")];
        let expected = expected.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        assert_eq!(found, Assignments::from(expected));
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
        for (text, part) in [
            ("A=1\nnonsense s3cret\n", ".env:2"),
            ("A=\"s3cret\n", "never closed"),
            ("A='s3cret\\'\n", "never closed"),
            ("A=\"s3cret\" s3cret\n", "behind the closing quote"),
            ("A B=s3cret\n", "no blanks"),
        ] {
            let error = of_file(".env", text).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
