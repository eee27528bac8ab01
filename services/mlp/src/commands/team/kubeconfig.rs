//! `mlp team kubeconfig`: how a member of a team reaches the cluster as themself. On the embedded platform
//! its own authority vouches for user and groups, as an identity provider does elsewhere.

use std::path::PathBuf;
use std::time::SystemTime;

use mlp_crds::Team;
use mlp_tilt::kubeconfig::{Proof, write};
use mlp_tilt::pki::{Leaf, Pki};
use mlp_tilt::{Layout, Plane};

use super::find;
use crate::cli::{Global, MemberKubeconfig};
use crate::cluster;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

pub(super) async fn kubeconfig(global: &Global, flags: &MemberKubeconfig) -> Outcome {
    let layout = global.layout()?;
    let platform = Platform::load(layout.state())?;
    let client = cluster::client(&platform.kubeconfig).await?;
    let found = find(&kube::Api::<Team>::all(client), &flags.team).await?;
    let team = found.ok_or_else(|| Failure::failed(format!("there is no team {}", flags.team)))?;
    check_member(&team, flags)?;
    let plane =
        Plane::attach(&layout).await.map_err(|error| Failure::of("finding the control plane", &error))?;
    let path = member(&layout, &plane.endpoints().kubernetes, flags)?;
    let namespace = team.namespace_names().into_iter().next().unwrap_or_default();
    println!("{}", path.display());
    eprintln!("export KUBECONFIG={}   # then: kubectl -n {namespace} get pods", path.display());
    Ok(())
}

/// Somebody whom the team does not name would get a kubeconfig that may nothing.
fn check_member(team: &Team, flags: &MemberKubeconfig) -> Outcome {
    let access = team.spec.access.clone().unwrap_or_default();
    let members: Vec<_> = [access.admin, access.edit, access.view].into_iter().flatten().collect();
    let is_member = members.iter().any(|members| {
        members.users.contains(&flags.user) || members.groups.iter().any(|group| flags.groups.contains(group))
    });
    if is_member {
        return Ok(());
    }
    let groups: Vec<_> = members.into_iter().flat_map(|members| members.groups).collect();
    Err(Failure::usage(format!(
        "{} is no member of team {}; add --group with one of {}, or have the user added at spec.access",
        flags.user,
        flags.team,
        groups.join(", ")
    )))
}

fn member(layout: &Layout, server: &str, flags: &MemberKubeconfig) -> Result<PathBuf, Failure> {
    let plain: String =
        flags.user.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let name = format!("member-{}-{plain}", flags.team);
    let pki = Pki::open(layout, SystemTime::now())
        .map_err(|error| Failure::of("reading the platform's keys", &error))?;
    let groups: Vec<_> = flags.groups.iter().map(String::as_str).collect();
    let leaf = Leaf::client(&name, &flags.user, &groups);
    let pair = pki.ensure(&leaf).map_err(|error| Failure::of("making the member's certificate", &error))?;
    let path = layout.kubeconfig(&name);
    let authority = layout.pki().join("ca.crt");
    write(&path, server, &authority, &flags.user, Proof::Certificate(&pair))
        .map_err(|error| Failure::of("writing the kubeconfig", &error))?;
    Ok(path)
}
