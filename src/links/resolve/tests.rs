//! The table of resolving: PRODUCT §1, refusals and precedence.

use super::*;

fn link() -> Link {
    Link {
        id: 7,
        request_path: "sales".to_owned(),
        destination: Destination::Remote {
            user: "610".to_owned(),
            domain: None,
        },
        display_name: None,
        caller_name: None,
        caller_alias: None,
        unique_alias: false,
        allow_custom_caller_name: false,
        enabled: true,
        valid_after: None,
        valid_before: None,
        trunk: None,
        auto_call_after_s: None,
        video_policy: None,
        created_by: String::new(),
        created_at: at(0),
        updated_at: at(0),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn resolve(link: &Link, settings: &Settings, second: i64) -> Result<ResolvedLink, ResolveRefusal> {
    resolve_link(link, settings, "gw.example", "sales", at(second))
}

fn remote(user: &str, domain: &str) -> Destination {
    Destination::Remote {
        user: user.to_owned(),
        domain: Some(domain.to_owned()),
    }
}

#[test]
fn a_link_comes_before_a_setting_and_a_setting_before_the_default() {
    let mut settings = Settings::default();
    let mut link = link();
    let resolved = resolve(&link, &settings, 0).unwrap();
    assert_eq!(
        (
            resolved.caller_name.as_str(),
            resolved.caller_alias.as_str()
        ),
        ("Guest", "guest")
    );
    assert_eq!(resolved.destination, remote("610", "gw.example"));
    settings
        .set("links.default_caller_name", "Visitor")
        .unwrap();
    settings.set("links.default_caller_alias", "web").unwrap();
    settings.set("sip.domain", "other.example").unwrap();
    let resolved = resolve(&link, &settings, 0).unwrap();
    assert_eq!(
        (
            resolved.caller_name.as_str(),
            resolved.caller_alias.as_str()
        ),
        ("Visitor", "web")
    );
    assert_eq!(resolved.destination, remote("610", "other.example"));
    link.caller_name = Some("Own".to_owned());
    link.caller_alias = Some("own".to_owned());
    link.destination = remote("610", "third.example");
    let resolved = resolve(&link, &settings, 0).unwrap();
    assert_eq!(
        (
            resolved.caller_name.as_str(),
            resolved.caller_alias.as_str()
        ),
        ("Own", "own")
    );
    assert_eq!(resolved.destination, remote("610", "third.example"));
    assert!(resolved.named_by_link);
}

#[test]
fn a_link_is_live_from_its_first_instant_to_before_its_last() {
    let settings = Settings::default();
    let mut link = link();
    link.valid_after = Some(at(100));
    link.valid_before = Some(at(200));
    assert_eq!(
        resolve(&link, &settings, 99),
        Err(ResolveRefusal::NotYetValid(at(100)))
    );
    resolve(&link, &settings, 100).unwrap();
    resolve(&link, &settings, 199).unwrap();
    assert_eq!(resolve(&link, &settings, 200), Err(ResolveRefusal::Dead));
    link.enabled = false;
    assert_eq!(
        resolve(&link, &settings, 99),
        Err(ResolveRefusal::Dead),
        "disabled comes first"
    );
}

#[test]
fn hidden_state_makes_every_refusal_look_unknown() {
    let mut settings = Settings::default();
    settings.set("links.hide_state", "true").unwrap();
    let mut link = link();
    link.valid_after = Some(at(100));
    assert_eq!(resolve(&link, &settings, 0), Err(ResolveRefusal::Unknown));
    resolve(&link, &settings, 100).unwrap();
    link.enabled = false;
    assert_eq!(resolve(&link, &settings, 100), Err(ResolveRefusal::Unknown));
}

#[test]
fn a_unique_alias_never_extends_a_telephone_number_that_a_setting_brought() {
    let mut settings = Settings::default();
    let mut link = link();
    link.unique_alias = true;
    assert!(resolve(&link, &settings, 0).unwrap().unique_alias);
    settings
        .set("links.default_caller_alias", "4930123")
        .unwrap();
    assert!(!resolve(&link, &settings, 0).unwrap().unique_alias);
}

#[test]
fn ad_hoc_is_off_by_default_and_bound_to_pattern_and_domain() {
    let mut settings = Settings::default();
    let ad_hoc = |settings: &Settings, route: &str| resolve_ad_hoc(route, settings, "gw.example");
    assert_eq!(ad_hoc(&settings, "610"), Err(ResolveRefusal::Unknown));
    settings.set("ad_hoc.enabled", "true").unwrap();
    let resolved = ad_hoc(&settings, "610@GW.example").unwrap();
    assert_eq!(resolved.destination, remote("610", "gw.example"));
    assert!(!resolved.named_by_link && resolved.link.is_none());
    for refused in [
        "610@other.example",
        "",
        "@gw.example",
        "6 10",
        "610;x=y",
        "a@b@gw.example",
    ] {
        assert_eq!(
            ad_hoc(&settings, refused),
            Err(ResolveRefusal::Unknown),
            "{refused}"
        );
    }
    settings.set("ad_hoc.allowed", "6??,61*").unwrap_err();
    settings.set("ad_hoc.allowed", "61*").unwrap();
    ad_hoc(&settings, "610").unwrap();
    assert_eq!(ad_hoc(&settings, "620"), Err(ResolveRefusal::Unknown));
}
