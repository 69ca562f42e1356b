//! Asking for what must not be seen: passwords, codes, tokens. Of a person without
//! an echo, of a program by lines of standard input; never by arguments, which stay
//! in the shell's history and show in lists of processes.

use std::io::{self, BufRead, Read, Write};

use secrecy::{ExposeSecret, SecretString};

use crate::context::Context;
use crate::error::Error;
use crate::raw_mode::RawMode;

/// The longest line (bytes). Passwords are at most 1024 bytes, tokens are short.
const LONGEST: usize = 4096;

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

fn failed(source: io::Error) -> Error {
    Error::File { verb: "read", path: "the answer".into(), source }
}

/// The next line of standard input, whose buffer lives on for the one after it.
fn line(question: &str) -> Result<SecretString, Error> {
    let mut text = String::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_line(&mut text).map_err(failed)?;
    if text.is_empty() {
        return Err(missing(question));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(SecretString::from(text))
}

fn hidden(context: &Context, question: &str) -> Result<SecretString, Error> {
    context.terminal.flush()?;
    let _ = write!(io::stderr(), "{question}: ");
    let raw = RawMode::begin()?;
    let typed = type_in(&mut io::stdin().lock());
    drop(raw);
    let _ = writeln!(io::stderr());
    typed
}

fn type_in(keys: &mut impl Read) -> Result<SecretString, Error> {
    let mut typed = Typed::default();
    let mut key = [0];
    loop {
        if keys.read(&mut key).map_err(failed)? == 0 {
            return Err(Error::incomplete("the terminal was closed, nothing was done"));
        }
        match typed.press(key[0]) {
            Pressed::Goes => {}
            Pressed::Done => break,
            Pressed::GaveUp => return Err(Error::incomplete("given up, nothing was done")),
        }
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
            key if self.bytes.len() < LONGEST => self.bytes.push(key),
            _ => {}
        }
        Pressed::Goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Result<String, String> {
        let typed = type_in(&mut io::Cursor::new(keys));
        typed.map(|text| text.expose_secret().to_owned()).map_err(|error| error.to_string())
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
    }
}
