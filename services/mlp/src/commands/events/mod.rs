//! `mlp events`: read along, list what was given up, send it back.

pub(crate) mod body;

use std::path::Path;

use futures::{StreamExt as _, pin_mut};
use mlp_bus::deadletter::Filter;
use mlp_bus::tail::{TailOptions, Tailed};
use mlp_bus::topology::Start;
use mlp_bus::{Bus, BusOptions};
use serde_json::json;

use crate::cli::{Dead, Events, Global, Output, Redrive, Tail};
use crate::exit::{Failure, Outcome, chain};
use crate::platform::Platform;

/// The most dead letters that one listing shows.
const DEAD_LIMIT: usize = 1_000;

/// Runs the verb that was asked for.
pub(crate) async fn events(global: &Global, verb: &Events) -> Outcome {
    let bus = connect(&Platform::load(&global.state()?)?).await?;
    match verb {
        Events::Tail(flags) => tail(&bus, flags).await,
        Events::Dead(flags) => dead(&bus, flags).await,
        Events::Redrive(flags) => redrive(&bus, flags).await,
    }
}

/// Connects with the platform's own credentials.
pub(crate) async fn connect(platform: &Platform) -> Result<Bus, Failure> {
    let credentials = &platform.nats_credentials;
    let options = BusOptions {
        servers: vec![platform.nats_url.clone()],
        credentials: Path::new(credentials).is_file().then(|| credentials.clone()),
        client_name: "mlp".to_owned(),
        ..BusOptions::default()
    };
    Bus::connect(options)
        .await
        .map_err(|error| Failure::while_doing("connecting to the event broker", &error))
}

async fn tail(bus: &Bus, flags: &Tail) -> Outcome {
    let start = if flags.all { Start::All } else { Start::New };
    let options =
        TailOptions { team: flags.team.clone(), contexts: Vec::new(), start, stored_only: flags.no_follow };
    let stream = bus.tail(&options).await.map_err(|error| Failure::while_doing("reading events", &error))?;
    let limited = stream.take(flags.limit.unwrap_or(usize::MAX));
    pin_mut!(limited);
    while let Some(tailed) = limited.next().await {
        let tailed =
            tailed.map_err(|error| Failure::failed(format!("reading events: {}", chain(error.as_ref()))))?;
        match flags.output {
            Output::Text => println!("{}", text(&tailed)),
            Output::Json => println!("{}", json_line(&tailed)),
        }
    }
    Ok(())
}

fn text(tailed: &Tailed) -> String {
    match &tailed.event {
        Ok(event) => {
            let trace = event.flow.as_deref().and_then(|flow| flow.split('-').nth(1)).unwrap_or("-");
            let name = event.message_type.rsplit('.').next().unwrap_or_default();
            let time = tailed.stored.get(..19).unwrap_or(&tailed.stored);
            format!("{time}  {:<10} {name:<26} {:<40} trace {trace}", event.team, event.subject)
        }
        Err(malformed) => format!("{}  malformed on {}: {malformed}", tailed.stored, tailed.subject),
    }
}

fn json_line(tailed: &Tailed) -> serde_json::Value {
    let place = json!({"stream": tailed.stream, "sequence": tailed.sequence, "stored": tailed.stored,
        "natsSubject": tailed.subject});
    match &tailed.event {
        Ok(event) => json!({"id": event.id, "source": event.source, "type": event.message_type,
            "subject": event.subject, "time": event.time, "team": event.team, "aggregate": event.aggregate,
            "version": event.version, "flow": event.flow, "traceparent": event.traceparent,
            "data": body::decode(&event.message_type, &event.data), "place": place}),
        Err(malformed) => json!({"malformed": malformed.to_string(), "place": place}),
    }
}

async fn dead(bus: &Bus, flags: &Dead) -> Outcome {
    let letters = bus
        .dead_letters(&Filter::default(), DEAD_LIMIT)
        .await
        .map_err(|error| Failure::while_doing("listing dead letters", &error))?;
    if letters.is_empty() && flags.output == Output::Text {
        println!("no dead letters");
    }
    for letter in letters {
        match flags.output {
            Output::Text => println!(
                "{}  {:<28} {:<20} {} deliveries  {}\n    {}",
                letter.sequence,
                letter.consumer,
                letter.reason,
                letter.deliveries,
                letter.subject,
                letter.error
            ),
            Output::Json => println!(
                "{}",
                json!({"sequence": letter.sequence, "time": letter.time, "consumer": letter.consumer,
                    "stream": letter.stream, "streamSequence": letter.stream_sequence,
                    "subject": letter.subject, "deliveries": letter.deliveries, "reason": letter.reason,
                    "error": letter.error, "traceparent": letter.traceparent,
                    "id": letter.event().map(|event| event.id)})
            ),
        }
    }
    Ok(())
}

async fn redrive(bus: &Bus, flags: &Redrive) -> Outcome {
    let filter = Filter { consumer: flags.consumer.clone(), sequence: flags.sequence, ..Filter::default() };
    let who = std::env::var("USER").unwrap_or_else(|_unset| "unknown".to_owned());
    let sent = bus
        .redrive(&filter, &who, flags.dry_run)
        .await
        .map_err(|error| Failure::while_doing("sending dead letters back", &error))?;
    let verb = if flags.dry_run { "would send" } else { "sent" };
    for letter in &sent {
        println!("{verb} {} to {}", letter.sequence, letter.consumer);
    }
    println!("{verb} {} dead letters", sent.len());
    Ok(())
}
