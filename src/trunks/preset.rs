//! Presets: what a trunk is where its table says nothing else. Pure.
//!
//! The common values are those of PRODUCT §6. A preset changes what its kind of peer needs: Cisco's
//! call managers read Remote-Party-ID and are within the trust domain, a carrier reads
//! P-Asserted-Identity, and a PBX that registers stands behind NAT. A carrier and such a PBX lead to
//! the telephone network: the guard refuses there what it does not understand (PRODUCT §5).

use std::time::Duration;

use super::model::{
    IdentityProfile, MediaLatch, OfferMode, RefreshBy, ReliableProvisional, SrtpPolicy, Transport,
};
use super::shape::TrunkShape;
use crate::fraud_guard::DialPlan;
use crate::links::model::VideoPolicy;

/// The names of all presets.
pub const PRESETS: [&str; 4] = ["cucm", "expressway", "carrier", "registering-pbx"];

impl Default for TrunkShape {
    fn default() -> Self {
        Self {
            label: String::new(),
            preset: String::new(),
            enabled: true,
            targets: Vec::new(),
            priority: 10,
            weight: 1,
            carries_terminating: true,
            carries_originating: false,
            max_calls: -1,
            max_inbound: -1,
            max_outbound: -1,
            max_cps: 0,
            patterns: Vec::new(),
            strip: 0,
            prefix: String::new(),
            codecs: Vec::new(),
            identity: IdentityProfile::Rpid,
            ascii_names: false,
            trusted: false,
            from_host: None,
            request_host: None,
            username: None,
            realm: None,
            response_timeout_s: Duration::from_secs(4),
            progress_timeout_s: Duration::from_secs(10),
            ring_timeout_s: Duration::from_secs(120),
            failover_codes: vec![408, 500, 502, 503, 504],
            options_interval_up_s: Duration::from_secs(60),
            options_interval_down_s: Duration::from_secs(120),
            down_codes: vec![408, 503],
            networks: Vec::new(),
            media_latch: MediaLatch::Sdp,
            advertised_media_address: None,
            video: VideoPolicy::SendRecv,
            transport: Transport::Udp,
            local_port: None,
            offer: OfferMode::Early,
            reliable_provisional: ReliableProvisional::Supported,
            session_expires_s: Duration::from_secs(1_800),
            session_min_s: Duration::from_secs(90),
            refresh_by: RefreshBy::Invite,
            srtp: SrtpPolicy::Off,
            dial_plan: DialPlan::default(),
            register: false,
            register_expires_s: Duration::from_secs(3_600),
            transit: false,
            links: Vec::new(),
        }
    }
}

/// The values of a preset, `None` for a name that is no preset.
#[must_use]
pub fn preset(name: &str) -> Option<TrunkShape> {
    let common = TrunkShape {
        preset: name.to_owned(),
        ..TrunkShape::default()
    };
    match name {
        "" => Some(common),
        // A call manager and a neighbour zone show what RPID says, to insiders.
        "cucm" => Some(TrunkShape {
            trusted: true,
            ..common
        }),
        "expressway" => Some(TrunkShape {
            trusted: true,
            ..common
        }),
        // Carriers bill by PAI, take G.711 and no video, and often break on non-ASCII names.
        "carrier" => Some(TrunkShape {
            identity: IdentityProfile::Pai,
            ascii_names: true,
            codecs: vec!["PCMA".to_owned(), "PCMU".to_owned()],
            video: VideoPolicy::Inactive,
            dial_plan: DialPlan {
                reaches_pstn: true,
                ..DialPlan::default()
            },
            ..common
        }),
        // A PBX has outside lines; its extensions go through all the same, a short dearer code of the
        // network (118 and two digits in many countries) does not.
        // Its address in SDP is a private one; its signalling source is where its media comes from.
        "registering-pbx" => Some(TrunkShape {
            media_latch: MediaLatch::Signalling,
            register: true,
            dial_plan: DialPlan {
                reaches_pstn: true,
                extension_lengths: vec![2, 3, 4],
                ..DialPlan::default()
            },
            options_interval_up_s: Duration::from_secs(30),
            options_interval_down_s: Duration::from_secs(30),
            ..common
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud_guard::{Attempt, Guard, Rules, Way};

    #[test]
    fn every_named_preset_exists_and_survives_storage() {
        for name in PRESETS {
            let shape = preset(name).unwrap();
            assert_eq!(shape.preset, name);
            let text = serde_json::to_string(&shape).unwrap();
            assert_eq!(serde_json::from_str::<TrunkShape>(&text).unwrap(), shape);
        }
        assert_eq!(preset("pstn"), None);
    }

    #[test]
    fn where_calls_leave_for_the_telephone_network_what_is_not_understood_is_refused() {
        for (name, extension, service_code) in [
            ("carrier", false, false),
            ("registering-pbx", true, false),
            ("cucm", true, true),
            ("expressway", true, true),
        ] {
            let plan = preset(name).unwrap().dial_plan;
            let mut guard = Guard::new(Rules::default());
            let mut passes = |user: &str| {
                let attempt = Attempt {
                    user,
                    way: Way::Link,
                    trunk: "tr_1",
                    dial_plan: &plan,
                    client: None,
                    at: jiff::Timestamp::UNIX_EPOCH,
                    named_by_link: true,
                    counted: &[],
                };
                guard.preview(&attempt, std::time::Instant::now()).is_ok()
            };
            assert!(passes("+442071838750"), "{name}");
            assert_eq!(passes("610"), extension, "{name}");
            assert_eq!(passes("11880"), service_code, "{name}");
        }
    }

    /// OPTIONS each minute while it answers and each two while it does not, a minute of ringing less than the
    /// three after which CUCM gives its INVITE up (B-04, D-10), and its own words for "down" (B-05).
    #[test]
    fn presets_of_call_managers_ping_and_ring_by_cucms_figures() {
        for name in ["cucm", "expressway"] {
            let shape = preset(name).unwrap();
            assert_eq!(shape.options_interval_up_s, Duration::from_secs(60));
            assert_eq!(shape.options_interval_down_s, Duration::from_secs(120));
            assert_eq!(shape.down_codes, [408, 503]);
            assert!(shape.ring_timeout_s <= Duration::from_secs(120));
            assert_eq!(shape.session_expires_s, Duration::from_secs(1_800));
        }
    }

    #[test]
    fn a_body_of_an_older_program_takes_the_defaults_for_what_it_does_not_name() {
        let shape: TrunkShape = serde_json::from_str(r#"{"label":"a","priority":3}"#).unwrap();
        assert_eq!((shape.priority, shape.failover_codes.len()), (3, 5));
    }
}
