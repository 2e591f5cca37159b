//! The known differences between both parsers, each with its reason. Generated pages avoid them.

use anyhow::{Result, ensure};
use sidecar::source::exposition::Format;

use super::{Peer, Sample, read};

/// The result of parsing a page.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Refused,
    /// Samples, each with its name, its first label and its value.
    Read(&'static [&'static str]),
}

use Expected::{Read, Refused};

/// A page, our result, the result of `prometheus_client`, and the reason for the difference.
type Difference = (&'static str, Expected, Expected, &'static str);

const TEXT: &[Difference] = &[
    ("m{a=\"\"} 1\n", Read(&["m 1"]), Read(&["m a= 1"]), "a label with an empty value is no label, as in Prometheus"),
    ("m 1\nm 2\n", Read(&["m 1"]), Read(&["m 1", "m 2"]), "no two samples have the same name and labels"),
    (
        "# TYPE c counter\nc 1\n",
        Read(&["c 1"]),
        Read(&["c_total 1"]),
        "prometheus_client renames counters as in OpenMetrics",
    ),
    ("m 1e999\n", Refused, Read(&["m inf"]), "a number that is too large for a double is refused, as in Prometheus"),
    ("m -nan\n", Refused, Read(&["m NaN"]), "NaN has no sign, as in Prometheus"),
    ("m \u{661}\n", Refused, Read(&["m 1"]), "Python accepts the digits of all scripts"),
    ("m 1\r\n", Refused, Read(&["m 1"]), "a carriage return is not white space, as in Prometheus"),
    ("m 1 1.5\n", Refused, Read(&["m 1"]), "a timestamp is an integer, as in Prometheus"),
    ("m 1 2 3\n", Refused, Read(&["m 1"]), "nothing may follow the timestamp, as in Prometheus"),
    ("m{,a=\"b\"} 1\n", Refused, Read(&["m a=b 1"]), "a comma must follow a label, as in Prometheus"),
    ("m{__a=\"b\"} 1\n", Read(&["m __a=b 1"]), Refused, "Prometheus accepts labels that begin with __"),
];

/// The `# EOF` at the end of each page is added later.
const OPEN_METRICS: &[Difference] = &[
    ("a{x=\"1\"} 1\nb 2\na 3\n", Read(&["a x=1 1", "b 2", "a 3"]), Refused, "Prometheus accepts interleaved families"),
    ("# TYPE a gauge\na 1\n# HELP a x\n", Read(&["a 1"]), Refused, "Prometheus accepts metadata after samples"),
    ("# TYPE a gauge\n# TYPE a gauge\n", Read(&[]), Refused, "Prometheus accepts repeated metadata"),
    ("{\"a.b\"} 1\n", Read(&["a.b 1"]), Refused, "Prometheus needs no metadata"),
    (
        "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n",
        Read(&["a_bucket le=1.0 1"]),
        Refused,
        "Prometheus does not require +Inf",
    ),
    (
        "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n",
        Read(&["a_bucket le=+Inf 1", "a_count 1"]),
        Refused,
        "Prometheus does not require _sum",
    ),
    ("# TYPE a counter\na_total -1\n", Read(&["a_total -1"]), Refused, "Prometheus accepts counters of any value"),
    ("# TYPE a stateset\na{a=\"x\"} 2\n", Read(&["a a=x 2"]), Refused, "Prometheus accepts state sets of any value"),
    ("# TYPE a info\na_info 2\n", Read(&["a_info 2"]), Refused, "Prometheus accepts infos of any value"),
    ("# TYPE a gauge\na 1 # {x=\"y\"} 1\n", Read(&["a 1"]), Refused, "Prometheus accepts exemplars on any sample"),
    (
        "# TYPE a counter\na_total 1 # {x=\"\\\"\"} 1\n",
        Read(&["a_total 1"]),
        Refused,
        "prometheus_client ends the text of an exemplar at an escaped quote",
    ),
    ("a 1 20\na 2 10\n", Read(&["a 1"]), Refused, "Prometheus accepts decreasing timestamps"),
    ("a 1 1\na 2 2\n", Read(&["a 1"]), Read(&["a 1", "a 2"]), "no two samples have the same name and labels"),
];

fn show(sample: &Sample) -> String {
    let label = sample.labels.iter().next().map(|(name, text)| format!("{name}={text} ")).unwrap_or_default();
    format!("{} {label}{}", sample.name, sample.value)
}

fn check(found: Result<Vec<Sample>>, expected: Expected) -> Result<()> {
    match (found, expected) {
        (Err(_), Refused) => Ok(()),
        (Err(error), Read(_)) => Err(error),
        (Ok(samples), expected) => {
            let samples: Vec<_> = samples.iter().map(show).collect();
            ensure!(matches!(expected, Read(expected) if samples == expected), "found {samples:?}");
            Ok(())
        }
    }
}

#[test]
fn both_parsers_differ_only_in_the_known_ways() -> Result<()> {
    let mut peer = Peer::start()?;
    let mut wrong = Vec::new();
    let all = TEXT.iter().map(|difference| (Format::Text, "", difference));
    let all = all.chain(OPEN_METRICS.iter().map(|difference| (Format::OpenMetrics, "# EOF\n", difference)));
    for (format, end, (page, ours, theirs, reason)) in all {
        let page = format!("{page}{end}");
        let checks =
            [("ours", check(read(format, &page), *ours)), ("theirs", check(peer.read(format, &page), *theirs))];
        for (whose, result) in checks {
            wrong.extend(result.err().map(|error| format!("{whose} of {page:?} ({reason}): {error:#}")));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
