//! What a plain scalar of YAML is to sops: the rules of Go's yaml package, version 3.
//!
//! They matter because the MAC is over values, not over text: `0x1F`, `31` and
//! `3_1` are all the number 31.

use crate::go_time;
use crate::tree::Scalar;
use crate::{FormatProblem, SopsError};

/// Resolves a plain scalar without a tag.
pub(crate) fn plain(text: &str, line: u32) -> Result<Scalar, SopsError> {
    let scalar = match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => match text.as_bytes()[0] {
            b'.' => decimal(text).map_or_else(|| Scalar::text(text), Scalar::Float),
            b'0'..=b'9' | b'+' | b'-' => return number_like(text, line),
            _ => Scalar::text(text),
        },
    };
    Ok(scalar)
}

/// What begins as a number does.
fn number_like(text: &str, line: u32) -> Result<Scalar, SopsError> {
    if go_time::looks_like(text) {
        return go_time::canonical(text)
            .map(Scalar::Time)
            .ok_or_else(|| SopsError::format(line, FormatProblem::Time));
    }
    let plain = text.replace('_', "");
    match integer(&plain) {
        Some(Ok(number)) => return Ok(Scalar::Int(number)),
        Some(Err(())) => return Err(SopsError::format(line, FormatProblem::Number)),
        None => {}
    }
    Ok(decimal(&plain).map_or_else(|| Scalar::text(text), Scalar::Float))
}

/// An integer as Go's `ParseInt(text, 0, 64)` reads it: `0x`, `0b`, `0o` and a leading
/// `0` (octal) are bases. An error if only an unsigned one would hold it.
fn integer(text: &str) -> Option<Result<i64, ()>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(base)) {
        return None;
    }
    let Ok(magnitude) = u64::from_str_radix(digits, base) else {
        // Past 64 bits Go goes on and reads a float, if that is how it is written.
        return None;
    };
    let signed = match negative {
        true => 0_i64.checked_sub_unsigned(magnitude),
        false => i64::try_from(magnitude).ok(),
    };
    match (signed, negative) {
        (Some(number), _) => Some(Ok(number)),
        (None, false) => Some(Err(())),
        (None, true) => None,
    }
}

/// A float: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    let power = exponent
        .is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    if !whole || !power {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match plain(text, 1) {
            Ok(scalar) => {
                let bytes = scalar.bytes().unwrap_or_default();
                format!("{} {}", scalar.type_name(), String::from_utf8_lossy(&bytes))
            }
            Err(error) => format!("error {error}"),
        }
    }

    #[test]
    fn plain_scalars_are_what_go_takes_them_for() {
        for (text, expected) in [
            ("", "null "),
            ("~", "null "),
            ("yes", "str yes"),
            ("no", "str no"),
            ("True", "bool True"),
            ("0x1F", "int 31"),
            ("0b101", "int 5"),
            ("0o17", "int 15"),
            ("017", "int 15"),
            ("08", "float 8"),
            ("1_000", "int 1000"),
            ("+12", "int 12"),
            ("-12", "int -12"),
            ("1e3", "float 1000"),
            ("1.50", "float 1.5"),
            (".5", "float 0.5"),
            ("1.", "float 1"),
            ("-.inf", "float -Inf"),
            (".5.5", "str .5.5"),
            ("1.2.3", "str 1.2.3"),
            ("10.0.0.1/8", "str 10.0.0.1/8"),
            ("2Gi", "str 2Gi"),
            ("-", "str -"),
            ("1e400", "str 1e400"),
            ("9223372036854775807", "int 9223372036854775807"),
            ("-9223372036854775808", "int -9223372036854775808"),
            ("123456789012345678901234567890", "float 123456789012345680000000000000"),
            ("2001-01-01", "time 2001-01-01T00:00:00Z"),
            ("2001-1-2", "time 2001-01-02T00:00:00Z"),
            ("2001-01-01T10:20:30.50Z", "time 2001-01-01T10:20:30.5Z"),
            ("2001-01-01T10:20:30+02:00", "time 2001-01-01T10:20:30+02:00"),
            ("2001-01-01 10:20:30", "time 2001-01-01T10:20:30Z"),
            ("2001-13-01", "str 2001-13-01"),
            ("2001-01-01x", "str 2001-01-01x"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(shown("9223372036854775808").starts_with("error"));
    }
}
