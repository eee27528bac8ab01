//! R: rights and the API.

use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts, set};
use crate::objects::{HOME, LAB, ML, account, binding, core, group, namespace, of, role, secret};
use crate::persona::{Persona, send};
use crate::{going, world};

pub(crate) const ROWS: [&str; 19] = [
    "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15", "R16",
    "R17", "R18", "R19",
];

const RBAC: &str = "rbac.authorization.k8s.io/v1";

#[tokio::test(flavor = "multi_thread")]
async fn rights() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    single(&mut verdicts).await;
    world::with_service(deputies(&mut verdicts)).await;
    let wrong = going::names_are_kept("former").await;
    verdicts.note("R17", "the names of a team that has gone", wrong.is_empty(), wrong);
    verdicts.end(&ROWS);
}

/// Rows that one request decides.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    granting(verdicts).await;
    cluster(verdicts).await;
    identities(verdicts).await;
    namespaces(verdicts).await;
    managed(verdicts).await;
    others(verdicts).await;
}

async fn granting(verdicts: &mut Verdicts) {
    let rule = |rule| By::Policy("mlp-rbac", rule);
    let bindings = of(RBAC, HOME, "rolebindings");
    let bind = |persona, subject: Value| Call::create(persona, &bindings, binding("r", subject));
    let cluster_role = |persona, name: &str| {
        bind(persona, account(HOME, "default"))
            .with("/roleRef/kind", json!("ClusterRole"))
            .with("/roleRef/name", json!(name))
    };
    let twin = || bind(Persona::AppAdmin, account(HOME, "default"));
    let more = By::Validation("attempting to grant RBAC permissions not currently held");
    verdicts.row("R1", "cluster-admin", cluster_role(Persona::AppAdmin, "cluster-admin"), more, twin()).await;
    for name in ["cluster-admin", "view"] {
        verdicts
            .row(
                "R1",
                name,
                cluster_role(Persona::Operator, name),
                rule("role-ref"),
                bind(Persona::Operator, account(HOME, "default")),
            )
            .await;
    }
    let roles = of(RBAC, HOME, "roles");
    let create = |persona| Call::create(persona, &roles, role("r"));
    let grants = |persona, verb: &str, resource: &str| {
        create(persona).with("/rules/0", json!({"apiGroups": [""], "resources": [resource], "verbs": [verb]}))
    };
    verdicts
        .row(
            "R2",
            "rights it does not have",
            grants(Persona::AppAdmin, "delete", "resourcequotas"),
            more,
            create(Persona::AppAdmin),
        )
        .await;
    for (verb, resource) in [
        ("*", "pods"),
        ("escalate", "roles"),
        ("bind", "roles"),
        ("impersonate", "users"),
        ("get", "*"),
        ("get", "nodes/proxy"),
    ] {
        let what = format!("{verb} {resource}");
        verdicts
            .row(
                "R2",
                &what,
                grants(Persona::Operator, verb, resource),
                rule("role-rules"),
                create(Persona::Operator),
            )
            .await;
    }
    for name in ["system:authenticated", "system:unauthenticated", "system:serviceaccounts", "ml-engineers"] {
        verdicts
            .row(
                "R3",
                name,
                bind(Persona::AppAdmin, group(name)),
                rule("role-subject"),
                bind(Persona::AppAdmin, group("app-viewers")),
            )
            .await;
    }
    let user = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "stranger"});
    verdicts.row("R3", "a stranger", bind(Persona::AppAdmin, user), rule("role-subject"), twin()).await;
    let theirs = bind(Persona::AppAdmin, account(ML, "default"));
    verdicts
        .row(
            "R3",
            "another team's account",
            theirs,
            rule("role-subject"),
            bind(Persona::AppAdmin, account(LAB, "default")),
        )
        .await;
    verdicts
        .refused("R3", "an engineer's binding", bind(Persona::AppEdit, account(HOME, "default")), By::Rights)
        .await;
}

