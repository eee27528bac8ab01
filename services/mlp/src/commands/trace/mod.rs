//! `mlp trace ID`: one trace as a tree, from Jaeger's query API.

pub(crate) mod jaeger;
mod tree;

use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use mlp_model::{Flow, labels};

use crate::cli::{Global, Output, Trace};
use crate::cluster;
use crate::exit::{Failure, Outcome};
use crate::http;
use crate::platform::Platform;

use jaeger::Answer;

/// Prints the trace.
pub(crate) async fn trace(global: &Global, flags: &Trace) -> Outcome {
    let platform = Platform::load(&global.state()?)?;
    let id = trace_id(&platform, &flags.id).await?;
    let body = fetch(&platform, &id).await?;
    if flags.output == Output::Json {
        println!("{}", String::from_utf8_lossy(&body));
        return Ok(());
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| Failure::while_doing("reading Jaeger's answer", &error))?;
    let Some(trace) = answer.data.first() else { return Err(not_found(&id)) };
    println!("trace {id}, {} spans\n", trace.spans.len());
    print!("{}", tree::draw(trace));
    Ok(())
}

/// Jaeger's answer on one trace.
pub(crate) async fn fetch(platform: &Platform, id: &str) -> Result<Vec<u8>, Failure> {
    let (status, body) = http::get(&format!("{}/api/traces/{id}", platform.jaeger)).await?;
    match status {
        200 => Ok(body),
        404 => Err(not_found(id)),
        other => Err(Failure::failed(format!("Jaeger answers with status {other}"))),
    }
}

fn not_found(id: &str) -> Failure {
    Failure::failed(format!("no trace {id} is stored; traces of the last minutes arrive a few seconds late"))
}

/// A trace id as it is, or the flow of the object that is named.
async fn trace_id(platform: &Platform, text: &str) -> Result<String, Failure> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(text.to_lowercase());
    }
    let parts: Vec<_> = text.split('/').collect();
    let (resource, namespace, name) = match parts.as_slice() {
        ["team", name] => (resource("mlplatform.dev", "Team", "teams"), None, *name),
        ["database", namespace, name] => {
            (resource("mlplatform.dev", "Database", "databases"), Some(*namespace), *name)
        }
        ["cache", namespace, name] => {
            (resource("mlplatform.dev", "Cache", "caches"), Some(*namespace), *name)
        }
        ["application", namespace, name] => {
            (resource("argoproj.io", "Application", "applications"), Some(*namespace), *name)
        }
        _ => {
            return Err(Failure::usage(format!(
                "`{text}` is no trace id (32 hex digits) and names no object; write for example team/ml or \
                 application/ml-team/NAME"
            )));
        }
    };
    let client = cluster::client(&platform.kubeconfig).await?;
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let object =
        api.get(name).await.map_err(|error| Failure::while_doing(&format!("looking up {text}"), &error))?;
    let meta = object.metadata;
    let annotation = meta.annotations.as_ref().and_then(|all| all.get(labels::TRACEPARENT));
    let uid = meta.uid.unwrap_or_default();
    let flow = Flow::of(&uid, meta.generation.unwrap_or_default(), annotation.map(String::as_str));
    Ok(flow.trace_id.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1alpha1", kind), plural)
}
