//! The rows that one request decides, as a list: sent again wherever the service was killed.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream;
use serde_json::Value;

use crate::attack::{Attack, Call, Verdicts};
use crate::objects::{HOME, LAB};
use crate::persona::{Persona, send};
use crate::{control_plane, host, network, quota, rights, scheduling, storage};

/// Requests that are on their way at once.
const AT_ONCE: usize = 16;

/// Rows that no single request decides: races and floods, quotas that are filled first, traffic, references that
/// some servers drop, and what the service itself does.
const OF_THEIR_OWN: [&str; 20] = [
    "S17", "Q1", "Q2", "Q5", "Q9", "Q10", "R6", "R16", "R17", "R19", "N5", "N6", "V3", "C1", "C2", "C3",
    "C5", "C6", "C7", "R18",
];

/// Every attack that one request makes.
pub(crate) async fn attacks() -> Vec<Attack> {
    let mut verdicts = Verdicts::listing();
    host::single(&mut verdicts).await;
    scheduling::single(&mut verdicts).await;
    quota::single(&mut verdicts).await;
    rights::single(&mut verdicts).await;
    network::single(&mut verdicts).await;
    storage::single(&mut verdicts).await;
    control_plane::single(&mut verdicts).await;
    let attacks = verdicts.attacks();
    let rows: BTreeSet<_> = attacks.iter().map(|attack| attack.id).collect();
    let both: Vec<_> = OF_THEIR_OWN.iter().filter(|row| rows.contains(*row)).collect();
    assert!(
        both.is_empty() && rows.len() + OF_THEIR_OWN.len() == 92,
        "{} rows; {both:?} of both kinds",
        rows.len()
    );
    attacks
}

/// Sends every attack as it stands: the teams that are there are held apart as ever.
pub(crate) async fn hold(attacks: &[Attack]) -> Vec<String> {
    let sent = stream::iter(attacks).map(Attack::send).buffer_unordered(AT_ONCE);
    sent.filter_map(|verdict| async { verdict.err() }).collect().await
}

/// Sends every attack of team `app` on its own namespaces as a member of the team in `namespace`, which is not
/// whole: none of them may have an effect, whatever stops it.
pub(crate) async fn none_gets_through(attacks: &[Attack], namespace: &str) -> Vec<String> {
    let there = attacks.iter().filter_map(|attack| Some((attack, moved(&attack.call, namespace)?)));
    let sent = stream::iter(there).map(|(attack, call)| async move {
        let answer = call.send().await;
        // Whoever deletes everything where nothing of the platform is yet has deleted nothing of it.
        let ours =
            |item: &Value| item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "team-isolation";
        let nothing = answer.body["items"].as_array().is_some_and(|items| !items.iter().any(ours));
        let through = answer.is_admitted() && !nothing && !is_going(&call).await;
        through.then(|| format!("{} {}: {} {}", attack.id, attack.what, call.method, call.path))
    });
    sent.buffer_unordered(AT_ONCE).filter_map(|through| async { through }).collect().await
}

/// Whether the request deletes what is being deleted already.
async fn is_going(call: &Call) -> bool {
    let path = call.path.split('?').next().unwrap_or_default();
    let live = send(Persona::Root, "GET", path, None).await;
    call.method == "DELETE" && live.body["metadata"]["deletionTimestamp"].is_string()
}

/// The same request in another namespace; nothing where it has nothing to do with the namespaces of `app`.
fn moved(call: &Call, namespace: &str) -> Option<Call> {
    let moves = |text: &str| text.replace(HOME, namespace).replace(LAB, namespace);
    let body = call.body.as_ref().map(|body| {
        let text = moves(&body.to_string());
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let path = moves(&call.path);
    let persona: Persona = call.persona.of_half();
    let concerned = path != call.path || body != call.body || persona != call.persona;
    concerned.then_some(Call { persona, method: call.method, path, body })
}