/// What belongs to the whole cluster.
async fn cluster(verdicts: &mut Verdicts) {
    for (group, plural) in [
        ("rbac.authorization.k8s.io/v1", "clusterroles"),
        ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
        ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
        ("apiregistration.k8s.io/v1", "apiservices"),
        ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
        ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations"),
        ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
        ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies"),
        ("certificates.k8s.io/v1", "certificatesigningrequests"),
        ("scheduling.k8s.io/v1", "priorityclasses"),
        ("storage.k8s.io/v1", "storageclasses"),
        ("flowcontrol.apiserver.k8s.io/v1", "flowschemas"),
        ("mlplatform.dev/v1alpha1", "teams"),
        ("mlplatform.dev/v1alpha1", "isolationexemptions"),
    ] {
        let path = format!("/apis/{group}/{plural}");
        for persona in [Persona::AppAdmin, Persona::AppAccount] {
            let call = Call::create(persona, &path, json!({"metadata": {"name": "r"}}));
            verdicts.refused("R4", plural, call, By::Rights).await;
        }
        verdicts.refused("R4", plural, Call::plain(Persona::AppAdmin, "DELETE", &path), By::Rights).await;
    }
    for plural in ["persistentvolumes", "nodes", "namespaces"] {
        let call =
            Call::create(Persona::AppAdmin, &format!("/api/v1/{plural}"), json!({"metadata": {"name": "r"}}));
        verdicts.refused("R4", plural, call, By::Rights).await;
    }
}

async fn identities(verdicts: &mut Verdicts) {
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let of_account = |namespace: &str, name: &str| {
        let path = format!("{}/{name}/token", core(namespace, "serviceaccounts"));
        Call { persona: Persona::AppAdmin, method: "POST", path, body: Some(token.clone()) }
    };
    verdicts
        .row(
            "R5",
            "a token of the platform",
            of_account("kube-system", "namespace-controller"),
            By::Rights,
            of_account(HOME, "app-team"),
        )
        .await;
    let mut lasting = of_account(HOME, "app-team");
    lasting = lasting.with("/spec/expirationSeconds", json!(315_360_000));
    let by = By::Policy("mlp-rbac", "token-lifetime");
    verdicts.row("R5", "a token of ten years", lasting, by, of_account(HOME, "app-team")).await;
    let create = |kind: &str| {
        let mut body = secret("r");
        set(&mut body, "/type", json!(kind));
        set(&mut body, "/metadata/annotations", json!({"kubernetes.io/service-account.name": "default"}));
        Call::create(Persona::AppAdmin, &core(HOME, "secrets"), body)
    };
    verdicts
        .row(
            "R5",
            "a token that never ends",
            create("kubernetes.io/service-account-token"),
            By::Policy("mlp-rbac", "token-secret"),
            create("Opaque"),
        )
        .await;
    let accounts = send(Persona::Root, "GET", &core(HOME, "serviceaccounts"), None).await.body;
    let names: Vec<_> = accounts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    verdicts.note(
        "R5",
        "accounts of the platform in the team's namespace",
        names == ["app-team", "default"],
        format!("{names:?}"),
    );
    for (resource, name, group) in [
        ("users", "root", ""),
        ("groups", "system:masters", ""),
        ("serviceaccounts", "app-team", ""),
        ("userextras", "x", "authentication.k8s.io"),
    ] {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {
            "verb": "impersonate", "resource": resource, "name": name, "group": group, "namespace": if resource == "serviceaccounts" { HOME } else { "" }}}});
        for persona in [Persona::AppAdmin, Persona::AppEdit, Persona::AppAccount] {
            let answer = send(
                persona,
                "POST",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                Some(&review),
            )
            .await;
            verdicts.note(
                "R6",
                resource,
                answer.body["status"]["allowed"] == false,
                format!("{persona:?}: {}", answer.body["status"]),
            );
        }
    }
}

