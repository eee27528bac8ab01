//! `spec.syncWindows` of a project: when its Applications may sync.
//!
//! As Argo CD has them, but for one thing: a schedule is read in its time zone at each of its moments, so that a
//! change of the clocks moves no window. Argo CD applies today's offset to the whole schedule.

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::duration;
use super::glob::Glob;

/// The longest window: a schedule is looked back over so far at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 31);

/// One window, as the project has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    kind: String,
    schedule: String,
    duration: String,
    applications: Vec<String>,
    namespaces: Vec<String>,
    clusters: Vec<String>,
    manual_sync: bool,
    time_zone: String,
    and_operator: bool,
    sync_overrun: bool,
    #[serde(rename = "description")]
    _description: String,
}

/// A window that is understood.
#[derive(Clone, Debug)]
struct Window {
    allows: bool,
    text: String,
    cron: Cron,
    zone: TimeZone,
    length: SignedDuration,
    spec: Spec,
}

/// Why a sync may not go on now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which window, in words.
    pub why: String,
    /// When it is worth looking again, where that is known.
    pub until: Option<Timestamp>,
}

/// What the windows say about one Application now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Why nothing is synced by itself.
    pub automated: Option<Closed>,
    /// Why nothing is synced by hand.
    pub manual: Option<Closed>,
    /// Whether a sync that runs goes on to its end all the same.
    pub overrun: bool,
}

/// What an Application is to the windows.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its name.
    pub application: &'a str,
    /// Namespace of the destination.
    pub namespace: &'a str,
    /// Address or name of the destination's cluster.
    pub clusters: [&'a str; 2],
}

/// Judges the windows of a project.
///
/// # Errors
/// Field and message of the first window that cannot be read: nothing is synced then, because it may have been meant
/// to forbid just that.
pub fn judge(windows: &Value, subject: Subject<'_>, now: Timestamp) -> Result<Windows, String> {
    let list = windows.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = list.iter().enumerate().map(|(index, value)| {
        read(value).map_err(|(field, message)| format!("spec.syncWindows[{index}].{field} {message}"))
    });
    let all = read.collect::<Result<Vec<_>, _>>()?;
    let concerned: Vec<(&Window, Option<Timestamp>)> = all
        .iter()
        .filter(|window| window.concerns(subject))
        .map(|window| (window, window.ends(now)))
        .collect();
    let denies: Vec<_> = concerned.iter().filter(|(window, ends)| !window.allows && ends.is_some()).collect();
    let allows: Vec<_> = concerned.iter().filter(|(window, _)| window.allows).collect();
    if !denies.is_empty() {
        let until = denies.iter().filter_map(|(_, ends)| *ends).max();
        let closed = |words: String| Closed { why: words, until };
        let named = |(window, _): &&&(&Window, Option<Timestamp>)| window.text.clone();
        let by_hand = denies.iter().find(|(window, _)| !window.spec.manual_sync);
        return Ok(Windows {
            automated: denies
                .first()
                .map(|first| closed(format!("the project's window `{}` forbids it", named(&first)))),
            manual: by_hand.map(|first| {
                closed(format!("the project's window `{}` forbids it, by hand too", named(&first)))
            }),
            overrun: denies.iter().all(|(window, _)| window.spec.sync_overrun),
        });
    }
    if allows.is_empty() || allows.iter().any(|(_, ends)| ends.is_some()) {
        return Ok(Windows::default());
    }
    let until = allows.iter().filter_map(|(window, _)| window.begins(now)).min();
    let texts = allows.iter().map(|(window, _)| format!("`{}`", window.text)).collect::<Vec<_>>().join(", ");
    let closed = Closed { why: format!("none of the project's windows is open: {texts}"), until };
    let by_hand = allows.iter().any(|(window, _)| window.spec.manual_sync);
    Ok(Windows {
        manual: (!by_hand).then(|| closed.clone()),
        automated: Some(closed),
        overrun: allows.iter().any(|(window, _)| window.spec.sync_overrun),
    })
}

fn read(value: &Value) -> Result<Window, (&'static str, String)> {
    let spec: Spec =
        serde_json::from_value(value.clone()).map_err(|error| ("", format!("cannot be read: {error}")))?;
    let allows = match spec.kind.as_str() {
        "allow" => true,
        "deny" => false,
        other => return Err(("kind", format!("is `{other}`; write allow or deny"))),
    };
    let cron = CronParser::new().parse(&spec.schedule);
    let cron = cron.map_err(|error| ("schedule", format!("is `{}`, no schedule: {error}", spec.schedule)))?;
    let length = duration::parse(&spec.duration).and_then(|length| SignedDuration::try_from(length).ok());
    let length = length.filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| {
        ("duration", format!("is `{}`; write for example 30m or 2h, 31 days at most", spec.duration))
    })?;
    let zone = match spec.time_zone.as_str() {
        "" => TimeZone::UTC,
        name => TimeZone::get(name).map_err(|error| ("timeZone", format!("is `{name}`: {error}")))?,
    };
    let zone_name = if spec.time_zone.is_empty() { "UTC" } else { &spec.time_zone };
    let text = format!("{} {} {} {zone_name}", spec.kind, spec.schedule, spec.duration);
    Ok(Window { allows, text, cron, zone, length, spec })
}

impl Window {
    fn concerns(&self, subject: Subject<'_>) -> bool {
        let like = |patterns: &[String], text: &str| {
            patterns.iter().any(|pattern| Glob::new(pattern).is_ok_and(|glob| glob.matches(text)))
        };
        let applications = like(&self.spec.applications, subject.application);
        let namespaces = like(&self.spec.namespaces, subject.namespace);
        let clusters = subject.clusters.iter().any(|cluster| like(&self.spec.clusters, cluster));
        if !self.spec.and_operator {
            return applications || namespaces || clusters;
        }
        let lists = [
            (&self.spec.applications, applications),
            (&self.spec.namespaces, namespaces),
            (&self.spec.clusters, clusters),
        ];
        let mut named = lists.iter().filter(|(list, _)| !list.is_empty()).peekable();
        named.peek().is_some() && named.all(|(_, fits)| *fits)
    }

    /// The end of the window that is open now.
    fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        let begun = self.cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true).ok()?;
        let end = begun.timestamp().checked_add(self.length).ok()?;
        (now < end).then_some(end)
    }

    /// The next beginning.
    fn begins(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests;
