//! States that take time, refusals, throttling and lost answers, by the scripted double.

use mlp_model::{Class, Classified as _};
use mlp_provisioner::domain::aws::{Step, identifier};
use mlp_provisioner::domain::model::Wish;
use mlp_provisioner::domain::plan::State;
use mlp_provisioner::provider::Provider as _;
use serde_json::json;

use crate::double::{Answer, Double, html, lost, ok, refusal};
use crate::wishes::{cache, database, password, provider};

const LOOK: &str = "DescribeDBInstances";

/// An instance as RDS describes it; `uid` is in its tag.
fn instance(wish: &Wish, status: &str, uid: &str, endpoint: &str) -> Answer {
    let id = identifier(wish);
    let tags: String = [
        ("app.kubernetes.io/managed-by", "provisioner"),
        ("mlplatform.dev/cost-center", "ml"),
        ("mlplatform.dev/environment", "dev"),
        ("mlplatform.dev/name", &wish.name),
        ("mlplatform.dev/namespace", "ml-team"),
        ("mlplatform.dev/team", "ml"),
        ("mlplatform.dev/uid", uid),
    ]
    .iter()
    .map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"))
    .collect();
    ok(
        LOOK,
        &format!(
            "<DBInstances><DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier>\
             <DBInstanceStatus>{status}</DBInstanceStatus><DBInstanceClass>db.t3.micro</DBInstanceClass>\
             <Engine>postgres</Engine><EngineVersion>15.8</EngineVersion><AllocatedStorage>20</AllocatedStorage>\
             <BackupRetentionPeriod>7</BackupRetentionPeriod><MultiAZ>false</MultiAZ>\
             <DeletionProtection>false</DeletionProtection>{endpoint}\
             <DBInstanceArn>arn:aws:rds:us-west-2:1:db:{id}</DBInstanceArn><TagList>{tags}</TagList>\
             <PendingModifiedValues/></DBInstance></DBInstances>"
        ),
    )
}

const ENDPOINT: &str = "<Endpoint><Address>db.example.com</Address><Port>5432</Port></Endpoint>";

fn not_found() -> [Answer; 2] {
    [
        refusal(LOOK, 404, "DBInstanceNotFound", "DBInstance not found."),
        ok("DescribeDBSnapshots", "<DBSnapshots/>"),
    ]
}

/// The step that a plan for nothing would have.
fn creation(wish: &Wish) -> Step {
    provider("http://127.0.0.1:1").plan(wish, &Default::default()).steps.remove(0)
}

#[tokio::test]
async fn a_creation_that_takes_time_is_waited_for_without_calls() {
    let wish = database("features", json!({}));
    let double = Double::start([
        instance(&wish, "creating", &wish.uid, ""),
        instance(&wish, "backing-up", &wish.uid, ENDPOINT),
        instance(&wish, "available", &wish.uid, ENDPOINT),
    ])
    .await;
    let provider = provider(&double.endpoint);
    let mut states = Vec::new();
    for _ in 0..3 {
        let plan = provider.plan(&wish, &provider.observe(&wish).await.unwrap());
        assert!(plan.steps.is_empty(), "{plan}");
        states.push(plan.state);
    }
    assert!(
        matches!(&states[..], [State::Creating(_), State::Updating(..), State::Ready(running)]
            if running.address.host == "db.example.com" && running.version == "15.8"),
        "{states:?}"
    );
    assert_eq!(double.journal().len(), 3);
}

#[tokio::test]
async fn throttling_passes() {
    let wish = database("features", json!({}));
    let slow = || refusal(LOOK, 400, "Throttling", "Rate exceeded");
    let double =
        Double::start([slow(), slow(), slow(), instance(&wish, "available", &wish.uid, ENDPOINT)]).await;
    let provider = provider(&double.endpoint);
    let error = provider.look(&wish).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Transient, "AwsThrottled"), "{error}");
    // The SDK makes a second attempt itself.
    assert!(provider.look(&wish).await.unwrap().seen.is_some());
    assert_eq!(double.journal().len(), 4);
}

#[tokio::test]
async fn a_server_without_words_is_not_taken_for_not_found() {
    let wish = database("features", json!({}));
    let double = Double::start([html(LOOK, 500), html(LOOK, 500)]).await;
    let error = provider(&double.endpoint).look(&wish).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Transient, "AwsUnavailable"), "{error}");
    double.journal();
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let error = provider(&endpoint).look(&database("features", json!({}))).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Transient, "AwsUnavailable"), "{error}");
}

