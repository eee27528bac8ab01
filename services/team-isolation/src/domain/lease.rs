//! How a team's quota is split over its namespaces: a lease that moves, and never adds up to more.
//!
//! Each namespace has one ResourceQuota, which the API server enforces by its `status.hard`. Headroom
//! moves in two steps: the donor is lowered, and only when its status shows it the taker is raised. At
//! any instant the sum of what is promised (the larger of spec and status, over all namespaces) is at
//! most the team's quota; if this service stops, the last split stays in force.

use std::collections::BTreeMap;

use super::model::DeclaredTeam;
use super::objects::quota::NAME;
use super::objects::{Key, Kind};
use super::plan::Observed;
use super::quantity::Quantity;

/// One namespace's part in one quota key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Percent of the total that is always its own.
    pub share: u32,
    /// `spec.hard`; nothing where there is no ResourceQuota yet.
    pub spec: Option<Quantity>,
    /// `status.hard`, by which the API server admits.
    pub status: Option<Quantity>,
    /// `status.used`.
    pub used: Option<Quantity>,
    /// What was refused here a moment ago: headroom of this size is wanted.
    pub demand: Option<Quantity>,
    /// Whether the namespace left the declaration: it keeps what it uses and gets no headroom.
    pub leaving: bool,
}

/// In how fine a step amounts of a key are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grain {
    /// Objects and devices: whole ones.
    Whole,
    /// CPU: thousandths.
    Cores,
    /// Memory and storage: bytes, but round ones where the total is round.
    Bytes,
}

impl Grain {
    fn of(key: &str) -> Self {
        if key.ends_with("cpu") {
            Self::Cores
        } else if key.ends_with("memory") || key.ends_with("storage") {
            Self::Bytes
        } else {
            Self::Whole
        }
    }

    /// Steps in nano-units, the coarsest first.
    const fn steps(self) -> &'static [i128] {
        const UNIT: i128 = 1_000_000_000;
        match self {
            Self::Whole => &[UNIT],
            Self::Cores => &[UNIT, UNIT / 10, UNIT / 100, UNIT / 1000],
            Self::Bytes => &[UNIT << 30, UNIT << 20, UNIT << 10, UNIT],
        }
    }

    /// The coarsest step that divides the total and leaves each of `parts` a choice of some.
    fn step(self, total: i128, parts: i128) -> i128 {
        let fits = |step: &&i128| total % **step == 0 && total / **step >= parts * 4;
        let steps = self.steps();
        steps.iter().find(fits).or(steps.last()).copied().unwrap_or(1)
    }
}

/// What to write as `spec.hard` of each part now.
pub fn split(key: &str, total: Quantity, parts: &[Part]) -> Vec<Quantity> {
    let count = i128::try_from(parts.len().max(1)).unwrap_or(i128::MAX);
    let step = Grain::of(key).step(total.nano(), count);
    let whole = total.nano() / step * step;
    let wanted = wanted(whole, step, parts);
    let mut free = total.nano() - parts.iter().map(Part::promised).sum::<i128>();
    let next = parts.iter().zip(wanted).map(|(part, target)| {
        let promised = part.promised();
        if target <= promised {
            return target;
        }
        // Whole steps where it can be, and the last bit as well where that reaches the target.
        let most = (promised + free.max(0)).min(target);
        let next = if most == target { most } else { (most / step * step).max(promised) };
        free -= next - promised;
        next
    });
    next.map(|nano| total.with_nano(nano)).collect()
}

impl Part {
    const fn nano(maybe: Option<Quantity>) -> i128 {
        match maybe {
            Some(quantity) => quantity.nano(),
            None => 0,
        }
    }

    /// The most that the API server may admit by now, or will once it has read the spec.
    fn promised(&self) -> i128 {
        Self::nano(self.spec).max(Self::nano(self.status))
    }

    /// What is the namespace's own: its share, or what it uses of the rest.
    fn base(&self, total: i128, step: i128) -> i128 {
        let share = if self.leaving { 0 } else { total * i128::from(self.share) / 100 / step * step };
        let used = Self::nano(self.used);
        share.max((used + step - 1) / step * step)
    }
}

