"""Parses an exposition page with prometheus_client, and prints its samples as JSON."""

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
