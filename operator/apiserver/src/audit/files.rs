//! The files of the log: `audit-YYYYMMDD-N.log`, in the order of their names.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Name of a file: the day (UTC) and the number on that day, as numbers so that
/// they sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub day: u32,
    pub number: u32,
}

/// The day of a moment as eight digits: 20260301.
pub fn day(time: Timestamp) -> u32 {
    time.strftime("%Y%m%d").to_string().parse().unwrap_or(0)
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "audit-{:08}-{}.log", self.day, self.number)
    }
}

impl Name {
    /// Reads a name; `None` where a file is none of the log.
    pub fn read(text: &str) -> Option<Self> {
        let (day, number) = text.strip_prefix("audit-")?.strip_suffix(".log")?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if day.len() != 8 || !digits(day) || !digits(number) || number.starts_with('0') {
            return None;
        }
        Some(Self { day: day.parse().ok()?, number: number.parse().ok()? })
    }

    /// The name after this one. A clock that was put back doesn't bring names out
    /// of order.
    pub fn next(last: Option<Self>, now: Timestamp) -> Self {
        let today = day(now);
        match last {
            Some(last) if last.day >= today => Self { day: last.day, number: last.number + 1 },
            _ => Self { day: today, number: 1 },
        }
    }

    /// Where the file is.
    pub fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }
}

/// The files of a folder, the oldest first.
///
/// # Errors
/// When the folder can't be read.
pub fn list(directory: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.extend(entry?.file_name().to_str().and_then(Name::read));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_on_whatever_the_clock_says() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let first = Name::next(None, at("2026-03-01T23:59:59Z"));
        assert_eq!(first.to_string(), "audit-20260301-1.log");
        let second = Name::next(Some(first), at("2026-03-01T23:59:59Z"));
        assert_eq!(second.to_string(), "audit-20260301-2.log");
        let back = Name::next(Some(second), at("2020-01-01T00:00:00Z"));
        assert_eq!(back.to_string(), "audit-20260301-3.log");
        let next = Name::next(Some(back), at("2026-03-02T00:00:00Z"));
        assert_eq!(next.to_string(), "audit-20260302-1.log");
        assert!(first < second && second < back && back < next);
        let ten = Name { number: 10, ..first };
        assert!(back < ten, "ten comes after three");
        assert_eq!(Name::read(&ten.to_string()), Some(ten));
        for other in
            ["head", "audit-20260301-1.log.gz", "audit-2026031-1.log", "audit-20260301-01.log"]
        {
            assert_eq!(Name::read(other), None, "{other}");
        }
    }
}
