//! Rules for the values of objects.

use std::collections::HashMap;

use regex_lite::{Regex, RegexBuilder};

use super::{Checks, MAX_TEXT};
use crate::{Aggregate, CounterReset, MetricValue, OnMissing, Round, Source, Syntax, Value};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The maximum memory of a compiled regular expression, in octets.
const MAX_COMPILED: usize = 256 * 1024;

/// Compiles the regular expression of `Matches`. As in Prometheus, it has to match the whole text of a label, including
/// line breaks.
///
/// # Errors
/// Returns an error if the pattern is not a regular expression or would take too much memory.
pub fn whole_text(pattern: &str) -> Result<Regex, regex_lite::Error> {
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    // The pattern is first compiled without the parentheses, because `a)|(b` would compile between them.
    build(pattern)?;
    build(&format!("^(?s:{pattern})$"))
}

/// The sources of a subtree, by name.
pub(super) type Sources<'a> = HashMap<&'a str, &'a Source>;

impl Checks<'_> {
    pub(super) fn value(&mut self, path: &str, value: &Value, syntax: Syntax, sources: &Sources<'_>) {
        match value {
            Value::Constant(text) => self.constant(&format!("{path}.constant"), text, syntax),
            Value::Metric(metric) => self.metric(path, metric, syntax, sources),
        }
    }

    fn constant(&mut self, path: &str, text: &str, syntax: Syntax) {
        if let Err(error) = syntax.read_text(text) {
            self.refuse(path, format!("{text:?} is not a valid {syntax:?}: {error}"));
        }
    }

    fn metric(&mut self, path: &str, value: &MetricValue, syntax: Syntax, sources: &Sources<'_>) {
        let at = |field: &str| format!("{path}.{field}");
        let source = sources.get(value.source.as_str());
        self.refuse_unless(source.is_some(), at("source"), format!("there is no source {:?}", value.source));
        self.text(&at("metric"), &value.metric, MAX_TEXT);
        self.labels(&at("matchLabels"), &value.match_labels);
        self.requirements(&at("matchExpressions"), &value.match_expressions);
        if let Some(label) = &value.label {
            self.text(&at("label"), label, MAX_TEXT);
            self.text_alone(path, value);
        } else {
            let message = format!("{syntax:?} cannot hold a number; set a label or use a constant");
            self.refuse_unless(syntax.takes_numbers(), at("label"), message);
        }
        if let Some(quantile) = value.quantile {
            let holds = (0.0..=1.0).contains(&quantile);
            self.refuse_unless(holds, at("quantile"), format!("{quantile} is not between 0 and 1"));
        }
        if let Some(window) = value.rate_ms {
            self.window(&at("rateMs"), window, source.map(|source| source.interval_ms));
        }
        for (field, factor) in [("scale", value.scale), ("offset", value.offset)] {
            let holds = factor.is_none_or(f64::is_finite);
            self.refuse_unless(holds, at(field), "is not a finite number");
        }
        let holds = !syntax.is_counter() || value.scale.is_none_or(|scale| scale >= 0.0);
        self.refuse_unless(holds, at("scale"), format!("must not be negative, because a {syntax:?} only increases"));
        if let OnMissing::Constant(text) = &value.on_missing {
            self.constant(&at("onMissing"), text, syntax);
        }
        let holds = syntax.is_counter() || value.counter_reset == CounterReset::default();
        self.refuse_unless(holds, at("counterReset"), "is only allowed with the syntaxes Counter32 and Counter64");
    }

    /// Checks the window of a rate: at most a day, and long enough for two scrapes even if one is late.
    fn window(&mut self, path: &str, window: u64, interval: Option<u64>) {
        if !(1..=DAY_MS).contains(&window) {
            self.refuse(path, format!("{window} is not between 1 and {DAY_MS}"));
        } else if let Some(interval) = interval
            && window < interval.saturating_mul(2)
        {
            self.refuse(
                path,
                format!("{window} is less than two intervals of the source, so a late scrape would leave no rate"),
            );
        }
    }

    /// Refuses settings that have no effect because the text of a label is published unchanged.
    fn text_alone(&mut self, path: &str, value: &MetricValue) {
        let numeric = [
            ("quantile", value.quantile.is_some()),
            ("rateMs", value.rate_ms.is_some()),
            ("aggregate", value.aggregate != Aggregate::default()),
            ("scale", value.scale.is_some()),
            ("offset", value.offset.is_some()),
            ("round", value.round != Round::default()),
        ];
        for (field, set) in numeric {
            self.refuse_unless(!set, format!("{path}.{field}"), "has no effect on the text of a label");
        }
    }
}
