//! Sizes in AWS' words.

use mlp_crds::database::InstanceClass;

use super::quantity;
use crate::domain::model::Wish;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// One instance type: its name without `db.` or `cache.`, virtual CPUs, memory in bytes.
type Row = (&'static str, u64, u64);

/// RDS instance classes, the cheapest first.
const DATABASE: [Row; 14] = [
    ("t3.micro", 2, GIB),
    ("t3.small", 2, 2 * GIB),
    ("t3.medium", 2, 4 * GIB),
    ("t3.large", 2, 8 * GIB),
    ("r6g.large", 2, 16 * GIB),
    ("m6g.xlarge", 4, 16 * GIB),
    ("r6g.xlarge", 4, 32 * GIB),
    ("m6g.2xlarge", 8, 32 * GIB),
    ("r6g.2xlarge", 8, 64 * GIB),
    ("m6g.4xlarge", 16, 64 * GIB),
    ("r6g.4xlarge", 16, 128 * GIB),
    ("r6g.8xlarge", 32, 256 * GIB),
    ("r6g.12xlarge", 48, 384 * GIB),
    ("r6g.16xlarge", 64, 512 * GIB),
];

/// ElastiCache node types, the cheapest first; memory is what is left for data.
const CACHE: [Row; 11] = [
    ("t3.micro", 2, 512 * MIB),
    ("t3.small", 2, 1_402 * MIB),
    ("t3.medium", 2, 3_164 * MIB),
    ("m6g.large", 2, 6_533 * MIB),
    ("r6g.large", 2, 13_383 * MIB),
    ("r6g.xlarge", 4, 26_951 * MIB),
    ("r6g.2xlarge", 8, 54_087 * MIB),
    ("r6g.4xlarge", 16, 108_349 * MIB),
    ("r6g.8xlarge", 32, 214_579 * MIB),
    ("r6g.12xlarge", 48, 325_396 * MIB),
    ("r6g.16xlarge", 64, 429_148 * MIB),
];

/// The RDS instance class, for example `db.t3.micro`; none when nothing is that large.
pub fn database_class(wish: &Wish) -> Option<String> {
    pick(wish, &DATABASE).map(|name| format!("db.{name}"))
}

/// The ElastiCache node type, for example `cache.t3.micro`; none when nothing is that large.
pub fn cache_node_type(wish: &Wish) -> Option<String> {
    pick(wish, &CACHE).map(|name| format!("cache.{name}"))
}

fn pick(wish: &Wish, rows: &[Row]) -> Option<&'static str> {
    match wish.class {
        Some(InstanceClass::Small) => Some("t3.micro"),
        Some(InstanceClass::Medium) => Some("t3.small"),
        Some(InstanceClass::Large) => Some("r6g.large"),
        None => {
            let milli_cores = quantity::thousandths(wish.size.cpu.as_str())?;
            let memory = quantity::whole(wish.size.memory.as_str())?;
            rows.iter()
                .find(|(_, cores, bytes)| cores * 1000 >= milli_cores && *bytes >= memory)
                .map(|(name, _, _)| *name)
        }
    }
}
