//! Loops over kinds of which there are few, beside the one over teams: exemptions and tombstones.

use kube::{Api, Client};
use mlp_reconcile::controller::Object;
use mlp_reconcile::{Controller, Options, Reconciler, Trigger, watcher};
use tokio_util::sync::CancellationToken;

use super::exemptions::ExemptionReconciler;
use super::tombstones::TombstoneReconciler;

/// Says of each exemption whether it is in force, and takes tombstones away when their time is over, until `stop`.
pub async fn sideline(client: &Client, stop: &CancellationToken) {
    let exemptions = alone("exemptions", client, ExemptionReconciler::new(client.clone()), stop);
    let tombstones = alone("tombstones", client, TombstoneReconciler::new(client.clone()), stop);
    tokio::join!(exemptions, tombstones);
}

/// One object at a time.
async fn alone<K, R>(name: &'static str, client: &Client, reconciler: R, stop: &CancellationToken)
where
    K: Object<DynamicType = ()>,
    R: Reconciler<K>,
{
    let options = Options { workers: 1, trigger: Trigger::SpecOrMetadata, ..Options::default() };
    let all = Api::<K>::all(client.clone());
    let controller = Controller::new(name, all, watcher::Config::default(), options);
    controller.run(reconciler, stop.clone()).await;
}
