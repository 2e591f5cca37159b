"""Prints the samples of an exposition page as JSON, read by the Prometheus project's own parser."""

import json
import sys

from prometheus_client.parser import text_fd_to_metric_families

with open(sys.argv[1], encoding="utf-8") as page:
    samples = [
        {"name": sample.name, "type": family.type, "labels": sample.labels, "value": repr(float(sample.value))}
        for family in text_fd_to_metric_families(page)
        for sample in family.samples
    ]
json.dump(samples, sys.stdout)
