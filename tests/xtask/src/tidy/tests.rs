//! Each rule refuses what it is for, and leaves alone what it is not for.

use super::tree::{File, Tree};
use super::{Finding, architecture, manifest, report, rules};

fn refused(findings: &[Finding], words: &str) -> bool {
    findings
        .iter()
        .any(|finding| finding.message.contains(words))
}

#[test]
fn comments_and_strings_are_not_code() {
    let file = File::new(
        "src/a.rs",
        "// fn one() {}\nlet a = \"fn two() {}\"; let c = '\"'; let l: &'static str = r#\"x\"y\"#;\n",
    );
    assert!(!file.code.contains("one") && !file.code.contains("two") && !file.code.contains('y'));
    assert!(
        file.code.contains("'static"),
        "a lifetime is not a character: {}",
        file.code
    );
    assert_eq!(file.code.lines().count(), file.text.lines().count());
}

#[test]
fn a_name_without_meaning_is_refused() {
    let bad = File::new(
        "src/a.rs",
        "pub struct CallManager;\nmod util;\nfn parse_msg() {}\n",
    );
    assert_eq!(rules::forbidden_names(&bad).len(), 3);
    let good = File::new(
        "src/a.rs",
        "pub struct CallOffered;\nmod route;\nfn parse_message() {}\n",
    );
    assert!(rules::forbidden_names(&good).is_empty());
}

#[test]
fn dialling_without_a_verdict_is_refused_however_it_is_wrapped() {
    for bad in [
        "fn a(&mut self) { self.endpoint.dial(now, key, dial); }\n",
        "fn a(&mut self) {\n    self\n        .endpoint\n        .place(now, dial);\n}\n",
    ] {
        let file = File::new("src/call/door.rs", bad);
        let findings = rules::dialling_without_a_verdict(&file);
        assert!(refused(&findings, "without a `Cleared`"), "{bad}");
    }
    let good = "fn a(&mut self, cleared: Cleared) { self.endpoint.dial(now, key, dial); }\n";
    for (path, text) in [
        ("src/call/route.rs", good),
        ("src/call/stock.rs", "fn a() { stock.place(2, like); }\n"),
        ("tests/sim/src/peer.rs", "fn a() { endpoint.dial(now); }\n"),
    ] {
        let file = File::new(path, text);
        assert!(
            rules::dialling_without_a_verdict(&file).is_empty(),
            "{path}"
        );
    }
}

#[test]
fn a_clock_in_a_core_is_refused_and_in_the_shell_is_not() {
    let text = "fn a() { let now = Instant::now(); }\n";
    assert!(refused(
        &rules::purity(&File::new("sip/src/a.rs", text)),
        "Instant::now"
    ));
    assert!(refused(
        &rules::purity(&File::new("src/links/model.rs", text)),
        "Instant::now"
    ));
    assert!(rules::purity(&File::new("src/shell/udp.rs", text)).is_empty());
}

#[test]
fn a_lower_layer_may_not_use_a_higher_one() {
    let up = File::new("sip/src/message/parse.rs", "use crate::dialog::Dialog;\n");
    assert!(refused(&rules::layers(&up), "crate::dialog"));
    let down = File::new("sip/src/transaction/key.rs", "use crate::message::Via;\n");
    assert!(rules::layers(&down).is_empty());
}

#[test]
fn a_sleep_in_a_test_is_refused_outside_interop() {
    let text = "#[cfg(test)]\nmod tests {\n    fn a() { std::thread::sleep(x); }\n}\n";
    assert_eq!(rules::sleeps(&File::new("src/a.rs", text)).len(), 1);
    assert!(rules::sleeps(&File::new("tests/interop/main.rs", text)).is_empty());
}

#[test]
fn an_ignored_test_needs_a_reason() {
    assert_eq!(
        rules::ignored_tests(&File::new("src/a.rs", "#[ignore]\nfn a() {}\n")).len(),
        1
    );
    assert!(rules::ignored_tests(&File::new("src/a.rs", "#[ignore = \"x\"]\n")).is_empty());
}

#[test]
fn serde_in_a_core_is_refused() {
    let text = "use serde::Serialize;\n";
    assert_eq!(
        rules::serde_outside_the_edge(&File::new("sip/src/a.rs", text)).len(),
        1
    );
    assert!(rules::serde_outside_the_edge(&File::new("src/links/api.rs", text)).is_empty());
}

#[test]
fn a_path_of_one_machine_is_refused() {
    let text = format!("see {}someone/x\n", concat!("/ho", "me/"));
    assert_eq!(
        rules::machine_paths(&File::new("README.md", &text)).len(),
        1
    );
    assert!(rules::machine_paths(&File::new("README.md", "see /etc/sluice\n")).is_empty());
}

#[test]
fn a_safety_text_used_twice_is_refused() {
    let one = File::new(
        "a.rs",
        "// SAFETY: [one-owner] here\n// because\nunsafe {}\n",
    );
    let two = File::new(
        "b.rs",
        "// SAFETY: [one-owner] here\n// because\nunsafe {}\n",
    );
    let other = File::new("c.rs", "// SAFETY: [one-owner] there\nunsafe {}\n");
    assert_eq!(
        rules::safety_texts(&Tree::new(vec![one.clone(), two])).len(),
        1
    );
    assert!(rules::safety_texts(&Tree::new(vec![one, other])).is_empty());
}

