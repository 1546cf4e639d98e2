//! The page: one file without anything from elsewhere, plots as SVG, all numbers in a table below.

use super::chart::{Chart, Line, escaped, number};
use super::findings::{Findings, StepFindings};

/// The whole page.
pub(super) fn page(findings: &Findings) -> String {
    let names: Vec<&str> = findings
        .targets
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let title = format!("Relay capacity: {}", names.join(" and "));
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title>\
         <style>{STYLE}</style></head><body><h1>{0}</h1><p class=\"about\">{1}. Packets of {2} octets, \
         {3} a second each way in each session; rounds of {4} s, those of two targets in turns. CPU is the \
         relay's own time on one core; latency is from the sender's call to the arrival at the other \
         end's socket.</p>",
        escaped(&title),
        escaped(&findings.machine),
        findings.packet_octets,
        findings.rate,
        number(findings.round_ms as f64 / 1000.0),
    );
    if findings.keeps_void {
        html.push_str(
            "<p class=\"about\"><b>The machine was not known to be quiet: rounds that others disturbed \
             count, too.</b></p>",
        );
    }
    html.push_str(&ratios(findings));
    html.push_str("<div class=\"charts\">");
    for chart in [
        latency(findings),
        core(findings),
        cpu(findings),
        distribution(findings),
    ] {
        html.push_str(&chart);
    }
    html.push_str("</div>");
    html.push_str(&table(findings));
    html.push_str("</body></html>\n");
    html
}

/// A line for each target, over its steps that have rounds.
fn over_steps(
    findings: &Findings,
    label: &str,
    dashed: bool,
    value: impl Fn(&StepFindings) -> Option<(f64, f64)>,
) -> Vec<Line> {
    findings
        .targets
        .iter()
        .enumerate()
        .map(|(colour, target)| Line {
            name: format!("{}{label}", target.name),
            colour,
            dashed,
            points: target.steps.iter().filter_map(&value).collect(),
        })
        .filter(|line| !line.points.is_empty())
        .collect()
}

fn latency(findings: &Findings) -> String {
    let at = |quantile: f64, label: &str, dashed| {
        over_steps(findings, label, dashed, move |step| {
            Some((f64::from(step.sessions), step.latency_us(quantile)?))
        })
    };
    let chart = |title, lines| {
        Chart {
            title,
            x_label: "sessions",
            y_label: "µs",
            by_decades: true,
            x_marks: Vec::new(),
            lines,
        }
        .svg()
    };
    let mut usual = at(0.5, ", p50", false);
    usual.extend(at(0.99, ", p99", true));
    let mut rare = at(0.999, ", p99.9", false);
    rare.extend(at(1.0, ", max", true));
    chart("Latency: p50 and p99", usual) + &chart("Latency: p99.9 and the longest", rare)
}

fn core(findings: &Findings) -> String {
    let lines = over_steps(findings, "", false, |step| {
        Some((step.packets_per_s, 100.0 * step.core?.lowest_third))
    });
    Chart {
        title: "CPU against load",
        x_label: "packets a second through the relay",
        y_label: "% of a core",
        by_decades: false,
        x_marks: Vec::new(),
        lines,
    }
    .svg()
}

fn cpu(findings: &Findings) -> String {
    let lines = over_steps(findings, "", false, |step| {
        Some((f64::from(step.sessions), step.cpu_ns?.lowest_third / 1000.0))
    });
    Chart {
        title: "CPU of a packet",
        x_label: "sessions",
        y_label: "µs",
        by_decades: false,
        x_marks: Vec::new(),
        lines,
    }
    .svg()
}

/// The whole distribution of the last step: nines across.
fn distribution(findings: &Findings) -> String {
    let mut lines = Vec::new();
    for (colour, target) in findings.targets.iter().enumerate() {
        let Some(step) = target
            .steps
            .iter()
            .rev()
            .find(|step| !step.latency.is_empty())
        else {
            continue;
        };
        let inside = step.latency.iter().filter(|point| point.quantile < 1.0);
        lines.push(Line {
            name: format!("{}, {} sessions", target.name, step.sessions),
            colour,
            dashed: false,
            points: inside
                .map(|point| (nines(point.quantile), point.us))
                .collect(),
        });
    }
    let marks = [0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999];
    Chart {
        title: "Latency by percentile, most sessions",
        x_label: "percentile",
        y_label: "µs",
        by_decades: true,
        x_marks: marks
            .into_iter()
            .map(|quantile| (nines(quantile), format!("{}%", percent(quantile))))
            .collect(),
        lines,
    }
    .svg()
}

fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-9).log10()
}

