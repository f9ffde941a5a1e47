"""Stands for prometheus-statsd-exporter where its image cannot be pulled: the same flags and file.

It knows what infra/statsd/mapping.yml uses: globs and regular expressions, labels from wildcards,
InfluxDB's tags, counters, gauges, timers as histograms, dropping. What it does not know it refuses.

    python statsd_exporter.py --statsd.mapping-config=mapping.yml --statsd.listen-udp=:9125 \\
        --web.listen-address=:9102
"""

import argparse
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    Metric,
    start_http_server,
)
from prometheus_client.registry import Collector

DEFAULTS = {"observer_type": "histogram", "match_type": "glob"}
# A gauge's time to live is taken for endless.
MAPPING_KEYS = {"match", "match_type", "name", "help", "labels", "action", "ttl"}
LINE = re.compile(r"^(?P<name>[^:]+):(?P<value>[+-]?[0-9.eE+-]+)\|(?P<kind>c|g|ms)(\|@.*)?$")
KINDS = {"c": Counter, "g": Gauge, "ms": Histogram}


class Exporter(Collector):
    """What has been received, by the names that the mapping gives."""

    def __init__(self, document: dict[str, Any]) -> None:
        defaults = dict(document["defaults"])
        self._buckets: list[float] = defaults.pop("histogram_options")["buckets"]
        if defaults != DEFAULTS:
            raise SystemExit(f"defaults must be {DEFAULTS}, found {defaults}")
        # The exporter tries its globs first, then the regular expressions.
        rules = sorted(document["mappings"], key=lambda rule: not _is_glob(rule))
        self._rules = [(_pattern(rule), rule) for rule in rules]
        # One name may come with different labels, which a metric of the library does not allow.
        self._metrics: dict[tuple[str, ...], Any] = {}

    def receive(self, packet: str) -> None:
        """Take the lines of one packet."""
        for match in filter(None, map(LINE.match, packet.splitlines())):
            self._take(match["name"], match["value"], match["kind"])

    def collect(self) -> Iterator[Metric]:
        """Everything so far, in the library's form."""
        for metric in list(self._metrics.values()):
            yield from metric.collect()

    def _take(self, tagged: str, value: str, kind: str) -> None:
        sent, *tags = tagged.split(",")
        found = self._named(sent)
        if found is None:
            return
        name, given, told = found
        labels = {**dict(tag.split("=", 1) for tag in tags), **given}
        key = (name, *sorted(labels))
        if key not in self._metrics:
            more: dict[str, Any] = {"buckets": self._buckets} if kind == "ms" else {}
            self._metrics[key] = KINDS[kind](name, told, key[1:], registry=None, **more)
        metric = self._metrics[key]
        if not isinstance(metric, KINDS[kind]):
            return
        series = metric.labels(**labels) if labels else metric
        if kind == "ms":
            series.observe(float(value) / 1000)
        elif kind == "c" or value[0] in "+-":
            series.inc(float(value))
        else:
            series.set(float(value))

    def _named(self, sent: str) -> tuple[str, dict[str, str], str] | None:
        for pattern, rule in self._rules:
            if match := pattern.search(sent):
                if rule.get("action") == "drop":
                    return None
                given = {key: _filled(text, match) for key, text in rule.get("labels", {}).items()}
                return _filled(rule["name"], match), given, rule.get("help", "")
        return re.sub(r"[^a-zA-Z0-9_]", "_", sent), {}, "no mapping"


def _is_glob(rule: dict[str, Any]) -> bool:
    return bool(rule.get("match_type", "glob") == "glob")


def _pattern(rule: dict[str, Any]) -> re.Pattern[str]:
    if unknown := set(rule) - MAPPING_KEYS:
        raise SystemExit(f"a mapping may have {MAPPING_KEYS}, found {unknown} in {rule}")
    parts = [r"([^.]*)" if part == "*" else re.escape(part) for part in rule["match"].split(".")]
    return re.compile("^" + r"\.".join(parts) + "$" if _is_glob(rule) else rule["match"])


def _filled(template: str, match: re.Match[str]) -> str:
    return re.sub(r"\$\{?(\d+)\}?", lambda place: match[int(place[1])], template)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)


def main() -> None:
    """Receive and export until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--statsd.mapping-config", dest="mapping", type=Path, required=True)
    parser.add_argument("--statsd.listen-udp", dest="udp", type=_address, default=":9125")
    parser.add_argument("--web.listen-address", dest="web", type=_address, default=":9102")
    options, _ = parser.parse_known_args()
    exporter = Exporter(yaml.safe_load(options.mapping.read_text()))
    REGISTRY.register(exporter)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(options.udp)
        host, port = options.web
        start_http_server(port, host)
        while True:
            exporter.receive(inbox.recv(65535).decode(errors="replace"))


if __name__ == "__main__":
    main()
