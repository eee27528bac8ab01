//! What a node's resources cost, by the price sheets in force.

use std::collections::BTreeMap;

use mlp_crds::PriceSheetSpec;
use mlp_crds::price_sheet::NodePrice;

use super::money::{NanoUsd, PriceError, nano_usd};
use super::time::{Millis, Span};

/// The label by which nodes say their instance type.
const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";

/// Prices of one node's resources. A resource without a price is unpriced, never free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rates {
    /// One core for one hour.
    pub cpu: Option<NanoUsd>,
    /// One GiB for one hour.
    pub memory: Option<NanoUsd>,
    /// One GPU for one hour.
    pub gpu: Option<NanoUsd>,
}

/// One price sheet, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    name: String,
    valid_from: Millis,
    rows: Vec<(NodePrice, Rates)>,
}

/// Why a sheet cannot be used: the field and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// `validFrom` is no time.
    #[error("spec.validFrom: `{0}` is no RFC 3339 time; write for example 2026-01-01T00:00:00Z")]
    ValidFrom(String),
    /// A price is no price.
    #[error("spec.nodes[{row}].{field}: {source}")]
    Price {
        /// Name of the row.
        row: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: PriceError,
    },
}

impl Sheet {
    /// Reads a sheet.
    ///
    /// # Errors
    /// [`SheetError`] at the first field that is wrong; the sheet then prices nothing.
    pub fn read(name: &str, spec: &PriceSheetSpec) -> Result<Self, SheetError> {
        let valid_from: jiff::Timestamp =
            spec.valid_from.parse().map_err(|_| SheetError::ValidFrom(spec.valid_from.clone()))?;
        let mut rows = Vec::with_capacity(spec.nodes.len());
        for row in &spec.nodes {
            let price = |field, text: &str| {
                nano_usd(text).map_err(|source| SheetError::Price { row: row.name.clone(), field, source })
            };
            let rates = Rates {
                cpu: Some(price("cpuCoreHour", &row.cpu_core_hour)?),
                memory: Some(price("memoryGibHour", &row.memory_gib_hour)?),
                gpu: row.gpu_hour.as_deref().map(|text| price("gpuHour", text)).transpose()?,
            };
            rows.push((row.clone(), rates));
        }
        Ok(Self { name: name.to_owned(), valid_from: valid_from.as_millisecond(), rows })
    }

    fn rates(&self, labels: &BTreeMap<String, String>) -> Option<Rates> {
        self.rows.iter().find(|(row, _)| matches(row, labels)).map(|(_, rates)| *rates)
    }

    /// Whether a node with these labels is priced by this sheet.
    pub fn prices(&self, labels: &BTreeMap<String, String>) -> bool {
        self.rates(labels).is_some()
    }
}

fn matches(row: &NodePrice, labels: &BTreeMap<String, String>) -> bool {
    let by_type = row.instance_types.is_empty()
        || labels.get(INSTANCE_TYPE).is_some_and(|kind| row.instance_types.contains(kind));
    let by_labels = row.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    let says_something = row.any_node || !row.instance_types.is_empty() || !row.match_labels.is_empty();
    says_something && by_type && by_labels
}

/// All sheets; the later one counts, then the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceBook {
    sheets: Vec<Sheet>,
}

impl PriceBook {
    /// A book of sheets.
    pub fn new(mut sheets: Vec<Sheet>) -> Self {
        sheets.sort_by(|a, b| b.valid_from.cmp(&a.valid_from).then_with(|| a.name.cmp(&b.name)));
        Self { sheets }
    }

    /// Prices of a node at an instant: of the latest sheet in force that has a row for it.
    pub fn at(&self, labels: &BTreeMap<String, String>, instant: Millis) -> Rates {
        let in_force = self.sheets.iter().filter(|sheet| sheet.valid_from <= instant);
        in_force.filter_map(|sheet| sheet.rates(labels)).next().unwrap_or_default()
    }

    /// The instants within a span at which a price may change.
    pub fn changes(&self, span: Span) -> impl Iterator<Item = Millis> + '_ {
        let instants = self.sheets.iter().map(|sheet| sheet.valid_from);
        instants.filter(move |instant| *instant > span.start && *instant < span.end)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn sheet(name: &str, from: &str, nodes: Value) -> Sheet {
        let spec: PriceSheetSpec =
            serde_json::from_value(json!({"source": "test", "validFrom": from, "nodes": nodes})).unwrap();
        Sheet::read(name, &spec).unwrap()
    }

    fn labels(kind: &str) -> BTreeMap<String, String> {
        [(INSTANCE_TYPE.to_owned(), kind.to_owned())].into()
    }

    fn row(kind: &str, cpu: &str) -> Value {
        json!({"name": kind, "instanceTypes": [kind], "cpuCoreHour": cpu, "memoryGibHour": "0.004"})
    }

    #[test]
    fn the_later_sheet_counts_from_its_start_and_others_stay() {
        let old =
            sheet("old", "2026-01-01T00:00:00Z", json!([row("t3.large", "0.03"), row("m5.large", "0.04")]));
        let new = sheet("new", "2026-02-01T00:00:00Z", json!([row("t3.large", "0.02")]));
        let book = PriceBook::new(vec![old, new]);
        let at = |kind: &str, time: &str| {
            book.at(&labels(kind), time.parse::<jiff::Timestamp>().unwrap().as_millisecond()).cpu
        };
        assert_eq!(at("t3.large", "2025-12-31T00:00:00Z"), None);
        assert_eq!(at("t3.large", "2026-01-15T00:00:00Z"), Some(30_000_000));
        assert_eq!(at("t3.large", "2026-02-01T00:00:00Z"), Some(20_000_000));
        assert_eq!(at("m5.large", "2026-02-02T00:00:00Z"), Some(40_000_000));
        assert_eq!(at("p3.2xlarge", "2026-02-02T00:00:00Z"), None);
    }

    #[test]
    fn the_first_row_that_matches_counts_and_a_row_that_names_no_node_matches_none() {
        let any = json!({"name": "any", "anyNode": true, "cpuCoreHour": "0.01", "memoryGibHour": "0.001"});
        let nothing = json!({"name": "nothing", "cpuCoreHour": "9", "memoryGibHour": "9"});
        let book = PriceBook::new(vec![sheet(
            "s",
            "2026-01-01T00:00:00Z",
            json!([nothing, row("t3.large", "0.03"), any]),
        )]);
        let late = i64::MAX;
        assert_eq!(book.at(&labels("t3.large"), late).cpu, Some(30_000_000));
        assert_eq!(
            book.at(&labels("x"), late),
            Rates { cpu: Some(10_000_000), memory: Some(1_000_000), gpu: None }
        );
    }

    #[test]
    fn a_wrong_field_is_named() {
        let spec = |from: &str, cpu: &str| -> PriceSheetSpec {
            serde_json::from_value(json!({"source": "s", "validFrom": from, "nodes": [row("t", cpu)]}))
                .unwrap()
        };
        let error = |spec| Sheet::read("s", &spec).unwrap_err().to_string();
        assert!(error(spec("soon", "1")).starts_with("spec.validFrom: `soon`"));
        assert!(error(spec("2026-01-01T00:00:00Z", "x")).starts_with("spec.nodes[t].cpuCoreHour"));
    }
}