async fn namespaces(verdicts: &mut Verdicts) {
    let home = "/api/v1/namespaces/app-prod";
    let keys = By::Policy("mlp-cluster", "namespace-keys");
    for (what, metadata) in [
        ("a weaker level", json!({"labels": {"pod-security.kubernetes.io/enforce": "privileged"}})),
        ("no level", json!({"labels": {"pod-security.kubernetes.io/enforce": null}})),
        ("an older version", json!({"labels": {"pod-security.kubernetes.io/enforce-version": "v1.20"}})),
        ("another who pays", json!({"labels": {"mlplatform.dev/cost-center": "ml"}})),
        ("another who pays, in the seed's words", json!({"labels": {"cost-center": "ml"}})),
        ("no team", json!({"labels": {"mlplatform.dev/team": null}})),
        (
            "a new key of the platform",
            json!({"annotations": {"exempt.mlplatform.dev/host": "2999-01-01T00:00:00Z"}}),
        ),
        (
            "a node selector for all pods",
            json!({"annotations": {"scheduler.alpha.kubernetes.io/node-selector": "x=y"}}),
        ),
    ] {
        let change = json!({"metadata": metadata});
        for path in [home.to_owned(), format!("{home}/status")] {
            verdicts
                .refused("R7", what, Call::patch(Persona::AppAdmin, &path, change.clone()), By::Rights)
                .await;
            verdicts.refused("R7", what, Call::patch(Persona::Operator, &path, change.clone()), keys).await;
        }
    }
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "00000000-0000-0000-0000-000000000000"}]);
    let held = json!({"metadata": {"finalizers": ["example.com/mine"]}});
    let guarded = By::Policy("mlp-cluster", "namespace-owner");
    verdicts
        .refused(
            "R7",
            "another owner",
            Call::patch(Persona::Operator, home, json!({"metadata": {"ownerReferences": owner}})),
            guarded,
        )
        .await;
    verdicts.refused("R7", "another finalizer", Call::patch(Persona::Operator, home, held), guarded).await;
    let finalize = |persona| {
        let mut body = namespace(HOME);
        set(&mut body, "/spec/finalizers", json!([]));
        Call { persona, method: "PUT", path: format!("{home}/finalize?dryRun=All"), body: Some(body) }
    };
    verdicts.refused("R7", "an early end", finalize(Persona::AppAdmin), By::Rights).await;
    let ended = finalize(Persona::Operator).send().await;
    verdicts.note(
        "R7",
        "an early end, by an operator",
        ended.code == 403 && ended.message.contains("mlp-cluster"),
        ended.message,
    );
    let plain = Call::patch(Persona::Operator, home, json!({"metadata": {"annotations": {"note": "x"}}}));
    verdicts.note("R7", "a key of nobody's", plain.send().await.is_admitted(), "refused");
    let adopted = json!({"metadata": {"labels": {"mlplatform.dev/team": "app"}}});
    for name in ["kube-system", "default", "kube-node-lease"] {
        let path = format!("/api/v1/namespaces/{name}");
        verdicts.refused("R8", name, Call::patch(Persona::Operator, &path, adopted.clone()), keys).await;
        verdicts
            .refused("R8", name, Call::patch(Persona::AppAdmin, &path, adopted.clone()), By::Rights)
            .await;
    }
    for name in [HOME, ML] {
        let path = format!("/api/v1/namespaces/{name}");
        verdicts.refused("R9", name, Call::plain(Persona::AppAdmin, "DELETE", &path), By::Rights).await;
        verdicts
            .refused(
                "R9",
                name,
                Call::plain(Persona::Operator, "DELETE", &path),
                By::Policy("mlp-cluster", "namespace-delete"),
            )
            .await;
    }
}

/// Everything that the platform made, by whoever has rights on its kind.
async fn managed(verdicts: &mut Verdicts) {
    let by = By::Policy("mlp-managed", "managed-object");
    let objects = [
        (of(RBAC, HOME, "rolebindings"), "team-edit", json!({"subjects": []})),
        (core(HOME, "serviceaccounts"), "app-team", json!({"automountServiceAccountToken": false})),
        (
            of("networking.k8s.io/v1", HOME, "networkpolicies"),
            "team-flows",
            json!({"spec": {"policyTypes": ["Ingress"]}}),
        ),
    ];
    for (collection, name, change) in objects {
        let path = format!("{collection}/{name}");
        for persona in [Persona::AppAdmin, Persona::Operator] {
            verdicts.refused("R10", &path, Call::patch(persona, &path, change.clone()), by).await;
            verdicts.refused("R10", &path, Call::plain(persona, "DELETE", &path), by).await;
            verdicts.refused("R10", &collection, Call::plain(persona, "DELETE", &collection), by).await;
            let stripped = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
            verdicts.refused("R10", &path, Call::patch(persona, &path, stripped), by).await;
        }
    }
    let forged = Call::create(Persona::AppAdmin, &core(HOME, "configmaps"), crate::objects::config_map("r"));
    let twin = forged.clone();
    let forged = forged.with("/metadata/labels", json!({"app.kubernetes.io/managed-by": "team-isolation"}));
    verdicts.row("R10", "an object in the platform's name", forged, by, twin).await;
    let team = "/apis/mlplatform.dev/v1alpha1/teams";
    for name in ["app", "ml"] {
        let path = format!("{team}/{name}");
        verdicts
            .refused(
                "R11",
                name,
                Call::patch(Persona::AppAdmin, &path, json!({"spec": {"displayName": "x"}})),
                By::Rights,
            )
            .await;
        verdicts
            .refused(
                "R11",
                name,
                Call::patch(Persona::AppAdmin, &format!("{path}/status"), json!({"status": {}})),
                By::Rights,
            )
            .await;
        verdicts
            .refused(
                "R11",
                name,
                Call::patch(Persona::AppAdmin, &path, json!({"metadata": {"finalizers": []}})),
                By::Rights,
            )
            .await;
        verdicts.refused("R11", name, Call::plain(Persona::AppAdmin, "DELETE", &path), By::Rights).await;
    }
}

