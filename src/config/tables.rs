//! The tables that describe what is kept in the database: `[[trunk]]`, `[[source]]`, `[[link]]`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::reader::Reader;
use crate::fraud_guard::dial_plan::{self, DialPlan};
use crate::links::draft::{DraftWorld, LinkDraft, RequestPath};
use crate::links::model::{AUTO_CALL_S_MAX, DESTINATION, Destination, VIDEO_POLICY};
use crate::links::rules;
use crate::settings::model::Settings;
use crate::sources::model::{LinkAccess, Source};
use crate::trunks::apply::TrunkTable;
use crate::trunks::model::{Secret, SrtpPolicy};
use crate::trunks::place;
use crate::trunks::preset::{PRESETS, preset};
use crate::trunks::shape::{TargetShape, TrunkShape};
use crate::trunks::text::{
    IDENTITY, MEDIA_LATCH, NETWORK, OFFER, PATTERN, REFRESH_BY, RELIABLE_PROVISIONAL, SRTP,
    TRANSPORT,
};

/// Reads one `[[trunk]]`. `folder` is where a relative `password_file` starts.
pub(super) fn trunk(table: Reader<'_>, folder: &Path) -> Option<TrunkTable> {
    let id = table.optional_text("id", "tr_ and 12 hexadecimal digits", |text| {
        let digits = text.strip_prefix("tr_")?;
        let good = digits.len() == 12 && digits.bytes().all(|o| o.is_ascii_hexdigit());
        good.then(|| text.to_owned())
    });
    let accepted = format!("a preset: {}", PRESETS.join(", "));
    let base = table.text("preset", TrunkShape::default(), &accepted, |name| {
        preset(name).filter(|_| !name.is_empty())
    });
    let label = table.required_text("label", rules::DISPLAY_TEXT, display);
    let targets = targets(&table);
    if targets.is_empty() {
        table.conflict(
            "targets",
            "none",
            "at least one address such as \"192.0.2.1:5060\"",
        );
    }
    let password = secret(&table, "password_file", folder);
    let shape = negotiation(&table, signalling(&table, routing(&table, base)));
    if password.is_some() && shape.username.is_none() {
        table.conflict(
            "password_file",
            "a password without a user name",
            "together with username",
        );
    }
    table.finish();
    Some(TrunkTable {
        id,
        shape: TrunkShape {
            label: label?,
            targets,
            ..shape
        },
        password,
    })
}

/// Who, how many, and what it carries.
fn routing(table: &Reader<'_>, base: TrunkShape) -> TrunkShape {
    let cap = |key, default| table.whole(key, default, -1..=1_000_000);
    TrunkShape {
        enabled: table.boolean("enabled", base.enabled),
        priority: table.whole("priority", base.priority, 0..=65_535),
        weight: table.whole("weight", base.weight, 1..=65_535),
        carries_terminating: table.boolean("carries_terminating", base.carries_terminating),
        carries_originating: table.boolean("carries_originating", base.carries_originating),
        max_calls: cap("max_calls", base.max_calls),
        max_inbound: cap("max_inbound", base.max_inbound),
        max_outbound: cap("max_outbound", base.max_outbound),
        max_cps: table.whole("max_cps", base.max_cps, 0..=100_000),
        patterns: table.texts("patterns", base.patterns, PATTERN, |text| text.parse().ok()),
        strip: table.whole("strip", base.strip, 0..=32),
        prefix: table.text(
            "prefix",
            base.prefix,
            "digits, letters, + * # . _ -",
            |text| (text.is_empty() || rules::is_number_prefix(text)).then(|| text.to_owned()),
        ),
        dial_plan: dial_plan(table.table("dial_plan"), base.dial_plan),
        transit: table.boolean("transit", base.transit),
        links: table.texts("links", base.links, "request paths", |text| {
            Some(text.to_owned())
        }),
        networks: table.texts("networks", base.networks, NETWORK, |text| text.parse().ok()),
        ..base
    }
}

/// `[trunk.dial_plan]`: how it reads a number.
fn dial_plan(table: Reader<'_>, base: DialPlan) -> DialPlan {
    let code = |text: &str| dial_plan::is_code(text).then(|| text.to_owned());
    let codes = |key, default| table.texts(key, default, dial_plan::CODE, code);
    let region = table.optional_text("region", dial_plan::REGION, |text| {
        dial_plan::is_region(text).then(|| text.to_owned())
    });
    let national = table.text("national", base.national, dial_plan::CODE, |text| {
        (text.is_empty() || dial_plan::is_code(text)).then(|| text.to_owned())
    });
    let plan = DialPlan {
        region: region.or(base.region),
        national,
        international: codes("international", base.international),
        outside: codes("outside", base.outside),
        bare: table.boolean("bare", base.bare),
        extension_lengths: table.wholes("extension_lengths", base.extension_lengths, &(1..=14)),
        reaches_pstn: table.boolean("reaches_pstn", base.reaches_pstn),
        emergency: codes("emergency", base.emergency),
    };
    table.finish();
    plan
}

