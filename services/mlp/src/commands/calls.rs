//! What verbs that call a service over gRPC have in common.

use std::path::PathBuf;

use mlp_host::grpc::{ChannelOptions, ServiceChannel, channel};
use mlp_model::Secret;
use serde::Serialize;
use tonic::Status;

use crate::commands::events::body;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

/// A connection to a service, with the token in the file or else the administrator's.
pub(crate) async fn connect(
    platform: &Platform,
    service: &str,
    maybe_token: Option<&PathBuf>,
) -> Result<ServiceChannel, Failure> {
    let running = platform.service(service)?;
    let path = maybe_token.unwrap_or(&platform.token);
    let token = std::fs::read_to_string(path)
        .map_err(|error| Failure::while_doing(&format!("reading the token {}", path.display()), &error))?;
    let options = ChannelOptions { token: Some(Secret::new(token)), ..ChannelOptions::default() };
    let channel = channel(&running.grpc, &options).await;
    channel.map_err(|error| Failure::while_doing(&format!("calling {service}"), &error))
}

/// A service's refusal, with its name.
pub(crate) fn refused(service: &str, status: &Status) -> Failure {
    Failure::failed(format!("{service}: {:?}: {}", status.code(), status.message()))
}

/// Prints an answer as JSON.
pub(crate) fn message<T>(answer: &T) -> Outcome
where
    T: mlp_proto::Name + mlp_proto::Message,
{
    json(&read(answer)?)
}

/// Prints answers as a list of JSON.
pub(crate) fn messages<T>(answers: &[T]) -> Outcome
where
    T: mlp_proto::Name + mlp_proto::Message,
{
    json(&answers.iter().map(read).collect::<Result<Vec<_>, _>>()?)
}

fn read<T>(answer: &T) -> Result<serde_json::Value, Failure>
where
    T: mlp_proto::Name + mlp_proto::Message,
{
    let message = body::read(&T::full_name(), &answer.encode_to_vec());
    message.ok_or_else(|| Failure::failed("the answer is of a newer version than this mlp"))
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::while_doing("writing JSON", &error))?;
    println!("{text}");
    Ok(())
}
