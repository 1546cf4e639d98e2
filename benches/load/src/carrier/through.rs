//! How a target is named on the command line.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context as _, Result};

use super::{Minimal, Node, NodeByHttp, NodePlace, Rtpengine, Rtpproxy, StandIn, Target};

/// Which target, and where it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Through {
    /// Calls by SIP.
    Node(SocketAddr),
    /// Calls that are ordered by HTTP.
    Http(SocketAddr),
    /// Its `ng` port.
    Rtpengine(SocketAddr),
    /// Its control port.
    Rtpproxy(SocketAddr),
    /// Inside this program.
    Minimal,
    /// Inside this program.
    Epoll,
}

impl FromStr for Through {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, address) = match text.split_once(':') {
            Some((kind, address)) => (kind, Some(address)),
            None => (text, None),
        };
        let wanted = || {
            let given =
                address.ok_or_else(|| format!("{kind} needs an address: {kind}:IP:PORT"))?;
            given
                .parse::<SocketAddr>()
                .map_err(|_invalid| format!("{given:?} is no address: {kind}:IP:PORT"))
        };
        match kind {
            "node" => wanted().map(Self::Node),
            "http" => wanted().map(Self::Http),
            "rtpengine" => wanted().map(Self::Rtpengine),
            "rtpproxy" => wanted().map(Self::Rtpproxy),
            "minimal" => Ok(Self::Minimal),
            "epoll" => Ok(Self::Epoll),
            _ => Err(format!(
                "{kind:?}: known are node, http, rtpengine, rtpproxy, minimal and epoll"
            )),
        }
    }
}

/// Where the target is, and what of it is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// What carries the sessions: node:IP:PORT (calls by SIP), http:IP:PORT (calls ordered by HTTP; its
    /// guard must let 1000 be called, and its trunk lead to --callee),
    /// rtpengine:IP:PORT (its ng port), rtpproxy:IP:PORT (its control port), or inside this program
    /// minimal (what a relay costs at least) and epoll (a plain one).
    #[arg(long, value_name = "TARGET", default_value = "node:127.0.0.1:5060")]
    pub(crate) through: Through,
    /// Its process, whose CPU is measured.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Names of a node's threads that count begin with this; empty: all threads.
    #[arg(long, default_value = "media")]
    pub(crate) thread: String,
    /// Where the target of the node's trunk is: this program answers there.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.2:5070")]
    pub(crate) callee: SocketAddr,
    /// Request path to call in the node.
    #[arg(long, default_value = "bench")]
    pub(crate) user: String,
    /// HTTP of the node, for its own counters.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<SocketAddr>,
    /// Speak SRTP (SDES): callers of a node by SIP, callees of rtpengine. Callees of a node do where its
    /// trunk wants it.
    #[arg(long)]
    pub(crate) srtp: bool,
    /// Token that may place calls, for http:IP:PORT.
    #[arg(long, env = "SLUICE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl Where {
    /// The target, spoken to for the first time.
    ///
    /// # Errors
    /// It does not answer, or something is missing on the command line.
    pub(crate) fn target(&self) -> Result<Box<dyn Target>> {
        let process = || self.pid.context("--pid: the process whose CPU is measured");
        let place = |sip, http| -> Result<NodePlace> {
            Ok(NodePlace {
                sip,
                http,
                callee: self.callee,
                user: self.user.clone(),
                process: process()?,
                thread: self.thread.clone(),
            })
        };
        Ok(match self.through {
            Through::Node(sip) => {
                let mut node = Node::new("node", place(sip, self.http)?)?;
                if self.srtp {
                    node.secure_callers();
                }
                Box::new(node)
            }
            Through::Http(http) => {
                let token = self.token.clone();
                let token = token.context("--token: one that may place calls")?;
                // No call of ours goes to its SIP address.
                Box::new(NodeByHttp::new(place(http, Some(http))?, token)?)
            }
            Through::Rtpengine(control) => {
                let rtpengine = Rtpengine::new(control, process()?)?;
                Box::new(if self.srtp {
                    rtpengine.with_srtp()
                } else {
                    rtpengine
                })
            }
            Through::Rtpproxy(control) => Box::new(Rtpproxy::new(control, process()?)?),
            Through::Minimal => Box::new(Minimal::default()),
            Through::Epoll => Box::new(StandIn::default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_with_its_address_or_refused_with_what_is_known() {
        let address = SocketAddr::from(([127, 0, 0, 1], 2223));
        assert_eq!(
            "rtpengine:127.0.0.1:2223".parse(),
            Ok(Through::Rtpengine(address))
        );
        assert_eq!("minimal".parse(), Ok(Through::Minimal));
        let refused = |text: &str| text.parse::<Through>().expect_err("it names nothing");
        assert_eq!(refused("node"), "node needs an address: node:IP:PORT");
        assert_eq!(refused("node:x"), "\"x\" is no address: node:IP:PORT");
        assert!(refused("asterisk:1").contains("known are node, http"));
    }
}
