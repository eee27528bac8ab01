//! `cargo mlp app ...`: what an Application is and does, asked of gitops-sync over gRPC as the person who calls.

mod new;
mod print;
mod view;

use std::time::Duration;

use mlp_host::grpc::ServiceChannel;
use mlp_proto::gitops::api::v1 as proto;
use mlp_proto::gitops::api::v1::gitops_service_client::GitopsServiceClient;
use tonic::Status;

use crate::cli::{self, AppVerb, Global, Output, Wait};
use crate::commands::calls;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

const SERVICE: &str = "gitops-sync";
/// Applications in a page of a list.
const PAGE: i32 = 500;
/// How often an operation is asked about.
const LOOK: Duration = Duration::from_millis(500);

/// For so many seconds two operations may be taken for one.
const RECENT: i64 = 10;
/// When one that neither waits nor has begun was taken back.
const TAKEN_BACK: Duration = Duration::from_secs(5);

type Client = GitopsServiceClient<ServiceChannel>;

/// Namespace and name of an Application.
#[derive(Clone)]
struct Place {
    namespace: String,
    name: String,
}

/// Runs one of the verbs.
pub(crate) async fn app(global: &Global, flags: &cli::App) -> Outcome {
    if let AppVerb::New(new) = &flags.verb {
        return new::new(new, flags.call.namespace.as_deref());
    }
    let platform = Platform::load(&global.state()?)?;
    let channel = calls::connect(&platform, SERVICE, flags.call.token.as_ref()).await?;
    let mut client = Client::new(channel);
    let AppVerb::List = &flags.verb else { return one(&mut client, flags).await };
    let applications = all(&mut client, flags.call.namespace.as_deref().unwrap_or_default()).await?;
    let answer = proto::ListApplicationsResponse { applications, ..Default::default() };
    said(flags.call.output, &answer, |answer| print::list(&answer.applications))
}

async fn one(client: &mut Client, flags: &cli::App) -> Outcome {
    let output = flags.call.output;
    let name = match &flags.verb {
        AppVerb::List | AppVerb::New(_) => return Ok(()),
        AppVerb::Get { name }
        | AppVerb::Terminate { name }
        | AppVerb::History { name }
        | AppVerb::Manifests { name, .. }
        | AppVerb::Release { name } => name,
        AppVerb::Diff(flags) => &flags.name,
        AppVerb::Findings(flags) => &flags.name,
        AppVerb::Sync(flags) => &flags.name,
        AppVerb::Rollback(flags) => &flags.name,
    };
    let place = find(client, flags.call.namespace.as_deref(), name).await?;
    let Place { namespace, name } = place.clone();
    match &flags.verb {
        AppVerb::List | AppVerb::New(_) => Ok(()),
        AppVerb::Diff(flags) => view::diff(client, place, flags, output).await,
        AppVerb::Findings(flags) => view::findings(client, place, flags, output).await,
        AppVerb::Manifests { revision, .. } => view::manifests(client, place, revision, output).await,
        AppVerb::Get { .. } => {
            let answer = client.get_application(proto::GetApplicationRequest { namespace, name }).await;
            said(output, &answer.map_err(refused)?.into_inner(), |answer| {
                print::one(answer.application.as_ref())
            })
        }
        AppVerb::History { .. } => {
            let request = proto::GetApplicationHistoryRequest { namespace, name };
            let answer = client.get_application_history(request).await;
            said(output, &answer.map_err(refused)?.into_inner(), print::history)
        }
        AppVerb::Terminate { .. } => {
            let answer = client.terminate_sync(proto::TerminateSyncRequest { namespace, name }).await;
            said(output, &answer.map_err(refused)?.into_inner(), |_| "the sync ends".to_owned())
        }
        AppVerb::Release { .. } => {
            let request = proto::ReleaseApplicationRequest { namespace, name };
            let answer = client.release_application(request).await;
            said(output, &answer.map_err(refused)?.into_inner(), |_| "it follows its branch again".to_owned())
        }
        AppVerb::Sync(sync) => {
            let request = proto::SyncApplicationRequest {
                namespace: namespace.clone(),
                name: name.clone(),
                revision: sync.revision.clone(),
                prune: sync.prune,
                dry_run: sync.dry_run,
            };
            let answer = client.sync_application(request).await.map_err(refused)?.into_inner();
            follow(client, flags, place, &sync.wait, answer.application).await
        }
        AppVerb::Rollback(rollback) => {
            let request = proto::RollbackApplicationRequest {
                namespace: namespace.clone(),
                name: name.clone(),
                id: rollback.id,
                prune: rollback.prune,
            };
            let answer = client.rollback_application(request).await.map_err(refused)?.into_inner();
            follow(client, flags, place, &rollback.wait, answer.application).await
        }
    }
}