/// What others have.
async fn others(verdicts: &mut Verdicts) {
    let get = |path: &str| Call::plain(Persona::AppAdmin, "GET", path);
    for path in [
        "/api/v1/namespaces/ml-prod/secrets",
        "/api/v1/secrets",
        "/api/v1/pods",
        "/api/v1/namespaces",
        "/api/v1/secrets?watch=true&timeoutSeconds=1",
    ] {
        verdicts.refused("R12", path, get(path), By::Rights).await;
    }
    let reader = Call::plain(Persona::AppView, "GET", "/api/v1/namespaces/app-prod/secrets");
    verdicts.refused("R12", "a reader's look at its own team's secrets", reader, By::Rights).await;
    let own = get("/api/v1/namespaces/app-prod/secrets").send().await;
    verdicts.note("R12", "its own", own.is_admitted(), own.message);
    for path in ["pods/x/exec?command=ls", "pods/x/attach", "pods/x/portforward"] {
        let path = format!("/api/v1/namespaces/ml-prod/{path}");
        let call = Call { persona: Persona::AppAdmin, method: "POST", path, body: None };
        verdicts.refused("R13", "into another's pod", call, By::Rights).await;
    }
    for path in [
        "/api/v1/namespaces/ml-prod/pods/x/proxy/",
        "/api/v1/namespaces/ml-prod/services/x/proxy/",
        "/api/v1/nodes/sim-gpu-0/proxy/pods",
        "/api/v1/namespaces/ml-prod/pods/x/log",
    ] {
        verdicts.refused("R13", path, get(path), By::Rights).await;
    }
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "r", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.9.9"]}], "ports": [{"port": 80}]});
    let slices = of("discovery.k8s.io/v1", HOME, "endpointslices");
    verdicts
        .refused("R14", "a slice", Call::create(Persona::AppAdmin, &slices, slice.clone()), By::Rights)
        .await;
    verdicts
        .refused(
            "R14",
            "a slice, by an operator",
            Call::create(Persona::Operator, &slices, slice),
            By::Policy("mlp-services", "endpoints"),
        )
        .await;
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "r"}, "subsets": [{"addresses": [{"ip": "10.244.9.9"}], "ports": [{"port": 80}]}]});
    verdicts
        .refused(
            "R14",
            "endpoints",
            Call::create(Persona::AppAdmin, &core(HOME, "endpoints"), endpoints.clone()),
            By::Rights,
        )
        .await;
    verdicts
        .refused(
            "R14",
            "endpoints, by an operator",
            Call::create(Persona::Operator, &core(HOME, "endpoints"), endpoints),
            By::Policy("mlp-services", "endpoints"),
        )
        .await;
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "r"}, "involvedObject": {"namespace": ML}});
    for namespace in [ML, "default"] {
        verdicts
            .refused(
                "R15",
                namespace,
                Call::create(Persona::AppAdmin, &core(namespace, "events"), event.clone()),
                By::Rights,
            )
            .await;
    }
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sim-gpu-0"}});
    for namespace in ["kube-node-lease", "kube-system"] {
        verdicts
            .refused(
                "R15",
                namespace,
                Call::create(
                    Persona::AppAdmin,
                    &of("coordination.k8s.io/v1", namespace, "leases"),
                    lease.clone(),
                ),
                By::Rights,
            )
            .await;
    }
}

/// With the service at work: what it might do on somebody's behalf.
async fn deputies(verdicts: &mut Verdicts) {
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": "gone-team", "finalizers": ["example.com/mine"]}});
    let found = going::offboarded_with(&held).await;
    verdicts.note(
        "R16",
        "a finalizer of its own",
        found.contains("configmaps") && found.contains("example.com/mine"),
        found,
    );
    let inherited = going::made_anew("again").await;
    verdicts.note("R17", "the name of a team that has gone", inherited.is_empty(), inherited);
    let copies = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "deputy"},
        "spec": {"copies": [{"kind": "Secret", "namespace": "kube-system", "name": "x"}]}});
    let create = |persona| Call::create(persona, "/apis/mlplatform.dev/v1alpha1/teams", copies.clone());
    let by = By::Policy("mlp-teams", "copy-source");
    verdicts
        .row(
            "R18",
            "a Secret that the writer may not read",
            create(Persona::TeamWriter),
            by,
            create(Persona::Root),
        )
        .await;
    let before = send(Persona::Root, "GET", "/apis/mlplatform.dev/v1alpha1/teams/app", None).await.body;
    world::forge("ml", "provisioning", &before).await;
    let after = send(Persona::Root, "GET", "/apis/mlplatform.dev/v1alpha1/teams/app", None).await.body;
    let same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"];
    verdicts.note("R19", "a forged fact", same, format!("{after}"));
}
