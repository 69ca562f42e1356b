//! git's smart protocol, the part that fetches one commit: version 2 and, for servers
//! that don't speak it, version 0 (gitprotocol-v2, gitprotocol-pack, gitprotocol-http).
//!
//! ```text
//!   over HTTP                                                  over SSH
//!   GET  info/refs           what the server can do            the process's first words
//!                            (v0: its references, too)
//!   POST git-upload-pack     ls-refs: the commit (v2)          written to the process
//!   POST git-upload-pack     fetch: a pack with that commit,   written to the process
//!                            without its history
//! ```
//! The pack goes to libgit2 as it arrives, which checks and indexes it.

use std::io::{Read, Write as _};

use git2::Oid;

use super::FetchError;
use super::follow::{HEADS, References, TAGS, Target};
use super::pkt::{self, Packet};
use super::transport::{Body, Exchange, Origin, Transport, shorten};

const AGENT: &str = concat!("agent=hades/", env!("CARGO_PKG_VERSION"));
/// What version 0 puts behind a tag's name where it tells the tag's commit.
const PEELED: &str = "^{}";

/// A server that has told what it can do.
pub(super) struct Server {
    transport: Box<dyn Transport>,
    dialect: Dialect,
    /// It can leave out the history.
    shallow: bool,
}

enum Dialect {
    /// Version 2. Whether the format of ids is to be named.
    V2 { names_format: bool },
    /// Version 0, with the references out of the greeting.
    V0 { references: References },
}

impl Server {
    /// Greets the server.
    pub(super) fn connect(mut transport: Box<dyn Transport>) -> Result<Self, FetchError> {
        let mut body = transport.advertisement()?;
        let mut first = next_line(&mut body)?;
        if first.as_deref().is_some_and(|line| line.starts_with("# service=")) {
            // Ends with a flush of its own.
            while next_line(&mut body)?.is_some() {}
            first = next_line(&mut body)?;
        }
        if first.as_deref() == Some("version 2") {
            let (names_format, shallow) = read_capabilities(&mut body)?;
            drop(body);
            return Ok(Server { transport, dialect: Dialect::V2 { names_format }, shallow });
        }
        if first.as_deref() == Some("version 1") {
            first = next_line(&mut body)?;
        }
        let (references, shallow) = read_old_greeting(&mut body, first)?;
        drop(body);
        Ok(Server { transport, dialect: Dialect::V0 { references }, shallow })
    }

    fn request_v2(&self, names_format: bool, wanted: Oid, have: Option<Oid>) -> Vec<u8> {
        let mut request = command("fetch", names_format);
        for line in ["thin-pack", "no-progress", "ofs-delta"] {
            pkt::write_line(&mut request, line);
        }
        if self.shallow {
            if let Some(have) = have {
                pkt::write_line(&mut request, &format!("shallow {have}"));
            }
            pkt::write_line(&mut request, "deepen 1");
        }
        pkt::write_line(&mut request, &format!("want {wanted}"));
        if let Some(have) = have {
            pkt::write_line(&mut request, &format!("have {have}"));
        }
        pkt::write_line(&mut request, "done");
        pkt::write_flush(&mut request);
        request
    }

    /// Version 0 negotiates what the client has in several rounds: we leave that
    /// out and take the whole commit.
    fn request_v0(&self, wanted: Oid) -> Vec<u8> {
        let mut request = Vec::new();
        let shallow = if self.shallow { " shallow" } else { "" };
        pkt::write_line(
            &mut request,
            &format!("want {wanted} side-band-64k ofs-delta no-progress{shallow} {AGENT}"),
        );
        if self.shallow {
            pkt::write_line(&mut request, "deepen 1");
        }
        pkt::write_flush(&mut request);
        pkt::write_line(&mut request, "done");
        request
    }
}