/// How SIP and media are spoken with it.
fn signalling(table: &Reader<'_>, base: TrunkShape) -> TrunkShape {
    let host = |key| table.optional_text(key, rules::DOMAIN, domain);
    let word = |key| table.optional_text(key, rules::DISPLAY_TEXT, display);
    let wait = |key, default: Duration| table.seconds(key, default, 0..=86_400);
    let codes = |key, default| table.wholes(key, default, &(300..=699));
    TrunkShape {
        codecs: table.texts(
            "codecs",
            base.codecs,
            "codec names such as \"PCMA\"",
            |text| rules::is_alias(text).then(|| text.to_owned()),
        ),
        identity: table.text("identity", base.identity, IDENTITY, |text| {
            text.parse().ok()
        }),
        ascii_names: table.boolean("ascii_names", base.ascii_names),
        trusted: table.boolean("trusted", base.trusted),
        from_host: host("from_host"),
        request_host: host("request_host"),
        username: word("username"),
        realm: word("realm"),
        response_timeout_s: wait("response_timeout_s", base.response_timeout_s),
        progress_timeout_s: wait("progress_timeout_s", base.progress_timeout_s),
        ring_timeout_s: wait("ring_timeout_s", base.ring_timeout_s),
        failover_codes: codes("failover_codes", base.failover_codes),
        options_interval_up_s: wait("options_interval_up_s", base.options_interval_up_s),
        options_interval_down_s: wait("options_interval_down_s", base.options_interval_down_s),
        down_codes: codes("down_codes", base.down_codes),
        media_latch: table.text("media_latch", base.media_latch, MEDIA_LATCH, |text| {
            text.parse().ok()
        }),
        advertised_media_address: table.optional_text(
            "advertised_media_address",
            "an IP address",
            |text| text.parse().ok(),
        ),
        video: table.text("video", base.video, VIDEO_POLICY, |text| text.parse().ok()),
        ..base
    }
}

/// What is negotiated with it, and whether we register there.
fn negotiation(table: &Reader<'_>, base: TrunkShape) -> TrunkShape {
    let interval = |key, default: Duration| table.seconds(key, default, 0..=86_400);
    let local_port = table.whole("local_port", base.local_port.unwrap_or(0), 0..=65_535);
    TrunkShape {
        transport: table.text("transport", base.transport, TRANSPORT, |text| {
            text.parse().ok()
        }),
        local_port: (local_port > 0).then_some(local_port),
        offer: table.text("offer", base.offer, OFFER, |text| text.parse().ok()),
        reliable_provisional: table.text(
            "reliable_provisional",
            base.reliable_provisional,
            RELIABLE_PROVISIONAL,
            |text| text.parse().ok(),
        ),
        session_expires_s: interval("session_expires_s", base.session_expires_s),
        session_min_s: interval("session_min_s", base.session_min_s),
        refresh_by: table.text("refresh_by", base.refresh_by, REFRESH_BY, |text| {
            text.parse().ok()
        }),
        srtp: table.text("srtp", base.srtp, SRTP, |text| text.parse().ok()),
        register: table.boolean("register", base.register),
        register_expires_s: interval("register_expires_s", base.register_expires_s),
        ..base
    }
}

/// `targets = ["192.0.2.1:5060"]` for equal ones, `[[trunk.target]]` for priorities and weights.
fn targets(table: &Reader<'_>) -> Vec<TargetShape> {
    let address = |text: &str| place::is_target(text).then(|| text.to_owned());
    let mut targets: Vec<TargetShape> = table
        .texts("targets", Vec::new(), place::TARGET, address)
        .into_iter()
        .map(|address| TargetShape {
            address,
            priority: 10,
            weight: 1,
        })
        .collect();
    for target in table.tables("target") {
        let address = target.required_text("address", place::TARGET, address);
        let priority = target.whole("priority", 10, 0..=65_535);
        let weight = target.whole("weight", 1, 1..=65_535);
        target.finish();
        targets.extend(address.map(|address| TargetShape {
            address,
            priority,
            weight,
        }));
    }
    targets
}

