//! Metrics sent to upstream's collector. The request is a bare list of samples, without a table around it.
//!
//! Source: `src/common/monitor/Sample.h`, `src/fbs/monitor_collector` upstream.

use crate::codec::{Map, Void};
use flyer_types::{Text, WallTime};
use flyer_wire_derive::Wire;

/// Labels of a metric sample.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::monitor::TagSet")]
pub struct TagSet {
    /// Names and values.
    #[wire(name = "tag_set")]
    pub tag_set: Map<Text, Text>,
}

/// A summary of many observations, in the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Wire)]
#[wire(class = "hf3fs::monitor::Distribution")]
pub struct Distribution {
    /// Number of observations.
    pub cnt: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// Smallest observation.
    pub min: f64,
    /// Largest observation.
    pub max: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The value of a metric sample.
#[derive(Clone, Copy, Debug, PartialEq, Wire)]
pub enum SampleValue {
    /// A counter or gauge; `long` is what upstream's compiler calls a 64-bit integer.
    #[wire(name = "long")]
    Number(i64),
    /// The distribution of many observations.
    #[wire(name = "dist")]
    Distribution(Distribution),
}

/// One metric at one time.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(class = "hf3fs::monitor::Sample")]
pub struct Sample {
    /// Name of the metric.
    pub name: Text,
    /// Its labels.
    pub tags: TagSet,
    /// When it was taken.
    pub timestamp: WallTime,
    /// The value.
    pub value: SampleValue,
}

/// Answer of `write` (monitor service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::monitor::MonitorCollectorRsp")]
pub struct MonitorCollectorRsp {
    /// Nothing.
    pub dummy: Void,
}
