//! Asking for what must not be seen: passwords, codes, tokens. Of a person without
//! an echo, of a program by lines of standard input; never by arguments, which stay
//! in the shell's history and show in lists of processes.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::context::Context;
use crate::error::Error;
use crate::raw_mode::RawMode;

/// The longest line (bytes). Passwords are at most 1024 bytes, tokens are short; what is
/// longer is a file.
const LONGEST: usize = 4096;

/// How soon after a line the next one of the same paste comes; no person types it so soon.
const PASTED: Duration = Duration::from_millis(30);

/// Asks for something that must not be seen.
///
/// # Errors
/// [`Error::Usage`] when standard input has no such line.
pub fn secret(context: &Context, question: &str) -> Result<SecretString, Error> {
    let answer = match context.terminal.can_ask() {
        true => hidden(context, question)?,
        false => line(question)?,
    };
    match answer.expose_secret().is_empty() {
        false => Ok(answer),
        true => Err(missing(question)),
    }
}

/// Asks for something that may be seen while it is typed.
///
/// # Errors
/// [`Error::Usage`] when standard input has no such line.
pub fn visible(context: &Context, question: &str) -> Result<SecretString, Error> {
    if context.terminal.can_ask() {
        context.terminal.flush()?;
        // Nobody is left to tell when this fails.
        let _ = write!(io::stderr(), "{question}: ");
    }
    let answer = line(question)?;
    let trimmed = answer.expose_secret().trim();
    if trimmed.is_empty() {
        return Err(missing(question));
    }
    Ok(SecretString::from(trimmed.to_owned()))
}

/// Asks for a new password, of a person twice.
///
/// # Errors
/// [`Error::Usage`] when there is none, or the two differ.
pub fn new_password(context: &Context, question: &str) -> Result<SecretString, Error> {
    let first = secret(context, question)?;
    if context.terminal.can_ask() {
        let second = secret(context, "Once more")?;
        if first.expose_secret() != second.expose_secret() {
            return Err(Error::usage("the two passwords differ", "nothing was changed; try again"));
        }
    }
    Ok(first)
}

fn missing(question: &str) -> Error {
    Error::usage(
        format!("standard input has no answer to: {question}"),
        "type it at a terminal, or write it as a line of standard input",
    )
}

fn too_long(question: &str) -> Error {
    Error::usage(
        format!("the answer to {question} is longer than {LONGEST} bytes"),
        "nothing was done; pass what is that long as a file, where the command takes one",
    )
}

fn failed(source: io::Error) -> Error {
    Error::File { verb: "read", path: "the answer".into(), source }
}

/// The next line of standard input, whose buffer lives on for the one after it.
fn line(question: &str) -> Result<SecretString, Error> {
    let mut text = String::new();
    // With its line break.
    let limit = u64::try_from(LONGEST + 2).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_line(&mut text).map_err(failed)?;
    if text.is_empty() {
        return Err(missing(question));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.len() > LONGEST {
        return Err(too_long(question));
    }
    Ok(SecretString::from(text))
}

/// Refuses input of a program that has more lines than were asked for: the first of them
/// would be taken for the whole. Nothing to do at a terminal, where each answer is
/// looked at by itself.
///
/// # Errors
/// [`Error::Usage`] with that hint.
pub fn no_more_lines(context: &Context, hint: &str) -> Result<(), Error> {
    match context.terminal.can_ask() {
        true => Ok(()),
        false => ends(&mut io::stdin().lock(), hint),
    }
}

fn ends(input: &mut impl BufRead, hint: &str) -> Result<(), Error> {
    loop {
        let bytes = input.fill_buf().map_err(failed)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
            return Err(Error::usage(
                "standard input has more lines than keys to be asked for, nothing was done",
                hint,
            ));
        }
        let length = bytes.len();
        input.consume(length);
    }
}

fn hidden(context: &Context, question: &str) -> Result<SecretString, Error> {
    context.terminal.flush()?;
    // First, or what follows the question at once would be shown.
    let raw = RawMode::begin()?;
    let _ = write!(io::stderr(), "{question}: ");
    let typed = type_in(question, &mut io::stdin().lock()).and_then(|typed| {
        // The rest of what was pasted may be on its way still.
        match raw.is_typed_after(PASTED)? {
            true => Err(several_lines()),
            false => Ok(typed),
        }
    });
    if typed.is_err() {
        // Or the shell would run it.
        raw.forget_typed();
    }
    drop(raw);
    let _ = writeln!(io::stderr());
    typed
}