#[tokio::test]
async fn a_refused_parameter_is_terminal_and_says_why_without_the_password() {
    let wish = database("features", json!({}));
    let words = format!("Invalid DB engine version, by the way {}", password().expose());
    let double = Double::start([refusal("CreateDBInstance", 400, "InvalidParameterValue", &words)]).await;
    let error =
        provider(&double.endpoint).call(&wish, &creation(&wish), Some(&password())).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Terminal, "AwsRefused"));
    assert_eq!(
        error.to_string(),
        "rds:CreateDBInstance: Invalid DB engine version, by the way [redacted] (InvalidParameterValue)"
    );
    let call = &double.journal()[0];
    for part in [
        "DBInstanceClass=db.t3.micro",
        "EngineVersion=15&",
        "AllocatedStorage=20&",
        "MaxAllocatedStorage=40",
        "StorageType=gp3",
        "StorageEncrypted=true",
        "PubliclyAccessible=false",
        "CopyTagsToSnapshot=true",
        "EngineLifecycleSupport=open-source-rds-extended-support-disabled",
        "mlplatform.dev%2Fuid",
    ] {
        assert!(call.contains(part), "{part} is missing in {call}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_its_owner() {
    let wish = database("features", json!({}));
    let exists = || refusal("CreateDBInstance", 400, "DBInstanceAlreadyExists", "DB instance already exists");
    for (uid, outcome) in [(wish.uid.as_str(), None), ("somebody", Some("OwnedByAnother"))] {
        let found = instance(&wish, "creating", uid, "");
        let double = Double::start([lost("CreateDBInstance"), exists(), found]).await;
        let provider = provider(&double.endpoint);
        let result = provider.call(&wish, &creation(&wish), Some(&password())).await;
        // A lost connection may end the call; the next pass then makes the same one.
        let result = match result {
            Err(error) if error.class() == Class::Transient => {
                provider.call(&wish, &creation(&wish), Some(&password())).await
            }
            other => other,
        };
        assert_eq!(result.err().map(|error| error.reason()), outcome, "{uid}");
        double.journal();
    }
}

#[tokio::test]
async fn a_taken_snapshot_name_never_costs_data() {
    let wish = database("features", json!({}));
    let delete = "DeleteDBInstance";
    let taken =
        refusal(delete, 400, "DBSnapshotAlreadyExists", "Cannot create the snapshot because it exists");
    let double = Double::start([taken, ok(delete, "")]).await;
    let step = Step::DeleteDatabase { id: identifier(&wish), keep: true };
    provider(&double.endpoint).call(&wish, &step, None).await.unwrap();
    let calls = double.journal();
    assert!(calls[0].contains("-final&") || calls[0].ends_with("-final"), "{calls:#?}");
    assert!(calls[1].contains("-final-2"), "{calls:#?}");
    assert!(calls.iter().all(|call| call.contains("SkipFinalSnapshot=false")), "{calls:#?}");
}

#[tokio::test]
async fn an_instance_that_is_busy_is_waited_for_and_one_that_leaves_is_left() {
    let wish = database("features", json!({}));
    let state = |message| refusal("DeleteDBInstance", 400, "InvalidDBInstanceState", message);
    let double = Double::start([
        state("Instance is not in available state."),
        state("Instance features is already being deleted."),
        refusal("DeleteDBInstance", 404, "DBInstanceNotFound", "DBInstance not found."),
        refusal("ModifyDBInstance", 400, "InvalidParameterCombination", "No modifications were requested"),
    ])
    .await;
    let provider = provider(&double.endpoint);
    let step = Step::DeleteDatabase { id: identifier(&wish), keep: false };
    let busy = provider.call(&wish, &step, None).await.unwrap_err();
    assert!(matches!(busy.class(), Class::Waiting(_)) && busy.reason() == "AwsBusy", "{busy:?}");
    provider.call(&wish, &step, None).await.expect("already leaving");
    provider.call(&wish, &step, None).await.expect("already gone");
    let change = mlp_provisioner::domain::aws::step::DatabaseChange::default();
    let at = mlp_provisioner::domain::aws::step::When::Now;
    let nothing = Step::ModifyDatabase { id: identifier(&wish), change, at };
    provider.call(&wish, &nothing, None).await.expect("already so");
    double.journal();
}

#[tokio::test]
async fn nothing_is_created_without_a_password_that_aws_takes() {
    let wish = database("features", json!({}));
    let double = Double::start(not_found()).await;
    let provider = provider(&double.endpoint);
    assert!(provider.look(&wish).await.unwrap().seen.is_none());
    let none = provider.call(&wish, &creation(&wish), None).await.unwrap_err();
    let bad = mlp_model::Secret::new("has/a/slash/in/it".to_owned());
    let bad = provider.call(&wish, &creation(&wish), Some(&bad)).await.unwrap_err();
    assert_eq!((none.reason(), bad.reason()), ("PasswordNotAccepted", "PasswordNotAccepted"));
    assert_eq!(double.journal().len(), 2, "no creation was sent");
}

#[tokio::test]
async fn members_of_a_group_are_read_and_replicas_are_their_own_calls() {
    let wish = cache("sessions", json!({"replicas": 2, "highAvailability": true}));
    let id = identifier(&wish);
    let group = format!(
        "<ReplicationGroups><ReplicationGroup><ReplicationGroupId>{id}</ReplicationGroupId><Status>available</Status>\
         <MemberClusters><ClusterId>{id}-001</ClusterId></MemberClusters><AutomaticFailover>disabled</AutomaticFailover>\
         <NodeGroups><NodeGroup><PrimaryEndpoint><Address>c.example.com</Address><Port>6379</Port></PrimaryEndpoint>\
         </NodeGroup></NodeGroups><CacheNodeType>cache.t3.micro</CacheNodeType><SnapshotRetentionLimit>0\
         </SnapshotRetentionLimit><ARN>arn:aws:elasticache:us-west-2:1:replicationgroup:{id}</ARN>\
         </ReplicationGroup></ReplicationGroups>"
    );
    let tags =
        format!("<TagList><Tag><Key>mlplatform.dev/uid</Key><Value>{}</Value></Tag></TagList>", wish.uid);
    let member = format!(
        "<CacheClusters><CacheCluster><CacheClusterId>{id}-001</CacheClusterId><EngineVersion>7.1.0</EngineVersion>\
         </CacheCluster></CacheClusters>"
    );
    let increase = "IncreaseReplicaCount";
    let double = Double::start([
        ok("DescribeReplicationGroups", &group),
        ok("ListTagsForResource", &tags),
        ok("DescribeCacheClusters", &member),
        refusal(increase, 400, "InvalidReplicationGroupState", "Replication group is not available."),
        refusal(increase, 400, "NoOperationFault", "Already at the desired replica count."),
        ok("DecreaseReplicaCount", ""),
    ])
    .await;
    let provider = provider(&double.endpoint);
    let observed = provider.observe(&wish).await.unwrap();
    assert_eq!(observed.seen.as_ref().and_then(|seen| seen.version.as_deref()), Some("7.1.0"));
    let plan = provider.plan(&wish, &observed);
    assert!(matches!(&plan.steps[..], [Step::AddReplicas { to: 2, .. }]), "{plan}");
    let busy = provider.call(&wish, &plan.steps[0], None).await.unwrap_err();
    assert_eq!(busy.reason(), "AwsBusy");
    provider.call(&wish, &plan.steps[0], None).await.expect("already so");
    provider.call(&wish, &Step::RemoveReplicas { id, to: 1 }, None).await.unwrap();
    let calls = double.journal();
    assert!(calls[3].contains("NewReplicaCount=2") && calls[5].contains("NewReplicaCount=1"), "{calls:#?}");
}

#[tokio::test]
async fn a_cache_is_created_encrypted_with_the_password_as_its_token() {
    let wish = cache("sessions", json!({"replicas": 1, "highAvailability": true}));
    let action = "CreateReplicationGroup";
    let quota = refusal(action, 400, "NodeQuotaForCustomerExceeded", "You have reached the quota of nodes");
    let double = Double::start([quota, ok(action, "")]).await;
    let provider = provider(&double.endpoint);
    let error = provider.call(&wish, &creation(&wish), Some(&password())).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Terminal, "AwsQuotaExceeded"));
    provider.call(&wish, &creation(&wish), Some(&password())).await.unwrap();
    let call = &double.journal()[1];
    let token = format!("AuthToken={}", password().expose());
    for part in [
        "TransitEncryptionEnabled=true",
        "AtRestEncryptionEnabled=true",
        "AutomaticFailoverEnabled=true",
        "MultiAZEnabled=true",
        "NumCacheClusters=2",
        "EngineVersion=7.1&",
        token.as_str(),
    ] {
        assert!(call.contains(part), "{part} is missing in {call}");
    }
}
