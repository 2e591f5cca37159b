//! Translation of the values that objects show.

use crds::{SampleOperator, SampleRequirement};
use sidecar_config::{
    Aggregate, CounterReset, IndexEncoding, LabelSelector, MetricValue, OnMissing, Operator, Requirement, Round,
    Syntax, Value,
};

use super::{
    refusal::{FieldRefusal, Reason},
    translation::Translation,
};

/// Defines a function that translates an enum of the API to the sidecar's enum with the same variants.
macro_rules! same {
    ($function:ident: $type:ident = $($variant:ident)*) => {
        pub(super) fn $function(value: crds::$type) -> $type {
            match value {
                $(crds::$type::$variant => $type::$variant,)*
            }
        }
    };
}

same!(syntax: Syntax = Integer32 Unsigned32 Gauge32 Counter32 Counter64 TimeTicks OctetString DisplayString IpAddress ObjectIdentifier TruthValue);
same!(encoding: IndexEncoding = Integer String ImpliedString IpAddress Hash Assigned);
same!(aggregate: Aggregate = Sum Min Max Avg Count);
same!(round: Round = Nearest Floor Ceil);
same!(counter_reset: CounterReset = Continue PassThrough);

impl Translation {
    /// Translates the value at `path`.
    pub(super) fn value(&mut self, path: &str, value: &crds::Value) -> Value {
        let text = |text: &Option<crds::Shown>| text.as_ref().map(|text| text.0.clone()).unwrap_or_default();
        let (source, metric) = match (&value.constant, &value.source, &value.metric) {
            (None, Some(source), Some(metric)) => (source, metric),
            (Some(constant), None, None) => return Value::Constant(constant.0.clone()),
            _ => {
                let message = "set either constant, or source and metric";
                self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
                return Value::Constant(text(&value.constant));
            }
        };
        Value::Metric(MetricValue {
            source: source.0.clone(),
            metric: metric.0.clone(),
            match_labels: value.match_labels.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect(),
            match_expressions: value.match_expressions.iter().map(sample_requirement).collect(),
            label: value.label.as_ref().map(|label| label.0.clone()),
            quantile: value.quantile,
            rate_ms: value.rate.as_ref().map(|rate| self.millis(&format!("{path}.rate"), rate)),
            aggregate: value.aggregate.map(aggregate).unwrap_or_default(),
            scale: value.scale,
            offset: value.offset,
            round: value.round.map(round).unwrap_or_default(),
            on_missing: match value.on_missing.unwrap_or_default() {
                crds::OnMissing::NoSuchInstance => OnMissing::NoSuchInstance,
                crds::OnMissing::Zero => OnMissing::Zero,
                crds::OnMissing::Hold => OnMissing::Hold,
                crds::OnMissing::Constant => OnMissing::Constant(text(&value.on_missing_constant)),
            },
            counter_reset: value.counter_reset.map(counter_reset).unwrap_or_default(),
        })
    }
}

fn sample_requirement(SampleRequirement { key, operator, values }: &SampleRequirement) -> Requirement {
    let operator = match operator {
        SampleOperator::In => Operator::In,
        SampleOperator::NotIn => Operator::NotIn,
        SampleOperator::Exists => Operator::Exists,
        SampleOperator::DoesNotExist => Operator::DoesNotExist,
        SampleOperator::Matches => Operator::Matches,
    };
    Requirement { key: key.0.clone(), operator, values: values.iter().map(|value| value.0.clone()).collect() }
}

/// Translates a selector of pods.
pub(super) fn selector(selector: &crds::LabelSelector) -> LabelSelector {
    let requirement = |crds::LabelRequirement { key, operator, values }: &crds::LabelRequirement| {
        let operator = match operator {
            crds::LabelOperator::In => Operator::In,
            crds::LabelOperator::NotIn => Operator::NotIn,
            crds::LabelOperator::Exists => Operator::Exists,
            crds::LabelOperator::DoesNotExist => Operator::DoesNotExist,
        };
        Requirement { key: key.0.clone(), operator, values: values.iter().map(|value| value.0.clone()).collect() }
    };
    LabelSelector {
        match_labels: selector.match_labels.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect(),
        match_expressions: selector.match_expressions.iter().map(requirement).collect(),
    }
}
