//! Replaces what looks like a secret; line by line, so that nothing spans a boundary unseen.

/// Keys whose values never leave, however they are written (`key=value`, `"key": "value"`, `key: value`).
const KEYS: [&str; 8] =
    ["password", "passwd", "secret", "token", "authorization", "credential", "private_key", "seed"];
/// What a redacted value becomes.
const REDACTED: &str = "[redacted]";

/// The text without secrets.
pub(super) fn redact(text: &str) -> String {
    let mut inside_key = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            inside_key = true;
        }
        lines.push(if inside_key { REDACTED.to_owned() } else { redact_line(line) });
        if line.contains("-----END") {
            inside_key = false;
        }
    }
    lines.join("\n")
}

fn redact_line(line: &str) -> String {
    let words = line.split_inclusive([' ', ',', ';', '&']);
    let mut after_key = false;
    let mut redacted = String::with_capacity(line.len());
    for word in words {
        let body = word.trim_end_matches([' ', ',', ';', '&']);
        let tail = word.get(body.len()..).unwrap_or_default();
        redacted.push_str(&redact_word(body, &mut after_key));
        redacted.push_str(tail);
    }
    redacted
}

/// Redacts the value of a key, a bearer token, a JWT, an NATS seed and a password in a URL.
fn redact_word(word: &str, after_key: &mut bool) -> String {
    let bare = word.trim_matches(['"', '\'', '{', '}', '[', ']', '(', ')']);
    if std::mem::take(after_key) && !bare.is_empty() {
        // `authorization: Bearer xyz`: the scheme stays, what follows goes.
        *after_key = bare.eq_ignore_ascii_case("bearer") || bare.eq_ignore_ascii_case("basic");
        return if *after_key { word.to_owned() } else { REDACTED.to_owned() };
    }
    if looks_like_token(bare) {
        return REDACTED.to_owned();
    }
    if let Some(cut) = password_in_url(word) {
        return cut;
    }
    let Some((key, value)) = word.split_once(['=', ':']) else {
        *after_key = bare.eq_ignore_ascii_case("bearer");
        return word.to_owned();
    };
    let lower = key.to_lowercase();
    if !KEYS.iter().any(|name| lower.contains(name)) {
        return word.to_owned();
    }
    if value.is_empty() {
        *after_key = true;
        return word.to_owned();
    }
    let separator = word.get(key.len()..=key.len()).unwrap_or_default();
    format!("{key}{separator}{REDACTED}")
}

fn looks_like_token(word: &str) -> bool {
    let is_jwt = word.starts_with("eyJ") && word.matches('.').count() == 2;
    let is_seed = word.len() == 58
        && word.starts_with('S')
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_jwt || is_seed
}

fn password_in_url(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let (user, host) = rest.split_once('@')?;
    let (name, _password) = user.split_once(':')?;
    Some(format!("{scheme}://{name}:{REDACTED}@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (input, output) in [
            ("connecting as app", "connecting as app"),
            ("password=hunter2 host=db", "password=[redacted] host=db"),
            (r#""token": "abc", "x": 1"#, r#""token": [redacted], "x": 1"#),
            ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
            ("postgresql://app:hunter2@db:5432/x", "postgresql://app:[redacted]@db:5432/x"),
            ("got eyJhbGciOi.eyJzdWIi.c2ln here", "got [redacted] here"),
            ("nats seed SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4", "nats seed [redacted]"),
        ] {
            assert_eq!(redact(input), output);
        }
    }

    #[test]
    fn private_keys_go_whole() {
        let text = "a\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nb";
        assert_eq!(redact(text), "a\n[redacted]\n[redacted]\n[redacted]\nb");
    }
}
