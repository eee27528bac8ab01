use proptest::prelude::*;

use super::*;

fn amount(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

/// What a cluster does with a split: the status follows the spec, later.
fn settle(parts: &mut [Part], split: &[Quantity]) {
    for (part, amount) in parts.iter_mut().zip(split) {
        part.spec = Some(*amount);
        part.status = Some(*amount);
    }
}

fn written(split: &[Quantity]) -> Vec<String> {
    split.iter().map(ToString::to_string).collect()
}

#[test]
fn one_namespace_has_all_of_it() {
    assert_eq!(written(&split("pods", amount("50"), &[Part::default()])), ["50"]);
}

#[test]
fn what_no_share_claims_is_spread_evenly_in_round_amounts() {
    let parts = [Part { share: 50, ..Part::default() }, Part::default(), Part::default()];
    assert_eq!(written(&split("requests.memory", amount("64Gi"), &parts)), ["43Gi", "11Gi", "10Gi"]);
    assert_eq!(written(&split("requests.cpu", amount("2"), &parts)), ["1400m", "300m", "300m"]);
    assert_eq!(written(&split("requests.nvidia.com/gpu", amount("4"), &parts)), ["3", "1", "0"]);
}

#[test]
fn headroom_moves_to_who_was_refused_by_way_of_the_donors_status() {
    let total = amount("12");
    let mut parts = vec![Part::default(); 3];
    let first = split("requests.cpu", total, &parts);
    settle(&mut parts, &first);
    assert_eq!(written(&first), ["4", "4", "4"]);
    parts[0].used = Some(amount("4"));
    parts[0].demand = Some(amount("6"));
    let lowered = split("requests.cpu", total, &parts);
    assert_eq!(written(&lowered), ["4", "1", "0"], "donors first");
    for (part, amount) in parts.iter_mut().zip(&lowered) {
        part.spec = Some(*amount);
    }
    assert_eq!(
        written(&split("requests.cpu", total, &parts)),
        ["4", "1", "0"],
        "until their status shows it"
    );
    settle(&mut parts, &lowered);
    assert_eq!(written(&split("requests.cpu", total, &parts)), ["11", "1", "0"]);
}

#[test]
fn a_quota_below_its_use_evicts_nothing_and_admits_nothing() {
    let mut parts = vec![
        Part { used: Some(amount("30")), ..Part::default() },
        Part { used: Some(amount("10")), ..Part::default() },
    ];
    settle(&mut parts, &[amount("40"), amount("10")]);
    let split = split("pods", amount("20"), &parts);
    assert_eq!(written(&split), ["15", "5"]);
}

#[test]
fn a_namespace_that_leaves_keeps_what_it_uses_and_no_more() {
    let mut parts = vec![Part::default(), Part { leaving: true, used: Some(amount("3")), ..Part::default() }];
    settle(&mut parts, &[amount("5"), amount("5")]);
    let next = split("pods", amount("10"), &parts);
    assert_eq!(written(&next), ["5", "3"]);
    settle(&mut parts, &next);
    assert_eq!(written(&split("pods", amount("10"), &parts)), ["7", "3"]);
}

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Turn {
    /// The API server's controller reads the spec of one namespace.
    Follow(usize),
    /// Pods come, as many as the status admits, or go.
    Use(usize, u32),
    /// Somebody is refused.
    Refuse(usize, u32),
    /// An operator sets another total.
    Total(u32),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (0..4_usize).prop_map(Turn::Follow),
        3 => (0..4_usize, 0..40_u32).prop_map(|(part, count)| Turn::Use(part, count)),
        1 => (0..4_usize, 1..20_u32).prop_map(|(part, count)| Turn::Refuse(part, count)),
        1 => (1..60_u32).prop_map(Turn::Total),
    ];
    proptest::collection::vec(turn, 1..60)
}

fn whole(count: i128) -> Quantity {
    amount(&count.to_string())
}

const UNIT: i128 = 1_000_000_000;

proptest! {
    /// Whatever happens, the namespaces together never admit more than the quota; only a total that was
    /// lowered leaves more in use than it allows.
    #[test]
    fn the_sum_of_what_is_promised_never_exceeds_the_quota(turns in turns(), shares in proptest::collection::vec(0..34_u32, 2..4)) {
        let mut total = 40_i128;
        let mut parts: Vec<_> = shares.iter().map(|share| Part { share: *share, ..Part::default() }).collect();
        let count = parts.len();
        let mut lowered = false;
        for turn in turns {
            match turn {
                Turn::Follow(part) => {
                    let part = &mut parts[part % count];
                    part.status = part.spec;
                    part.used = Some(part.used.unwrap_or(whole(0)));
                }
                Turn::Use(part, pods) => {
                    let part = &mut parts[part % count];
                    let admitted = part.status.map_or(0, |status| status.nano() / UNIT).max(part.used.map_or(0, |used| used.nano() / UNIT));
                    part.used = part.status.map(|_| whole(i128::from(pods).min(admitted)));
                }
                Turn::Refuse(part, pods) => parts[part % count].demand = Some(whole(i128::from(pods))),
                Turn::Total(next) => {
                    lowered |= i128::from(next) < total;
                    total = i128::from(next);
                }
            }
            let before: i128 = parts.iter().map(Part::promised).sum();
            let next = split("pods", whole(total), &parts);
            for (part, amount) in parts.iter_mut().zip(&next) {
                part.spec = Some(*amount);
            }
            let after: i128 = parts.iter().map(Part::promised).sum();
            prop_assert!(after <= (total * UNIT).max(before), "{after} after {before} of {total}");
            if !lowered {
                prop_assert!(after <= total * UNIT);
            }
        }
    }

    /// Left alone, a split comes to rest: all of the quota handed out, and no more writes.
    #[test]
    fn a_split_comes_to_rest(used in proptest::collection::vec(0..10_u32, 1..5), demand in 0..20_u32) {
        let total = whole(60);
        let mut parts: Vec<_> =
            used.iter().map(|used| Part { used: Some(whole(i128::from(*used))), ..Part::default() }).collect();
        parts[0].demand = (demand > 0).then(|| whole(i128::from(demand)));
        for _ in 0..4 {
            let next = split("pods", total, &parts);
            settle(&mut parts, &next);
        }
        let rest = split("pods", total, &parts);
        prop_assert_eq!(rest.iter().map(|amount| amount.nano()).sum::<i128>(), total.nano());
        prop_assert!(parts.iter().zip(&rest).all(|(part, amount)| part.spec == Some(*amount)));
        prop_assert!(rest[0].nano() >= parts[0].used.unwrap().nano() + i128::from(demand) * UNIT);
    }
}
