//! A source policy as it is stored: the names of a `[[source]]` table.

use serde::{Deserialize, Serialize};

use super::model::{LinkAccess, Source};
use crate::trunks::model::SrtpPolicy;
use crate::trunks::shape::text;

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceShape {
    /// For logs and CDRs.
    pub name: String,
    /// Networks, written as in the file.
    pub networks: Vec<String>,
    /// Which links it may reach.
    pub links: LinksShape,
    /// It may dial route strings that no link names.
    pub ad_hoc: bool,
    /// Phones of the registrar are there.
    #[serde(default)]
    pub registers: bool,
    /// Whether media is protected.
    #[serde(default, with = "text")]
    pub srtp: SrtpPolicy,
}

/// `"all"`, `"none"`, or a list of request paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinksShape {
    /// Every live link.
    All,
    /// These request paths.
    Listed(Vec<String>),
    /// None.
    None,
}

impl From<&Source> for SourceShape {
    fn from(source: &Source) -> Self {
        Self {
            name: source.name.clone(),
            networks: source.networks.iter().map(ToString::to_string).collect(),
            links: match &source.links {
                LinkAccess::All => LinksShape::All,
                LinkAccess::Listed(paths) => LinksShape::Listed(paths.clone()),
                LinkAccess::None => LinksShape::None,
            },
            ad_hoc: source.ad_hoc,
            registers: source.registers,
            srtp: source.srtp,
        }
    }
}

impl SourceShape {
    /// The source; `None` when a network is not one.
    #[must_use]
    pub fn source(self) -> Option<Source> {
        let networks = self
            .networks
            .iter()
            .map(|text| text.parse().ok())
            .collect::<Option<_>>()?;
        let links = match self.links {
            LinksShape::All => LinkAccess::All,
            LinksShape::Listed(paths) => LinkAccess::Listed(paths),
            LinksShape::None => LinkAccess::None,
        };
        Some(Source {
            name: self.name,
            networks,
            links,
            ad_hoc: self.ad_hoc,
            registers: self.registers,
            srtp: self.srtp,
        })
    }
}