#[test]
fn a_file_that_no_mod_line_reaches_is_refused() {
    let root = File::new("sip/src/lib.rs", "pub mod table;\n");
    let reached = File::new("sip/src/table.rs", "");
    let lost = File::new("sip/src/lost.rs", "");
    let findings = rules::orphans(&Tree::new(vec![root, reached, lost]));
    assert_eq!(findings.len(), 1);
    assert!(
        findings
            .iter()
            .all(|finding| finding.path == "sip/src/lost.rs")
    );
}

#[test]
fn a_part_that_a_test_names_beside_it_is_no_orphan_and_another_is() {
    let test = File::new("media/tests/plays.rs", "mod peers;");
    let part = File::new("media/tests/peers/mod.rs", "");
    let lost = File::new("media/tests/others/mod.rs", "");
    let findings = rules::orphans(&Tree::new(vec![test, part, lost]));
    let paths: Vec<_> = findings.iter().map(|finding| &*finding.path).collect();
    assert_eq!(paths, ["media/tests/others/mod.rs"]);
}

#[test]
fn a_drop_reason_is_given_and_met_by_a_test() {
    let reasons = File::new(
        "sip/src/error.rs",
        "pub enum ProtocolError {\n    Known,\n    Lost,\n}\n",
    );
    let used = File::new(
        "sip/src/a.rs",
        "fn a() { ProtocolError::Known }\n#[cfg(test)]\nmod tests {\n    fn b() { Error::Known }\n}\n",
    );
    let findings = rules::drop_reasons(&Tree::new(vec![reasons, used]));
    assert_eq!(
        findings.len(),
        2,
        "never given, met by no test: {findings:?}"
    );
    assert!(
        findings
            .iter()
            .all(|finding| finding.message.contains("Lost"))
    );
}

#[test]
fn a_dependency_without_a_reason_is_refused() {
    let text = "[workspace.dependencies]\na = \"1\" # why\nb = \"1\"\n[lints]\nc = \"x\"\n";
    assert_eq!(
        manifest::reasons(&Tree::new(vec![File::new("Cargo.toml", text)])).len(),
        1
    );
}

#[test]
fn banned_crates_and_unlisted_licences_are_refused() {
    let findings =
        manifest::judge("ring v0.17.0\tISC\nfoo v1.0.0\tGPL-3.0\nbar v1.0.0\tMIT OR GPL-3.0\n");
    assert!(refused(&findings, "`ring` is banned") && refused(&findings, "`foo`: licence"));
    assert!(!refused(&findings, "bar"));
}

#[test]
fn the_architecture_document_names_only_what_exists() {
    let code = File::new("sip/src/lib.rs", "fn parsing_is_total() {}\n");
    let text =
        "`sip/src/lib.rs` `sip/gone.rs`\n| total | `parsing_is_total` |\n| x | `no_such_test` |\n";
    let document = File::new("ARCHITECTURE.md", text);
    let findings = architecture::names(&Tree::new(vec![code, document]));
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(refused(&findings, "sip/gone.rs") && refused(&findings, "no_such_test"));
}

#[test]
fn the_report_names_the_largest_file() {
    let tree = Tree::new(vec![
        File::new("sip/src/a.rs", "fn a() {\n}\n"),
        File::new("sip/src/b.rs", "fn b() {\n    x();\n}\n"),
    ]);
    assert!(
        report::lines(&tree)
            .get(1)
            .is_some_and(|line| line.contains("sip/src/b.rs"))
    );
}

#[test]
fn the_table_of_requirements_names_only_what_exists() {
    let mut table = String::new();
    for (chapter, count) in [
        ("A", 12),
        ("B", 8),
        ("C", 14),
        ("D", 10),
        ("E", 11),
        ("F", 13),
        ("G", 8),
        ("H", 7),
        ("I", 4),
        ("J", 7),
    ] {
        for number in 1..=count {
            table.push_str(&format!(
                "{chapter}-{number:02}\tt\ttested\tit_holds flow:hold\n"
            ));
        }
    }
    let good = || {
        vec![
            File::new("sip/src/lib.rs", "fn it_holds() {}\n"),
            File::new("tests/flows/hold.flow", "a -> b\n"),
        ]
    };
    let with = |mut files: Vec<File>, table: &str| {
        files.push(File::new("tests/requirements.tsv", table));
        super::requirements::names(&Tree::new(files))
    };
    assert!(with(good(), &table).is_empty());
    let gone = table.replacen("it_holds", "it_held", 1);
    assert!(refused(&with(good(), &gone), "it_held"));
    let no_flow = table.replacen("flow:hold", "flow:held", 1);
    assert!(refused(&with(good(), &no_flow), "held"));
    assert!(refused(&with(good(), "A-01\tt\n"), "four columns"));
}

#[test]
fn a_metric_that_is_never_gathered_is_refused() {
    let catalogue = "pub static CALLS: Metric = counter(\"calls\", \"x\");\n\
                     pub static CALLS_MAX: Metric =\n    gauge(\"calls_max\", \"x\");\n\
                     pub static SPOOL: Metric = gauge(\"spool\", \"x\");\n\
                     pub static ALL: &[&Metric] = &[\n    &CALLS,\n    &CALLS_MAX,\n];\n";
    let gather = "fn g() { put(&c::CALLS_MAX, 1); put(&c::SPOOL, 1); }\n";
    let tree = Tree::new(vec![
        File::new("src/metrics/catalogue.rs", catalogue),
        File::new("src/metrics/gather.rs", gather),
    ]);
    let findings = rules::metrics(&tree);
    assert!(
        refused(&findings, "`CALLS` is never gathered"),
        "{findings:?}"
    );
    assert!(
        refused(&findings, "`SPOOL` is not in `ALL`"),
        "{findings:?}"
    );
    assert_eq!(findings.len(), 2, "{findings:?}");
}
