"""Stands for prometheus-statsd-exporter where its image cannot be pulled: the same flags and file.

It knows what infra/statsd/mapping.yml uses: globs and regular expressions, labels from wildcards,
InfluxDB's tags, counters, gauges, timers as histograms, dropping. What it does not know it refuses.

    python statsd_exporter.py --statsd.mapping-config=mapping.yml --statsd.listen-udp=:9125 \\
        --web.listen-address=:9102
"""

import argparse
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Labels = tuple[tuple[str, str], ...]
DEFAULTS = {"observer_type": "histogram", "match_type": "glob"}
MAPPING_KEYS = {"match", "match_type", "name", "help", "labels", "action"}
LINE = re.compile(r"^(?P<name>[^:]+):(?P<value>[+-]?[0-9.eE+-]+)\|(?P<kind>c|g|ms)(\|@.*)?$")
KINDS = {"c": "counter", "g": "gauge", "ms": "histogram"}


@dataclass(frozen=True)
class Mapping:
    """One rule of the file."""

    pattern: re.Pattern[str]
    is_glob: bool
    drops: bool
    name: str
    help: str
    labels: dict[str, str]

    def named(self, match: re.Match[str]) -> tuple[str, dict[str, str]]:
        """The metric's name and the labels that the rule gives."""
        labels = {key: _filled(value, match) for key, value in self.labels.items()}
        return _filled(self.name, match), labels


@dataclass
class Family:
    """One metric and its series."""

    kind: str
    help: str
    values: dict[Labels, float] = field(default_factory=dict)
    counts: dict[Labels, list[int]] = field(default_factory=dict)


class Exporter:
    """What has been received, by the names that the mapping gives."""

    def __init__(self, document: dict[str, Any]) -> None:
        defaults = dict(document["defaults"])
        self._buckets: list[float] = defaults.pop("histogram_options")["buckets"]
        if defaults != DEFAULTS:
            raise SystemExit(f"defaults must be {DEFAULTS}, found {defaults}")
        rules = [_mapping(entry) for entry in document["mappings"]]
        # The exporter tries its globs first, then the regular expressions.
        self._mappings = sorted(rules, key=lambda rule: not rule.is_glob)
        self._families: dict[str, Family] = {}
        self._lock = threading.Lock()
        self._started = time.time()

    def receive(self, packet: str) -> None:
        """Take the lines of one packet."""
        for line in packet.splitlines():
            match = LINE.match(line)
            if match:
                with self._lock:
                    self._take(match["name"], match["value"], match["kind"])

    def _take(self, tagged: str, value: str, kind: str) -> None:
        sent, *tags = tagged.split(",")
        found = self._named(sent)
        if found is None:
            return
        name, given, help_text = found
        pairs = dict(tag.split("=", 1) for tag in tags)
        labels = tuple(sorted({**pairs, **given}.items()))
        family = self._families.setdefault(name, Family(KINDS[kind], help_text))
        if family.kind != KINDS[kind]:
            return
        before = family.values.get(labels, 0.0)
        if kind == "g":
            family.values[labels] = (before if value[0] in "+-" else 0.0) + float(value)
        elif kind == "c":
            family.values[labels] = before + float(value)
        else:
            self._observe(family, labels, float(value) / 1000)

    def _observe(self, family: Family, labels: Labels, seconds: float) -> None:
        counts = family.counts.setdefault(labels, [0] * (len(self._buckets) + 1))
        for place, edge in enumerate([*self._buckets, float("inf")]):
            counts[place] += seconds <= edge
        family.values[labels] = family.values.get(labels, 0.0) + seconds

    def _named(self, sent: str) -> tuple[str, dict[str, str], str] | None:
        for mapping in self._mappings:
            match = mapping.pattern.search(sent)
            if match:
                return None if mapping.drops else (*mapping.named(match), mapping.help)
        return re.sub(r"[^a-zA-Z0-9_]", "_", sent), {}, "no mapping"

    def exposition(self) -> str:
        """Everything in Prometheus' text format."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "# TYPE process_start_time_seconds gauge"
        yield f"process_start_time_seconds {self._started}"
        for name, family in sorted(self._families.items()):
            yield f"# HELP {name} {family.help}"
            yield f"# TYPE {name} {family.kind}"
            for labels, value in family.values.items():
                if family.kind != "histogram":
                    yield f"{name}{_braces(labels)} {value}"
                    continue
                counts = family.counts[labels]
                edges = [*map(str, self._buckets), "+Inf"]
                for edge, count in zip(edges, counts, strict=True):
                    yield f"{name}_bucket{_braces((*labels, ('le', edge)))} {count}"
                yield f"{name}_sum{_braces(labels)} {value}"
                yield f"{name}_count{_braces(labels)} {counts[-1]}"


def _mapping(entry: dict[str, Any]) -> Mapping:
    if unknown := set(entry) - MAPPING_KEYS:
        raise SystemExit(f"a mapping may have {MAPPING_KEYS}, found {unknown} in {entry}")
    is_glob = entry.get("match_type", "glob") == "glob"
    parts = [r"([^.]*)" if part == "*" else re.escape(part) for part in entry["match"].split(".")]
    pattern = r"^" + r"\.".join(parts) + "$" if is_glob else entry["match"]
    return Mapping(
        pattern=re.compile(pattern),
        is_glob=is_glob,
        drops=entry.get("action") == "drop",
        name=entry["name"],
        help=entry.get("help", ""),
        labels=entry.get("labels", {}),
    )


def _filled(template: str, match: re.Match[str]) -> str:
    return re.sub(r"\$\{?(\d+)\}?", lambda place: match[int(place[1])], template)


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}" if labels else ""


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)


def _listen(address: tuple[str, int], exporter: Exporter) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(address)
        while True:
            exporter.receive(inbox.recv(65535).decode(errors="replace"))


def _pages(exporter: Exporter) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/metrics": exporter.exposition, "/-/healthy": lambda: "OK\n"}
            page = known.get(self.path)
            body = page().encode() if page else b""
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing of each scrape."""

    return Pages


def main() -> None:
    """Receive and export until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--statsd.mapping-config", dest="mapping", type=Path, required=True)
    parser.add_argument("--statsd.listen-udp", dest="udp", type=_address, default=":9125")
    parser.add_argument("--web.listen-address", dest="web", type=_address, default=":9102")
    options, _ = parser.parse_known_args()
    exporter = Exporter(yaml.safe_load(options.mapping.read_text()))
    threading.Thread(target=_listen, args=(options.udp, exporter), daemon=True).start()
    ThreadingHTTPServer(options.web, _pages(exporter)).serve_forever()


if __name__ == "__main__":
    main()
