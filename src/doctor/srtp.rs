//! SRTP: what trunks and sources want, and whether their signalling lets them have it.

use super::Finding;
use crate::config::Config;
use crate::storage::Snapshot;
use crate::trunks::model::SrtpPolicy;

/// What an operator does where signalling is not encrypted.
pub const ADVICE: &str = "keys of SRTP can be read by whoever reads the signalling: where that is a \
    network of your own, set sip.srtp_over_clear_signalling = true; else set srtp = \"off\" there";

pub(super) fn examine(config: &Config, snapshot: &Snapshot) -> Vec<Finding> {
    let permitted = config.sip.srtp_over_clear_signalling;
    let trunks = snapshot.trunks.iter().filter(|trunk| trunk.enabled);
    let trunks = trunks.map(|trunk| ("trunk", trunk.label.as_str(), trunk.srtp));
    let sources = snapshot.sources.iter();
    let sources = sources.map(|source| ("source", source.name.as_str(), source.srtp));
    trunks
        .chain(sources)
        .filter_map(|(kind, name, srtp)| judge(kind, name, srtp, permitted))
        .collect()
}

fn judge(kind: &str, name: &str, srtp: SrtpPolicy, permitted: bool) -> Option<Finding> {
    let found = |what: &str| format!("{kind} {name}: srtp is {srtp}{what}");
    match (srtp, permitted) {
        (SrtpPolicy::Off, _) => None,
        (SrtpPolicy::Required, false) => {
            let found = found(", and no signalling is encrypted: none of its calls are carried");
            Some(Finding::bad("srtp", found, ADVICE))
        }
        (SrtpPolicy::Preferred, false) => {
            let found = found(", and no signalling is encrypted: its calls are plain RTP");
            Some(Finding::warning("srtp", found, ADVICE))
        }
        (SrtpPolicy::Preferred | SrtpPolicy::Required, true) => {
            let found = found(", with keys in clear signalling");
            let advice = "see that nobody else reads that network";
            Some(Finding::warning("srtp", found, advice))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn what_cannot_have_its_keys_is_told_what_to_do() {
        let grade = |srtp, permitted| judge("trunk", "a", srtp, permitted).map(|it| it.grade);
        assert_eq!(grade(SrtpPolicy::Off, false), None);
        assert_eq!(grade(SrtpPolicy::Required, false), Some(Grade::Bad));
        assert_eq!(grade(SrtpPolicy::Preferred, false), Some(Grade::Warning));
        assert_eq!(grade(SrtpPolicy::Required, true), Some(Grade::Warning));
        let bad = judge("trunk", "a", SrtpPolicy::Required, false).unwrap();
        assert!(bad.advice.contains("sip.srtp_over_clear_signalling"));
        assert!(bad.found.contains("none of its calls"), "{}", bad.found);
    }
}
