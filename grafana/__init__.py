"""The Grafana dashboards as code; `python -m grafana.generate` writes them as JSON.

For those who work on the dashboards: the daemon imports nothing of this.
"""

import warnings

with warnings.catch_warnings():
    # The classic form is the one that every Grafana imports and provisions; the SDK would rather
    # have that of Grafana 12.
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.builders.table  # noqa: F401 - brings the beta form along
