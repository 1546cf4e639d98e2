//! The text of `/metrics`: `OpenMetrics` 1.0, which Prometheus reads.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as TextUnit};

use super::catalogue::{ALL, Kind, Metric, PREFIX, Unit};
use super::histogram::BOUNDS_S;
use super::samples::{Sample, Samples, Value};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes what was gathered, in the order of the catalogue. A metric without a value shows its
/// description only.
#[must_use]
pub fn text(samples: Samples) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Scrape(samples)));
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        debug_assert!(false, "writing to memory does not fail");
        text.clear();
    }
    text
}

#[derive(Debug)]
struct Scrape(Samples);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in ALL {
            let unit = unit(metric);
            let descriptor =
                encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), kind(metric));
            let mut written = descriptor?;
            for sample in self.0.of(metric) {
                if sample.labels.is_empty() {
                    value(&mut written, sample)?;
                    continue;
                }
                let labels: Vec<(&str, String)> = metric
                    .labels
                    .iter()
                    .copied()
                    .zip(sample.labels.iter().map(|label| escape(label)))
                    .collect();
                value(&mut written.encode_family(&labels)?, sample)?;
            }
        }
        Ok(())
    }
}

fn value(encoder: &mut MetricEncoder<'_>, sample: &Sample) -> fmt::Result {
    match (&sample.value, sample.metric.kind) {
        (Value::Whole(value), Kind::Counter) => {
            encoder.encode_counter::<NoLabelSet, u64, u64>(value, None)
        }
        (Value::Real(value), Kind::Counter) => {
            encoder.encode_counter::<NoLabelSet, f64, u64>(value, None)
        }
        (Value::Whole(value), Kind::Gauge | Kind::Histogram) => encoder.encode_gauge(value),
        (Value::Real(value), Kind::Gauge | Kind::Histogram) => encoder.encode_gauge(value),
        (Value::Buckets(buckets), _) => {
            let pairs: Vec<(f64, u64)> = BOUNDS_S.into_iter().zip(buckets.counts).collect();
            encoder.encode_histogram::<NoLabelSet>(buckets.sum_s, buckets.count(), &pairs, None)
        }
    }
}

/// What the library leaves to its user (`OpenMetrics`, "escaped-string").
fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

const fn kind(metric: &Metric) -> MetricType {
    match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    }
}

const fn unit(metric: &Metric) -> Option<TextUnit> {
    match metric.unit {
        None => None,
        Some(Unit::Seconds) => Some(TextUnit::Seconds),
        Some(Unit::Bytes) => Some(TextUnit::Bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::catalogue;
    use super::super::histogram::Buckets;
    use super::*;

    #[test]
    fn a_scrape_is_openmetrics_with_units_and_escaped_labels() {
        let mut samples = Samples::default();
        samples.whole(&catalogue::CALLS_OFFERED, &[], 7);
        samples.whole(&catalogue::TRUNK_CALLS, &["tr_1", "a\"b\nc"], 3);
        samples.real(&catalogue::PROCESS_CPU, &[], 1.5);
        let mut buckets = Buckets::default();
        buckets.record(Duration::from_micros(50));
        buckets.record(Duration::from_secs(60));
        samples.buckets(&catalogue::STORAGE_WRITE, &[], buckets);
        let text = text(samples);
        for line in [
            "# TYPE sluice_calls_offered counter",
            "sluice_calls_offered_total 7",
            "sluice_trunk_calls{trunk=\"tr_1\",label=\"a\\\"b\\nc\"} 3",
            "# UNIT sluice_process_cpu_seconds seconds",
            "sluice_process_cpu_seconds_total 1.5",
            "sluice_storage_write_seconds_bucket{le=\"0.0001\"} 1",
            "sluice_storage_write_seconds_bucket{le=\"5.0\"} 1",
            "sluice_storage_write_seconds_bucket{le=\"+Inf\"} 2",
            "sluice_storage_write_seconds_count 2",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line}\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
