//! What is stated of an Application, in the order in which it is.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _};
use kube::api::{Patch, PatchParams};
use mlp_bus::tail::{TailOptions, Tailed};
use mlp_bus::topology::Start;
use mlp_harness::wait_until;
use mlp_model::Context;
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};

use crate::world::{LIMIT, NAME, World, automated, phase, settings, word};

/// The facts as they come.
struct Facts<S> {
    coming: S,
    seen: Vec<String>,
}

impl<S: Stream<Item = Result<Tailed, E>> + Unpin, E: Debug> Facts<S> {
    /// Waits for as many facts as are wanted, but for health, and compares all that were stated.
    async fn are(&mut self, wanted: &[&str]) {
        while self.seen.len() < wanted.len() {
            let next = tokio::time::timeout(LIMIT, self.coming.next()).await;
            let Ok(next) = next else { panic!("{wanted:?}, and not {:?}", self.seen) };
            let subject = next.unwrap().unwrap().subject;
            let fact = subject.split('.').nth(2).unwrap();
            self.seen.extend((fact != "application-health-changed").then(|| fact.to_owned()));
        }
        assert_eq!(self.seen, wanted);
    }
}

impl World {
    async fn change_by_hand(&self, greeting: &str) {
        let change = Patch::Merge(json!({"data": {"greeting": greeting}}));
        self.maps().patch("settings", &PatchParams::default(), &change).await.unwrap();
    }

    async fn sync_policy(&self, policy: Value) {
        let spec = Patch::Merge(json!({"spec": {"syncPolicy": policy}}));
        self.applications().patch(NAME, &PatchParams::default(), &spec).await.unwrap();
    }
}

#[tokio::test]
async fn revisions_and_drift_are_stated_once_whoever_heals() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello")), ("other/b.yaml", &settings("no"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    let all = TailOptions { contexts: vec![Context::Gitops], start: Start::All, ..TailOptions::default() };
    let mut facts = Facts { coming: world.bus.tail(&all).await.unwrap(), seen: Vec::new() };
    let mut wanted = vec!["revision-observed", "application-synced"];
    facts.are(&wanted).await;
    world.change_by_hand("by hand").await;
    wanted.extend(["drift-detected", "application-synced", "drift-healed"]);
    facts.are(&wanted).await;

    // A commit that changes nothing of it is no news, one that does is.
    world.commit(&[("other/b.yaml", &settings("neither"))]);
    world.commit(&[("a.yaml", &settings("again"))]);
    wanted.extend(["revision-observed", "application-synced"]);
    facts.are(&wanted).await;

    world.sync_policy(json!({"automated": {"selfHeal": false}})).await;
    world.status("at rest", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let key = ObjectRef::new(NAME).within(world.namespace.name());
    wait_until(LIMIT, "the policy in the loop's cache", || async {
        let known = running.applications.store().get(&key)?;
        (known.spec.automated()?.self_heal == Some(false)).then_some(())
    })
    .await
    .unwrap();
    world.change_by_hand("by hand").await;
    wanted.push("drift-detected");
    facts.are(&wanted).await;
    world.change_by_hand("again").await;
    wanted.extend(["application-synced", "drift-healed"]);
    facts.are(&wanted).await;
    running.stop().await;
}
