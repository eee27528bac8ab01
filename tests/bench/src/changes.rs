//! What happens on a cluster that rests: pushes to a monorepo of many Applications, told by webhook; drift; and an object
//! that is never still.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service as KubeService};
use kube::api::{Api, Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use mlp_crds::Application;
use mlp_harness::GitServer;
use mlp_tilt::ports::free_port;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Error;
use crate::applications::{CONTROL, Fleet, git, on_a_rig};
use crate::percentile::Times;
use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::service::{Service, WRITES};

/// Changes of each kind.
const SAMPLES: usize = 100;
/// How long one change may take before it counts as broken.
const LIMIT: Duration = Duration::from_secs(60);
/// From the delivery to what is live, in seconds.
const PUSHED: f64 = 3.0;
/// From a change beside git until the Application says so, in seconds.
const SEEN: f64 = 1.0;
/// From a change beside git until it is taken back, in seconds.
const HEALED: f64 = 3.0;
/// How much of a core an object may take that is never still, in percent.
const RESTLESS: f64 = 1.0;
/// How long it is watched.
const NOISE: Duration = Duration::from_secs(60);
/// Its changes are so far apart.
const BEAT: Duration = Duration::from_millis(100);
/// What deliveries are shown.
const TOKEN: &str = "bench";

pub(crate) async fn run(count: usize) -> Result<Vec<Row>, Error> {
    on_a_rig(async |rig, isolation, sync| measure(rig, isolation, sync, count).await).await
}

async fn measure(rig: &Rig, isolation: &Path, sync: &Path, count: usize) -> Result<Vec<Row>, Error> {
    let fleet = Fleet::prepare(rig, isolation, count).await?;
    let server = GitServer::start(fleet.repository().to_owned(), None)?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret"},
        "stringData": {"webhook.gitlab.secret": TOKEN}});
    let secrets = Api::<Secret>::namespaced(rig.client(), CONTROL);
    secrets.patch("argocd-secret", &PatchParams::apply("mlp-bench"), &Patch::Apply(&secret)).await?;
    let port = free_port().ok_or("no free port is left")?;
    // Nothing is found by the poll while it is measured what comes of a webhook.
    let more =
        [("MLP_WEBHOOK_LISTEN", format!("127.0.0.1:{port}")), ("MLP_REPOSITORY_INTERVAL", "1h".to_owned())];
    let service = rig.service_with("gitops-sync", sync, more).await?;
    fleet.synced(&rig.client(), &server.url).await?;
    service.rests(WRITES).await?;

    let bench = Bench { client: rig.client(), fleet: &fleet, url: &server.url, port };
    let (mut pushed, mut seen, mut healed) = (Vec::new(), Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        pushed.push(bench.push(sample * 37 % count, sample).await?);
    }
    service.rests(WRITES).await?;
    for sample in 0..SAMPLES {
        let (told, undone) = bench.drift(sample * 41 % count).await?;
        seen.push(told);
        healed.push(undone);
    }
    service.rests(WRITES).await?;
    let idle = bench.share(&service, false).await?;
    let restless = bench.share(&service, true).await?;
    let rows = [
        ("commit in a monorepo of", "told by webhook, to applied", Times::of(pushed), PUSHED),
        ("drift among", "to said by the Application", Times::of(seen), SEEN),
        ("drift among", "to healed", Times::of(healed), HEALED),
    ];
    let mut all = Vec::new();
    for (what, to, times, bound) in rows {
        let name = |which: &str| format!("{what} {count} applications, {to}, {which}");
        all.push(Row::new(name("p50"), times.percentile(50) / 1000.0, "s"));
        let worst = Row::new(name("p99"), times.percentile(99) / 1000.0, "s");
        all.push(worst.against(Target::AtMost(bound)));
    }
    let what = "an object with 10 status updates a second, of a core";
    all.push(Row::new(what, restless - idle, "%").against(Target::AtMost(RESTLESS)));
    Ok(all)
}

struct Bench<'a> {
    client: Client,
    fleet: &'a Fleet,
    url: &'a str,
    port: u16,
}

