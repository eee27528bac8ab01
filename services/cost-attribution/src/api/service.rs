//! `mlp.cost.api.v1.CostService`.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use mlp_host::grpc::{Access, Authorizer, invalid_fields, status_from};
use mlp_model::name::PLATFORM;
use mlp_proto::cost::api::v1 as proto;
use mlp_proto::cost::api::v1::cost_service_server::CostService;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert;
use super::report::Reports;
use crate::domain::time::{HOUR, Span};
use crate::store::{Statement, Store};

/// Allocations on a page where the caller names no number, and the most it may name.
const PAGE: (usize, usize) = (100, 1_000);
/// The longest window of allocations; totals have none.
const LONGEST: i64 = 31 * 24 * HOUR;
/// How often a watch looks for newly closed hours.
const LOOK: Duration = Duration::from_secs(2);
/// Statements read at once by a watch.
const BATCH: i64 = 256;

/// Serves costs to callers that may read the teams.
pub struct Costs {
    reports: Reports,
    authorizer: Authorizer,
    draining: CancellationToken,
}

impl Costs {
    /// Serves what `reports` read; watches end when `draining` is cancelled.
    pub const fn new(reports: Reports, authorizer: Authorizer, draining: CancellationToken) -> Self {
        Self { reports, authorizer, draining }
    }

    /// One team: the right to get it; all: to list them.
    async fn allow<T>(&self, request: &Request<T>, team: &str) -> Result<(), Status> {
        let verb = if team.is_empty() || team.starts_with('_') { "list" } else { "get" };
        let access = Access::new(verb, "mlplatform.dev", "teams");
        let access = if verb == "get" { access.named(team) } else { access };
        self.authorizer.check(request, &access).await
    }

    fn window(&self, window: Option<&proto::Window>) -> Result<Span, Status> {
        let start = convert::instant(window.and_then(|window| window.start.as_ref()));
        let end = convert::instant(window.and_then(|window| window.end.as_ref()));
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            return Err(invalid_fields([("window.end", "is not after window.start")]));
        }
        Ok(self.reports.window(start, end))
    }
}

#[tonic::async_trait]
impl CostService for Costs {
    type WatchCostHoursStream = BoxStream<'static, Result<proto::WatchCostHoursResponse, Status>>;

    async fn get_team_costs(
        &self,
        request: Request<proto::GetTeamCostsRequest>,
    ) -> Result<Response<proto::GetTeamCostsResponse>, Status> {
        let proto::GetTeamCostsRequest { team, window } = request.get_ref();
        self.allow(&request, team).await?;
        let window = self.window(window.as_ref())?;
        let costs = self.reports.team_costs(window).await.map_err(|error| status_from(&error))?;
        let shown = costs.teams.iter().filter(|(name, _)| team.is_empty() || *name == team);
        let rate = |name: &String| costs.rates.get(name).copied().unwrap_or(0);
        let mut teams: Vec<_> = shown.map(|(name, total)| convert::team(name, total, rate(name))).collect();
        teams.sort_by_key(|it| (it.team == PLATFORM, it.team.clone()));
        Ok(Response::new(proto::GetTeamCostsResponse {
            window: Some(convert::window(window)),
            teams,
            assets_nano_usd: costs.assets,
            closed_until: costs.closed_until.map(crate::events::publish::timestamp),
        }))
    }

    async fn list_allocations(
        &self,
        request: Request<proto::ListAllocationsRequest>,
    ) -> Result<Response<proto::ListAllocationsResponse>, Status> {
        let proto::ListAllocationsRequest { team, namespace, window, page_size, page_token } =
            request.get_ref();
        self.allow(&request, team).await?;
        let window = self.window(window.as_ref())?;
        if window.end.saturating_sub(window.start) > LONGEST {
            return Err(invalid_fields([(
                "window",
                "is longer than 31 days; ask for less, or for team costs",
            )]));
        }
        let (usual, most) = PAGE;
        let size =
            usize::try_from(*page_size).map_err(|_| invalid_fields([("page_size", "write 0 to 1000")]))?;
        let size = if size == 0 { usual } else { size.min(most) };
        let skip: usize = match page_token.as_str() {
            "" => 0,
            token => token
                .parse()
                .map_err(|_| invalid_fields([("page_token", "is not one of a former answer")]))?,
        };
        let shares =
            self.reports.shares(window, team, namespace).await.map_err(|error| status_from(&error))?;
        let allocations: Vec<_> = shares.iter().skip(skip).take(size).map(convert::allocation).collect();
        let next = skip.saturating_add(allocations.len());
        let next_page_token = if next < shares.len() { next.to_string() } else { String::new() };
        let window = Some(convert::window(window));
        Ok(Response::new(proto::ListAllocationsResponse { window, allocations, next_page_token }))
    }

    async fn watch_cost_hours(
        &self,
        request: Request<proto::WatchCostHoursRequest>,
    ) -> Result<Response<Self::WatchCostHoursStream>, Status> {
        let proto::WatchCostHoursRequest { team, after_sequence } = request.get_ref();
        self.allow(&request, team).await?;
        let watch = Watch {
            store: self.reports.store().clone(),
            team: team.clone(),
            after: *after_sequence,
            read: VecDeque::new(),
            draining: self.draining.clone(),
        };
        let messages = stream::unfold(watch, |mut watch| async move {
            let next = watch.next().await?;
            Some((next.map(|statement| convert::statement(&statement)), watch))
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// One caller's place in the closed hours.
struct Watch {
    store: Store,
    team: String,
    after: u64,
    read: VecDeque<Statement>,
    draining: CancellationToken,
}

impl Watch {
    /// The next statement; none when the process drains.
    async fn next(&mut self) -> Option<Result<Statement, Status>> {
        loop {
            if let Some(statement) = self.read.pop_front() {
                self.after = statement.sequence;
                return Some(Ok(statement));
            }
            match self.store.statements(self.after, &self.team, BATCH).await {
                Ok(statements) => self.read.extend(statements),
                Err(error) => return Some(Err(status_from(&error))),
            }
            if self.read.is_empty() {
                tokio::select! {
                    () = self.draining.cancelled() => return None,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }
}
