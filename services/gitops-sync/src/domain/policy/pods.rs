//! Rules about pods, wherever a template of them stands.

use serde_json::Value;

use super::{Judged, is_set};

/// Levels of an object in which a template of pods may lie, as training jobs have them by role.
const DEPTH: usize = 6;

/// What of an object's pods breaks which rule.
pub(super) fn broken(judged: &Judged<'_>, registries: &[String]) -> Vec<(&'static str, String)> {
    let mut found =
        pods(judged.object).into_iter().flat_map(|spec| of_pod(judged, spec, registries)).collect::<Vec<_>>();
    found.dedup();
    found
}

fn of_pod(judged: &Judged<'_>, spec: &Value, registries: &[String]) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    let lasting = containers(spec, &["containers", "initContainers"]);
    let all = containers(spec, &["containers", "initContainers", "ephemeralContainers"]);
    let mut each = |rule: &'static str, breaks: &dyn Fn(&Value) -> bool, of: &[&Value], words: &str| {
        let names: Vec<&str> = of.iter().filter(|one| breaks(one)).map(|one| name(one)).collect();
        if !names.is_empty() {
            broken.push((rule, format!("{}: {words}", names.join(", "))));
        }
    };
    let image = |one: &Value| spelled(text(one, "/image"));
    let is_foreign = |one: &Value| {
        let image = image(one);
        !registries.iter().any(|registry| image.starts_with(&format!("{registry}/")))
    };
    if !registries.is_empty() {
        let words = format!("image of another registry than {}", registries.join(", "));
        each("image-registry", &is_foreign, &all, &words);
    }
    each(
        "image-tag",
        &|one| is_loose(&image(one)),
        &all,
        "image without a tag, or with latest, debug or devel; name a version or a digest",
    );
    let is_kept = |one: &Value| {
        let policy = text(one, "/imagePullPolicy");
        if policy.is_empty() { !is_loose(&image(one)) } else { policy != "Always" }
    };
    each(
        "image-pull-always",
        &is_kept,
        &all,
        "imagePullPolicy is not Always: an image on a node is used by whoever names it",
    );
    let is_unbounded = |one: &Value| {
        // Requests are what limits say where they say nothing.
        ["cpu", "memory"].iter().any(|field| !is_set(one, &format!("/resources/limits/{field}")))
    };
    each("resources", &is_unbounded, &lasting, "set resources.limits of cpu and memory");
    let is_writable = |one: &Value| !flag(one, "/securityContext/readOnlyRootFilesystem");
    each(
        "read-only-root",
        &is_writable,
        &lasting,
        "set securityContext.readOnlyRootFilesystem, and mount an emptyDir where it writes",
    );
    if !runs_to_an_end(judged) {
        let served = containers(spec, &["containers"]);
        let is_unprobed = |one: &Value| !is_set(one, "/readinessProbe") || !is_set(one, "/livenessProbe");
        each("probes", &is_unprobed, &served, "set readinessProbe and livenessProbe");
    }
    let said = |one: &Value, field: &str| {
        let own =
            one.pointer("/securityContext").and_then(|own| own.get(field)).filter(|value| !value.is_null());
        own.or_else(|| spec.pointer("/securityContext")?.get(field)).cloned().unwrap_or_default()
    };
    let is_root = |one: &Value| said(one, "runAsUser") == 0 || said(one, "runAsNonRoot") != true;
    each("run-as-root", &is_root, &all, "set securityContext.runAsNonRoot to true, and no runAsUser of 0");
    let may_escalate = |one: &Value| {
        let list = |field: &str| -> Vec<&str> {
            let list =
                one.pointer(&format!("/securityContext/capabilities/{field}")).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let drops_all = list("drop").iter().any(|one| one.eq_ignore_ascii_case("ALL"));
        let adds = list("add").iter().any(|one| *one != "NET_BIND_SERVICE");
        !drops_all
            || adds
            || one.pointer("/securityContext/allowPrivilegeEscalation") != Some(&Value::Bool(false))
    };
    each(
        "privilege-escalation",
        &may_escalate,
        &all,
        "set securityContext.allowPrivilegeEscalation to false and capabilities.drop to [ALL], and add none but NET_BIND_SERVICE",
    );
    let is_open = |one: &Value| {
        let profile = said(one, "seccompProfile");
        !["RuntimeDefault", "Localhost"].contains(&text(&profile, "/type"))
    };
    each("seccomp", &is_open, &all, "set securityContext.seccompProfile.type to RuntimeDefault");
    let takes_port = |one: &Value| {
        let ports = one.get("ports").and_then(Value::as_array);
        ports
            .into_iter()
            .flatten()
            .any(|port| port.get("hostPort").and_then(Value::as_u64).is_some_and(|port| port > 0))
    };
    each("privileged", &takes_port, &all, "hostPort: it takes a port of the node; use a Service");
    each(
        "privileged",
        &|one| flag(one, "/securityContext/privileged"),
        &all,
        "privileged: it holds the whole node; remove it",
    );
    each(
        "clear-text-env",
        &|one| has_clear_text(one),
        &all,
        "a password or token among env is read by whoever reads the repository; use valueFrom.secretKeyRef",
    );
    let of_host =
        ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| flag(spec, &format!("/{field}")));
    let mut of_host: Vec<&str> = of_host.collect();
    let volumes = spec.get("volumes").and_then(Value::as_array);
    if volumes.into_iter().flatten().any(|volume| is_set(volume, "/hostPath")) {
        of_host.push("a hostPath volume");
    }
    if !of_host.is_empty() {
        broken.push(("privileged", format!("{}: it reaches into the node; remove it", of_host.join(", "))));
    }
    if text(spec, "/serviceAccountName").is_empty() {
        broken.push((
            "default-account",
            "serviceAccountName is not set: all pods of the namespace share the account `default`".to_owned(),
        ));
    }
    let (kind, object) = (judged.id.kind.as_str(), judged.object);
    let lifetime = match kind {
        "Job" => object.pointer("/spec/ttlSecondsAfterFinished"),
        _ => object.pointer("/spec/jobTemplate/spec/ttlSecondsAfterFinished"),
    };
    if kind == "Job" && lifetime.is_none_or(Value::is_null) {
        broken.push((
            "job-ttl",
            "a finished Job without ttlSecondsAfterFinished stays forever; set it to 604800 (a week) or less"
                .to_owned(),
        ));
    }
    broken
}

