//! Whether a live object already is what a manifest asks for.
//!
//! Server-side apply leaves alone what a manifest does not mention, and the API server fills in
//! defaults and rewrites quantities; so the question is not equality but: would applying change
//! anything? Maps and keyed lists are compared by what the manifest mentions. Lists and structures
//! that apply replaces as a whole ("atomic") must match as a whole; there an extra field is either
//! a default or somebody's edit, which only the API server can tell: [`Verdict::Doubt`].

mod quantity;
mod schema;

use std::fmt;

use serde_json::{Map, Value};

/// The answer of [`compare`]; the path is that of the first finding of the gravest kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Applying would change nothing.
    Covered,
    /// The live object has more than the manifest where the manifest decides alone.
    Doubt(String),
    /// Applying would change this field.
    Differs(String),
}

impl Verdict {
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Differs(path) => Self::Differs(path),
            Self::Doubt(path) => match other() {
                Self::Differs(graver) => Self::Differs(graver),
                _ => Self::Doubt(path),
            },
            Self::Covered => other(),
        }
    }
}

/// Compares what `desired` mentions with `live`.
pub(crate) fn compare(desired: &Value, live: &Value) -> Verdict {
    let root = Place { parent: None, field: "", atomic: false };
    values(desired, live, &root)
}

/// Where in the object we are.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    field: &'a str,
    /// Whether apply replaces this value as a whole.
    atomic: bool,
}

impl<'a> Place<'a> {
    const fn below(&'a self, field: &'a str, atomic: bool) -> Self {
        Place { parent: Some(self), field, atomic: self.atomic || atomic }
    }

    fn is_quantity(&self) -> bool {
        let parent = self.parent.map_or("", |parent| parent.field);
        schema::holds_quantity(parent, self.field)
    }

    fn differs(&self) -> Verdict {
        Verdict::Differs(self.to_string())
    }

    fn doubt(&self) -> Verdict {
        Verdict::Doubt(self.to_string())
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(formatter)?;
            if parent.parent.is_some() {
                formatter.write_str(".")?;
            }
        }
        formatter.write_str(self.field)
    }
}

fn values(desired: &Value, live: &Value, place: &Place<'_>) -> Verdict {
    match (desired, live) {
        (Value::Null, _) => Verdict::Covered,
        (Value::Object(desired), Value::Object(live)) => maps(desired, live, place),
        (Value::Array(desired), Value::Array(live)) => lists(desired, live, place),
        (desired, live) if scalars_equal(desired, live, place) => Verdict::Covered,
        _ => place.differs(),
    }
}

fn maps(desired: &Map<String, Value>, live: &Map<String, Value>, place: &Place<'_>) -> Verdict {
    let mut verdict = Verdict::Covered;
    for (key, value) in desired {
        let below = place.below(key, schema::is_atomic(key));
        verdict = verdict.and(|| match live.get(key) {
            Some(found) => values(value, found, &below),
            None if value.is_null() => Verdict::Covered,
            // The API server drops empty maps and lists on the way in.
            None if is_empty(value) && !place.atomic => Verdict::Covered,
            None if is_empty(value) => below.doubt(),
            None => below.differs(),
        });
    }
    if place.atomic {
        for (key, value) in live {
            let extra = !desired.contains_key(key) && !schema::is_default(key, value);
            verdict = verdict.and(|| if extra { place.below(key, true).doubt() } else { Verdict::Covered });
        }
    }
    verdict
}

fn lists(desired: &[Value], live: &[Value], place: &Place<'_>) -> Verdict {
    let keys = if place.atomic { None } else { schema::merge_keys(place.field, desired) };
    let Some(keys) = keys else { return atomic_lists(desired, live, place) };
    desired.iter().fold(Verdict::Covered, |verdict, item| {
        verdict.and(|| match live.iter().find(|candidate| schema::same_item(keys, item, candidate)) {
            Some(found) => values(item, found, place),
            None => place.differs(),
        })
    })
}

fn atomic_lists(desired: &[Value], live: &[Value], place: &Place<'_>) -> Verdict {
    if desired.len() > live.len() {
        return place.differs();
    }
    let inside = Place { parent: place.parent, field: place.field, atomic: true };
    let pairs = desired.iter().zip(live);
    let verdict =
        pairs.fold(Verdict::Covered, |verdict, (item, found)| verdict.and(|| values(item, found, &inside)));
    // More items than asked for: somebody's edit, or a list that is keyed after all.
    verdict.and(|| if live.len() > desired.len() { place.doubt() } else { Verdict::Covered })
}

fn scalars_equal(desired: &Value, live: &Value, place: &Place<'_>) -> bool {
    if desired == live {
        return true;
    }
    if let (Value::Number(desired), Value::Number(live)) = (desired, live) {
        return desired.as_f64() == live.as_f64();
    }
    place.is_quantity() && quantity::equal(desired, live)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