/// A secret is in a file of its own, so that the configuration can be shown to anybody.
pub(super) fn secret(table: &Reader<'_>, key: &'static str, folder: &Path) -> Option<Secret> {
    let name = table.optional_text(key, "the name of a file", |text| {
        (!text.is_empty()).then(|| text.to_owned())
    })?;
    match fs::read_to_string(folder.join(&name)) {
        Ok(text) if !text.trim_end_matches(['\r', '\n']).is_empty() => {
            Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        Ok(_empty) => {
            table.conflict(key, "an empty file", "a file that holds it");
            None
        }
        Err(error) => {
            let found = format!("\"{name}\", which cannot be read ({error})");
            table.conflict(key, &found, "a file that holds it");
            None
        }
    }
}

/// Reads one `[[source]]`.
pub(super) fn source(table: Reader<'_>) -> Option<Source> {
    let name = table.required_text("name", rules::DISPLAY_TEXT, display);
    let networks = table.texts("networks", Vec::new(), NETWORK, |text| text.parse().ok());
    if networks.is_empty() {
        table.conflict(
            "networks",
            "none",
            "at least one network such as \"192.0.2.0/24\"",
        );
    }
    let links = match table.word_or_texts("links") {
        Some(Err(paths)) => LinkAccess::Listed(paths),
        Some(Ok(word)) if word == "all" => LinkAccess::All,
        None => LinkAccess::None,
        Some(Ok(word)) if word == "none" => LinkAccess::None,
        Some(Ok(word)) => {
            let found = format!("\"{word}\"");
            table.conflict(
                "links",
                &found,
                "\"all\", \"none\" or a list of request paths",
            );
            LinkAccess::None
        }
    };
    let ad_hoc = table.boolean("ad_hoc", false);
    let registers = table.boolean("registers", false);
    let srtp = table.text("srtp", SrtpPolicy::Off, SRTP, |text| text.parse().ok());
    table.finish();
    Some(Source {
        name: name?,
        networks,
        links,
        ad_hoc,
        registers,
        srtp,
    })
}

/// Reads one `[[link]]`; `trunks` are the tables of the same file.
pub(super) fn link(table: Reader<'_>, trunks: &[TrunkTable]) -> Option<LinkDraft> {
    let text = |key| table.optional_text(key, "a text", |text| Some(text.to_owned()));
    let request_path = text("request_path").map_or(RequestPath::Random, RequestPath::Custom);
    let destination = table.required_text("destination", DESTINATION, |text| {
        text.parse::<Destination>().is_ok().then(|| text.to_owned())
    });
    let mut draft = LinkDraft {
        request_path,
        destination: String::new(),
        display_name: text("display_name"),
        caller_name: text("caller_name"),
        caller_alias: text("caller_alias"),
        unique_alias: table.boolean("unique_alias", false),
        allow_custom_caller_name: table.boolean("allow_custom_caller_name", false),
        enabled: table.boolean("enabled", true),
        valid_after: text("valid_after"),
        valid_before: text("valid_before"),
        trunk: text("trunk"),
        auto_call_after_s: auto_call(&table),
        video_policy: text("video_policy"),
        created_by: "configuration file".to_owned(),
    };
    if let Some(destination) = &destination {
        draft.destination.clone_from(destination);
        judge(&table, &draft, trunks);
    }
    table.finish();
    destination.map(|_| draft)
}

/// Absent: the setting.
fn auto_call(table: &Reader<'_>) -> Option<u32> {
    let seconds = table.whole("auto_call_after_s", -1_i32, 0..=AUTO_CALL_S_MAX.into());
    u32::try_from(seconds).ok()
}

fn judge(table: &Reader<'_>, draft: &LinkDraft, trunks: &[TrunkTable]) {
    const KEYS: [&str; 11] = [
        "request_path",
        "destination",
        "display_name",
        "caller_name",
        "caller_alias",
        "unique_alias",
        "valid_after",
        "valid_before",
        "trunk",
        "auto_call_after_s",
        "video_policy",
    ];
    let names: Vec<(String, String)> = trunks
        .iter()
        .map(|trunk| {
            (
                trunk.id.clone().unwrap_or_default(),
                trunk.shape.label.clone(),
            )
        })
        .collect();
    let judged = draft.judge(&DraftWorld {
        now: Timestamp::UNIX_EPOCH,
        random: 0,
        default_caller_alias: &Settings::default().default_caller_alias,
        trunks: &names,
    });
    for error in judged.err().iter().flat_map(|errors| errors.iter()) {
        if let Some(key) = KEYS.iter().find(|key| **key == error.field) {
            table.conflict(
                key,
                &format!("\"{}\"", error.found.escape_debug()),
                &error.accepted,
            );
        }
    }
}

pub(super) fn display(text: &str) -> Option<String> {
    rules::is_display_text(text).then(|| text.to_owned())
}

pub(super) fn domain(text: &str) -> Option<String> {
    rules::is_domain(text).then(|| text.to_owned())
}
