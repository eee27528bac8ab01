//! What a refusal of the API server says: which rule, and for quota which amounts.

use super::objects::quota::NAME;
use super::quantity::Quantity;

/// What kind of control refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// A rule of `deploy/admission`.
    Policy,
    /// Pod Security.
    PodSecurity,
    /// A ResourceQuota.
    Quota,
    /// A LimitRange.
    LimitRange,
    /// Roles.
    Rights,
}

impl Control {
    /// The name that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::PodSecurity => "pod-security",
            Self::Quota => "quota",
            Self::LimitRange => "limit-range",
            Self::Rights => "rights",
        }
    }
}

/// A refusal, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which control.
    pub control: Control,
    /// Which rule of it: the name that a policy's message starts with, a Pod Security check, a quota
    /// key, a verb and resource.
    pub rule: String,
    /// The sentence for people: what, why and how to mend it.
    pub message: String,
}

/// The longest message that is kept.
const MESSAGE: usize = 1_200;

/// Reads the message of a `Forbidden` status; nothing where no control of ours or of Kubernetes
/// worded it.
pub fn read(message: &str) -> Option<Refusal> {
    let (control, rule, said) = if let Some((_, said)) = message.split_once("denied request: ") {
        let rules =
            said.split(". Also ").map(|problem| problem.split_once(": ").map_or("policy", |(rule, _)| rule));
        (Control::Policy, rules.collect::<Vec<_>>().join(","), said.to_owned())
    } else if let Some((_, said)) = message.split_once("violates PodSecurity ") {
        let check = said.split_once(": ").map_or(said, |(_, check)| check);
        let rule = check.split(['(', ',']).next().unwrap_or_default().trim().to_owned();
        (Control::PodSecurity, rule, format!("violates PodSecurity {said}"))
    } else if let Some((_, said)) = message.split_once("exceeded quota: ") {
        let keys: Vec<_> = amounts(said, "limited: ").into_iter().map(|(key, _)| key).collect();
        (Control::Quota, keys.join(","), quota_sentence(said))
    } else if message.contains("usage per Pod")
        || message.contains("usage per Container")
        || message.contains("usage per PersistentVolumeClaim")
    {
        let said = message.split_once("forbidden: ").map_or(message, |(_, said)| said);
        (
            Control::LimitRange,
            "limit-range".to_owned(),
            format!("{said}; the bounds are in the Team at spec.limitRange"),
        )
    } else if let Some((_, said)) = message.split_once(" cannot ") {
        let rule =
            said.split(" in API group").next().unwrap_or(said).replace("resource ", "").replace('"', "");
        let said = format!("cannot {said}; rights of a team are in the Team at spec.access");
        (Control::Rights, rule, said)
    } else {
        return None;
    };
    Some(Refusal { control, rule, message: said.chars().take(MESSAGE).collect() })
}

/// What was asked for beyond the team's quota, by key; empty for any other refusal.
pub fn over_quota(message: &str) -> Vec<(String, Quantity)> {
    let Some((_, said)) = message.split_once(&format!("exceeded quota: {NAME}, ")) else { return Vec::new() };
    amounts(said, "requested: ")
}

/// The `key=amount` pairs of one part of a quota's message.
fn amounts(said: &str, part: &str) -> Vec<(String, Quantity)> {
    let Some((_, rest)) = said.split_once(part) else { return Vec::new() };
    let pairs = rest.split(", ").next().unwrap_or_default();
    let read = |pair: &str| {
        let (key, amount) = pair.split_once('=')?;
        Some((key.to_owned(), Quantity::parse(amount.trim()).ok()?))
    };
    pairs.split(',').filter_map(read).collect()
}

fn quota_sentence(said: &str) -> String {
    let part = |name| {
        let pairs = amounts(said, name).into_iter().map(|(key, amount)| format!("{key}={amount}"));
        pairs.collect::<Vec<_>>().join(",")
    };
    format!(
        "the namespace's part of the team's quota is used up: asked for {}, in use {}, at most {}; headroom moves here from the \
         team's other namespaces within seconds where there is any, else free some or have spec.quota of the Team raised",
        part("requested: "),
        part("used: "),
        part("limited: ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_a_refusal_is_read() {
        let said = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'mlp-pods' with binding 'mlp-pods' denied request: \
                    image-tag: nginx can change; name a version. Also toleration: (every taint) opens nodes";
        assert_eq!(read(said).unwrap().rule, "image-tag,toleration");
    }

    #[test]
    fn each_control_is_known_by_its_words() {
        for (message, control, rule) in [
            (
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'mlp-pods' with binding 'mlp-pods' denied request: image-tag: nginx:latest can change",
                Control::Policy,
                "image-tag",
            ),
            (
                "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), hostPort (container \"c\" uses hostPort 80)",
                Control::PodSecurity,
                "host namespaces",
            ),
            (
                "pods \"x\" is forbidden: exceeded quota: team-quota, requested: pods=1,requests.cpu=2, used: pods=5,requests.cpu=8, limited: pods=5,requests.cpu=8",
                Control::Quota,
                "pods,requests.cpu",
            ),
            (
                "pods \"x\" is forbidden: maximum cpu usage per Container is 4, but limit is 5",
                Control::LimitRange,
                "limit-range",
            ),
            (
                "resourcequotas \"team-quota\" is forbidden: User \"ana\" cannot delete resource \"resourcequotas\" in API group \"\" in the namespace \"ml-team\"",
                Control::Rights,
                "delete resourcequotas",
            ),
        ] {
            let refusal = read(message).unwrap();
            assert_eq!((refusal.control, refusal.rule.as_str()), (control, rule), "{message}");
        }
        assert_eq!(read("the server could not find the requested resource"), None);
    }

    #[test]
    fn only_the_teams_own_quota_is_a_demand() {
        let message = "Error creating: pods \"x\" is forbidden: exceeded quota: team-quota, requested: requests.cpu=1500m, used: requests.cpu=8, limited: requests.cpu=8";
        assert_eq!(over_quota(message), [("requests.cpu".to_owned(), Quantity::parse("1500m").unwrap())]);
        assert!(over_quota(&message.replace("team-quota", "team-priority-gpu-high")).is_empty());
    }
}
