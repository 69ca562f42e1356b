//! The nearest name to one that isn't there.

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
    fn nearest_name_or_all_of_them() {
        let known = ["web-1".to_owned(), "db-1".to_owned()];
        assert_eq!(hint("wbe-1", "hosts", &known), "did you mean \"web-1\"?");
        assert_eq!(hint("zzz", "hosts", &known), "hosts: web-1, db-1");
        assert_eq!(hint("zzz", "hosts", &[]), "hosts: there are none");
    }
}
