//! The name that someone probably meant.

/// Below this similarity (0 to 1, Jaro-Winkler) a hint confuses more than it helps.
const SIMILAR_ENOUGH: f64 = 0.8;

/// The most similar of the names, if one is similar enough.
pub(crate) fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(similarity, _)| *similarity >= SIMILAR_ENOUGH)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name.to_owned())
}
