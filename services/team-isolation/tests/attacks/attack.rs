//! One row: a request, what refuses it, and its twin.

use serde_json::{Value, json};

use crate::persona::{Answer, Persona, send};

/// Which control must refuse, and the words by which it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// A rule of a policy: its name, which the message starts with.
    Policy(&'static str, &'static str),
    /// Pod Security, with the check.
    PodSecurity(&'static str),
    /// Roles.
    Rights,
    /// A ResourceQuota, with a key.
    Quota(&'static str),
    /// A LimitRange.
    LimitRange(&'static str),
    /// The API's own validation, with a part of the message.
    Validation(&'static str),
    /// One of several rules, whichever speaks first.
    OneOf(&'static [&'static str]),
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Who.
    pub(crate) persona: Persona,
    /// HTTP method; `APPLY` for server-side apply.
    pub(crate) method: &'static str,
    /// Path with its query.
    pub(crate) path: String,
    /// Body.
    pub(crate) body: Option<Value>,
}

impl Call {
    /// Creates an object in a collection, without keeping it.
    pub(crate) fn create(persona: Persona, collection: &str, body: Value) -> Self {
        Self { persona, method: "POST", path: format!("{collection}?dryRun=All"), body: Some(body) }
    }

    /// Merges a change into an object, without keeping it.
    pub(crate) fn patch(persona: Persona, path: &str, body: Value) -> Self {
        let join = if path.contains('?') { '&' } else { '?' };
        Self { persona, method: "PATCH", path: format!("{path}{join}dryRun=All"), body: Some(body) }
    }

    /// Any other request, without its effect.
    pub(crate) fn plain(persona: Persona, method: &'static str, path: &str) -> Self {
        let path = if method == "GET" { path.to_owned() } else { format!("{path}?dryRun=All") };
        Self { persona, method, path, body: None }
    }

    /// The same with one place of the body changed.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        set(self.body.get_or_insert(Value::Null), pointer, value);
        self
    }

    pub(crate) async fn send(&self) -> Answer {
        send(self.persona, self.method, &self.path, self.body.as_ref()).await
    }
}

/// An attack of a row, and what must refuse it.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    /// The row.
    pub(crate) id: &'static str,
    /// Which of the row's attacks it is.
    pub(crate) what: String,
    /// The request.
    pub(crate) call: Call,
    by: By,
}

impl Attack {
    /// Sends it; the problem where it is not refused by what must refuse it.
    pub(crate) async fn send(&self) -> Result<(), String> {
        judge(&self.call.send().await, self.by)
            .map_err(|problem| format!("{} {}: {problem}", self.id, self.what))
    }
}

/// The verdicts of a family of rows; all of them are looked at before it fails.
#[derive(Default)]
pub(crate) struct Verdicts {
    wrong: Vec<String>,
    rows: std::collections::BTreeSet<&'static str>,
    /// Where attacks are only listed, and none is sent.
    listed: Option<Vec<Attack>>,
}

impl Verdicts {
    /// Verdicts that nobody looks at: what would be sent is listed.
    pub(crate) fn listing() -> Self {
        Self { listed: Some(Vec::new()), ..Self::default() }
    }

    /// The attacks that were listed.
    pub(crate) fn attacks(self) -> Vec<Attack> {
        self.listed.unwrap_or_default()
    }

    /// The attack is refused by what must refuse it, and the twin is admitted.
    pub(crate) async fn row(&mut self, id: &'static str, what: &str, attack: Call, by: By, twin: Call) {
        self.refused(id, what, attack, by).await;
        if self.listed.is_some() {
            return;
        }
        let answer = twin.send().await;
        if !answer.is_admitted() {
            self.wrong.push(format!("{id} {what}: the twin was refused: {} {}", answer.code, answer.message));
        }
    }

    /// The attack is refused by what must refuse it.
    pub(crate) async fn refused(&mut self, id: &'static str, what: &str, attack: Call, by: By) {
        self.rows.insert(id);
        let attack = Attack { id, what: what.to_owned(), call: attack, by };
        match &mut self.listed {
            Some(listed) => listed.push(attack),
            None => self.wrong.extend(attack.send().await.err()),
        }
    }

