//! Which rules refuse, and which only record, by environment (seed dossier section 7, item 128).
//!
//! What holds teams apart is enforced everywhere and is not listed here. These are rules of good
//! conduct, relaxed on a laptop and strictest in production. The names are those of the messages in
//! `deploy/admission`.

use mlp_crds::team::PolicyMode;
use mlp_model::Environment;

/// How much an environment demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// A laptop.
    Relaxed,
    /// Shared integration.
    Moderate,
    /// Rehearsal of production.
    Strict,
    /// Production.
    Strictest,
}

/// What happens to an object that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Off,
    /// It is admitted, and noted in the API server's audit log.
    Audit,
    /// It is refused.
    Deny,
}

use Verdict::{Audit, Deny, Off};

/// The rules, with their verdict from relaxed to strictest.
pub const RULES: [(&str, [Verdict; 4]); 7] = [
    ("image-registry", [Audit, Deny, Deny, Deny]),
    ("image-tag", [Audit, Audit, Deny, Deny]),
    ("image-pull-always", [Off, Audit, Deny, Deny]),
    ("resources", [Audit, Audit, Deny, Deny]),
    ("job-ttl", [Off, Audit, Deny, Deny]),
    ("read-only-root", [Off, Off, Audit, Deny]),
    ("probes", [Off, Off, Audit, Audit]),
];

impl Tier {
    /// The tier of an environment.
    pub const fn of(environment: Environment) -> Self {
        match environment {
            Environment::Local => Self::Relaxed,
            Environment::Dev => Self::Moderate,
            Environment::Staging => Self::Strict,
            Environment::Prod => Self::Strictest,
        }
    }

    /// The name that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relaxed => "relaxed",
            Self::Moderate => "moderate",
            Self::Strict => "strict",
            Self::Strictest => "strictest",
        }
    }

    fn verdict(self, verdicts: [Verdict; 4]) -> Verdict {
        let [relaxed, moderate, strict, strictest] = verdicts;
        match self {
            Self::Relaxed => relaxed,
            Self::Moderate => moderate,
            Self::Strict => strict,
            Self::Strictest => strictest,
        }
    }

    /// Names of the rules that end in `wanted`; a mode of `Audit` turns refusals into records.
    pub fn rules(self, mode: PolicyMode, wanted: Verdict) -> Vec<&'static str> {
        let judged = RULES.iter().map(|(name, verdicts)| {
            let verdict = match (self.verdict(*verdicts), mode) {
                (Deny, PolicyMode::Audit) => Audit,
                (verdict, _) => verdict,
            };
            (*name, verdict)
        });
        judged.filter(|(_, verdict)| *verdict == wanted).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_gets_weaker_on_the_way_to_production() {
        let rank = |verdict| [Off, Audit, Deny].iter().position(|other| *other == verdict);
        for (name, verdicts) in RULES {
            assert!(verdicts.is_sorted_by_key(|verdict| rank(*verdict)), "{name}");
        }
    }

    #[test]
    fn audit_mode_refuses_nothing_and_forgets_nothing() {
        for environment in Environment::ALL {
            let tier = Tier::of(environment);
            assert!(tier.rules(PolicyMode::Audit, Deny).is_empty());
            let enforced =
                tier.rules(PolicyMode::Enforce, Deny).len() + tier.rules(PolicyMode::Enforce, Audit).len();
            assert_eq!(tier.rules(PolicyMode::Audit, Audit).len(), enforced);
        }
        assert!(
            Tier::of(Environment::Local).rules(PolicyMode::Enforce, Deny).is_empty(),
            "a laptop refuses nothing"
        );
    }
}
