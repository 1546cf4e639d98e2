//! Trunks: do their names have addresses, do their targets answer OPTIONS.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::Finding;
use crate::storage::Store;
use crate::trunks;
use crate::trunks::model::Trunk;
use crate::trunks::names::{self, NameError};
use crate::trunks::place::Question;
use crate::trunks::preset::preset;
use crate::trunks::shape::TrunkShape;
use crate::trunks::test::Tested;

/// A name that takes longer makes calls wait.
const NAME_SLOW: Duration = Duration::from_millis(500);
/// Trunks that are asked; the rest is named as not asked.
const TRUNKS_MAX: usize = 64;

pub(super) async fn examine(store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    match trunks::store::list(store).await {
        Ok(stored) => {
            let enabled = stored.iter().filter(|trunk| trunk.shape.enabled);
            let shapes = enabled.clone().map(|trunk| &trunk.shape);
            findings.extend(shapes.filter_map(telephone_network));
            let questions = enabled.flat_map(|trunk| {
                let targets = trunk.shape.targets.iter();
                targets.filter_map(|target| Question::of(&target.address, trunk.shape.transport))
            });
            for question in questions {
                findings.push(name(&question).await);
            }
        }
        Err(error) => {
            let advice = "mend the database, or restore it from a backup";
            findings.push(Finding::bad("trunks", error.to_string(), advice));
        }
    }
    let snapshot = store.snapshot();
    let enabled: Vec<Trunk> = snapshot
        .trunks
        .iter()
        .filter(|trunk| trunk.enabled)
        .cloned()
        .collect();
    if enabled.is_empty() {
        let advice = "sluice trunks apply FILE makes one";
        findings.push(Finding::warning("trunks", "none is enabled", advice));
    }
    findings.extend(enabled.iter().filter_map(dial_plan));
    let left_out = enabled.len().saturating_sub(TRUNKS_MAX);
    let asked: Vec<_> = enabled
        .into_iter()
        .take(TRUNKS_MAX)
        .map(|trunk| {
            // Each waits for its peer.
            tokio::task::spawn_blocking(move || (trunk.label.clone(), trunks::test::test(&trunk)))
        })
        .collect();
    for answer in asked {
        if let Ok((label, tested)) = answer.await {
            findings.extend(tested.iter().map(|tested| judge(&label, tested)));
        }
    }
    if left_out > 0 {
        let found = format!("{left_out} more trunks were not asked");
        findings.push(Finding::warning(
            "trunks",
            found,
            "sluice trunks test LABEL asks one",
        ));
    }
    findings
}

/// Where the preset says that calls leave for the telephone network, and the trunk does not: it was stored
/// before the preset said so, or somebody wants it so. Nobody knows which, so that nothing is changed:
/// a trunk that begins to refuse what it used to carry is a surprise, too.
fn telephone_network(shape: &TrunkShape) -> Option<Finding> {
    let usual = preset(&shape.preset)?.dial_plan.reaches_pstn;
    if !usual || shape.dial_plan.reaches_pstn || !shape.carries_terminating {
        return None;
    }
    let found = format!(
        "{} is a {} with dial_plan.reaches_pstn = false: the guard lets through what it does not \
         understand",
        shape.label, shape.preset
    );
    let advice = "where its calls can reach the telephone network: sluice trunks apply FILE, with \
                  reaches_pstn = true and the region in its [trunk.dial_plan]";
    Some(Finding::warning("trunks", found, advice))
}

/// Where the guard refuses what people are used to dial.
fn dial_plan(trunk: &Trunk) -> Option<Finding> {
    let carries = trunk.carries_terminating;
    let warning = trunk.dial_plan.warning().filter(|_| carries)?;
    let found = format!("{} {warning}", trunk.label);
    let advice = "set dial_plan.region of the trunk to the country it is in, such as GB";
    Some(Finding::warning("trunks", found, advice))
}

async fn name(question: &Question) -> Finding {
    let began = Instant::now();
    let asked = names::ask(question).await;
    let took = began.elapsed();
    match asked {
        Ok(addresses) if addresses.is_empty() => Finding::bad(
            "dns",
            format!("{question}: its SRV record says that there is no such service"),
            "look at the transport of the trunk, or write the port",
        ),
        Ok(addresses) => {
            let count = addresses.len();
            let found = format!("{question}: {count} addresses in {} ms", took.as_millis());
            if took > NAME_SLOW {
                Finding::warning("dns", found, "a local caching resolver makes it faster")
            } else {
                Finding::good("dns", found)
            }
        }
        Err(error @ NameError::Late) => Finding::bad(
            "dns",
            format!("{question}: {error}"),
            "look at /etc/resolv.conf: no name server answers",
        ),
        Err(error) => Finding::bad(
            "dns",
            format!("{question}: {error}"),
            "mend the name, or /etc/resolv.conf; an address in its place needs no name server",
        ),
    }
}

