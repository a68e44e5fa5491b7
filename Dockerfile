# Any image with Python 3.11 or newer and its venv module will do.
ARG BASE_IMAGE=python:3.13-slim
# --build-arg REQUIREMENTS=reports makes an image that writes reports as PDF and XLSX too.
ARG REQUIREMENTS=runtime

FROM ${BASE_IMAGE} AS build
ARG REQUIREMENTS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/ requirements/
RUN python3 -m venv /opt/monitor \
    && /opt/monitor/bin/python -m pip install --require-hashes -r requirements/${REQUIREMENTS}.txt \
    && python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes -r requirements/build.txt
COPY LICENSE README.md pyproject.toml ./
COPY monitor/ monitor/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && /opt/monitor/bin/python -m pip install --no-deps --no-index /opt/wheel/*.whl \
    && install -d -o 10001 -g 10001 -m 0700 /opt/state

FROM ${BASE_IMAGE}
ARG REQUIREMENTS
# What WeasyPrint draws text with, and a font.
RUN if [ "$REQUIREMENTS" = reports ]; then \
        apt-get update && apt-get install -y --no-install-recommends \
            fonts-dejavu-core libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/monitor /opt/monitor
COPY --from=build --chown=10001:10001 /opt/state /var/lib/monitor
ENV PATH=/opt/monitor/bin:$PATH \
    HOME=/var/lib/monitor \
    MONITOR_CONFIG=/etc/monitor/monitor.yaml \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that an orchestrator can see that it is not root. The root file system may be
# read-only: only the store's volume is written to.
USER 10001:10001
WORKDIR /var/lib/monitor
VOLUME /var/lib/monitor
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/monitor/bin/python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["monitor"]
CMD ["run"]
