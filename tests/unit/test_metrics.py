"""Histograms against sorted lists; the Prometheus text as a scraper sees it."""

import dataclasses
import socket
import urllib.request

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from perception import wire as messages
from perception.errors import ConfigError
from perception.metrics import BINS, Histogram, Metrics, exposition, serve, split
from perception.wire import codec

DURATIONS = st.lists(st.integers(10_000, 99_000_000_000), min_size=1, max_size=200)


def histogram_of(values):
    histogram = Histogram()
    for ns in values:
        histogram.add(ns)
    return histogram


@given(DURATIONS, st.floats(0, 100))
def test_percentile_is_within_a_bin_of_the_sorted_list(values, p):
    exact = float(np.percentile(values, p, method="inverted_cdf")) / 1e6
    assert histogram_of(values).percentile(p) == pytest.approx(exact, rel=0.026)


@given(DURATIONS, DURATIONS)
def test_merge_is_the_histogram_of_both(a, b):
    merged = histogram_of(a)
    merged.merge(histogram_of(b))
    assert merged.sparse() == histogram_of(a + b).sparse()
    assert Histogram.from_sparse(merged.sparse()).count == len(a) + len(b)


@given(st.integers())
def test_any_integer_lands_in_a_bin(ns):
    assert set(histogram_of([ns]).sparse()) <= set(range(BINS))


def test_no_durations_have_no_percentile():
    assert np.isnan(Histogram().percentile(50))


def test_foreign_bins_count_in_the_nearest():
    assert Histogram.from_sparse({-3: 1, 10**9: 2}).sparse() == {0: 1, BINS - 1: 2}


def test_gauges_leave_out_what_no_message_may_carry():
    metrics = Metrics()
    metrics.gauge("fps.front", float("nan"))
    assert metrics.snapshot().gauges == {}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("turns", ("turns", "", "")),
        ("detected.front", ("detected", "front", "")),
        ("rejected.size", ("rejected", "", "size")),
        ("dropped.front.slot_overwritten", ("dropped", "front", "slot_overwritten")),
    ],
)
def test_dotted_names_split(name, parts):
    assert split(name) == parts


def health():
    metrics = Metrics()
    metrics.count("detected.front", 12)
    metrics.count("dropped.front.slot_overwritten", 3)
    metrics.count("dropped.front.queue_full")
    metrics.gauge("fps.front", 29.5)
    for ms in (1, 2, 40, 4000):
        metrics.latency("age_detected.front", ms * 1_000_000)
    return messages.HealthMessage(
        process="detection",
        pid=1,
        epoch=1,
        state="ready",
        turns=5,
        t_monotonic_ns=1,
        note="",
        cpu_s=2.5,
        rss_bytes=1000,
        **dataclasses.asdict(metrics.snapshot()),
    )


def test_snapshot_is_what_a_health_message_carries():
    message = health()
    assert codec.decode(codec.encode(message)).latencies == message.latencies


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if v))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_scraper_sees_drops_by_cause_latencies_restarts_and_states():
    def read():
        return exposition(
            {"detection": health()}, {"detection": 2}, {"detection": "stalled", "web": "failed"}
        )

    server = serve(0, read)
    try:
        seen = scrape(server.port)
    finally:
        server.close()

    def value(name, **labels):
        return seen["perception_" + name, tuple(sorted(labels.items()))]

    of = {"process": "detection", "camera": "front"}
    assert value("detected_total", **of) == 12
    assert value("dropped_total", cause="slot_overwritten", **of) == 3
    assert value("fps_now", **of) == 29.5
    assert value("latency_seconds_bucket", stage="age_detected", le="0.05", **of) == 3
    assert value("latency_seconds_bucket", stage="age_detected", le="+Inf", **of) == 4
    assert value("latency_seconds_sum", stage="age_detected", **of) == pytest.approx(
        4.043, rel=0.03
    )
    assert value("restarts_total", process="detection") == 2
    assert value("state", process="detection", state="stalled") == 1
    assert value("state", process="detection", state="ready") == 0
    assert value("state", process="web", state="failed") == 1
    assert value("cpu_seconds_total", process="detection") == 2.5
    assert value("memory_bytes", process="detection") == 1000


def test_a_taken_port_is_named_and_only_loopback_listens():
    server = serve(0, list)
    try:
        with pytest.raises(ConfigError, match=f"port {server.port} .*taken"):
            serve(server.port, list)
        with socket.socket() as outside, pytest.raises(OSError, match="refused"):
            outside.connect(("127.0.0.2", server.port))
    finally:
        server.close()
    serve(server.port, list).close()


def test_an_impossible_port_is_named():
    with pytest.raises(ConfigError, match="70000"):
        serve(70000, list)
