//! Pairs are kept while they last and issued anew when they do not.

use std::fs;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn layout(root: &tempfile::TempDir) -> Layout {
    let layout = Layout::of_checkout(root.path());
    layout.open().unwrap();
    layout
}

#[test]
fn pairs_are_kept_until_they_near_their_end_or_their_names_change() {
    let root = tempfile::tempdir().unwrap();
    let layout = layout(&root);
    let now = SystemTime::now();
    let leaf = Leaf::server("kube-apiserver", &["localhost", "127.0.0.1"]);
    let issue = |leaf: &Leaf, at: SystemTime| {
        let pair = Pki::open(&layout, at).unwrap().ensure(leaf).unwrap();
        fs::read_to_string(pair.certificate).unwrap()
    };
    let first = issue(&leaf, now);
    assert_eq!(issue(&leaf, now), first);
    assert_eq!(issue(&leaf, now + 300 * DAY), first);
    let renewed = issue(&leaf, now + 340 * DAY);
    assert_ne!(renewed, first);
    assert_ne!(issue(&Leaf::server("kube-apiserver", &["localhost", "10.1.2.3"]), now), renewed);
}

#[test]
fn a_renewed_authority_renews_what_it_signed_and_the_account_key_stays() {
    let root = tempfile::tempdir().unwrap();
    let layout = layout(&root);
    let now = SystemTime::now();
    let leaf = Leaf::client("admin", "admin", &["system:masters"]);
    let pki = Pki::open(&layout, now).unwrap();
    let pair = pki.ensure(&leaf).unwrap();
    let before = fs::read_to_string(&pair.certificate).unwrap();
    let account = fs::read_to_string(pki.service_account_key().key).unwrap();
    fs::remove_file(pki.authority(Authority::Cluster).certificate.with_extension("json")).unwrap();
    let pki = Pki::open(&layout, now).unwrap();
    pki.ensure(&leaf).unwrap();
    assert_ne!(fs::read_to_string(&pair.certificate).unwrap(), before);
    assert_eq!(fs::read_to_string(pki.service_account_key().key).unwrap(), account);
}

#[test]
fn a_damaged_authority_is_named_with_the_remedy() {
    let root = tempfile::tempdir().unwrap();
    let layout = layout(&root);
    let now = SystemTime::now();
    let pki = Pki::open(&layout, now).unwrap();
    fs::write(pki.authority(Authority::Etcd).key, "nonsense").unwrap();
    let line = Pki::open(&layout, now).unwrap_err().to_string();
    assert!(line.contains("etcd-ca.key") && line.contains("--wipe"), "{line}");
}

#[test]
fn keys_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let pki = Pki::open(&layout(&root), SystemTime::now()).unwrap();
    let mode = fs::metadata(pki.service_account_key().key).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}
