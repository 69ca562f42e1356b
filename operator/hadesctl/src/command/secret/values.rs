//! Where the values of a Secret come from: words of the command line, the person at
//! the terminal, files, standard input.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use hades_client::secret::{Changes, LARGEST};
use secrecy::{ExposeSecret, SecretSlice};

use crate::command::set::assignment;
use crate::context::Context;
use crate::error::Error;
use crate::prompt;

/// The longest key that Kubernetes takes.
const LONGEST_KEY: usize = 253;

/// What is said of where the values come from. Its `Debug` shows none.
#[derive(Args)]
pub struct Sources {
    /// KEY to be asked for its value, KEY- to remove it, KEY=VALUE where everybody may know it
    #[arg(value_name = "KEY")]
    words: Vec<String>,

    /// A file as a value; its name is the key where none is written
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,

    /// Standard input as the value of a key; the line break of a single line isn't part of it
    #[arg(long, value_name = "KEY")]
    from_stdin: Option<String>,

    /// All values of a file of KEY=VALUE lines; - for standard input
    #[arg(long, value_name = "FILE")]
    from_env_file: Vec<PathBuf>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// A word of the command line.
#[derive(PartialEq, Eq)]
enum Word<'a> {
    Set(&'a str, &'a str),
    Ask(&'a str),
    Remove(&'a str),
}

impl<'a> Word<'a> {
    fn read(word: &'a str) -> Self {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) => Self::Set(key, value),
            (None, Some(key)) => Self::Remove(key),
            (None, None) => Self::Ask(word),
        }
    }
}

impl Sources {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        let Self { words, from_file, from_stdin, from_env_file } = self;
        words.is_empty() && from_file.is_empty() && from_stdin.is_none() && from_env_file.is_empty()
    }

    /// Whether keys are removed and nothing is set.
    pub fn only_remove(&self) -> bool {
        let Self { words, from_file, from_stdin, from_env_file } = self;
        let removes = |word: &String| matches!(Word::read(word), Word::Remove(_));
        let of_files = !from_file.is_empty() || from_stdin.is_some() || !from_env_file.is_empty();
        !of_files && words.iter().all(removes)
    }

    /// Reads all of them. What is typed comes last, when nothing else can go wrong:
    /// `check` sees the keys before, those to be asked for with an empty value.
    ///
    /// # Errors
    /// For a key that is none or is there twice, what can't be read, and what `check`
    /// refuses. No value is in them.
    pub fn read(
        &self,
        context: &Context,
        check: impl FnOnce(&Changes) -> Result<(), Error>,
    ) -> Result<Changes, Error> {
        let words: Vec<Word<'_>> = self.words.iter().map(|word| Word::read(word)).collect();
        self.check_input(&words)?;
        let mut collected = Collected::default();
        let mut asked = vec![];
        let mut shown = vec![];
        for word in words {
            match word {
                Word::Set(key, value) => {
                    collected.add(key, Some(value.as_bytes().to_vec()))?;
                    shown.push(key);
                }
                Word::Remove(key) => collected.add(key, None)?,
                Word::Ask(key) => {
                    // Its place is taken, so that it isn't asked for in vain.
                    collected.add(key, Some(vec![]))?;
                    asked.push(key);
                }
            }
        }
        for path in &self.from_env_file {
            let name = path.display().to_string();
            for (key, value) in assignment::of_file(&name, &text(path)?)? {
                collected.add(&key, value.map(String::into_bytes))?;
            }
        }
        for word in &self.from_file {
            let (key, path) = key_of_file(word)?;
            let bytes = file(&path)?;
            if is_a_line(&bytes) {
                context.terminal.note(&format!(
                    "the value of {key} ends with a line break, as {} does",
                    path.display()
                ));
            }
            collected.add(key, Some(bytes))?;
        }
        if let Some(key) = &self.from_stdin {
            collected.add(key, Some(standard_input()?))?;
        }
        if let [first, ..] = shown.as_slice() {
            context.terminal.warn(&format!(
                "what is typed as KEY=VALUE stays in the shell's history, and lists of processes \
                 show it: write {first} alone to be asked for it"
            ));
        }
        check(&collected.0)?;
        for key in &asked {
            let value = prompt::secret(context, &format!("Value of {key}"))?;
            let bytes = SecretSlice::from(value.expose_secret().as_bytes().to_vec());
            collected.0.insert((*key).to_owned(), Some(bytes));
        }
        if let [first, ..] = asked.as_slice() {
            prompt::no_more_lines(
                context,
                &format!(
                    "pass --from-stdin {first} for all of it as one value, or --from-file \
                     {first}=FILE"
                ),
            )?;
        }
        collected.finish()
    }