    /// Notes what a row of its own kind found.
    pub(crate) fn note(&mut self, id: &'static str, what: &str, holds: bool, found: impl std::fmt::Display) {
        self.rows.insert(id);
        if !holds {
            self.wrong.push(format!("{id} {what}: {found}"));
        }
    }

    /// A row that is decided by packets on the real node; the README says by which test.
    pub(crate) fn by_traffic(&mut self, id: &'static str) {
        self.rows.insert(id);
        let readme = include_str!("../../README.md");
        let shown = readme.lines().find(|line| line.contains("are shown by traffic")).unwrap_or_default();
        if !shown.split(&[' ', ','][..]).any(|word| word == id) {
            self.wrong.push(format!("{id}: the README does not list it as shown by traffic"));
        }
    }

    /// A row that cannot be decided here; the README lists it with what is said.
    pub(crate) fn elsewhere(&mut self, id: &'static str, said: &str) {
        self.rows.insert(id);
        let readme = include_str!("../../README.md");
        if !readme.lines().any(|line| line.starts_with(&format!("| {id} |")) && line.contains("not proven")) {
            self.wrong.push(format!("{id}: the README does not list it as not proven ({said})"));
        }
    }

    /// Fails with every wrong verdict; `rows` are those that must have been looked at.
    pub(crate) fn end(self, rows: &[&'static str]) {
        let missing: Vec<_> = rows.iter().filter(|row| !self.rows.contains(*row)).collect();
        assert!(missing.is_empty(), "rows without a verdict: {missing:?}");
        let strangers: Vec<_> = self.rows.iter().filter(|row| !rows.contains(*row)).collect();
        assert!(strangers.is_empty(), "rows that are not of this family: {strangers:?}");
        assert!(self.wrong.is_empty(), "{} wrong verdicts:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

fn judge(answer: &Answer, by: By) -> Result<(), String> {
    let said = format!("{} {}: {}", answer.code, answer.reason, answer.message);
    if answer.is_admitted() {
        return Err("admitted".to_owned());
    }
    let fits = match by {
        By::Policy(policy, rule) => {
            answer.code == 403
                && answer.message.contains(&format!("ValidatingAdmissionPolicy '{policy}'"))
                && answer.message.contains(&format!("denied request: {rule}: "))
        }
        By::PodSecurity(check) => {
            answer.code == 403
                && answer.message.contains("violates PodSecurity")
                && answer.message.contains(check)
        }
        By::Rights => {
            answer.code == 403 && answer.message.contains(" cannot ") && answer.message.contains("User ")
        }
        By::Quota(key) => {
            answer.code == 403 && answer.message.contains("exceeded quota") && answer.message.contains(key)
        }
        By::LimitRange(words) => answer.code == 403 && answer.message.contains(words),
        By::OneOf(rules) => {
            answer.code == 403 && rules.iter().any(|rule| answer.message.contains(&format!("{rule}: ")))
        }
        By::Validation(words) => (400..500).contains(&answer.code) && answer.message.contains(words),
    };
    if fits { Ok(()) } else { Err(format!("refused otherwise than by {by:?}: {said}")) }
}

/// Puts a value at a JSON pointer; what is missing on the way is made, `-` appends.
pub(crate) fn set(target: &mut Value, pointer: &str, value: Value) {
    let Some((first, rest)) =
        pointer.strip_prefix('/').map(|path| path.split_once('/').unwrap_or((path, "")))
    else {
        *target = value;
        return;
    };
    let key = first.replace("~1", "/").replace("~0", "~");
    let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    let is_index = key == "-" || key.parse::<usize>().is_ok();
    if target.is_null() {
        *target = if is_index { json!([]) } else { json!({}) };
    }
    match target {
        Value::Array(items) => {
            let index = if key == "-" { items.len() } else { key.parse().unwrap() };
            while items.len() <= index {
                items.push(Value::Null);
            }
            set(&mut items[index], &rest, value);
        }
        Value::Object(map) => set(map.entry(key).or_insert(Value::Null), &rest, value),
        other => panic!("{pointer} leads through {other}"),
    }
}