fn judge(label: &str, tested: &Tested) -> Finding {
    let target = tested.target;
    match &tested.outcome {
        Ok(answer) => match answer.status {
            Some(status) if answer.is_up => Finding::good(
                "trunk",
                format!(
                    "{label} {target}: {status} in {} ms",
                    answer.round_trip.as_millis()
                ),
            ),
            Some(status) => Finding::bad(
                "trunk",
                format!("{label} {target}: {status}, which counts as down"),
                "the peer is there and says no: does it know our address? down_codes of the trunk \
                 name what counts",
            ),
            None => Finding::bad(
                "trunk",
                format!("{label} {target}: no answer to OPTIONS"),
                "is a firewall between us, is the port right, does the peer know our address?",
            ),
        },
        Err(error) => Finding::bad(
            "trunk",
            format!("{label} {target}: {error}"),
            if error.kind() == ErrorKind::ConnectionRefused {
                "that machine is there and nothing listens on the port: does the peer run, are port and \
                 transport of the trunk right?"
            } else {
                "look at the route to it (ip route get)"
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;
    use crate::trunks::test::Answer;

    #[test]
    fn a_trunk_to_the_telephone_network_without_a_country_is_warned_of() {
        let mut carrier = trunks::model::tests::trunk("tr_1", "192.0.2.1:5060");
        assert!(dial_plan(&carrier).is_none(), "extensions need no country");
        carrier.dial_plan.reaches_pstn = true;
        let finding = dial_plan(&carrier).unwrap();
        assert!(finding.grade == Grade::Warning && finding.advice.contains("dial_plan.region"));
        carrier.dial_plan.region = Some("GB".to_owned());
        assert!(dial_plan(&carrier).is_none());
    }

    #[test]
    fn a_trunk_that_was_stored_before_its_preset_reached_the_telephone_network_is_warned_of() {
        for name in ["carrier", "registering-pbx"] {
            let mut shape = preset(name).unwrap();
            assert_eq!(telephone_network(&shape), None, "as the preset is now");
            shape.dial_plan.reaches_pstn = false;
            let finding = telephone_network(&shape).unwrap();
            assert_eq!(finding.grade, Grade::Warning);
            assert!(
                finding.advice.contains("reaches_pstn = true"),
                "{finding:?}"
            );
            shape.carries_terminating = false;
            assert_eq!(telephone_network(&shape), None, "it carries nothing out");
        }
        for name in ["", "cucm"] {
            assert_eq!(telephone_network(&preset(name).unwrap()), None);
        }
    }

    /// What the program before it wrote for a carrier.
    #[test]
    fn an_old_carrier_in_the_database_is_read_as_it_was_stored() {
        let old =
            r#"{"label":"c","preset":"carrier","dial_plan":{"region":"GB","reaches_pstn":false}}"#;
        let shape: TrunkShape = serde_json::from_str(old).unwrap();
        assert!(telephone_network(&shape).is_some());
    }

    #[test]
    fn a_silent_trunk_is_bad_and_one_that_answers_is_good() {
        let tested = |status, is_up| Tested {
            target: "192.0.2.1:5060".parse().unwrap(),
            outcome: Ok(Answer {
                status,
                round_trip: Duration::from_millis(3),
                is_up,
            }),
        };
        assert_eq!(judge("a", &tested(Some(200), true)).grade, Grade::Good);
        assert_eq!(judge("a", &tested(Some(503), false)).grade, Grade::Bad);
        let silent = judge("a", &tested(None, false));
        assert!(silent.grade == Grade::Bad && silent.advice.contains("firewall"));
        let failed = |kind: ErrorKind| Tested {
            target: "192.0.2.1:5060".parse().unwrap(),
            outcome: Err(kind.into()),
        };
        let refused = judge("a", &failed(ErrorKind::ConnectionRefused));
        assert!(refused.advice.contains("nothing listens"), "{refused:?}");
        let no_way = judge("a", &failed(ErrorKind::NetworkUnreachable));
        assert!(no_way.advice.contains("route"), "{no_way:?}");
    }
}
