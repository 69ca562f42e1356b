//! Names of the backups that are made on a schedule.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const FORM: &str = "%Y%m%dT%H%M%SZ";

/// `hades-INSTALLATION-20260301T020000Z.age`: sorts by time, and says whose it is, so
/// that several installations can share a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupName {
    /// When it was made, in whole seconds.
    pub time: Timestamp,
    /// Id of the installation.
    pub installation: String,
}

impl BackupName {
    /// The name of a backup.
    #[must_use]
    pub fn new(installation: &str, time: Timestamp) -> Self {
        let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
        Self { time, installation: installation.to_owned() }
    }

    /// Reads a name; `None` for what is no backup of that installation.
    #[must_use]
    pub fn read(text: &str, installation: &str) -> Option<Self> {
        let rest = text.strip_prefix("hades-")?.strip_prefix(installation)?;
        let time = rest.strip_prefix('-')?.strip_suffix(".age")?;
        let time = DateTime::strptime(FORM, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let name = Self::new(installation, time);
        // Not another spelling of the same time.
        (name.to_string() == text).then_some(name)
    }

    /// Those that are too many when `made` was made and the newest `keep` stay. Later
    /// ones, made when the clock was wrong, neither count nor go.
    #[must_use]
    pub fn superfluous(mut names: Vec<Self>, made: &Self, keep: usize) -> Vec<Self> {
        names.retain(|name| name.time <= made.time);
        names.sort();
        names.truncate(names.len().saturating_sub(keep));
        names
    }
}

impl std::fmt::Display for BackupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hades-{}-{}.age", self.installation, self.time.strftime(FORM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-3333-4444-555555555555";

    fn at(text: &str) -> BackupName {
        BackupName::new(ID, text.parse().unwrap())
    }

    #[test]
    fn names_are_read_as_they_are_written_and_others_are_left_alone() {
        let name = at("2026-03-01T02:00:07.25Z");
        assert_eq!(name.to_string(), format!("hades-{ID}-20260301T020007Z.age"));
        assert_eq!(BackupName::read(&name.to_string(), ID), Some(name));
        for other in [
            "photo.jpg".to_owned(),
            format!("hades-{ID}-20260301T020007Z.age.partial"),
            format!("hades-{ID}-20260231T020007Z.age"),
            format!("hades-{ID}-2026031T020007Z.age"),
            "hades-99999999-2222-3333-4444-555555555555-20260301T020007Z.age".to_owned(),
        ] {
            assert_eq!(BackupName::read(&other, ID), None, "{other}");
        }
    }

    #[test]
    fn the_newest_stay() {
        let names = vec![
            at("2026-03-02T02:00:00Z"),
            at("2026-02-28T02:00:00Z"),
            at("2026-03-01T02:00:00Z"),
        ];
        let made = names[0].clone();
        let gone = BackupName::superfluous(names.clone(), &made, 2);
        assert_eq!(gone, [at("2026-02-28T02:00:00Z")]);
        assert!(BackupName::superfluous(names.clone(), &made, 3).is_empty());
        // The clock was wrong for a while.
        let late = ["2031-01-01T02:00:00Z", "2031-01-02T02:00:00Z"].map(at);
        let all = [names, late.to_vec()].concat();
        assert_eq!(BackupName::superfluous(all.clone(), &made, 2), gone);
        assert!(!BackupName::superfluous(all, &made, 1).contains(&made));
    }
}