fn percent(quantile: f64) -> String {
    let text = format!("{:.3}", 100.0 * quantile);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn ratios(findings: &Findings) -> String {
    let [first, second] = findings.targets.as_slice() else {
        return String::new();
    };
    let mut html = String::new();
    for ratio in &findings.ratios {
        if let (Some(median), Some(min), Some(max)) = (ratio.median, ratio.min, ratio.max) {
            html.push_str(&format!(
                "<li>{}: <b>{median:.2}</b> at {} sessions (rounds: {min:.2} to {max:.2})</li>",
                ratio.of.as_str(),
                ratio.sessions
            ));
        }
    }
    if html.is_empty() {
        return html;
    }
    format!(
        "<section class=\"ratios\"><h2>{} over {}</h2><ul>{html}</ul></section>",
        escaped(&first.name),
        escaped(&second.name)
    )
}

fn table(findings: &Findings) -> String {
    let mut html = String::from("<h2>All numbers</h2><div class=\"wide\"><table><thead><tr>");
    for column in COLUMNS {
        html.push_str(&format!("<th>{column}</th>"));
    }
    html.push_str("</tr></thead><tbody>");
    for target in &findings.targets {
        for step in &target.steps {
            html.push_str(&format!("<tr><td>{}</td>", escaped(&target.name)));
            for cell in cells(step) {
                html.push_str(&format!("<td>{cell}</td>"));
            }
            html.push_str("</tr>");
        }
    }
    html.push_str("</tbody></table></div>");
    html
}

fn cells(step: &StepFindings) -> Vec<String> {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let at = |quantile| shown(step.latency_us(quantile));
    vec![
        step.sessions.to_string(),
        step.rounds.to_string(),
        number(step.packets_per_s),
        step.cpu_ns.map_or_else(
            || "no round counts".to_owned(),
            |cpu| {
                format!(
                    "{} ({} to {})",
                    number(cpu.lowest_third),
                    number(cpu.min),
                    number(cpu.max)
                )
            },
        ),
        shown(step.core.map(|core| 100.0 * core.lowest_third)),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        number(step.lost_percent()),
        step.late.to_string(),
        step.duplicates.to_string(),
        shown(step.generator_load.map(|load| 100.0 * load.lowest_third)),
    ]
}

const COLUMNS: [&str; 14] = [
    "target",
    "sessions",
    "rounds",
    "packets/s",
    "ns a packet",
    "% of core",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "max µs",
    "lost %",
    "late",
    "double",
    "generator %",
];

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2330;--dim:#667085;--line:#d9dee7;--paper:#fff;--a:#1f6feb;--b:#d9480f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;--line:#333b49;--paper:#14181f;--a:#6aa6ff;--b:#ff9d5c}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1320px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:1.5rem 0 .4rem}.about{color:var(--dim);max-width:75ch;margin:0}\
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:1.5rem;margin:1.5rem 0}\
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.8rem}figcaption{font-weight:600}\
svg{width:100%;height:auto;display:block}svg text{font-size:15px;fill:var(--dim)}svg .label{fill:var(--ink)}\
.grid{stroke:var(--line);stroke-width:1}.line{fill:none;stroke-width:2}.dashed{stroke-dasharray:6 4}\
.line.c0{stroke:var(--a)}.line.c1{stroke:var(--b)}.dot.c0{fill:var(--a)}.dot.c1{fill:var(--b)}\
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.4rem 0 0;color:var(--dim);font-size:.87rem}\
.legend i{display:inline-block;width:22px;border-top:2px solid;vertical-align:middle;margin-right:6px}\
.legend .dashed{border-top-style:dashed}.legend .c0{border-color:var(--a)}.legend .c1{border-color:var(--b)}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.87rem}\
th,td{padding:.3rem .5rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}\
th:first-child,td:first-child{text-align:left}.ratios ul{margin:0;padding-left:1.2rem}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::findings::{Compared, LatencyPoint, Ratio, Spread, TargetFindings};

    fn findings() -> Findings {
        let spread = |value| Spread {
            lowest_third: value,
            min: value,
            max: value,
        };
        let step = |sessions: u16| StepFindings {
            sessions,
            rounds: 3,
            packets_per_s: 100.0 * f64::from(sessions),
            sent: 1000,
            lost: 1,
            late: 0,
            duplicates: 0,
            cpu_ns: Some(spread(4000.0)),
            core: Some(spread(0.4)),
            generator_load: Some(spread(0.5)),
            latency: [0.0, 0.5, 0.99, 0.999, 1.0]
                .map(|quantile| LatencyPoint {
                    quantile,
                    us: 100.0 + quantile,
                })
                .to_vec(),
        };
        let target = |name: &str| TargetFindings {
            name: name.to_owned(),
            steps: vec![step(250), step(500)],
        };
        Findings {
            machine: "a & b".to_owned(),
            packet_octets: 172,
            rate: 50,
            round_ms: 2500,
            keeps_void: false,
            targets: vec![target("node"), target("<peer>")],
            ratios: Compared::ALL
                .map(|of| Ratio {
                    of,
                    sessions: 500,
                    median: Some(0.5),
                    min: Some(0.4),
                    max: Some(0.6),
                })
                .into(),
        }
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_shows_every_step() {
        let page = page(&findings());
        assert!(!page.contains("http") && !page.contains("<script"));
        assert!(!page.contains("<peer>") && page.contains("&lt;peer&gt;"));
        assert!(page.contains("a &amp; b"));
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(page.matches("<tr><td>").count(), 4);
        for of in ["CPU of a packet", "p99 of latency"] {
            let ratio = format!("{of}: <b>0.50</b> at 500 sessions (rounds: 0.40 to 0.60)");
            assert!(page.contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn a_run_without_rounds_is_a_page_without_plots() {
        let mut findings = findings();
        for target in &mut findings.targets {
            for step in &mut target.steps {
                (step.cpu_ns, step.core) = (None, None);
                step.latency.clear();
            }
        }
        findings.ratios.clear();
        let page = page(&findings);
        assert_eq!(page.matches("<svg").count(), 0);
        assert_eq!(page.matches("no round counts").count(), 4);
    }
}
