//! The figures of one moment: for each metric of the catalogue its values, by label.

use super::catalogue::{Kind, Metric};
use super::histogram::Buckets;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// A number with a fraction.
    Real(f64),
    /// A distribution.
    Buckets(Buckets),
}

/// One value and the values of its metric's labels, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric.
    pub metric: &'static Metric,
    /// As many as the metric has labels.
    pub labels: Vec<String>,
    /// What was counted.
    pub value: Value,
}

/// Everything that one scrape shows.
#[derive(Debug, Default)]
pub struct Samples {
    samples: Vec<Sample>,
}

impl Samples {
    /// A counter or gauge that is a whole number.
    pub fn whole(&mut self, metric: &'static Metric, labels: &[&str], value: u64) {
        debug_assert!(metric.kind != Kind::Histogram, "{}", metric.name);
        self.add(metric, labels, Value::Whole(value));
    }

    /// A counter or gauge with a fraction: seconds.
    pub fn real(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        debug_assert!(metric.kind != Kind::Histogram, "{}", metric.name);
        self.add(metric, labels, Value::Real(value));
    }

    /// A gauge that is 1 or 0.
    pub fn truth(&mut self, metric: &'static Metric, labels: &[&str], value: bool) {
        debug_assert!(metric.kind == Kind::Gauge, "{}", metric.name);
        self.add(metric, labels, Value::Whole(u64::from(value)));
    }

    /// A histogram.
    pub fn buckets(&mut self, metric: &'static Metric, labels: &[&str], value: Buckets) {
        debug_assert!(metric.kind == Kind::Histogram, "{}", metric.name);
        self.add(metric, labels, Value::Buckets(value));
    }

    /// The samples of a metric.
    pub fn of(&self, metric: &Metric) -> impl Iterator<Item = &Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.metric.name == metric.name)
    }

    fn add(&mut self, metric: &'static Metric, labels: &[&str], value: Value) {
        debug_assert_eq!(
            labels.len(),
            metric.labels.len(),
            "labels of {}",
            metric.name
        );
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        debug_assert!(
            !self.of(metric).any(|sample| sample.labels == labels),
            "{} {labels:?} twice",
            metric.name
        );
        self.samples.push(Sample {
            metric,
            labels,
            value,
        });
    }
}
