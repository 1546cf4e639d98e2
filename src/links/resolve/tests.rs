//! The table of resolving: PRODUCT §1, refusals and precedence.

use super::*;
use crate::links::model;

fn link() -> Link {
    let destination = Destination::Remote {
        user: "610".to_owned(),
        domain: None,
    };
    model::tests::link(7, "sales", destination)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn resolve(link: &Link, settings: &Settings, second: i64) -> Result<ResolvedLink, ResolveRefusal> {
    let asked = Asked {
        user: "sales",
        whole: None,
        by_user: Some(link),
        by_whole: None,
    };
    let resolved = resolve_asked(&asked, settings, "gw.example", at(second));
    resolved.map_err(|refusal| refusal.hidden(settings.hide_state))
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
fn hidden_state_asks_the_same_questions_whatever_there_is() {
    let mut settings = Settings::default();
    settings.set("links.hide_state", "true").unwrap();
    let mut dead = link();
    dead.enabled = false;
    for (by_user, by_whole) in [
        (None, None),
        (Some(&dead), None),
        (None, Some(&dead)),
        (Some(&dead), Some(&link())),
    ] {
        let asked = Asked {
            user: "sales",
            whole: Some("sales@gw.example"),
            by_user,
            by_whole,
        };
        let resolved = resolve_asked(&asked, &settings, "gw.example", at(0));
        let told = resolved.map_err(|refusal| refusal.hidden(settings.hide_state));
        assert_eq!(told, Err(ResolveRefusal::Unknown));
    }
}

#[test]
fn every_field_that_is_shown_is_the_links_else_a_settings_else_the_products() {
    let mut settings = Settings::default();
    let mut link = link();
    let shown = |link: &Link, settings: &Settings| {
        let resolved = resolve(link, settings, 0).unwrap();
        (
            resolved.display_name,
            resolved.auto_call_after_s,
            resolved.video_policy,
        )
    };
    let product = ("610".to_owned(), None, VideoPolicy::SendRecv);
    assert_eq!(shown(&link, &settings), product);
    settings.set("links.default_display_name", "Help").unwrap();
    settings.set("links.auto_call_after_s", "5").unwrap();
    settings.set("links.video_policy", "inactive").unwrap();
    let set = ("Help".to_owned(), Some(5), VideoPolicy::Inactive);
    assert_eq!(shown(&link, &settings), set);
    link.display_name = Some("Sales".to_owned());
    link.auto_call_after_s = Some(0);
    link.video_policy = Some(VideoPolicy::RecvOnlyInitially);
    let own = ("Sales".to_owned(), Some(0), VideoPolicy::RecvOnlyInitially);
    assert_eq!(shown(&link, &settings), own);
}

#[test]
fn a_guest_says_its_name_where_the_link_lets_it_and_only_a_name() {
    let settings = Settings::default();
    let mut link = link();
    let mut resolved = resolve(&link, &settings, 0).unwrap();
    resolved.name_guest("Ann");
    assert_eq!(
        (resolved.caller_name.as_str(), resolved.named_by_guest),
        ("Guest", false)
    );
    link.allow_custom_caller_name = true;
    let mut resolved = resolve(&link, &settings, 0).unwrap();
    for no_name in ["", " ", "a\r\nVia: x", &"x".repeat(129)] {
        resolved.name_guest(no_name);
        assert_eq!(resolved.caller_name, "Guest", "{no_name:?}");
    }
    resolved.name_guest(" Jo\u{308}rg ");
    assert_eq!(
        (resolved.caller_name.as_str(), resolved.named_by_guest),
        ("J\u{f6}rg", true)
    );
}

#[test]
fn ad_hoc_calls_have_settings_of_their_own() {
    let mut settings = Settings::default();
    settings.set("links.auto_call_after_s", "5").unwrap();
    settings.set("links.video_policy", "inactive").unwrap();
    for (key, value) in [
        ("ad_hoc.enabled", "true"),
        ("ad_hoc.auto_call_after_s", "9"),
        ("ad_hoc.video_policy", "recvonly"),
        ("ad_hoc.allow_custom_caller_name", "true"),
        ("ad_hoc.unique_alias", "true"),
        ("ad_hoc.allowed", "61*"),
    ] {
        settings.set(key, value).unwrap();
    }
    let resolved = resolve_ad_hoc("610", &settings, "gw.example").unwrap();
    assert_eq!(resolved.auto_call_after_s, Some(9));
    assert_eq!(resolved.video_policy, VideoPolicy::RecvOnly);
    assert!(resolved.allow_custom_caller_name && resolved.unique_alias);
    assert_eq!(
        resolve_ad_hoc("710", &settings, "gw.example"),
        Err(ResolveRefusal::Unknown)
    );
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