/// Shows what was asked for, and how it ends where that is waited for.
async fn follow(
    client: &mut Client,
    flags: &cli::App,
    place: Place,
    wait: &Wait,
    asked: Option<proto::Application>,
) -> Outcome {
    let asked = asked.unwrap_or_default();
    if !wait.wait {
        let answer = proto::GetApplicationResponse { application: Some(asked) };
        return said(flags.call.output, &answer, |answer| print::asked(answer.application.as_ref()));
    }
    let deadline = tokio::time::Instant::now() + wait.timeout;
    // Starts are told in seconds: one that begins right after another may have the same.
    let before = asked.operation_started_at.as_ref().map_or(0, |time| time.seconds);
    let is_recent = jiff::Timestamp::now().as_second() - before < RECENT;
    let taken_back = tokio::time::Instant::now() + TAKEN_BACK;
    let mut last = String::new();
    loop {
        let Place { namespace, name } = &place;
        let request = proto::GetApplicationRequest { namespace: namespace.clone(), name: name.clone() };
        let answer = client.get_application(request).await.map_err(refused)?.into_inner();
        let now = answer.application.clone().unwrap_or_default();
        let begun = is_recent || now.operation_started_at != asked.operation_started_at;
        let has_begun = begun && !now.operation_waits;
        let is_over = matches!(now.operation_phase.as_str(), "Succeeded" | "Failed" | "Error");
        if has_begun && is_over {
            said(flags.call.output, &answer, |answer| print::one(answer.application.as_ref()))?;
            return match now.operation_phase.as_str() {
                "Succeeded" => Ok(()),
                phase => Err(Failure::failed(format!("{phase}: {}", now.operation_message))),
            };
        }
        // It stands at the object until it begins, so that nobody can take it for one that did.
        if !has_begun && !now.operation_waits && tokio::time::Instant::now() >= taken_back {
            return Err(Failure::failed("what was asked for was taken back before it began"));
        }
        let word = if has_begun {
            format!("{} {}", now.operation_phase, now.operation_message)
        } else {
            format!("waiting to begin {}", now.conditions.join("; "))
        };
        if word != last {
            eprintln!("{word}");
            last = word;
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Failure::not_ready(format!("no end within {} s: {last}", wait.timeout.as_secs())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The Application of this name: in the namespace, or the only one of all.
async fn find(client: &mut Client, namespace: Option<&str>, name: &str) -> Result<Place, Failure> {
    if let Some(namespace) = namespace {
        return Ok(Place { namespace: namespace.to_owned(), name: name.to_owned() });
    }
    let found = all(client, "").await?;
    let places: Vec<_> = found.into_iter().filter(|one| one.name == name).map(|one| one.namespace).collect();
    match places.as_slice() {
        [namespace] => Ok(Place { namespace: namespace.clone(), name: name.to_owned() }),
        [] => Err(Failure::failed(format!("there is no Application {name}; see `cargo mlp app list`"))),
        several => Err(Failure::usage(format!(
            "there is an Application {name} in each of {}; say which with --namespace",
            several.join(", ")
        ))),
    }
}

async fn all(client: &mut Client, namespace: &str) -> Result<Vec<proto::Application>, Failure> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let namespace = namespace.to_owned();
        let request = proto::ListApplicationsRequest { namespace, page_size: PAGE, page_token };
        let page = client.list_applications(request).await.map_err(refused)?.into_inner();
        all.extend(page.applications);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn said<T>(output: Output, answer: &T, print: impl Fn(&T) -> String) -> Outcome
where
    T: mlp_proto::Name + mlp_proto::Message,
{
    match output {
        Output::Json => calls::message(answer),
        Output::Text => {
            println!("{}", print(answer));
            Ok(())
        }
    }
}

fn refused(status: Status) -> Failure {
    calls::refused(SERVICE, &status)
}
