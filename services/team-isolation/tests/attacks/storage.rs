//! V: storage.

use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts};
use crate::objects::{HOME, ML, claim, core, of, pod};
use crate::persona::Persona;
use crate::world;

pub(crate) const ROWS: [&str; 7] = ["V1", "V2", "V3", "V4", "V5", "V6", "V7"];

#[tokio::test(flavor = "multi_thread")]
async fn storage() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    single(&mut verdicts).await;
    verdicts.end(&ROWS);
}

/// Rows that one request decides: all of them.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}});
    verdicts
        .refused(
            "V1",
            "a volume of the host",
            Call::create(Persona::AppAdmin, "/api/v1/persistentvolumes", volume),
            By::Rights,
        )
        .await;
    let rule = |rule| By::Policy("mlp-storage", rule);
    let twin = || Call::create(Persona::AppEdit, &core(HOME, "persistentvolumeclaims"), claim("v"));
    let with = |place: &str, value: Value| twin().with(place, value);
    verdicts
        .row(
            "V2",
            "a volume by name",
            with("/spec/volumeName", json!("pv-of-ml")),
            rule("volume-name"),
            twin(),
        )
        .await;
    verdicts
        .row(
            "V2",
            "a volume by labels",
            with("/spec/selector", json!({"matchLabels": {"team": "ml"}})),
            rule("volume-name"),
            twin(),
        )
        .await;
    verdicts
        .row(
            "V2",
            "whatever volume is there",
            with("/spec/storageClassName", json!("")),
            rule("storage-class"),
            twin(),
        )
        .await;
    let source = |namespace: &str| json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s", "namespace": namespace});
    // Where Kubernetes does not know the field yet it is dropped, and the reference is to one's own.
    let answer = with("/spec/dataSourceRef", source(ML)).send().await;
    let dropped = answer.is_admitted() && answer.body["spec"]["dataSourceRef"]["namespace"].is_null();
    let refused = answer.message.contains("denied request: data-source: ");
    verdicts.note("V3", "another's data", dropped || refused, answer.message);
    let content = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent", "metadata": {"name": "v"}});
    let contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
    verdicts
        .refused(
            "V4",
            "a snapshot by its handle",
            Call::create(Persona::AppAdmin, contents, content),
            By::Rights,
        )
        .await;
    let snapshot = |spec: Value| {
        let body = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "v"}, "spec": spec});
        Call::create(Persona::AppEdit, &of("snapshot.storage.k8s.io/v1", HOME, "volumesnapshots"), body)
    };
    let own = || snapshot(json!({"source": {"persistentVolumeClaimName": "data"}}));
    let theirs = snapshot(json!({"source": {"volumeSnapshotContentName": "of-ml"}}));
    verdicts.row("V4", "another's snapshot", theirs, rule("snapshot-content"), own()).await;
    let class = own().with("/spec/volumeSnapshotClassName", json!("keeps-for-ever"));
    verdicts.row("V4", "a class of snapshots", class, rule("snapshot-class"), own()).await;
    verdicts
        .row(
            "V5",
            "a class off the list",
            with("/spec/storageClassName", json!("premium")),
            rule("storage-class"),
            twin(),
        )
        .await;
    let overruled =
        with("/metadata/annotations", json!({"volume.beta.kubernetes.io/storage-class": "premium"}));
    verdicts.row("V5", "a class by annotation", overruled, rule("storage-class"), twin()).await;
    let class = |policy: &str| {
        let body = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "v"},
            "provisioner": "example.com/x", "reclaimPolicy": policy});
        Call::create(Persona::Operator, "/apis/storage.k8s.io/v1/storageclasses", body)
    };
    verdicts
        .row(
            "V5",
            "volumes that outlive their claims",
            class("Retain"),
            By::Policy("mlp-cluster", "reclaim-policy"),
            class("Delete"),
        )
        .await;
    let csi = json!([{"name": "v", "csi": {"driver": "secrets.example.com", "nodePublishSecretRef": {"name": "x"}}}]);
    let pods = || Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("v"));
    verdicts
        .row(
            "V6",
            "inline CSI with a secret",
            pods().with("/spec/volumes", csi),
            By::Policy("mlp-pods", "volume-type"),
            pods(),
        )
        .await;
    let shared = with("/spec/storageClassName", json!("shared-nfs"))
        .with("/spec/accessModes", json!(["ReadWriteMany"]));
    verdicts.row("V7", "an export that others have too", shared, rule("storage-class"), twin()).await;
}
