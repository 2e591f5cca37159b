"""Reads and writes exposition pages with prometheus_client, the library of the Prometheus project.

Each line of the input is a request, and each line of the output its response, both in JSON:

* {"read": page, "format": "text" or "openmetrics"}: returns the samples of the page, or an error
* {"write": seed}: returns a page in each format with random families of every type, and their samples

A sample is [name, labels, the bits of its value as a double in hexadecimal digits].
"""

import json
import random
import struct
import sys

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client import exposition as text
from prometheus_client import parser as text_parser
from prometheus_client import core
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser

PARSERS = {"text": text_parser, "openmetrics": openmetrics_parser}
LABEL_TEXTS = ["a", "0", "two words", 'quo"ted', "back\\slash", "line\nfeed", "}{,=# ", "\u00e9\u20ac\U0001f600", "\\n", '\\"']
VALUES = [0, 1, 1.5, 1e-9, 123456789, 2**53 + 1, 1.7976931348623157e308, 5e-324]
ANY_VALUES = [*VALUES, -1, -0.0, -2.5e-7, float("inf"), float("-inf"), float("nan")]
BUCKETS = ["0.005", "0.5", "1.0", "10.0", "+Inf"]


def samples(families):
    bits = lambda value: struct.pack(">d", float(value)).hex()
    return [[sample.name, sample.labels, bits(sample.value)] for family in families for sample in family.samples]


def read(page, kind):
    try:
        return {"samples": samples(PARSERS[kind].text_string_to_metric_families(page))}
    except Exception as error:  # The library raises many kinds of exceptions for invalid pages, not only ValueError.
        return {"error": repr(error)}


class Families:
    """A collector that returns given families, as exporters do."""

    def __init__(self, families):
        self.families = families

    def collect(self):
        return self.families


def families(chosen):
    """Returns two families of each type."""
    created = []
    for number in range(2):
        names = chosen.sample(["a", "b1", "label.with.dots", "\u00e9", 'quo"ted'], chosen.randrange(4))
        rows = [[chosen.choice(LABEL_TEXTS) for _ in names] + [str(row)] for row in range(1 + chosen.randrange(3))]
        names.append("row")
        name = lambda kind: chosen.choice(["{}_{}", "{}:{}", "{}.{}", "{} {}"]).format(kind, number)
        new = lambda family, kind: family(name(kind), "Some \\ \"help\"\nof " + kind, labels=names)
        timestamp = chosen.choice([None, 1520879607.789])

        counter = new(core.CounterMetricFamily, "counter")
        gauge = new(core.GaugeMetricFamily, "gauge")
        unknown = new(core.UnknownMetricFamily, "unknown")
        summary = new(core.SummaryMetricFamily, "summary")
        histogram = new(core.HistogramMetricFamily, "histogram")
        gauge_histogram = new(core.GaugeHistogramMetricFamily, "gaugehistogram")
        info = new(core.InfoMetricFamily, "info")
        states = new(core.StateSetMetricFamily, "stateset")
        for row in rows:
            counts = sorted(chosen.choice([0, 1, 7, 2**40]) for _ in BUCKETS)
            buckets = list(zip(BUCKETS, counts))
            counter.add_metric(row, chosen.choice(VALUES), created=chosen.choice([None, 1.5e9]), timestamp=timestamp)
            gauge.add_metric(row, chosen.choice(ANY_VALUES), timestamp=timestamp)
            unknown.add_metric(row, chosen.choice(ANY_VALUES))
            summary.add_metric(row, chosen.choice(VALUES), chosen.choice(VALUES))
            histogram.add_metric(row, buckets, chosen.choice(VALUES), timestamp=timestamp)
            gauge_histogram.add_metric(row, buckets, chosen.choice(VALUES))
            info.add_metric(row, {"version": chosen.choice(LABEL_TEXTS)})
            states.add_metric(row, {"on": True, "o f f": False})
        created += [counter, gauge, unknown, summary, histogram, gauge_histogram, info, states]
    return created


def instruments(chosen, registry):
    """Registers one instrument of each class, as applications do."""
    requests = Counter("requests", "Help.", ["path"], registry=registry)
    requests.labels(chosen.choice(LABEL_TEXTS)).inc(chosen.choice(VALUES), exemplar={"trace": "x # {y} 1"})
    Gauge("heat_celsius", "Help.", unit="celsius", registry=registry).set(chosen.choice(ANY_VALUES))
    Summary("size_bytes", "Help.", registry=registry).observe(chosen.choice(VALUES))
    Histogram("wait_seconds", "Help.", registry=registry).observe(chosen.random(), {"id": chosen.choice("abc")})
    Info("build", "Help.", registry=registry).info({"version": chosen.choice(LABEL_TEXTS)})
    Enum("phase", "Help.", states=["up", "down"], registry=registry).state(chosen.choice(["up", "down"]))


def write(seed):
    chosen = random.Random(seed)
    registry = CollectorRegistry()
    instruments(chosen, registry)
    registry.register(Families(families(chosen)))
    return {
        "text": text.generate_latest(registry, text.openmetrics.ALLOWUTF8).decode(),
        "openmetrics": openmetrics.generate_latest(registry, openmetrics.ALLOWUTF8).decode(),
        "samples": samples(registry.collect()),
    }


for line in sys.stdin:
    request = json.loads(line)
    answer = write(request["write"]) if "write" in request else read(request["read"], request["format"])
    print(json.dumps(answer), flush=True)