    /// Standard input can be read for one purpose.
    fn check_input(&self, words: &[Word<'_>]) -> Result<(), Error> {
        let files = self.from_env_file.iter().filter(|path| path.as_os_str() == "-").count();
        let whole = files + usize::from(self.from_stdin.is_some());
        let asks = words.iter().any(|word| matches!(word, Word::Ask(_)));
        if whole > 1 || (whole == 1 && asks) {
            return Err(Error::usage(
                "standard input can't be several things at once",
                "leave one of --from-stdin, --from-env-file - and the KEY to be asked for away",
            ));
        }
        Ok(())
    }
}

/// The changes so far.
#[derive(Default)]
struct Collected(Changes);

impl Collected {
    fn add(&mut self, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        check_key(key)?;
        if self.0.insert(key.to_owned(), value.map(SecretSlice::from)).is_some() {
            return Err(Error::usage(format!("{key} is there twice"), "leave one of them away"));
        }
        Ok(())
    }

    fn finish(self) -> Result<Changes, Error> {
        let length = |value: &SecretSlice<u8>| value.expose_secret().len();
        let total: usize = self.0.values().flatten().map(length).sum();
        match total > LARGEST {
            true => Err(too_large("the values together are")),
            false => Ok(self.0),
        }
    }
}

fn too_large(what: &str) -> Error {
    Error::usage(
        format!("{what} larger than 1 MiB, the most that a Secret holds"),
        "put what is that large into a volume or an image",
    )
}

pub(super) fn check_key(key: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let good = !key.is_empty() && key.len() <= LONGEST_KEY && key.bytes().all(fits);
    if good && !key.starts_with("..") && key != "." {
        return Ok(());
    }
    Err(Error::usage(
        format!("{key:?} can't be a key of a Secret"),
        "a key has letters, digits, '-', '_' and '.', 253 of them at most",
    ))
}

/// `KEY=FILE`, or `FILE`, whose name is the key.
fn key_of_file(word: &str) -> Result<(&str, PathBuf), Error> {
    let (key, path) = match word.split_once('=') {
        Some((key, path)) => (key, path),
        None => {
            let name = Path::new(word).file_name().and_then(|name| name.to_str());
            (name.unwrap_or_default(), word)
        }
    };
    check_key(key).map_err(|_| {
        Error::usage(
            format!("{word:?}: {key:?} can't be a key of a Secret"),
            "write --from-file KEY=FILE",
        )
    })?;
    Ok((key, PathBuf::from(path)))
}

/// A file that is no larger than a Secret.
fn file(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::File { verb: "read", path: path.to_owned(), source };
    let opened = std::fs::File::open(path).map_err(fail)?;
    bounded(opened, &format!("{} is", path.display()))?.map_err(fail)
}

/// Reads as much as a Secret holds.
fn bounded(reader: impl Read, what: &str) -> Result<Result<Vec<u8>, std::io::Error>, Error> {
    let mut bytes = vec![];
    let limit = u64::try_from(LARGEST + 1).unwrap_or(u64::MAX);
    if let Err(error) = reader.take(limit).read_to_end(&mut bytes) {
        return Ok(Err(error));
    }
    if bytes.len() > LARGEST { Err(too_large(what)) } else { Ok(Ok(bytes)) }
}

/// A file of `KEY=VALUE` lines, or standard input for `-`; no more than a Secret holds.
///
/// # Errors
/// When it can't be read, is larger, or is no text.
pub fn text(path: &Path) -> Result<String, Error> {
    let bytes = match path.as_os_str() == "-" {
        true => whole_input()?,
        false => file(path)?,
    };
    String::from_utf8(bytes).map_err(|_| {
        Error::usage(
            format!("{} is no text in UTF-8", path.display()),
            "`hadesctl secret set --from-file KEY=FILE` takes a value of any bytes",
        )
    })
}

fn whole_input() -> Result<Vec<u8>, Error> {
    let fail = |source| Error::File { verb: "read", path: "standard input".into(), source };
    bounded(std::io::stdin().lock(), "standard input is")?.map_err(fail)
}

/// Standard input as a value. Programs end a line with a line break that nobody means
/// as part of a password; files of several lines are as they are.
fn standard_input() -> Result<Vec<u8>, Error> {
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() {
        return Err(Error::usage(
            "standard input is a terminal, which shows what is typed",
            "write KEY alone to be asked without an echo, or pass a file: --from-stdin KEY < FILE",
        ));
    }
    let mut bytes = whole_input()?;
    if is_a_line(&bytes) {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    match bytes.is_empty() {
        false => Ok(bytes),
        true => Err(Error::usage(
            "standard input is empty",
            "did what comes before it fail? write KEY= where an empty value is meant",
        )),
    }
}

/// Whether it is a single line with its line break.
fn is_a_line(bytes: &[u8]) -> bool {
    bytes.iter().position(|&byte| byte == b'\n').is_some_and(|at| at + 1 == bytes.len())
}

/// The types that people write in short, and the keys that Kubernetes wants of them.
const TYPES: [(&str, &str, &[&str]); 4] = [
    ("basic-auth", "kubernetes.io/basic-auth", &[]),
    ("dockerconfigjson", "kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("ssh-auth", "kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("tls", "kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// A type out of an argument: `tls` is `kubernetes.io/tls`.
pub fn type_of(word: &str) -> String {
    let known = TYPES.iter().find(|(short, ..)| *short == word);
    known.map_or_else(|| word.to_owned(), |(_, whole, _)| (*whole).to_owned())
}

/// Refuses a new Secret without the keys that its type is for.
///
/// # Errors
/// Which ones are missing.
pub fn check_type(secret_type: &str, changes: &Changes) -> Result<(), Error> {
    let Some((_, _, needed)) = TYPES.iter().find(|(_, whole, _)| *whole == secret_type) else {
        return Ok(());
    };
    let given: BTreeMap<&str, ()> = changes
        .iter()
        .filter(|(_, value)| value.is_some())
        .map(|(key, _)| (key.as_str(), ()))
        .collect();
    let missing: Vec<&str> =
        needed.iter().copied().filter(|key| !given.contains_key(key)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::usage(
        format!("a Secret of type {secret_type} has the key {}", missing.join(" and the key ")),
        format!("pass --from-file {}=FILE", missing.join("=FILE --from-file ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(words: &[&str]) -> Sources {
        Sources {
            words: words.iter().map(|&word| word.to_owned()).collect(),
            from_file: vec![],
            from_stdin: None,
            from_env_file: vec![],
        }
    }

    #[test]
    fn words_of_the_command_line() {
        assert!(Word::read("a=b-") == Word::Set("a", "b-"));
        assert!(Word::read("a-") == Word::Remove("a"));
        assert!(Word::read("a") == Word::Ask("a"));
        assert!(Word::read("a-=") == Word::Set("a-", ""));
    }

    #[test]
    fn no_value_is_in_what_is_printed_of_them() {
        let printed = format!("{:?}", sources(&["password=hunter2"]));
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn keys() {
        for good in ["a", "A_b-c.d", ".dockerconfigjson", "a..b"] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..a", "a b", "ä", "a/b", &"x".repeat(254)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
        assert_eq!(key_of_file("tls/key.pem").unwrap().0, "key.pem");
        assert_eq!(key_of_file("a=b=c").unwrap(), ("a", PathBuf::from("b=c")));
        assert!(key_of_file("a b").is_err());
        let mut collected = Collected::default();
        collected.add("a", Some(vec![])).unwrap();
        assert!(collected.add("a", None).is_err());
    }

    #[test]
    fn standard_input_is_one_thing() {
        let mut asked = sources(&["a"]);
        assert!(asked.check_input(&[Word::Ask("a")]).is_ok());
        asked.from_stdin = Some("b".to_owned());
        assert!(asked.check_input(&[Word::Ask("a")]).is_err());
        assert!(asked.check_input(&[Word::Set("a", "b")]).is_ok());
        asked.from_env_file.push("-".into());
        assert!(asked.check_input(&[]).is_err());
    }

    #[test]
    fn a_single_line_is_no_file_of_lines() {
        assert!(is_a_line(b"hunter2\n") && is_a_line(b"\n"));
        assert!(!is_a_line(b"hunter2") && !is_a_line(b"a\nb\n") && !is_a_line(b""));
    }

    #[test]
    fn types_want_their_keys() {
        let changes = Changes::from([("tls.crt".to_owned(), Some(SecretSlice::from(vec![1])))]);
        let error = check_type(&type_of("tls"), &changes).unwrap_err();
        assert!(error.to_string().contains("the key tls.key"), "{error}");
        assert!(check_type("Opaque", &changes).is_ok());
        assert!(check_type("example.com/own", &changes).is_ok());
    }
}