/// Where the split should go. What is there stays while everybody has room, so that a steady team
/// costs no write.
fn wanted(total: i128, step: i128, parts: &[Part]) -> Vec<i128> {
    let bases: Vec<_> = parts.iter().map(|part| part.base(total, step)).collect();
    let rest = total - bases.iter().sum::<i128>();
    if rest < 0 {
        return squeezed(total, step, parts, &bases);
    }
    let takers =
        i128::try_from(parts.iter().filter(|part| !part.leaving).count().max(1)).unwrap_or(i128::MAX);
    let fair = rest / takers / step * step;
    let specs: Option<Vec<i128>> = parts.iter().map(|part| Some(part.spec?.nano())).collect();
    if let Some(specs) = specs.filter(|specs| specs.iter().sum::<i128>() == total) {
        let roomy = parts.iter().zip(&specs).zip(&bases).all(|((part, spec), base)| {
            let room = spec - base;
            let needed = if part.leaving { 0 } else { Part::nano(part.demand).min(rest).max(fair / 4) };
            room >= needed && (!part.leaving || room == 0)
        });
        if roomy {
            return specs;
        }
    }
    spread(rest, step, parts, bases)
}

/// Hands out the rest: first what was refused somewhere, then evenly, the remainder to the first.
fn spread(mut rest: i128, step: i128, parts: &[Part], mut amounts: Vec<i128>) -> Vec<i128> {
    let mut demands: Vec<_> =
        parts.iter().map(|part| if part.leaving { 0 } else { Part::nano(part.demand) }).collect();
    for (amount, demand) in amounts.iter_mut().zip(&mut demands) {
        let given = ((*demand + step - 1) / step * step).min(rest);
        *amount += given;
        rest -= given;
    }
    let staying: Vec<_> = parts.iter().map(|part| !part.leaving).collect();
    let takers = i128::try_from(staying.iter().filter(|stays| **stays).count()).unwrap_or(i128::MAX);
    if takers == 0 {
        return amounts;
    }
    let (units, mut extra) = (rest / step / takers, rest / step % takers);
    for (amount, _) in amounts.iter_mut().zip(staying).filter(|(_, stays)| *stays) {
        *amount += (units + i128::from(extra > 0)) * step;
        extra -= 1;
    }
    amounts
}

/// More is spoken for than there is, after a quota was lowered or a share raised. Unused shares give
/// way first; beyond that everybody is held below its use in proportion, so that nothing new starts
/// and nothing is evicted.
fn squeezed(total: i128, step: i128, parts: &[Part], bases: &[i128]) -> Vec<i128> {
    let used: Vec<_> = parts.iter().map(|part| Part::nano(part.used)).collect();
    let in_use = used.iter().sum::<i128>();
    if in_use >= total {
        // In steps: the product of two byte counts in nano-units does not fit.
        let (total, in_use) = (total / step, (in_use / step).max(1));
        return used.iter().map(|used| (used / step).saturating_mul(total) / in_use * step).collect();
    }
    let mut over = bases.iter().sum::<i128>() - total;
    let give = bases.iter().zip(&used).map(|(base, used)| {
        let spare = (base - used).max(0).min(over);
        over -= spare;
        base - spare
    });
    give.collect()
}

/// A split by namespace and key.
pub type Split = BTreeMap<String, BTreeMap<String, Quantity>>;

/// What was refused a moment ago, by namespace and key.
pub type Demands = BTreeMap<String, BTreeMap<String, Quantity>>;

/// The split of a team's quota that should be written now, from what is observed of it.
pub fn of(team: &DeclaredTeam, observed: &Observed, leaving: &[String], demands: &Demands) -> Split {
    let staying = team.namespaces.iter().map(|namespace| (&namespace.name, namespace.share, false));
    let all: Vec<_> = staying.chain(leaving.iter().map(|name| (name, 0, true))).collect();
    let mut split = Split::new();
    for (key, total) in &team.quota {
        let part = |(name, share, leaving): &(&String, u32, bool)| {
            let quota = Key { kind: Kind::ResourceQuota, namespace: (*name).clone(), name: NAME.to_owned() };
            let amount = |field: &str| {
                let written = observed.live.get(&quota)?.pointer(field)?.get(key)?.as_str()?;
                Quantity::parse(written).ok()
            };
            let demand = demands.get(*name).and_then(|demands| demands.get(key)).copied();
            Part {
                share: *share,
                spec: amount("/spec/hard"),
                status: amount("/status/hard"),
                used: amount("/status/used"),
                demand,
                leaving: *leaving,
            }
        };
        let parts: Vec<_> = all.iter().map(part).collect();
        for ((name, ..), amount) in all.iter().zip(self::split(key, *total, &parts)) {
            split.entry((*name).clone()).or_default().insert(key.clone(), amount);
        }
    }
    split
}

#[cfg(test)]
mod tests;
