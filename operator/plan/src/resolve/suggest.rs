//! The nearest name to one that isn't there.

/// Letters that are wrong by a slip of the pen.
const SLIP: usize = 2;
/// How alike two names must be to be worth a suggestion (1 is the same).
const ALIKE: f64 = 0.7;
/// Past this many names a list says less than nothing.
const LISTED: usize = 10;

/// `did you mean "web"?`, or all the names there are, after a list's `title`.
pub(super) fn hint<'a>(
    wanted: &str,
    title: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> String {
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), *name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    match nearest {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => format!("{title}: {}", list(&known)),
    }
}

/// The name that was meant where it was written wrongly by a letter or two. For names
/// that aren't for everybody to see: a guess isn't answered with what there is.
pub(super) fn slip<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Option<&'a str> {
    let slips = known.into_iter().map(|name| (strsim::osa_distance(wanted, name), name));
    let near = slips.filter(|(distance, name)| *distance <= SLIP.min(name.len() / 3));
    near.min().map(|(_, name)| name.as_str())
}

/// Names in a row; says so when there are none or too many.
pub(super) fn list(names: &[&str]) -> String {
    match names.len() {
        0 => "there are none".to_owned(),
        1..=LISTED => names.join(", "),
        count => format!("{} and {} more", names[..LISTED].join(", "), count - LISTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_not_a_guess() {
        let known = ["web-1".to_owned(), "warehouse-berlin".to_owned(), "db".to_owned()];
        for (wanted, found) in [
            ("wbe-1", Some("web-1")),
            ("warehuose-berlim", Some("warehouse-berlin")),
            ("warehouse-b", None),
            ("web", None),
            ("w", None),
            ("dc", None),
        ] {
            assert_eq!(slip(wanted, &known), found, "{wanted}");
        }
    }

    #[test]
    fn nearest_name_or_all_of_them() {
        let known = ["web-1".to_owned(), "db-1".to_owned()];
        assert_eq!(hint("wbe-1", "hosts", &known), "did you mean \"web-1\"?");
        assert_eq!(hint("zzz", "hosts", &known), "hosts: web-1, db-1");
        assert_eq!(hint("zzz", "hosts", &[]), "hosts: there are none");
    }
}
