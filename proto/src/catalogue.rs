//! The event catalogue: one row per fact that the platform states.
//!
//! The table in `services/README.md` and `proto/asyncapi.yaml` are generated from it.

/// One fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// The stating context: `team`, `provision`, `gitops`, `cost` or `health`.
    pub context: &'static str,
    /// Kebab-case name, as in the subject.
    pub fact: &'static str,
    /// Full protobuf message name; the package's last part is the major version.
    pub message: &'static str,
    /// Kind of the aggregate.
    pub kind: &'static str,
    /// Whether every team may read it; others reach the team concerned only.
    pub public: bool,
    /// Services that look again when they hear it.
    pub consumers: &'static [&'static str],
    /// What it says, in one sentence.
    pub summary: &'static str,
}

impl EventSpec {
    /// The subject with `*` for team and aggregate: what a subscriber to this fact filters by.
    pub fn subject_pattern(&self) -> String {
        let major = self.message.rsplit('.').nth(1).unwrap_or("v1");
        format!("mlp.{}.{}.{major}.*.*", self.context, self.fact)
    }

    /// The JetStream stream that stores it.
    pub fn stream(&self) -> String {
        self.context.to_uppercase()
    }

    /// The row of a message type.
    pub fn of(message: &str) -> Option<&'static Self> {
        EVENTS.iter().find(|event| event.message == message)
    }
}

const fn event(
    (context, fact, message): (&'static str, &'static str, &'static str),
    kind: &'static str,
    consumers: &'static [&'static str],
    summary: &'static str,
) -> EventSpec {
    EventSpec { context, fact, message, kind, public: false, consumers, summary }
}

// Who reads what is also in `deploy/streams/consumers.yaml`; a test compares. Each fact names
// something to look at, and what to do is found by looking.
const DECLARATION_READERS: &[&str] = &["gitops-sync", "health-monitor"];
const ISOLATION_READERS: &[&str] = &["provisioner", "gitops-sync", "cost-attribution", "health-monitor"];
const REMOVAL_READERS: &[&str] = &["gitops-sync", "cost-attribution", "health-monitor"];
const PROVISION_READERS: &[&str] = &["gitops-sync", "health-monitor"];
const DELETION_READERS: &[&str] = &["team-isolation", "gitops-sync", "health-monitor"];
const GITOPS_READERS: &[&str] = &["health-monitor"];
const COST_READERS: &[&str] = &[];
const HEALTH_READERS: &[&str] = &[];
const INCIDENT_READERS: &[&str] = &["team-isolation"];

/// Facts that people are told of.
const NEWS_READERS: &[&str] = &["health-monitor"];

/// All facts, by context.
pub const EVENTS: &[EventSpec] = &[
    event(
        ("team", "team-declared", "mlp.team.events.v1.TeamDeclared"),
        "Team",
        DECLARATION_READERS,
        "A team was declared, or its declaration changed; nothing is in force yet.",
    ),
    event(
        ("team", "team-isolated", "mlp.team.events.v1.TeamIsolated"),
        "Team",
        ISOLATION_READERS,
        "The team's namespaces exist; quota, limits, rights and network policy are in force.",
    ),
    event(
        ("team", "team-removed", "mlp.team.events.v1.TeamRemoved"),
        "Team",
        REMOVAL_READERS,
        "The team is gone and so is what the platform made for it.",
    ),
    event(
        ("team", "team-changed", "mlp.team.events.v1.TeamChanged"),
        "Team",
        NEWS_READERS,
        "A generation after the first is in force: what it changed.",
    ),
    event(
        ("team", "quota-near-limit", "mlp.team.events.v1.QuotaNearLimit"),
        "Team",
        NEWS_READERS,
        "The team uses 80 percent of its cpu or memory, or 90 percent of its pods.",
    ),
    event(
        ("team", "quota-rebalanced", "mlp.team.events.v1.QuotaRebalanced"),
        "Team",
        NEWS_READERS,
        "Quota moved between the team's namespaces.",
    ),
    event(
        ("team", "isolation-drift-repaired", "mlp.team.events.v1.IsolationDriftRepaired"),
        "Team",
        NEWS_READERS,
        "Somebody changed or deleted what the platform had made for a team, and it was put back.",
    ),
    event(
        ("team", "admission-denied", "mlp.team.events.v1.AdmissionDenied"),
        "Team",
        NEWS_READERS,
        "Requests in a team's namespaces were refused.",
    ),
    event(
        ("team", "team-offboarding", "mlp.team.events.v1.TeamOffboarding"),
        "Team",
        NEWS_READERS,
        "The team is on its way out, or came back from it.",
    ),
    event(
        ("provision", "database-ready", "mlp.provision.events.v1.DatabaseReady"),
        "Database",
        PROVISION_READERS,
        "A database accepts connections and its Secret is written.",
    ),
    event(
        ("provision", "cache-ready", "mlp.provision.events.v1.CacheReady"),
        "Cache",
        PROVISION_READERS,
        "A cache accepts connections and its Secret is written.",
    ),
    event(
        ("provision", "provisioning-failed", "mlp.provision.events.v1.ProvisioningFailed"),
        "Database or Cache",
        PROVISION_READERS,
        "A request cannot be met without a change.",
    ),
    event(
        ("provision", "database-deleted", "mlp.provision.events.v1.DatabaseDeleted"),
        "Database",
        DELETION_READERS,
        "A database is gone, and what the provider had for it.",
    ),
    event(
        ("provision", "cache-deleted", "mlp.provision.events.v1.CacheDeleted"),
        "Cache",
        DELETION_READERS,
        "A cache is gone, and what the provider had for it.",
    ),
    event(
        ("gitops", "application-synced", "mlp.gitops.events.v1.ApplicationSynced"),
        "Application",
        GITOPS_READERS,
        "A revision was applied to the last object.",
    ),
    event(
        ("gitops", "sync-failed", "mlp.gitops.events.v1.SyncFailed"),
        "Application",
        GITOPS_READERS,
        "A revision could not be applied.",
    ),
    event(
        ("gitops", "application-health-changed", "mlp.gitops.events.v1.ApplicationHealthChanged"),
        "Application",
        GITOPS_READERS,
        "The application as a whole became better or worse.",
    ),
    event(
        ("gitops", "revision-observed", "mlp.gitops.events.v1.RevisionObserved"),
        "Application",
        GITOPS_READERS,
        "Git came to want something else of an application.",
    ),
    event(
        ("gitops", "drift-detected", "mlp.gitops.events.v1.DriftDetected"),
        "Application",
        GITOPS_READERS,
        "What is live became another than was synced.",
    ),
    event(
        ("gitops", "drift-healed", "mlp.gitops.events.v1.DriftHealed"),
        "Application",
        GITOPS_READERS,
        "What had become another is as git says again.",
    ),
    event(
        ("cost", "metering-started", "mlp.cost.events.v1.MeteringStarted"),
        "Team",
        COST_READERS,
        "From now on the team's namespaces are metered.",
    ),
    event(
        ("cost", "cost-hour-closed", "mlp.cost.events.v1.CostHourClosed"),
        "Team",
        COST_READERS,
        "An hour's cost of a team is final.",
    ),
    event(
        ("health", "health-changed", "mlp.health.events.v1.HealthChanged"),
        "HealthRecord",
        HEALTH_READERS,
        "A resource became better or worse.",
    ),
    event(
        ("health", "incident-opened", "mlp.health.events.v1.IncidentOpened"),
        "Incident",
        INCIDENT_READERS,
        "Something is wrong.",
    ),
    event(
        ("health", "incident-closed", "mlp.health.events.v1.IncidentClosed"),
        "Incident",
        INCIDENT_READERS,
        "The resource is healthy again, or gone.",
    ),
];
