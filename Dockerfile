# Any image of Debian's family with Python 3.11 or newer and its venv module will do.
ARG BASE_IMAGE=python:3.13-slim
# reports: months as PDF and XLSX too. full: chat, mail and pagers beside that.
ARG REQUIREMENTS=runtime

FROM ${BASE_IMAGE} AS build
ARG REQUIREMENTS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/ requirements/
# With a package index of your own: --secret id=pip.conf,src=PATH; nothing of it stays in the image.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /opt/monitor \
    && /opt/monitor/bin/python -m pip install --require-hashes -r requirements/${REQUIREMENTS}.txt \
    && python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes -r requirements/build.txt
COPY LICENSE README.md pyproject.toml ./
COPY monitor/ monitor/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && /opt/monitor/bin/python -m pip install --no-deps --no-index /opt/wheel/*.whl \
    && install -d -o 10001 -g 10001 -m 0700 /opt/state

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG REQUIREMENTS
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="monitor" \
    org.opencontainers.image.description="Watches UK pensions dashboards endpoints over mutual TLS and keeps their exact monthly availability." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.base.name="${BASE_IMAGE}"
# What WeasyPrint draws text with, and a font. Versions are those of the base image's release.
# hadolint ignore=DL3008
RUN if [ "$REQUIREMENTS" != runtime ]; then \
        apt-get update && apt-get install -y --no-install-recommends \
            fonts-dejavu-core libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/monitor /opt/monitor
COPY --from=build --chown=10001:10001 /opt/state /var/lib/monitor
ENV PATH=/opt/monitor/bin:$PATH \
    HOME=/var/lib/monitor \
    TMPDIR=/var/lib/monitor \
    MONITOR_CONFIG=/etc/monitor/monitor.yaml \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that an orchestrator can see that it is not root. The root file system may be
# read-only: only the store's volume is written to, what is temporary too.
USER 10001:10001
WORKDIR /var/lib/monitor
VOLUME /var/lib/monitor
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["monitor", "healthcheck"]
ENTRYPOINT ["monitor"]
CMD ["run"]
