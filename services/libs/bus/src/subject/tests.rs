use proptest::prelude::*;

use super::*;

const GOOD: &str = "mlp.team.team-isolated.v1.ml.0b5a2c7e-7c1b-4f0e-9a64-0d6f5a1f2b3c";

#[test]
fn a_valid_subject_reads_and_prints_the_same() {
    let topic: Topic = GOOD.parse().unwrap();
    assert_eq!(topic.to_string(), GOOD);
    assert_eq!((topic.context, topic.major, topic.team.as_str()), (Context::Team, 1, "ml"));
    assert!("mlp.cost.price-sheet-loaded.v12._platform.u-1".parse::<Topic>().is_ok());
}

#[test]
fn each_wrong_token_is_named() {
    type Wrong = fn(String) -> SubjectError;
    let cases: [(&str, &str, Wrong); 14] = [
        ("mlp.audit.x.v1.ml.u", "audit", SubjectError::Context),
        ("mlp.team.Team.v1.ml.u", "Team", SubjectError::Fact),
        ("mlp.team.a--b.v1.ml.u", "a--b", SubjectError::Fact),
        ("mlp.team.-a.v1.ml.u", "-a", SubjectError::Fact),
        ("mlp.team.*.v1.ml.u", "*", SubjectError::Fact),
        ("mlp.team.a.1.ml.u", "1", SubjectError::Version),
        ("mlp.team.a.v0.ml.u", "v0", SubjectError::Version),
        ("mlp.team.a.v01.ml.u", "v01", SubjectError::Version),
        ("mlp.team.a.v+1.ml.u", "v+1", SubjectError::Version),
        ("mlp.team.a.v1.kube-system.u", "kube-system", SubjectError::Team),
        ("mlp.team.a.v1.*.u", "*", SubjectError::Team),
        ("mlp.team.a.v1.ml.", "", SubjectError::Aggregate),
        ("mlp.team.a.v1.ml.>", ">", SubjectError::Aggregate),
        ("mlp.team.a.v1.ml.a b", "a b", SubjectError::Aggregate),
    ];
    for (text, part, error) in cases {
        assert_eq!(text.parse::<Topic>(), Err(error(part.to_owned())), "{text}");
    }
    for text in ["", "mlp", "mlp.team.a.v1.ml", "mlp.team.a.v1.ml.u.x", "MLP.team.a.v1.ml.u"] {
        assert_eq!(text.parse::<Topic>(), Err(SubjectError::Shape(text.to_owned())));
    }
}

#[test]
fn a_redriven_subject_reads_as_the_original() {
    let topic: Topic = GOOD.parse().unwrap();
    let redriven = topic.redrive("provisioner-team");
    assert_eq!(
        redriven,
        "mlp.redrive.provisioner-team.team.team-isolated.v1.ml.0b5a2c7e-7c1b-4f0e-9a64-0d6f5a1f2b3c"
    );
    assert_eq!(Topic::delivered(&redriven), Ok(topic.clone()));
    assert_eq!(Topic::delivered(GOOD), Ok(topic));
}

proptest! {
    #[test]
    fn reading_never_panics_and_what_reads_prints_back(text in "\\PC{0,80}") {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }
}
