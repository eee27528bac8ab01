//! Parsers of single values; their messages say what to write.

use std::time::Duration;

/// A length of time such as `500ms`, `10s`, `1m30s` or `2h`; no key means anything with none at all.
///
/// # Errors
/// Text that says what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    parsed
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "not a length of time; write one such as 500ms, 10s or 2m".to_owned())
}

/// A share from 0 to 1.
///
/// # Errors
/// Text that says what to write.
pub fn ratio(text: &str) -> Result<f64, String> {
    let parsed = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    parsed.ok_or_else(|| "not a share; write a number from 0 to 1".to_owned())
}

/// An `http://` or `https://` URL with a host.
///
/// # Errors
/// Text that says what to write.
pub fn url(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    match uri {
        Some(_) => Ok(text.to_owned()),
        None => Err("not a URL; write one such as http://127.0.0.1:4317".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units_and_are_more_than_nothing() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "10", "-3s", "soon", "0s", "0ms"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_and_urls_are_checked() {
        assert_eq!(ratio("0.25"), Ok(0.25));
        assert!(ratio("1.5").is_err() && ratio("NaN").is_err());
        assert!(url("http://127.0.0.1:4317").is_ok());
        assert!(url("127.0.0.1:4317").is_err() && url("ftp://x").is_err());
    }
}
