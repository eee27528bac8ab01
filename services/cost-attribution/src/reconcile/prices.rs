//! Price sheets: read, kept in the store, and told how many nodes they price.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt};
use mlp_crds::PriceSheet;
use mlp_reconcile::conditions::{self, Finding, READY, Status};
use mlp_reconcile::{
    Controller, Next, ObjectRef, Reconciler, Recorder, Store as Cache, effect, status, watcher,
};

use crate::domain::SERVICE;
use crate::domain::price::Sheet;
use crate::error::Error;
use crate::store::Store;

/// What a sheet's `Ready` says while it is used: also how usage enters.
const READY_MESSAGE: &str =
    "nodes are priced by this sheet; usage is not measured here, so pods pay for what they request";

/// Keeps price sheets.
pub struct PriceReconciler {
    sheets: Api<PriceSheet>,
    all: Cache<PriceSheet>,
    nodes: Cache<Node>,
    store: Store,
    recorder: Recorder,
}

/// Adds a watch of nodes that wakes every sheet, and makes the reconciler over its cache.
pub fn controller(
    controller: Controller<PriceSheet>,
    client: &kube::Client,
    store: Store,
) -> (Controller<PriceSheet>, PriceReconciler) {
    let all = controller.handle().store().clone();
    let (nodes, writer) = mlp_reconcile::store();
    let sheets = all.clone();
    let controller = controller.watches_into(
        writer,
        Api::<Node>::all(client.clone()),
        watcher::Config::default(),
        move |_: &Node| sheets.state().iter().map(|sheet| ObjectRef::new(&sheet.name_any())).collect(),
    );
    let reconciler = PriceReconciler {
        sheets: Api::all(client.clone()),
        all,
        nodes,
        store,
        recorder: Recorder::new(client.clone(), SERVICE),
    };
    (controller, reconciler)
}

impl PriceReconciler {
    /// Nodes that `sheet` prices, and nodes that no sheet prices.
    fn coverage(&self, sheet: &Sheet) -> (u32, u32) {
        let readable = self
            .all
            .state()
            .iter()
            .filter_map(|other| Sheet::read(&other.name_any(), &other.spec).ok())
            .collect::<Vec<_>>();
        let (mut priced, mut unpriced) = (0, 0);
        for node in self.nodes.state() {
            let labels: BTreeMap<String, String> = node.labels().clone();
            priced += u32::from(sheet.prices(&labels));
            unpriced += u32::from(!readable.iter().any(|other| other.prices(&labels)));
        }
        (priced, unpriced)
    }
}

impl Reconciler<PriceSheet> for PriceReconciler {
    type Error = Error;

    async fn reconcile(&self, sheet: Arc<PriceSheet>) -> Result<Next, Error> {
        let mut next = sheet.status.clone().unwrap_or_default();
        let generation = sheet.metadata.generation;
        next.observed_generation = generation;
        let finding = match Sheet::read(&sheet.name_any(), &sheet.spec) {
            Ok(read) => {
                if self.store.keep_sheet(&sheet.name_any(), Some(&sheet.spec)).await? {
                    effect::note();
                }
                let (priced, unpriced) = self.coverage(&read);
                next.priced_nodes = Some(priced);
                next.unpriced_nodes = Some(unpriced);
                Finding::new(READY, true, "InForce", READY_MESSAGE)
            }
            Err(error) => {
                // What was read before stays in force: no price is better than a wrong one, an old
                // one is better than none.
                next.priced_nodes = None;
                next.unpriced_nodes = None;
                Finding::new(READY, false, "InvalidSpec", error.to_string())
            }
        };
        let (ready, reason, message) = (finding.status, finding.reason.clone(), finding.message.clone());
        if conditions::set(&mut next.conditions, finding, generation, Timestamp::now()) {
            match ready {
                Status::True => self.recorder.normal(&*sheet, &reason, "Price", message).await,
                _ => self.recorder.warning(&*sheet, &reason, "Price", message).await,
            }
        }
        status::write(&self.sheets, SERVICE, sheet, &next).await?;
        Ok(Next::Done)
    }

    async fn absent(&self, key: &ObjectRef<PriceSheet>) -> Result<(), Error> {
        if self.store.keep_sheet(&key.name, None).await? {
            effect::note();
        }
        Ok(())
    }
}