fn several_lines() -> Error {
    Error::incomplete("that was more than one line, nothing was done")
}

fn type_in(question: &str, keys: &mut impl BufRead) -> Result<SecretString, Error> {
    let mut typed = Typed::default();
    loop {
        // All that is there: what is pasted comes in one piece.
        let chunk = keys.fill_buf().map_err(failed)?;
        if chunk.is_empty() {
            return Err(Error::incomplete("the terminal was closed, nothing was done"));
        }
        let length = chunk.len();
        let mut came = Pressed::Goes;
        let mut rest = chunk;
        while let ([key, behind @ ..], Pressed::Goes) = (rest, &came) {
            came = typed.press(*key);
            rest = behind;
            if *key == b'\r' {
                rest = behind.strip_prefix(b"\n").unwrap_or(behind);
            }
        }
        let is_more = !rest.is_empty();
        keys.consume(length);
        match came {
            Pressed::Goes => {}
            Pressed::Done if is_more => return Err(several_lines()),
            Pressed::Done => break,
            Pressed::GaveUp => return Err(Error::incomplete("given up, nothing was done")),
        }
    }
    if typed.bytes.len() > LONGEST {
        return Err(too_long(question));
    }
    String::from_utf8(typed.bytes)
        .map(SecretString::from)
        .map_err(|_| Error::incomplete("what was typed is no text in UTF-8"))
}

/// What came of a key.
#[derive(Debug, PartialEq, Eq)]
enum Pressed {
    Goes,
    Done,
    GaveUp,
}

/// What was typed so far, as a terminal with an echo would edit it.
#[derive(Default)]
struct Typed {
    bytes: Vec<u8>,
}

impl Typed {
    fn press(&mut self, key: u8) -> Pressed {
        match key {
            b'\r' | b'\n' => return Pressed::Done,
            // Ctrl-C, and Ctrl-D on an empty line.
            0x03 => return Pressed::GaveUp,
            0x04 if self.bytes.is_empty() => return Pressed::GaveUp,
            // Backspace takes a whole letter.
            0x08 | 0x7f => while self.bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            0x15 => self.bytes.clear(),
            key if key < 0x20 => {}
            // One more than there may be, which tells that there were too many.
            key if self.bytes.len() <= LONGEST => self.bytes.push(key),
            _ => {}
        }
        Pressed::Goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Result<String, String> {
        let typed = type_in("Key", &mut io::Cursor::new(keys));
        typed.map(|text| text.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn several_lines_are_no_value() {
        for keys in ["one\rtwo\r", "one\rtwo", "one\ntwo\n", "one\r\r", "one\r\ntwo\r\n"] {
            let error = typed(keys.as_bytes()).unwrap_err();
            assert!(error.contains("more than one line, nothing was done"), "{keys:?}: {error}");
        }
        assert_eq!(typed(b"one\r\n").unwrap(), "one");
        // In two pieces, as terminals bring what is long.
        let pieces = io::Cursor::new(b"on").chain(io::Cursor::new(b"e\rtwo"));
        let error = type_in("Key", &mut io::BufReader::new(pieces)).unwrap_err();
        assert!(error.to_string().contains("more than one line"), "{error}");
    }

    #[test]
    fn input_ends_with_what_was_asked_for() {
        for (rest, good) in [("", true), ("\n", true), (" \r\n\n", true), ("two", false)] {
            let ended = ends(&mut io::Cursor::new(rest), "pass --from-stdin");
            assert_eq!(ended.is_ok(), good, "{rest:?}");
        }
    }

    #[test]
    fn keys() {
        assert_eq!(typed(b"secret\r").unwrap(), "secret");
        assert_eq!(typed("pä\x7f\x7fäß\n".as_bytes()).unwrap(), "äß");
        assert_eq!(typed(b"wrong\x15right\r").unwrap(), "right");
        assert_eq!(typed(b"\x7fa\x04b\x1b\r").unwrap(), "ab");
        assert!(typed(b"abc\x03").unwrap_err().contains("given up"));
        assert!(typed(b"\x04").unwrap_err().contains("given up"));
        assert!(typed(b"abc").unwrap_err().contains("closed"));
        let long = |length: usize| typed(&[vec![b'x'; length], b"\r".to_vec()].concat());
        assert_eq!(long(LONGEST).unwrap().len(), LONGEST);
        // Cut short, it would be another secret.
        assert!(long(LONGEST + 1).unwrap_err().contains("longer than"));
    }
}
