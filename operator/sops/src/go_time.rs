//! Times that YAML has as values of their own, in the forms that Go's yaml package
//! knows: `2001-1-2`, `2001-1-2 3:4:5.6`, `2001-1-2T3:4:5.6Z`, `…+02:00`.

use jiff::civil::{Date, DateTime, Time};

/// Whether text begins as a time does: four digits and a dash. Others are never one.
pub(crate) fn looks_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && parse(text).is_some()
}

/// The time as Go's `MarshalText` writes it.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (time, zone) = parse(text)?;
    let mut out = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    if time.subsec_nanosecond() != 0 {
        let fraction = format!("{:09}", time.subsec_nanosecond());
        out.push('.');
        out.push_str(fraction.trim_end_matches('0'));
    }
    out.push_str(zone);
    Some(out)
}

/// A time and its zone.
fn parse(text: &str) -> Option<(DateTime, &str)> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
        None => (text, None),
    };
    let date = parse_date(date)?;
    let Some((separator, rest)) = rest else {
        return Some((date.to_datetime(Time::midnight()), "Z"));
    };
    let (time, zone) = match (rest.find(['Z', '+', '-']), separator) {
        (None, " ") => (rest, "Z"),
        (Some(at), "T" | "t") => (&rest[..at], parse_zone(&rest[at..])?),
        _ => return None,
    };
    Some((date.to_datetime(parse_time(time)?), zone))
}

fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4..=4)?;
    let month = digits(parts.next()?, 1..=2)?;
    let day = digits(parts.next()?, 1..=2)?;
    let date =
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    parts.next().is_none().then_some(())?;
    date.ok()
}

fn parse_time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let mut part = || i8::try_from(digits(parts.next()?, 1..=2)?).ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    parts.next().is_none().then_some(())?;
    digits(fraction, 1..=9)?;
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Time::new(hour, minute, second, nanoseconds).ok()
}

fn parse_zone(text: &str) -> Option<&str> {
    if text == "Z" {
        return Some(text);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    // Go writes an offset of nothing as Z.
    (hours < 24 && minutes < 60).then_some(if hours + minutes == 0 { "Z" } else { text })
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<u32> {
    (length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}