impl Bench<'_> {
    fn maps(&self, number: usize) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.fleet.namespace(number))
    }

    /// Commits a change of one application, has a forge tell of it, and waits until it is live.
    async fn push(&self, number: usize, sample: usize) -> Result<Duration, Error> {
        let greeting = format!("change {sample}");
        self.fleet.write(number, &greeting)?;
        git(self.fleet.repository(), &["commit", "--quiet", "--all", "--message", &greeting]).await?;
        let begun = Instant::now();
        let live = until(self.maps(number), format!("app-{number}"), move |map| says(map, &greeting));
        let ((), ended) = tokio::try_join!(self.deliver(), live)?;
        Ok(ended.saturating_duration_since(begun))
    }

    /// Tells of a push, as GitLab does.
    async fn deliver(&self) -> Result<(), Error> {
        let body = json!({"ref": "refs/heads/main", "project": {"git_http_url": self.url, "default_branch": "main"}});
        let body = body.to_string();
        let head = format!(
            "POST /api/webhook HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nX-Gitlab-Event: Push Hook\r\nX-Gitlab-Token: {TOKEN}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("webhook: {answer}").into()) }
    }

    /// Changes an object beside git, and waits until the Application says so and until it is taken back.
    async fn drift(&self, number: usize) -> Result<(Duration, Duration), Error> {
        let name = format!("app-{number}");
        let applications = Api::<Application>::namespaced(self.client.clone(), CONTROL);
        let before = applications.get(&name).await?.resource_version();
        let maps = self.maps(number);
        let wanted = maps.get(&name).await?.data.and_then(|data| data.get("greeting").cloned());
        let wanted = wanted.ok_or_else(|| format!("{name} has no greeting"))?;
        let change = json!({"data": {"greeting": "somebody's"}});
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await?;
        let begun = Instant::now();
        let said = until(applications, name.clone(), move |one| one.resource_version() != before);
        let healed = until(maps, name, move |map| says(map, &wanted));
        let (said, healed) = tokio::try_join!(said, healed)?;
        Ok((said.saturating_duration_since(begun), healed.saturating_duration_since(begun)))
    }

    /// How much of a core the service takes, in percent: at rest, or while one object's status changes all the time.
    async fn share(&self, service: &Service, noise: bool) -> Result<f64, Error> {
        let services = Api::<KubeService>::namespaced(self.client.clone(), &self.fleet.namespace(0));
        let (begun, before) = (Instant::now(), service.processor_seconds()?);
        let mut beats = tokio::time::interval(BEAT);
        let mut beat = 0_u32;
        while begun.elapsed() < NOISE {
            beats.tick().await;
            if noise {
                beat += 1;
                let condition = json!({"type": "Noise", "status": "True", "reason": "Beat", "message": beat.to_string(),
                    "lastTransitionTime": jiff::Timestamp::now().to_string()});
                let change = json!({"status": {"conditions": [condition]}});
                services.patch_status("app-0", &PatchParams::default(), &Patch::Merge(&change)).await?;
            }
        }
        Ok((service.processor_seconds()? - before) / begun.elapsed().as_secs_f64() * 100.0)
    }
}

fn says(map: &ConfigMap, greeting: &str) -> bool {
    map.data.as_ref().and_then(|data| data.get("greeting")).is_some_and(|found| found == greeting)
}

/// When an object is as wanted.
async fn until<K>(api: Api<K>, name: String, wanted: impl Fn(&K) -> bool) -> Result<Instant, Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + kube::Resource + 'static,
{
    let watching = async {
        let object = api.get(&name).await?;
        if wanted(&object) {
            return Ok(Instant::now());
        }
        let mut version = object.resource_version().unwrap_or_default();
        let one = WatchParams::default().fields(&format!("metadata.name={name}"));
        loop {
            let mut events = api.watch(&one, &version).await?.boxed();
            while let Some(event) = events.try_next().await? {
                let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
                if wanted(&object) {
                    return Ok(Instant::now());
                }
                version = object.resource_version().unwrap_or(version);
            }
        }
    };
    tokio::time::timeout(LIMIT, watching).await.map_err(|_| format!("{name}: not so within {LIMIT:?}"))?
}
