"""What Prometheus reads at `/metrics`; docs/serve-operate.md says what to alert on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bontea.serve.number import Numbers
from bontea.serve.search import Found

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
DRAWN = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)


class Metrics:
    """The counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        kept: dict[str, Any] = {"registry": self.registry, "namespace": "bontea"}
        self.requests = Counter("requests", "Requests that ended", ["path", "status"], **kept)
        self.seconds = Histogram(
            "request_seconds", "From a request to its answer", buckets=SECONDS, **kept
        )
        self.drawn = Counter("responses", "Responses drawn", **kept)
        self.of_request = Histogram(
            "responses_per_request", "Responses drawn for a request", buckets=DRAWN, **kept
        )
        self.reference = Counter(
            "reference_responses",
            "Responses that the fixed N of the reference would have drawn for the requests that "
            "the rule decided on",
            **kept,
        )
        self.by_rule = Counter(
            "rule_responses", "Responses drawn for the requests that the rule decided on", **kept
        )
        self.saved = Gauge(
            "responses_saved",
            "Responses saved against the reference so far; below 0 where the rule drew more",
            **kept,
        )
        self.audits = Counter("audits", "Requests that drew the reference N and beyond", **kept)
        self.audit_responses = Counter(
            "audit_responses",
            "Responses of audited requests, by what would draw them",
            ["by"],
            **kept,
        )
        self.audit_squares = Gauge(
            "audit_difference_squares",
            "Sum of the squares of the differences between the two best rewards of an audited "
            "request",
            **kept,
        )
        self.audit_reward = Gauge(
            "audit_reward_sum",
            "Sum of the best rewards of audited requests, by what would draw them",
            ["by"],
            **kept,
        )
        self.unscored = Counter("unscored_responses", "Responses without a reward", **kept)
        self.unrewarded = Counter(
            "failed_rewards", "Responses that have no reward because it failed", **kept
        )
        self.cancelled = Counter("cancelled_responses", "Responses cancelled in flight", **kept)
        self.failed = Counter("failed_responses", "Responses that no endpoint gave", **kept)
        self.stopped = Counter("stops", "Why no more was drawn", ["why"], **kept)
        self.reward_sum = Gauge("reward_sum", "Sum of the rewards of the answers", **kept)
        self.rewarded = Counter("rewarded_answers", "Answers that have a reward", **kept)
        for by in ("rule", "fixed"):
            self.audit_responses.labels(by)
            self.audit_reward.labels(by)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is looked up whenever the metrics are read."""
        from prometheus_client import Gauge

        Gauge(name, text, registry=self.registry, namespace="bontea").set_function(value)

    def count(self, found: Found) -> None:
        """Count what was drawn for a request, whatever came of it."""
        self.drawn.inc(len(found.drawn))
        self.cancelled.inc(found.cancelled)
        self.failed.inc(found.failed)
        self.unscored.inc(sum(one.reward is None for one in found.drawn))
        self.unrewarded.inc(sum(one.error is not None for one in found.drawn))
        self.stopped.labels(found.why).inc()

    def compare(self, found: Found, numbers: Numbers, rule: bool) -> None:
        """Note the result of a search that came to its end; `rule`: the rule decided on it."""
        drawn = len(found.drawn)
        self.of_request.observe(drawn)
        best = max((r for r in found.rewards if r is not None), default=None)
        if best is not None:
            self.reward_sum.inc(best)
            self.rewarded.inc()
        if not rule:
            return
        if found.audit and found.rule_n is not None:
            self._note_audit(found, found.rule_n, numbers.reference_n)
        else:
            self.by_rule.inc(drawn)
            self.reference.inc(numbers.reference_n)
            self.saved.inc(numbers.reference_n - drawn)

    def _note_audit(self, found: Found, rule_n: int, reference_n: int) -> None:
        rewards = found.rewards
        counts = {"rule": rule_n, "fixed": reference_n}
        scored = {by: [r for r in rewards[:n] if r is not None] for by, n in counts.items()}
        if not all(scored.values()):
            return
        self.audits.inc()
        self.audit_squares.inc((max(scored["rule"]) - max(scored["fixed"])) ** 2)
        for by, n in counts.items():
            self.audit_responses.labels(by).inc(n)
            self.audit_reward.labels(by).inc(max(scored[by]))

    def page(self) -> tuple[bytes, str]:
        """The page, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST
