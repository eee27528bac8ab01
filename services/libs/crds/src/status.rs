//! What the statuses of our kinds have in common, so that shared code can read and write it.

use mlp_model::Outbox;

use crate::{
    ApplicationRecordStatus, CacheStatus, Condition, DatabaseStatus, HealthRecordStatus, IncidentStatus,
    IsolationExemptionStatus, PolicyExemptionStatus, PriceSheetStatus, TeamStatus, TeamTombstoneStatus,
};

/// Reasons of `Ready=False` that say "not yet": somebody or something else acts first, and nothing is
/// wrong. Who writes `Ready` on a kind of ours takes them from here, and who judges health reads them
/// here; every other reason of `Ready=False` is a fault.
pub const NOT_YET: [&str; 11] = [
    "WaitingForTeam",
    "WaitingForProvider",
    "Creating",
    "Updating",
    "Deleting",
    "Deleted",
    "WaitingForQuota",
    "NamespaceTerminating",
    "Removing",
    "Stopping",
    "Suspended",
];

/// The part that every status of ours has.
pub trait CommonStatus {
    /// Conditions, one per type.
    fn conditions(&self) -> &Vec<Condition>;
    /// Conditions, to change.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// The generation that the status speaks of.
    fn observed_generation(&self) -> Option<i64>;
    /// Sets the generation that the status speaks of.
    fn set_observed_generation(&mut self, generation: Option<i64>);
    /// Facts recorded and not yet published.
    fn outbox(&self) -> &Outbox;
    /// Facts recorded and not yet published, to change.
    fn outbox_mut(&mut self) -> &mut Outbox;
}

macro_rules! common_status {
    ($($status:ty),* $(,)?) => {$(
        impl CommonStatus for $status {
            fn conditions(&self) -> &Vec<Condition> {
                &self.conditions
            }
            fn conditions_mut(&mut self) -> &mut Vec<Condition> {
                &mut self.conditions
            }
            fn observed_generation(&self) -> Option<i64> {
                self.observed_generation
            }
            fn set_observed_generation(&mut self, generation: Option<i64>) {
                self.observed_generation = generation;
            }
            fn outbox(&self) -> &Outbox {
                &self.outbox
            }
            fn outbox_mut(&mut self) -> &mut Outbox {
                &mut self.outbox
            }
        }
    )*};
}

common_status!(
    TeamStatus,
    IsolationExemptionStatus,
    PolicyExemptionStatus,
    TeamTombstoneStatus,
    DatabaseStatus,
    CacheStatus,
    PriceSheetStatus,
    IncidentStatus,
    HealthRecordStatus,
    ApplicationRecordStatus,
);
