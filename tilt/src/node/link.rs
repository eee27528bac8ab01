//! The link between this machine and the node's network namespace, and the way out through it.
//!
//! One pair of virtual interfaces, named after the platform. The pair and its routes vanish with
//! the namespace. Only the way out (`egress`) touches the machine's own rules: five of them, each
//! carrying the platform's name as a comment.

use std::fs;
use std::path::Path;

use super::command::{QUICK, run};
use super::site::Site;
use super::{NodeError, machine};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Exists while forwarding is on only because a platform of this machine turned it on. Like the
/// setting itself it does not outlive a restart of the machine.
const FORWARDING_WAS_OFF: &str = "/run/mlp-forwarding-was-off";

/// How the links of all platforms begin.
pub(super) const PREFIX: &str = "mlp-";

/// Makes the link and the routes to the node's pods and Services; harmless when they exist.
pub(super) async fn connect(site: &Site, sandbox: i32) -> Result<(), NodeError> {
    let name = site.kernel_name();
    let network = &site.network;
    let [host, node] = [network.host_address(), network.node_address()].map(|address| address.to_string());
    let routes = run("ip", &["-o", "-4", "route", "show"], QUICK).await?;
    for range in [network.pods(), network.services(), format!("{}/30", network.host_address())] {
        if let Some(other) = taken(&routes, &range, &name) {
            return Err(NodeError::Unfit {
                problem: format!("the addresses {range} belong to the interface {other}"),
                remedy: "stop what uses it, or choose others with `cargo mlp down --wipe`".into(),
            });
        }
    }
    if run("ip", &["link", "show", "dev", &name], QUICK).await.is_err() {
        let pid = sandbox.to_string();
        run("ip", &["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &pid], QUICK)
            .await?;
    }
    run("ip", &["address", "replace", &format!("{host}/30"), "dev", &name], QUICK).await?;
    run("ip", &["link", "set", &name, "up"], QUICK).await?;
    let target = sandbox.to_string();
    for arguments in [
        format!("address replace {node}/30 dev eth0"),
        "link set eth0 up".into(),
        format!("route replace default via {host}"),
    ] {
        let words = ["--target", &target, "--net", "ip"].into_iter().chain(arguments.split(' '));
        run("nsenter", &words.collect::<Vec<_>>(), QUICK).await?;
    }
    for range in [network.pods(), network.services()] {
        run("ip", &["route", "replace", &range, "via", &node, "dev", &name], QUICK).await?;
    }
    Ok(())
}

/// Lets pods reach what this machine reaches.
pub(super) async fn open_egress(site: &Site) -> Result<(), NodeError> {
    for rule in rules(site) {
        if iptables(&rule.with("-C")).await.is_err() {
            iptables(&rule.with("-I")).await?;
        }
    }
    let forwarding =
        fs::read_to_string(FORWARDING).map_err(|source| NodeError::io("read", FORWARDING, source))?;
    if forwarding.trim() == "0" {
        fs::write(FORWARDING_WAS_OFF, "")
            .map_err(|source| NodeError::io("write", FORWARDING_WAS_OFF, source))?;
        fs::write(FORWARDING, "1").map_err(|source| NodeError::io("write", FORWARDING, source))?;
    }
    Ok(())
}

/// Takes the rules and the setting back; harmless when there are none.
pub(super) async fn close_egress(site: &Site) -> Result<(), NodeError> {
    if machine::program("iptables").is_some() {
        for rule in rules(site) {
            while iptables(&rule.with("-C")).await.is_ok() {
                iptables(&rule.with("-D")).await?;
            }
        }
    }
    let links = run("ip", &["-o", "link", "show", "type", "veth"], QUICK).await.unwrap_or_default();
    if Path::new(FORWARDING_WAS_OFF).exists() && !others(&links, &site.kernel_name()) {
        fs::write(FORWARDING, "0").map_err(|source| NodeError::io("write", FORWARDING, source))?;
        fs::remove_file(FORWARDING_WAS_OFF)
            .map_err(|source| NodeError::io("remove", FORWARDING_WAS_OFF, source))?;
    }
    Ok(())
}

/// The interface other than our own to which a list of routes leads for exactly this range.
fn taken<'a>(routes: &'a str, range: &str, own: &str) -> Option<&'a str> {
    let (address, length) = range.split_once('/')?;
    let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().ok()?.octets();
    let length: u32 = length.parse().ok()?;
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
    let network = std::net::Ipv4Addr::from(u32::from_be_bytes([a, b, c, d]) & mask);
    let range = format!("{network}/{length}");
    let same = routes.lines().filter(|line| line.split_ascii_whitespace().next() == Some(range.as_str()));
    let interfaces = same.filter_map(|line| line.split_once(" dev ")?.1.split_ascii_whitespace().next());
    interfaces.into_iter().find(|interface| *interface != own)
}

