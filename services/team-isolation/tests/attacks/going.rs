//! Teams that go, and what of them is left for those who come.

use jiff::SignedDuration;
use mlp_harness::wait_until;
use mlp_reconcile::conditions::READY;
use mlp_team_isolation::domain::model::Site;
use serde_json::{Value, json};

use crate::objects::HOME;
use crate::persona::{Persona, send};
use crate::world::{End, LIMIT, apply, client, gone, isolated, serve_at, team_named};

/// Deletes a team whose namespace holds `object`; gives what is said while it cannot go.
pub(crate) async fn offboarded_with(object: &Value) -> String {
    let team = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "gone"}, "spec": {}});
    isolated(&[team]).await;
    apply(&client().await, object).await;
    let path = "/apis/mlplatform.dev/v1alpha1/teams/gone";
    assert!(send(Persona::Root, "DELETE", path, None).await.is_admitted());
    let finalizer = object["metadata"]["finalizers"][0].as_str().unwrap();
    let said = wait_until(LIMIT, "the team to say what holds it", || async {
        let team = team_named("gone").await?;
        let message = team.status?.conditions.into_iter().find(|one| one.type_ == READY)?.message;
        message.contains(finalizer).then_some(message)
    });
    let said = said.await.unwrap_or_else(|error| error.to_string());
    let name = object["metadata"]["name"].as_str().unwrap();
    let free = json!({"metadata": {"finalizers": null}});
    drop(
        send(Persona::Root, "PATCH", &format!("/api/v1/namespaces/gone-team/configmaps/{name}"), Some(&free))
            .await,
    );
    gone("gone").await;
    said
}

/// Makes a team, lets it go and makes it anew; gives what the second finds of the first.
pub(crate) async fn made_anew(name: &str) -> String {
    let team = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": name}, "spec": {}});
    isolated(std::slice::from_ref(&team)).await;
    let namespace = format!("{name}-team");
    let uid = |answer: Value| answer["metadata"]["uid"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/namespaces/{namespace}");
    let first = uid(send(Persona::Root, "GET", &path, None).await.body);
    let left = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "namespace": namespace}});
    apply(&client().await, &left).await;
    let team_path = format!("/apis/mlplatform.dev/v1alpha1/teams/{name}");
    assert!(send(Persona::Root, "DELETE", &team_path, None).await.is_admitted());
    gone(name).await;
    isolated(&[team]).await;
    let second = uid(send(Persona::Root, "GET", &path, None).await.body);
    let found = send(Persona::Root, "GET", &format!("{path}/configmaps/left"), None).await;
    assert!(send(Persona::Root, "DELETE", &team_path, None).await.is_admitted());
    gone(name).await;
    let mut inherited = String::new();
    if first == second {
        inherited.push_str("the namespace; ");
    }
    if found.is_admitted() {
        inherited.push_str("its ConfigMap; ");
    }
    inherited
}

/// A team that only asked for another's namespace leaves no tombstone that would keep it from its owner.
async fn never_had(name: &str) -> Result<(), String> {
    let team = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": name},
        "spec": {"namespaces": [{"name": HOME}]}});
    apply(&client().await, &team).await;
    let refused = wait_until(LIMIT, "the team to be refused", || async {
        let conditions = team_named(name).await?.status?.conditions;
        conditions.into_iter().any(|one| one.reason == "NamespaceOwnedByAnother").then_some(())
    });
    refused.await.map_err(|error| error.to_string())?;
    let path = |kind: &str| format!("/apis/mlplatform.dev/v1alpha1/{kind}/{name}");
    assert!(send(Persona::Root, "DELETE", &path("teams"), None).await.is_admitted());
    gone(name).await;
    let stone = send(Persona::Root, "GET", &path("teamtombstones"), None).await;
    if stone.code == 404 { Ok(()) } else { Err("a team that had nothing has a tombstone; ".to_owned()) }
}

/// Lets a team go where names are kept for a time, and has others ask for its names; gives what is wrong.
pub(crate) async fn names_are_kept(name: &str) -> String {
    const KEPT: SignedDuration = SignedDuration::from_secs(8);
    let site = Site { reservation: KEPT, ..Site::default() };
    let work = async {
        let team = |name: &str, spec: Value| json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": name}, "spec": spec});
        let path = |name: &str| format!("/apis/mlplatform.dev/v1alpha1/teams/{name}");
        let squatter = format!("{name}-squatter");
        let heirs = [
            team(name, json!({"namespaces": [{"name": format!("{name}-new")}]})),
            team(&squatter, json!({"namespaces": [{"name": format!("{name}-team")}]})),
        ];
        let client = client().await;
        isolated(&[team(name, json!({}))]).await;
        // One waits for the namespace before it goes, and is woken when it has gone.
        apply(&client, &heirs[1]).await;
        assert!(send(Persona::Root, "DELETE", &path(name), None).await.is_admitted());
        gone(name).await;
        let mut wrong = String::new();
        for heir in &heirs {
            apply(&client, heir).await;
            let heir = heir["metadata"]["name"].as_str().unwrap();
            let stone = format!("TeamTombstone {name}");
            let kept = wait_until(LIMIT, "the team to hear that the names are kept", || async {
                let conditions = team_named(heir).await?.status?.conditions;
                let ready = conditions.into_iter().find(|one| one.type_ == READY)?;
                (ready.reason == "NameReserved" && ready.message.contains(&stone)).then_some(())
            });
            if kept.await.is_err() {
                wrong.push_str(&format!("{heir} got a name that is kept; "));
            }
        }
        if let Err(said) = never_had(&format!("{name}-never")).await {
            wrong.push_str(&said);
        }
        // The time is over: both get what they asked for, without anybody's doing.
        isolated(&heirs).await;
        let stone = format!("/apis/mlplatform.dev/v1alpha1/teamtombstones/{name}");
        if send(Persona::Root, "GET", &stone, None).await.code != 404 {
            wrong.push_str("the tombstone stays; ");
        }
        for heir in [name, &squatter] {
            assert!(send(Persona::Root, "DELETE", &path(heir), None).await.is_admitted());
            gone(heir).await;
        }
        wrong
    };
    serve_at(site, client().await, End::Drained, work).await
}