impl Origin for Server {
    fn list(&mut self, prefix: &str) -> Result<References, FetchError> {
        let names_format = match &self.dialect {
            Dialect::V0 { references } => {
                let named = references.iter().filter(|(name, _)| name.starts_with(prefix));
                return Ok(named.map(|(name, target)| (name.clone(), *target)).collect());
            }
            Dialect::V2 { names_format } => *names_format,
        };
        let mut request = command("ls-refs", names_format);
        pkt::write_line(&mut request, "peel");
        let prefixes = if prefix.is_empty() { [HEADS, TAGS].as_slice() } else { &[prefix] };
        for prefix in prefixes {
            pkt::write_line(&mut request, &format!("ref-prefix {prefix}"));
        }
        pkt::write_flush(&mut request);
        let mut body = self.transport.upload_pack(request, true)?;
        let mut references = References::new();
        while let Some(line) = next_line(&mut body)? {
            note_reference(&mut references, &line);
        }
        Ok(references)
    }

    fn fetch(
        &mut self,
        cache: &git2::Repository,
        wanted: Oid,
        have: Option<Oid>,
    ) -> Result<(), FetchError> {
        let v2 = matches!(self.dialect, Dialect::V2 { .. });
        let request = match self.dialect {
            Dialect::V2 { names_format } => self.request_v2(names_format, wanted, have),
            Dialect::V0 { .. } => self.request_v0(wanted),
        };
        let mut body = self.transport.upload_pack(request, v2)?;
        if v2 {
            skip_to_pack(&mut body)?;
        } else {
            skip_old_preamble(&mut body, self.shallow)?;
        }
        store_pack(&mut body, cache)
    }
}

fn command(name: &str, names_format: bool) -> Vec<u8> {
    let mut request = Vec::new();
    pkt::write_line(&mut request, &format!("command={name}"));
    pkt::write_line(&mut request, AGENT);
    if names_format {
        pkt::write_line(&mut request, "object-format=sha1");
    }
    pkt::write_delimiter(&mut request);
    request
}

/// What servers say to a commit that they don't have or don't give out.
const NOT_OURS: &str = "not our ref ";

fn next(body: &mut Body<'_>) -> Result<Option<Packet>, FetchError> {
    let packet = pkt::read(body).map_err(|error| body.exchange.broken(&error))?;
    match packet.as_ref().and_then(Packet::line).and_then(|line| line.strip_prefix("ERR ")) {
        None => Ok(packet),
        Some(message) => Err(complaint(body.exchange, message)),
    }
}

/// An error that the server tells in its own words.
fn complaint(exchange: &Exchange, message: &str) -> FetchError {
    if let Some((_, commit)) = message.split_once(NOT_OURS) {
        return FetchError::CommitNotFound { commit: shorten(commit.trim()) };
    }
    exchange.unreachable(format!("the server says: {}", shorten(message)))
}

/// The next line of a message. None at its end.
fn next_line(body: &mut Body<'_>) -> Result<Option<String>, FetchError> {
    match next(body)? {
        Some(packet @ Packet::Data(_)) => match packet.line() {
            Some(line) => Ok(Some(line.to_owned())),
            None => Err(body.exchange.nonsense("a line that is no text")),
        },
        _ => Ok(None),
    }
}

/// Reads version 2's capabilities: whether the format of ids is to be named, and
/// whether the history can be left out.
fn read_capabilities(body: &mut Body<'_>) -> Result<(bool, bool), FetchError> {
    let (mut names_format, mut shallow) = (false, false);
    while let Some(line) = next_line(body)? {
        let (name, value) = line.split_once('=').unwrap_or((&line, ""));
        match name {
            "object-format" => {
                check_format(body.exchange, value)?;
                names_format = true;
            }
            "fetch" => shallow = value.split(' ').any(|feature| feature == "shallow"),
            _ => {}
        }
    }
    Ok((names_format, shallow))
}

fn check_format(exchange: &Exchange, format: &str) -> Result<(), FetchError> {
    if format == "sha1" {
        return Ok(());
    }
    Err(FetchError::Invalid(format!(
        "the repository {} has {} ids; only sha1 is supported",
        exchange.shown(),
        shorten(format)
    )))
}

