//! Reads the report: resources from the API server, cost by gRPC, readiness from the admin ports.

use std::collections::BTreeMap;

use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use mlp_host::grpc::{ChannelOptions, channel};
use mlp_model::Secret;
use mlp_proto::cost::api::v1::GetTeamCostsRequest;
use mlp_proto::cost::api::v1::cost_service_client::CostServiceClient;
use serde::de::DeserializeOwned;

use super::report::{self, PlatformService, Report, TeamRow};
use crate::cluster;
use crate::exit::{Failure, chain};
use crate::http;
use crate::platform::Platform;

/// How many objects of one kind the report shows at most.
const LIST_LIMIT: u32 = 500;
/// Nano-dollars in a dollar.
const NANO: i64 = 1_000_000_000;

/// The report on a running platform.
pub(crate) async fn gather(platform: &Platform) -> Result<Report, Failure> {
    let client = cluster::client(&platform.kubeconfig).await?;
    let records = list(&client, "health records").await?;
    let mut teams: Vec<TeamRow> =
        list(&client, "teams").await?.iter().map(|team| report::team(team, &records)).collect();
    add_costs(platform, &mut teams).await;
    let databases = list(&client, "databases").await?;
    let caches = list(&client, "caches").await?;
    let applications = list(&client, "applications").await?;
    let incidents = list(&client, "incidents").await?;
    Ok(Report {
        environment: platform.environment.to_string(),
        simulated_only: platform.simulated_only,
        platform_services: services(platform).await,
        teams,
        requests: databases.iter().map(report::database).chain(caches.iter().map(report::cache)).collect(),
        applications: applications.iter().map(report::application).collect(),
        incidents: incidents.iter().filter_map(report::incident).collect(),
        endpoints: endpoints(platform),
    })
}

async fn list<K>(client: &Client, what: &str) -> Result<Vec<K>, Failure>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    let listed = api.list(&ListParams::default().limit(LIST_LIMIT)).await;
    Ok(listed.map_err(|error| Failure::while_doing(&format!("listing {what}"), &error))?.items)
}

async fn services(platform: &Platform) -> Vec<PlatformService> {
    let mut all = Vec::new();
    for (name, record) in &platform.services {
        let ready =
            http::get(&format!("{}/readyz", record.admin)).await.is_ok_and(|(status, _)| status == 200);
        all.push(PlatformService { name: name.clone(), ready, grpc: record.grpc.clone() });
    }
    all
}

/// Cost is asked of its service; where it gives no answer the table shows none and a note says why.
async fn add_costs(platform: &Platform, teams: &mut [TeamRow]) {
    match costs(platform).await {
        Ok(costs) => {
            for team in teams {
                // A team that the answer leaves out has used nothing.
                let (rate, total) = costs.get(&team.name).copied().unwrap_or_default();
                team.usd_per_hour = Some(dollars(rate));
                team.usd_month_to_date = Some(dollars(total));
            }
        }
        Err(reason) => eprintln!("mlp: no costs: {reason}"),
    }
}

async fn costs(platform: &Platform) -> Result<BTreeMap<String, (i64, i64)>, String> {
    let service = platform.service("cost-attribution").map_err(|failure| failure.to_string())?;
    let token = std::fs::read_to_string(&platform.token).map_err(|error| error.to_string())?;
    let options = ChannelOptions { token: Some(Secret::new(token)), ..ChannelOptions::default() };
    let channel = channel(&service.grpc, &options).await.map_err(|error| chain(&error))?;
    let answer = CostServiceClient::new(channel)
        .get_team_costs(GetTeamCostsRequest::default())
        .await
        .map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
    let teams = answer.into_inner().teams.into_iter();
    Ok(teams
        .map(|team| {
            let total = team.cost.map_or(0, |cost| cost.total_nano_usd);
            (team.team, (team.hourly_rate_nano_usd, total))
        })
        .collect())
}

/// Nano-dollars as dollars with four decimals, rounded half up; integers only, so nothing drifts.
fn dollars(nano: i64) -> String {
    let (whole, part) = (nano / NANO, (nano % NANO).unsigned_abs());
    let rounded = (part + 50_000) / 100_000;
    let (whole, rounded) = if rounded == 10_000 { (whole + nano.signum(), 0) } else { (whole, rounded) };
    let sign = if nano < 0 && whole == 0 { "-" } else { "" };
    format!("{sign}{whole}.{rounded:04}")
}

fn endpoints(platform: &Platform) -> BTreeMap<String, String> {
    [
        ("kubeconfig", platform.kubeconfig.display().to_string()),
        ("events", platform.nats_url.clone()),
        ("traces (OTLP)", platform.otlp_traces.clone()),
        ("traces (query)", platform.jaeger.clone()),
        ("metrics", platform.prometheus.clone()),
    ]
    .into_iter()
    .map(|(name, address)| (name.to_owned(), address))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_round_without_floats() {
        for (nano, text) in [
            (0, "0.0000"),
            (1_234_567_890, "1.2346"),
            (999_950_000, "1.0000"),
            (-50_000, "-0.0001"),
            (7 * NANO, "7.0000"),
        ] {
            assert_eq!(dollars(nano), text);
        }
    }
}