/// Whether a list of interfaces has the link of another platform.
fn others(links: &str, own: &str) -> bool {
    let names = links.lines().filter_map(|line| line.split_ascii_whitespace().nth(1));
    let names = names.filter_map(|name| name.split(['@', ':']).next());
    names.filter(|name| name.starts_with(PREFIX)).any(|name| name != own)
}

/// Removes the link if the namespace did not take it along.
pub(super) async fn disconnect(site: &Site) -> Result<(), NodeError> {
    let name = site.kernel_name();
    if run("ip", &["link", "show", "dev", &name], QUICK).await.is_ok() {
        // The kernel may be removing it at this moment.
        if let Err(error) = run("ip", &["link", "delete", &name], QUICK).await
            && run("ip", &["link", "show", "dev", &name], QUICK).await.is_ok()
        {
            return Err(error);
        }
    }
    Ok(())
}

struct Rule {
    table: &'static str,
    chain: &'static str,
    matches: Vec<String>,
    target: &'static str,
    comment: String,
}

impl Rule {
    fn with(&self, action: &str) -> Vec<String> {
        let mut words =
            vec!["-w".to_owned(), "-t".into(), self.table.into(), action.into(), self.chain.into()];
        words.extend(self.matches.iter().cloned());
        words.extend(["-m", "comment", "--comment", &self.comment, "-j", self.target].map(String::from));
        words
    }
}

fn rules(site: &Site) -> [Rule; 5] {
    let name = site.kernel_name();
    let rule = |table, chain, matches: &[&str], target| Rule {
        table,
        chain,
        matches: matches.iter().map(|word| (*word).into()).collect(),
        target,
        comment: name.clone(),
    };
    let host = site.network.host_address().to_string();
    let (pods, link) = (site.network.pods(), format!("{host}/30"));
    [
        rule("nat", "POSTROUTING", &["-s", &pods, "!", "-o", &name], "MASQUERADE"),
        rule("nat", "POSTROUTING", &["-s", &link, "!", "-o", &name], "MASQUERADE"),
        // A firewall of this machine would keep the node from the API server.
        rule("filter", "INPUT", &["-i", &name, "-p", "tcp", "-d", &host], "ACCEPT"),
        rule("filter", "FORWARD", &["-i", &name], "ACCEPT"),
        rule("filter", "FORWARD", &["-o", &name], "ACCEPT"),
    ]
}

async fn iptables(arguments: &[String]) -> Result<String, NodeError> {
    let program = machine::program("iptables").unwrap_or_else(|| "iptables".into());
    run(&program.display().to_string(), arguments, QUICK).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_lead_elsewhere_are_taken() {
        let routes = "default via 192.0.2.1 dev eth0 \n10.161.0.0/17 via 10.201.0.2 dev mlp-0a0b0c0d \n\
                      10.201.0.0/30 dev mlp-0a0b0c0d proto kernel scope link src 10.201.0.1 \n";
        assert_eq!(taken(routes, "10.161.0.0/17", "mlp-1a2b3c4d"), Some("mlp-0a0b0c0d"));
        assert_eq!(taken(routes, "10.201.0.1/30", "mlp-1a2b3c4d"), Some("mlp-0a0b0c0d"));
        assert_eq!(taken(routes, "10.161.0.0/17", "mlp-0a0b0c0d"), None);
        assert_eq!(taken(routes, "10.162.0.0/17", "mlp-1a2b3c4d"), None);
    }

    #[test]
    fn links_of_other_platforms_are_told_from_our_own() {
        let own = "7: mlp-1a2b3c4d@if2: <BROADCAST,UP> mtu 1500\n8: veth0@if3: <UP> mtu 1500\n";
        assert!(!others(own, "mlp-1a2b3c4d"));
        assert!(others(own, "mlp-00000000"));
    }
}