/// Reads version 0's greeting: references, and whether the history can be left out.
fn read_old_greeting(
    body: &mut Body<'_>,
    first: Option<String>,
) -> Result<(References, bool), FetchError> {
    let mut references = References::new();
    let mut shallow = false;
    let mut line = first;
    while let Some(text) = line {
        let (reference, capabilities) = text.split_once('\0').unwrap_or((&text, ""));
        for capability in capabilities.split(' ') {
            shallow |= capability == "shallow";
            if let Some(format) = capability.strip_prefix("object-format=") {
                check_format(body.exchange, format)?;
            }
        }
        note_reference(&mut references, reference);
        line = next_line(body)?;
    }
    Ok((references, shallow))
}

/// `ID refs/heads/NAME`, and for tags of their own kind of object the commit: behind
/// it as ` peeled:ID` (version 2), or as a line of its own, `ID refs/tags/NAME^{}`,
/// that follows (version 0).
fn note_reference(references: &mut References, line: &str) {
    let mut words = line.split(' ');
    let (Some(id), Some(name)) = (words.next(), words.next()) else { return };
    let Ok(id) = Oid::from_str(id) else { return };
    if !name.starts_with(HEADS) && !name.starts_with(TAGS) {
        return;
    }
    if let Some(tag) = name.strip_suffix(PEELED) {
        if let Some(target) = references.get_mut(tag) {
            target.commit = id;
        }
        return;
    }
    let peeled = words
        .find_map(|word| word.strip_prefix("peeled:"))
        .and_then(|peeled| Oid::from_str(peeled).ok());
    references.insert(name.to_owned(), Target { id, commit: peeled.unwrap_or(id) });
}

/// Version 2: sections, of which the last is the pack.
fn skip_to_pack(body: &mut Body<'_>) -> Result<(), FetchError> {
    loop {
        match next(body)? {
            Some(packet) if packet.line() == Some("packfile") => return Ok(()),
            Some(Packet::Data(_) | Packet::Delimiter) => {}
            _ => return Err(body.exchange.nonsense("an answer without a pack")),
        }
    }
}

/// Version 0: where the history ends, then that we have nothing.
fn skip_old_preamble(body: &mut Body<'_>, shallow: bool) -> Result<(), FetchError> {
    if shallow {
        while next_line(body)?.is_some() {}
    }
    match next_line(body)?.as_deref() {
        Some("NAK") => Ok(()),
        _ => Err(body.exchange.nonsense("an answer without a pack")),
    }
}

/// Takes the pack out of its bands (1 data, 2 progress, 3 error) and has libgit2
/// check and index it.
fn store_pack(body: &mut Body<'_>, repository: &git2::Repository) -> Result<(), FetchError> {
    let refused = |body: &Body<'_>, error: &git2::Error| body.exchange.nonsense(error.message());
    let odb = repository.odb().map_err(|error| refused(body, &error))?;
    let mut writer = odb.packwriter().map_err(|error| refused(body, &error))?;
    let mut any = false;
    while let Some(Packet::Data(data)) = next(body)? {
        match data.split_first() {
            Some((1, pack)) => {
                any = true;
                writer.write_all(pack).map_err(|_| refused(body, &git2::Error::last_error(-1)))?;
            }
            Some((2, _)) | None => {}
            Some((_, message)) => {
                return Err(complaint(body.exchange, &String::from_utf8_lossy(message)));
            }
        }
    }
    if !any {
        return Err(body.exchange.nonsense("an empty pack"));
    }
    writer.commit().map_err(|error| refused(body, &error))?;
    // Reads the rest, so that a connection cut short is noticed here.
    let mut rest = [0; 64];
    while body.ends && body.read(&mut rest).map_err(|error| body.exchange.broken(&error))? > 0 {}
    Ok(())
}
