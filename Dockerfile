# syntax=docker/dockerfile:1
# Two images: `operator`, the last stage, which is what is built without --target; and `sandbox`, which has the simulators as well
# (the chart's sandbox.enabled). The locks are resolved for this Python version (Makefile, `make lock`).
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.build.lock requirements.runtime.lock ./
COPY pyproject.toml README.md LICENSE ./
COPY release/image-tree.sh release/
COPY crds/ crds/
COPY operator/sovereigncloud/ operator/sovereigncloud/
# The same command that tests/integration/test_image.py runs without an engine.
RUN PYTHON=python release/image-tree.sh /venv

FROM python:${PYTHON} AS runtime
LABEL org.opencontainers.image.source="https://github.com/sovereigncloud-io/sovereign-cloud-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
# HOME: nothing is written there, but libraries look for their files in it.
ENV PATH=/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /venv /venv
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["sovereign"]

# With the bytecode, since nothing can be written where it runs. The simulators need no package that the operator does not need.
FROM python:${PYTHON} AS build-sandbox
COPY operator/sovereigncloud_sandbox/ /sandbox/sovereigncloud_sandbox/
RUN python -m compileall -q /sandbox

FROM runtime AS sandbox
LABEL org.opencontainers.image.title="sovereign-cloud-operator-sandbox"
ENV PYTHONPATH=/sandbox
COPY --from=build-sandbox /sandbox /sandbox
CMD ["sandbox", "--help"]

FROM runtime AS operator
LABEL org.opencontainers.image.title="sovereign-cloud-operator"
EXPOSE 8080
CMD ["run"]
