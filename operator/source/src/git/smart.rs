//! git's smart protocol over HTTP, the part that fetches one branch: version 2 and,
//! for servers that don't speak it, version 0 (gitprotocol-v2, gitprotocol-pack,
//! gitprotocol-http).
//!
//! ```text
//!   GET  info/refs           what the server can do (v0: its branches, too)
//!   POST git-upload-pack     ls-refs: the branch's commit      (v2)
//!   POST git-upload-pack     fetch: a pack with that commit, without its history
//! ```
//! The pack goes to libgit2 as it arrives, which checks and indexes it.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};

use git2::Oid;

use super::FetchError;
use super::http::{Body, Session, shorten};
use super::pkt::{self, Packet};

/// Branches and their commits.
pub(super) type Branches = BTreeMap<String, Oid>;

const AGENT: &str = concat!("agent=hades/", env!("CARGO_PKG_VERSION"));
const HEADS: &str = "refs/heads/";

/// A server that has told what it can do.
pub(super) struct Server {
    session: Session,
    dialect: Dialect,
    /// It can leave out the history.
    shallow: bool,
}

enum Dialect {
    /// Version 2. Whether the format of ids is to be named.
    V2 { names_format: bool },
    /// Version 0, with the branches out of the greeting.
    V0 { branches: Branches },
}

impl Server {
    /// Greets the server.
    pub(super) fn connect(mut session: Session) -> Result<Self, FetchError> {
        let mut body = session.advertisement()?;
        let mut first = next_line(&mut body)?;
        if first.as_deref().is_some_and(|line| line.starts_with("# service=")) {
            // Ends with a flush of its own.
            while next_line(&mut body)?.is_some() {}
            first = next_line(&mut body)?;
        }
        if first.as_deref() == Some("version 2") {
            let (names_format, shallow) = read_capabilities(&mut body)?;
            drop(body);
            return Ok(Server { session, dialect: Dialect::V2 { names_format }, shallow });
        }
        if first.as_deref() == Some("version 1") {
            first = next_line(&mut body)?;
        }
        let (branches, shallow) = read_old_greeting(&mut body, first)?;
        drop(body);
        Ok(Server { session, dialect: Dialect::V0 { branches }, shallow })
    }

    /// The commit of a branch.
    pub(super) fn find(&mut self, branch: &str) -> Result<Option<Oid>, FetchError> {
        // A prefix fits longer names, too.
        Ok(self.list(branch)?.remove(branch))
    }

    /// All branches whose names begin so.
    pub(super) fn list(&mut self, prefix: &str) -> Result<Branches, FetchError> {
        let names_format = match &self.dialect {
            Dialect::V0 { branches } => return Ok(branches.clone()),
            Dialect::V2 { names_format } => *names_format,
        };
        let mut request = command("ls-refs", names_format);
        pkt::write_line(&mut request, &format!("ref-prefix {HEADS}{prefix}"));
        pkt::write_flush(&mut request);
        let mut body = self.session.upload_pack(request, true)?;
        let mut branches = Branches::new();
        while let Some(line) = next_line(&mut body)? {
            if let Some((name, id)) = parse_ref(&line) {
                branches.insert(name, id);
            }
        }
        Ok(branches)
    }

