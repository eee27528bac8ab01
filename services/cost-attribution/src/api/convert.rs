//! Costs as the messages of `mlp.cost.api.v1`.

use mlp_proto::cost::api::v1 as proto;

use crate::domain::allocate::{Cost, Purpose, Share};
use crate::domain::hour::{TeamTotal, shown_as};
use crate::domain::time::{Millis, Span};
use crate::events::publish::timestamp;
use crate::store::Statement;

pub(super) fn window(span: Span) -> proto::Window {
    proto::Window { start: Some(timestamp(span.start)), end: Some(timestamp(span.end)) }
}

pub(super) fn instant(time: Option<&prost_types::Timestamp>) -> Option<Millis> {
    let time = time?;
    Some(time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos) / 1_000_000))
}

pub(super) fn cost(cost: Cost) -> proto::Cost {
    proto::Cost {
        total_nano_usd: cost.total(),
        cpu_nano_usd: cost.cpu,
        memory_nano_usd: cost.memory,
        gpu_nano_usd: cost.gpu,
    }
}

pub(super) fn team(name: &str, total: &TeamTotal, rate: i64) -> proto::TeamCost {
    proto::TeamCost {
        team: name.to_owned(),
        cost_center: total.cost_center.clone(),
        cost: Some(cost(total.cost)),
        hourly_rate_nano_usd: rate,
        namespaces: total.namespaces.keys().cloned().collect(),
        unpriced: total.unpriced,
    }
}

pub(super) fn allocation(share: &Share) -> proto::Allocation {
    let (team, _, namespace) = shown_as(share);
    let controller = share.controller.clone().unwrap_or_default();
    let (pod_uid, is_pod) = match &share.purpose {
        Purpose::Pod { uid, .. } => (uid.clone(), true),
        Purpose::Idle | Purpose::Overhead => (String::new(), false),
    };
    let [cpu, memory, gpu] = share.used.map(|used| i64::try_from(used).unwrap_or(i64::MAX));
    let kind = if is_pod && controller.kind.is_empty() { "Pod".to_owned() } else { controller.kind };
    proto::Allocation {
        team: team.to_owned(),
        namespace: namespace.to_owned(),
        controller_kind: kind,
        // Idle and overhead are shown by pool of nodes.
        controller: if is_pod { controller.name } else { share.pool.clone() },
        pod: share.pod.clone(),
        pod_uid,
        node: share.node.clone(),
        start: Some(timestamp(share.span.start)),
        end: Some(timestamp(share.span.end)),
        cpu_millicore_seconds: cpu,
        memory_mib_seconds: memory,
        gpu_seconds: gpu,
        cost: Some(cost(share.cost)),
        unpriced: share.unpriced,
    }
}

pub(super) fn statement(statement: &Statement) -> proto::WatchCostHoursResponse {
    let closed = &statement.closed;
    proto::WatchCostHoursResponse {
        sequence: statement.sequence,
        start: Some(timestamp(closed.hour.start())),
        team: Some(team(&closed.team, &closed.total, 0)),
    }
}