/// The specs of an object's pods: its own, or those of its templates, of whatever kind it is.
fn pods(object: &Value) -> Vec<&Value> {
    let has_containers = |spec: &&Value| spec.get("containers").is_some_and(Value::is_array);
    match object.get("kind").and_then(Value::as_str) {
        Some("Pod") => object.get("spec").filter(has_containers).into_iter().collect(),
        // What it says of pods is a schema.
        Some("CustomResourceDefinition") => Vec::new(),
        _ => {
            let mut found = Vec::new();
            templates(object, DEPTH, &mut found);
            found.retain(has_containers);
            found
        }
    }
}

fn templates<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.extend(value.get("spec").filter(|_| key == "template"));
                templates(value, depth, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| templates(item, depth, found)),
        _ => {}
    }
}

/// Whether its pods are done one day, so that nobody asks whether they are ready.
fn runs_to_an_end(judged: &Judged<'_>) -> bool {
    judged.id.group == "batch"
}

fn containers<'a>(spec: &'a Value, fields: &[&str]) -> Vec<&'a Value> {
    fields.iter().filter_map(|field| spec.get(field)?.as_array()).flatten().collect()
}

fn name(container: &Value) -> &str {
    text(container, "/name")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer) == Some(&Value::Bool(true))
}

/// An image with its registry spelled out, as the API server's rule has it: `nginx` is docker.io/library/nginx.
fn spelled(image: &str) -> String {
    let Some((first, _)) = image.split_once('/') else { return format!("docker.io/library/{image}") };
    let is_host = first.contains(['.', ':']) || first == "localhost" || first != first.to_lowercase();
    if is_host { image.to_owned() } else { format!("docker.io/{image}") }
}

/// Whether an image may be another one tomorrow.
fn is_loose(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.rsplit_once(':').map(|(_, tag)| tag);
    !image.contains("@sha256:") && tag.is_none_or(|tag| ["latest", "debug", "devel"].contains(&tag))
}

/// Whether a variable whose name says that it is secret has its value written down.
fn has_clear_text(container: &Value) -> bool {
    const ENDINGS: [&str; 6] = ["PASSWORD", "TOKEN", "SECRET", "SECRET_KEY", "API_KEY", "ACCESS_KEY"];
    let env = container.get("env").and_then(Value::as_array);
    env.into_iter().flatten().any(|variable| {
        let name = text(variable, "/name").to_uppercase();
        ENDINGS.iter().any(|ending| name.ends_with(ending)) && !text(variable, "/value").is_empty()
    })
}
