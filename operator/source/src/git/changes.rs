//! What differs between two commits: only files whose content changed are read, and
//! only folders that differ are looked into.

use std::collections::BTreeMap;

use git2::{ObjectType, Odb, Oid, Tree};

use super::tree::{MAX_ENTRIES, MODE_LINK, Place, Source, add_blob, corrupt, path_names};
use crate::manifest::set::SetBuilder;
use crate::manifest::{IGNORE_FILE, ManifestSet, ReadError};

/// The files that differ between two commits, as they were and as they are.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The changed files in the earlier commit.
    pub before: ManifestSet,
    /// The changed files in the later commit.
    pub after: ManifestSet,
}

/// Reads what changed below the path. None if the whole must be read: the earlier
/// commit isn't there any more, what is left out differs, or the path is no folder.
pub(super) fn read(source: Source<'_>, from: &str, to: &str) -> Result<Option<Changes>, ReadError> {
    let names = path_names(&source.options.path)?;
    let (Ok(Place::Folder(from)), Ok(Place::Folder(to))) =
        (source.place(from, &names), source.place(to, &names))
    else {
        return Ok(None);
    };
    let ignore_file = |tree: &Tree<'_>| tree.get_name(IGNORE_FILE).map(|entry| entry.id());
    if ignore_file(&from) != ignore_file(&to) {
        return Ok(None);
    }
    let odb = source.repository.odb().map_err(|error| corrupt(&error))?;
    let mut difference = Difference {
        source,
        odb: &odb,
        before: source.builder(&from, &names, &odb)?,
        after: source.builder(&to, &names, &odb)?,
        entries: 0,
    };
    difference.folders(Some(&from), Some(&to), "", 0)?;
    let (before, after) = (difference.before.finish(), difference.after.finish());
    // What was applied had no errors; whatever this is, it needs a closer look.
    Ok(before.errors.is_empty().then_some(Changes { before, after }))
}

/// Something in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    id: Oid,
    kind: Option<ObjectType>,
    mode: i32,
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

struct Difference<'a> {
    source: Source<'a>,
    odb: &'a Odb<'a>,
    before: SetBuilder,
    after: SetBuilder,
    entries: usize,
}

impl<'a> Difference<'a> {
    fn folders(
        &mut self,
        before: Option<&Tree<'a>>,
        after: Option<&Tree<'a>>,
        relative: &str,
        depth: usize,
    ) -> Result<(), ReadError> {
        let mut names: BTreeMap<String, (Option<Entry>, Option<Entry>)> = BTreeMap::new();
        for (name, entry) in before.into_iter().flat_map(entries) {
            names.entry(name).or_default().0 = Some(entry);
        }
        for (name, entry) in after.into_iter().flat_map(entries) {
            names.entry(name).or_default().1 = Some(entry);
        }
        self.entries = self.entries.saturating_add(names.len());
        if self.entries > MAX_ENTRIES || depth > self.source.options.limits.depth {
            return Err(ReadError::TooManyEntries { path: relative.to_owned() });
        }
        for (name, (old, new)) in names {
            let path = format!("{relative}{name}");
            if old == new || name.starts_with('.') || self.after.is_ignored(&path) {
                continue;
            }
            let old_folder = self.folder(old)?;
            let new_folder = self.folder(new)?;
            if old_folder.is_some() || new_folder.is_some() {
                let below = format!("{path}/");
                self.folders(old_folder.as_ref(), new_folder.as_ref(), &below, depth + 1)?;
            }
            if let (Some(old), None) = (old, old_folder) {
                self.file(Side::Before, old, &path)?;
            }
            if let (Some(new), None) = (new, new_folder) {
                self.file(Side::After, new, &path)?;
            }
        }
        Ok(())
    }

    fn folder(&self, entry: Option<Entry>) -> Result<Option<Tree<'a>>, ReadError> {
        let Some(entry) = entry else { return Ok(None) };
        match entry.kind {
            Some(ObjectType::Tree) => {
                self.source.repository.find_tree(entry.id).map(Some).map_err(|e| corrupt(&e))
            }
            Some(ObjectType::Commit) if self.source.submodules => {
                self.source.submodule(entry.id).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn file(&mut self, side: Side, entry: Entry, path: &str) -> Result<(), ReadError> {
        let builder = match side {
            Side::Before => &mut self.before,
            Side::After => &mut self.after,
        };
        if entry.mode == MODE_LINK {
            builder.meet_link(path);
        } else if entry.kind != Some(ObjectType::Commit) && builder.wants(path) {
            add_blob(builder, self.odb, entry.id, path)?;
        }
        Ok(())
    }
}

fn entries<'a>(tree: &'a Tree<'_>) -> impl Iterator<Item = (String, Entry)> + 'a {
    tree.iter().map(|entry| {
        let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        let of = Entry { id: entry.id(), kind: entry.kind(), mode: entry.filemode_raw() };
        (name, of)
    })
}
