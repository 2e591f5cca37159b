//! Where the two differ, each with its reason. The generated pages stay clear of these.

use anyhow::{Result, ensure};
use sidecar::source::prometheus::Format;

use super::{Peer, Sample, read};

/// What is read of a page.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Refused,
    /// These samples' names, first labels' texts and values.
    Read(&'static [&'static str]),
}

use Expected::{Read, Refused};

/// A page, what we make of it, what `prometheus_client` makes of it, and why.
type Difference = (&'static str, Expected, Expected, &'static str);

const TEXT: &[Difference] = &[
    ("m{a=\"\"} 1\n", Read(&["m 1"]), Read(&["m a= 1"]), "an empty label is none, as in Prometheus"),
    ("m 1\nm 2\n", Read(&["m 1"]), Read(&["m 1", "m 2"]), "no two samples have the same name and labels"),
    ("# TYPE c counter\nc 1\n", Read(&["c 1"]), Read(&["c_total 1"]), "it gives counters OpenMetrics' names"),
    ("m 1e999\n", Refused, Read(&["m inf"]), "a number that no double holds is no infinity, as in Prometheus"),
    ("m -nan\n", Refused, Read(&["m NaN"]), "NaN has no sign, as in Prometheus"),
    ("m \u{661}\n", Refused, Read(&["m 1"]), "Python knows the digits of all scripts"),
    ("m 1\r\n", Refused, Read(&["m 1"]), "a carriage return is no blank, as in Prometheus"),
    ("m 1 1.5\n", Refused, Read(&["m 1"]), "a timestamp is an integer, as in Prometheus"),
    ("m 1 2 3\n", Refused, Read(&["m 1"]), "there is nothing behind the timestamp, as in Prometheus"),
    ("m{,a=\"b\"} 1\n", Refused, Read(&["m a=b 1"]), "there is a label before a comma, as in Prometheus"),
    ("m{__a=\"b\"} 1\n", Read(&["m __a=b 1"]), Refused, "Prometheus takes labels that begin with __"),
];

/// Without the `# EOF` behind each page.
const OPEN_METRICS: &[Difference] = &[
    ("a{x=\"1\"} 1\nb 2\na 3\n", Read(&["a x=1 1", "b 2", "a 3"]), Refused, "Prometheus lets families be interleaved"),
    ("# TYPE a gauge\na 1\n# HELP a x\n", Read(&["a 1"]), Refused, "Prometheus lets metadata come late"),
    ("# TYPE a gauge\n# TYPE a gauge\n", Read(&[]), Refused, "Prometheus lets metadata come twice"),
    ("{\"a.b\"} 1\n", Read(&["a.b 1"]), Refused, "Prometheus asks for no metadata"),
    (
        "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n",
        Read(&["a_bucket le=1.0 1"]),
        Refused,
        "Prometheus does not ask for +Inf",
    ),
    (
        "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n",
        Read(&["a_bucket le=+Inf 1", "a_count 1"]),
        Refused,
        "Prometheus does not ask for _sum",
    ),
    ("# TYPE a counter\na_total -1\n", Read(&["a_total -1"]), Refused, "Prometheus takes counters of any value"),
    ("# TYPE a stateset\na{a=\"x\"} 2\n", Read(&["a a=x 2"]), Refused, "Prometheus takes state sets of any value"),
    ("# TYPE a info\na_info 2\n", Read(&["a_info 2"]), Refused, "Prometheus takes infos of any value"),
    ("# TYPE a gauge\na 1 # {x=\"y\"} 1\n", Read(&["a 1"]), Refused, "Prometheus takes exemplars anywhere"),
    (
        "# TYPE a counter\na_total 1 # {x=\"\\\"\"} 1\n",
        Read(&["a_total 1"]),
        Refused,
        "it takes an escaped quote in an exemplar for the text's end",
    ),
    ("a 1 20\na 2 10\n", Read(&["a 1"]), Refused, "Prometheus lets timestamps run backwards"),
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
fn where_we_differ_from_prometheus_client_there_is_a_reason() -> Result<()> {
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
