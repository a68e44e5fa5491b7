"""The text that Prometheus reads, read back by the library's own parsers."""

import gzip
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from monitor.web.metrics import Metrics, Rendered

Key = tuple[str, frozenset[tuple[str, str]]]


def body(rendered: Rendered) -> str:
    whole = b"".join(rendered.pieces)
    if rendered.headers.get("Content-Encoding") == "gzip":
        whole = gzip.decompress(whole)
    return whole.decode()


def families(text: str, *, openmetrics: bool = False) -> list[Metric]:
    return list(read_openmetrics(text) if openmetrics else read_text(text))  # type: ignore[no-untyped-call]


class Samples:
    """Samples by name and labels."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.values: dict[Key, float] = {}
        for metric in metrics:
            for sample in metric.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.values, f"{key} stands twice"
                self.values[key] = sample.value

    def __call__(self, metric: str, /, **labels: str) -> float | None:
        return self.values.get((metric, frozenset(labels.items())))

    def of(self, metric: str, /, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        """All samples of a name that have these labels among theirs."""
        wanted = set(labels.items())
        return {
            known: value
            for (given, known), value in self.values.items()
            if given == metric and wanted <= known
        }


async def scraped(metrics: Metrics) -> Samples:
    return Samples(families(body(await metrics.render())))
