//! Rules about pods, wherever a template of them stands.

use serde_json::Value;

use super::Judged;

/// What of an object's pods breaks which rule.
pub(super) fn broken(judged: &Judged<'_>, registries: &[String]) -> Vec<(&'static str, String)> {
    let Some(spec) = pod(judged.object) else { return Vec::new() };
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
        let fields = ["requests/cpu", "requests/memory", "limits/cpu", "limits/memory"];
        fields.iter().any(|field| one.pointer(&format!("/resources/{field}")).is_none())
    };
    each(
        "resources",
        &is_unbounded,
        &lasting,
        "set resources.requests and resources.limits of cpu and memory",
    );
    let is_writable = |one: &Value| !flag(one, "/securityContext/readOnlyRootFilesystem");
    each(
        "read-only-root",
        &is_writable,
        &lasting,
        "set securityContext.readOnlyRootFilesystem, and mount an emptyDir where it writes",
    );
    if !runs_to_an_end(judged) {
        let served = containers(spec, &["containers"]);
        let is_unprobed =
            |one: &Value| one.get("readinessProbe").is_none() || one.get("livenessProbe").is_none();
        each("probes", &is_unprobed, &served, "set readinessProbe and livenessProbe");
    }
    let is_root = |one: &Value| {
        let (own, pods) = (one.pointer("/securityContext"), spec.get("securityContext"));
        let said = |field: &str| {
            own.and_then(|own| own.get(field)).or_else(|| pods.and_then(|pods| pods.get(field)))
        };
        let user = said("runAsUser").and_then(Value::as_i64);
        user == Some(0) || (user.is_none() && said("runAsNonRoot") != Some(&Value::Bool(true)))
    };
    each("run-as-root", &is_root, &all, "set securityContext.runAsNonRoot, or a runAsUser other than 0");
    let may_escalate = |one: &Value| {
        let dropped = one.pointer("/securityContext/capabilities/drop").and_then(Value::as_array);
        let drops_all = dropped.is_some_and(|dropped| {
            dropped.iter().any(|one| one.as_str().is_some_and(|one| one.eq_ignore_ascii_case("ALL")))
        });
        one.pointer("/securityContext/allowPrivilegeEscalation") != Some(&Value::Bool(false)) || !drops_all
    };
    each(
        "privilege-escalation",
        &may_escalate,
        &all,
        "set securityContext.allowPrivilegeEscalation to false and capabilities.drop to [ALL]",
    );
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
    if volumes.into_iter().flatten().any(|volume| volume.get("hostPath").is_some()) {
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
    if kind == "Job" && lifetime.is_none() {
        broken.push((
            "job-ttl",
            "a finished Job without ttlSecondsAfterFinished stays forever; set it to 604800 (a week) or less"
                .to_owned(),
        ));
    }
    broken
}

/// The spec of an object's pods: its own, or that of its template, of whatever kind it is.
fn pod(object: &Value) -> Option<&Value> {
    let is_pod = object.get("kind").is_some_and(|kind| kind == "Pod");
    let places = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    let found =
        if is_pod { object.get("spec") } else { places.iter().find_map(|place| object.pointer(place)) };
    found.filter(|spec| spec.get("containers").is_some_and(Value::is_array))
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
