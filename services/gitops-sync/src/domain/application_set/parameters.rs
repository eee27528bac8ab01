//! Sets of parameters: texts by name, or any JSON for Go templates.

use serde_json::{Map, Value};

/// One set of parameters.
pub type Parameters = Map<String, Value>;

/// Every text, number and truth value within an object, as text, by its path with dots.
pub fn flat(object: &Map<String, Value>) -> Parameters {
    let mut all = Parameters::new();
    object.iter().for_each(|(key, value)| flatten(key.clone(), value, &mut all));
    all
}

fn flatten(path: String, value: &Value, all: &mut Parameters) {
    let text = match value {
        Value::Object(fields) => {
            return fields.iter().for_each(|(key, value)| flatten(format!("{path}.{key}"), value, all));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            return items.for_each(|(index, value)| flatten(format!("{path}.{index}"), value, all));
        }
        Value::Null => return,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    all.insert(path, Value::String(text));
}

/// Both; where both say something, the second counts, within objects too.
pub fn overridden(mut first: Parameters, second: Parameters) -> Parameters {
    for (key, value) in second {
        match (first.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => {
                *below = overridden(std::mem::take(below), above);
            }
            (_, value) => {
                first.insert(key, value);
            }
        }
    }
    first
}

/// A name as DNS has it, of any text (Argo CD's `normalize`).
pub fn normalized(name: &str) -> String {
    const LONGEST: usize = 253;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let name: String =
        name.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(LONGEST).collect();
    name.trim_matches(['-', '.']).to_owned()
}

/// A label as DNS has it, of any text and at most 50 characters long, cut between words (Argo CD's `branch_slug`).
pub fn slug(text: &str) -> String {
    const LONGEST: usize = 50;
    let mut slug = String::new();
    let text = text.replace('&', "and").replace('@', "at");
    for c in deunicode::deunicode(&text).to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    if slug.len() > LONGEST {
        let within = slug.get(..=LONGEST).unwrap_or_default();
        let end = within.rfind('-').unwrap_or(LONGEST);
        slug.truncate(end);
    }
    slug.trim_matches('-').to_owned()
}
