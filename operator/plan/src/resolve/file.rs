//! Files and folders in memory that a service's containers get.

use std::collections::BTreeMap;

use hades_api::{DEFAULT_FILE_MODE, FileMode, FileSpec, ServiceSpec};
use secrecy::ExposeSecret;

use super::findings::Findings;
use super::{Inputs, limits, variables};
use crate::desired::{ContainerFile, FileContent, Mount, TmpfsMount};
use crate::digest;

/// All files of a service together: they are in the manifest, which has about
/// as much room.
const MOST_BYTES: usize = 1024 * 1024;
/// What the kernel shows as files, and what the engine makes itself at every
/// start.
const NOT_OURS: [(&str, &str); 6] = [
    ("/proc", "the kernel has that folder"),
    ("/sys", "the kernel has that folder"),
    ("/dev", "the engine makes that folder"),
    ("/etc/hosts", "the engine writes it: use extraHosts"),
    ("/etc/hostname", "the engine writes it: use hostname"),
    ("/etc/resolv.conf", "the engine writes it: use dns"),
];

/// Folders in memory.
pub(super) fn tmpfs(
    name: &str,
    service: &ServiceSpec,
    mounts: &[Mount],
    findings: &mut Findings,
) -> BTreeMap<String, TmpfsMount> {
    let mut folders = BTreeMap::new();
    for (path, tmpfs) in &service.tmpfs {
        let field = format!("spec.services.{name}.tmpfs.{path}");
        if let Some(problem) = path_problem(path) {
            findings.invalid(&field, problem);
        } else if mounts.iter().any(|mount| mount.path == *path) {
            findings.invalid(&field, format!("a volume is mounted at {path} already"));
        }
        let size = tmpfs.size.as_ref();
        let size_bytes =
            size.and_then(|size| limits::positive(&format!("{field}.size"), size, findings));
        let mode = tmpfs.mode.as_ref().map(FileMode::bits);
        folders.insert(path.clone(), TmpfsMount { size_bytes, mode });
    }
    folders
}

/// Files, with the values of those that come from Secrets.
pub(super) fn files(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    mounts: &[Mount],
    findings: &mut Findings,
) -> BTreeMap<String, ContainerFile> {
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    for (path, spec) in &service.files {
        let field = format!("spec.services.{name}.files.{path}");
        check_place(path, &field, service, mounts, findings);
        let FileSpec { content: _, secret_key_ref: _, mode, uid, gid } = spec;
        let Some(content) = content(inputs, &field, spec, findings) else { continue };
        bytes += content.expose().map_or(0, str::len);
        let owner = user_numbers(service.user.as_deref());
        let file = ContainerFile {
            content,
            mode: mode.as_ref().map_or(DEFAULT_FILE_MODE, FileMode::bits),
            uid: uid.unwrap_or(owner.0),
            gid: gid.unwrap_or(owner.1),
        };
        files.insert(path.clone(), file);
    }
    let field = format!("spec.services.{name}.files");
    if bytes > MOST_BYTES {
        findings.invalid(
            &field,
            format!("{bytes} bytes in all, and {MOST_BYTES} are the most: put large files into the image"),
        );
    }
    if !files.is_empty() && service.read_only == Some(true) {
        findings.invalid(
            field,
            "the engine puts no file into a container whose file system is read-only: leave readOnly out, or give what the files say as variables",
        );
    }
    files
}

fn check_place(
    path: &str,
    field: &str,
    service: &ServiceSpec,
    mounts: &[Mount],
    findings: &mut Findings,
) {
    if let Some(problem) = path_problem(path) {
        findings.invalid(field, problem);
    }
    if let Some(mount) = mounts.iter().find(|mount| is_in(path, &mount.path)) {
        findings.invalid(
            field,
            format!(
                "{} is a volume, whose data is its own: choose a path outside of it",
                mount.path
            ),
        );
    }
    if let Some(folder) = service.tmpfs.keys().find(|folder| is_in(path, folder)) {
        findings.invalid(
            field,
            format!(
                "{folder} is a tmpfs, which is empty at every start: choose a path outside of it"
            ),
        );
    }
    if let Some(inner) = service.files.keys().find(|other| *other != path && is_in(other, path)) {
        findings.invalid(field, format!("it can't be a file and the folder of {inner}"));
    }
}

/// What is wrong with a path of a file or a folder in a container.
fn path_problem(path: &str) -> Option<String> {
    let written_plainly = path
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
    if !written_plainly || path.contains('\0') {
        return Some(format!(
            "{path:?} is not a plain absolute path: write it like /etc/app/app.conf, without '.', '..' and a '/' at its end"
        ));
    }
    let taken = NOT_OURS.iter().find(|(theirs, _)| is_in(path, theirs));
    taken.map(|(_, why)| format!("nothing can be put at {path}: {why}"))
}

/// Whether `path` is `folder` or below it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn content(
    inputs: &Inputs<'_>,
    field: &str,
    spec: &FileSpec,
    findings: &mut Findings,
) -> Option<FileContent> {
    match (&spec.content, &spec.secret_key_ref) {
        (Some(text), None) => Some(FileContent::Plain {
            sha256: digest::text(text),
            size: text.len() as u64,
            text: Some(text.clone()),
        }),
        (None, Some(reference)) => {
            let value = variables::secret_key(inputs, field, reference, findings)?;
            let fingerprint = (inputs.fingerprint)(value.expose_secret());
            Some(FileContent::Secret { fingerprint, value: Some(value) })
        }
        (Some(_), Some(_)) => {
            findings.invalid(field, "it has content and secretKeyRef: leave one of them out");
            None
        }
        (None, None) => {
            findings.invalid(field, "it has neither content nor secretKeyRef: give one of them");
            None
        }
    }
}

/// Owner of a file that names none: the service's `user` where that is given in
/// numbers, which alone say whom the engine will start; else root.
fn user_numbers(user: Option<&str>) -> (u32, u32) {
    let (user, group) = user.map_or(("", ""), |user| user.split_once(':').unwrap_or((user, "")));
    match user.parse() {
        Ok(uid) => (uid, group.parse().unwrap_or(0)),
        Err(_) => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in ["/a", "/etc/app/app.conf", "/etc/hosts.d/x", "/device"] {
            assert_eq!(path_problem(good), None, "{good}");
        }
        for bad in ["", "a", "/", "/a/", "//a", "/a/../b", "/./a", "/proc/x", "/dev", "/etc/hosts"]
        {
            assert!(path_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn owners() {
        for (user, expected) in [
            (None, (0, 0)),
            (Some("1000"), (1000, 0)),
            (Some("1000:1001"), (1000, 1001)),
            (Some("node"), (0, 0)),
            (Some("1000:staff"), (1000, 0)),
        ] {
            assert_eq!(user_numbers(user), expected, "{user:?}");
        }
    }
}
