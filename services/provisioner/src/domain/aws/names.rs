//! Identifiers and tags. AWS has no idempotency token for these calls: the identifier is it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use mlp_crds::cache::DeletionPolicy;
use mlp_model::labels;

use crate::domain::SERVICE;
use crate::domain::model::{Kind, Wish};

/// Tags on everything of ours in AWS, by key.
pub type Tags = BTreeMap<String, String>;

/// Tag with the uid of the resource: says whose a thing in AWS is.
pub const OWNER_TAG: &str = "mlplatform.dev/uid";

const NAMESPACE_TAG: &str = "mlplatform.dev/namespace";
const NAME_TAG: &str = "mlplatform.dev/name";

/// RDS: 1 to 63 letters, digits and hyphens; starts with a letter, no `--`, no hyphen at the end.
const DATABASE_MAX: usize = 63;
/// ElastiCache: as RDS, 1 to 40.
const CACHE_MAX: usize = 40;
const HASH_CHARACTERS: usize = 8;

/// The identifier in AWS: `<environment>-<namespace>-<name>-<hash of the uid>`, cut to what fits.
///
/// The hash makes it another one for a resource that was deleted and made again.
pub fn identifier(wish: &Wish) -> String {
    let max = match wish.kind {
        Kind::Database => DATABASE_MAX,
        Kind::Cache => CACHE_MAX,
    };
    let readable = format!("{}-{}-{}", wish.environment, wish.namespace, wish.name);
    let mut id = String::with_capacity(max);
    for character in readable.chars() {
        let letter = if character.is_ascii_alphanumeric() { character } else { '-' };
        let repeats_hyphen = letter == '-' && id.ends_with('-');
        if id.len() < max - HASH_CHARACTERS - 1 && !repeats_hyphen {
            id.push(letter.to_ascii_lowercase());
        }
    }
    format!("{}-{}", id.trim_end_matches('-'), hash(&wish.uid))
}

/// The name of the snapshot taken at deletion; `attempt` counts from 1, for the case that an
/// earlier deletion took the name.
pub fn final_snapshot(id: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => format!("{id}-final"),
        more => format!("{id}-final-{more}"),
    }
}

/// Whether the data outlives its request, as a snapshot.
pub fn keeps(wish: &Wish) -> bool {
    wish.deletion == DeletionPolicy::Retain
}

/// The tags that say whose it is and who pays. While nobody is known to pay, those two tags are
/// neither set nor changed.
pub fn tags(wish: &Wish) -> Tags {
    let owner = [
        (labels::ENVIRONMENT, wish.environment.as_str()),
        (labels::MANAGED_BY, SERVICE),
        (NAMESPACE_TAG, wish.namespace.as_str()),
        (NAME_TAG, wish.name.as_str()),
        (OWNER_TAG, wish.uid.as_str()),
    ];
    let payer = wish.payer.iter().flat_map(|payer| {
        [(labels::TEAM, payer.team.as_str()), (labels::COST_CENTER, payer.cost_center.as_str())]
    });
    owner.into_iter().chain(payer).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn hash(uid: &str) -> String {
    let digest = Sha256::digest(uid.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(HASH_CHARACTERS).collect()
}
