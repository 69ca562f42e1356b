//! Overrides: for a time, a hand edit goes before what git says.
//!
//! An object that a ConfigRepository owns and that carries
//! [`OVERRIDE_UNTIL`](crate::annotation::OVERRIDE_UNTIL) is left as it is until
//! that time. Then the repository applies it again, takes the annotation away,
//! and with it every field that [`MANAGER`] owns alone.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::annotation::OVERRIDE_UNTIL;

/// Field manager of hand edits under an override: what it owns goes when the
/// override ends.
pub const MANAGER: &str = "hades-override";

/// What the annotations of an object say of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// In force until then.
    Active(Timestamp),
    /// It was in force until then, and the repository didn't see to it yet.
    Ended(Timestamp),
    /// The annotation is no RFC 3339 time: as good as ended.
    Unreadable,
}

impl Override {
    /// Of the annotations of an object; none when nothing is overridden.
    pub fn of(annotations: &BTreeMap<String, String>, now: Timestamp) -> Option<Self> {
        let text = annotations.get(OVERRIDE_UNTIL)?;
        Some(match text.parse::<Timestamp>() {
            Ok(until) if until > now => Self::Active(until),
            Ok(until) => Self::Ended(until),
            Err(_) => Self::Unreadable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_ends_at_its_time() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let annotations = |text: &str| BTreeMap::from([(OVERRIDE_UNTIL.to_owned(), text.into())]);
        let until = annotations("2026-01-01T12:00:00+01:00");
        let noon = time("2026-01-01T11:00:00Z");
        let before = time("2026-01-01T10:59:59Z");
        assert_eq!(Override::of(&until, before), Some(Override::Active(noon)));
        assert_eq!(Override::of(&until, noon), Some(Override::Ended(noon)));
        assert_eq!(Override::of(&annotations("soon"), noon), Some(Override::Unreadable));
        assert_eq!(Override::of(&BTreeMap::new(), noon), None);
    }
}