    /// Fetches a commit with its files into the cache. `have` is a commit that is
    /// there with its files, so that only what differs is sent.
    pub(super) fn fetch(
        &mut self,
        repository: &git2::Repository,
        wanted: Oid,
        have: Option<Oid>,
    ) -> Result<(), FetchError> {
        let v2 = matches!(self.dialect, Dialect::V2 { .. });
        let request = match self.dialect {
            Dialect::V2 { names_format } => self.request_v2(names_format, wanted, have),
            Dialect::V0 { .. } => self.request_v0(wanted),
        };
        let mut body = self.session.upload_pack(request, v2)?;
        if v2 {
            skip_to_pack(&mut body)?;
        } else {
            skip_old_preamble(&mut body, self.shallow)?;
        }
        store_pack(&mut body, repository)
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

fn next(body: &mut Body<'_>) -> Result<Option<Packet>, FetchError> {
    let packet = pkt::read(body).map_err(|error| body.session().broken(&error))?;
    if let Some(message) =
        packet.as_ref().and_then(Packet::line).and_then(|line| line.strip_prefix("ERR "))
    {
        return Err(FetchError::Unreachable {
            url: body.session().shown().to_owned(),
            reason: format!("the server says: {}", shorten(message)),
        });
    }
    Ok(packet)
}

/// The next line of a message. None at its end.
fn next_line(body: &mut Body<'_>) -> Result<Option<String>, FetchError> {
    match next(body)? {
        Some(packet @ Packet::Data(_)) => match packet.line() {
            Some(line) => Ok(Some(line.to_owned())),
            None => Err(body.session().nonsense("a line that is no text")),
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
                check_format(body.session(), value)?;
                names_format = true;
            }
            "fetch" => shallow = value.split(' ').any(|feature| feature == "shallow"),
            _ => {}
        }
    }
    Ok((names_format, shallow))
}

fn check_format(session: &Session, format: &str) -> Result<(), FetchError> {
    if format == "sha1" {
        return Ok(());
    }
    Err(FetchError::Invalid(format!(
        "the repository {} has {} ids; only sha1 is supported",
        session.shown(),
        shorten(format)
    )))
}

/// Reads version 0's greeting: branches, and whether the history can be left out.
fn read_old_greeting(
    body: &mut Body<'_>,
    first: Option<String>,
) -> Result<(Branches, bool), FetchError> {
    let mut branches = Branches::new();
    let mut shallow = false;
    let mut line = first;
    while let Some(text) = line {
        let (reference, capabilities) = text.split_once('\0').unwrap_or((&text, ""));
        for capability in capabilities.split(' ') {
            shallow |= capability == "shallow";
            if let Some(format) = capability.strip_prefix("object-format=") {
                check_format(body.session(), format)?;
            }
        }
        if let Some((name, id)) = parse_ref(reference) {
            branches.insert(name, id);
        }
        line = next_line(body)?;
    }
    Ok((branches, shallow))
}

/// `ID refs/heads/NAME`, with attributes after it in version 2.
fn parse_ref(line: &str) -> Option<(String, Oid)> {
    let mut words = line.split(' ');
    let id = Oid::from_str(words.next()?).ok()?;
    let name = words.next()?.strip_prefix(HEADS)?;
    Some((name.to_owned(), id))
}

/// Version 2: sections, of which the last is the pack.
fn skip_to_pack(body: &mut Body<'_>) -> Result<(), FetchError> {
    loop {
        match next(body)? {
            Some(packet) if packet.line() == Some("packfile") => return Ok(()),
            Some(Packet::Data(_) | Packet::Delimiter) => {}
            _ => return Err(body.session().nonsense("an answer without a pack")),
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
        _ => Err(body.session().nonsense("an answer without a pack")),
    }
}

/// Takes the pack out of its bands (1 data, 2 progress, 3 error) and has libgit2
/// check and index it.
fn store_pack(body: &mut Body<'_>, repository: &git2::Repository) -> Result<(), FetchError> {
    let refused = |body: &Body<'_>, error: &git2::Error| body.session().nonsense(error.message());
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
                let message = String::from_utf8_lossy(message);
                return Err(FetchError::Unreachable {
                    url: body.session().shown().to_owned(),
                    reason: format!("the server says: {}", shorten(&message)),
                });
            }
        }
    }
    if !any {
        return Err(body.session().nonsense("an empty pack"));
    }
    writer.commit().map_err(|error| refused(body, &error))?;
    // Reads the rest, so that a connection cut short is noticed here.
    let mut rest = [0; 64];
    while body.read(&mut rest).map_err(|error| body.session().broken(&error))? > 0 {}
    Ok(())
}
