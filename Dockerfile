# syntax=docker/dockerfile:1
# The locks are resolved for this Python version (Makefile, `make lock`).
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.build.lock requirements.runtime.lock ./
# What runs goes into /venv, what builds stays in this stage. Wheels only: no setup script of a dependency runs here.
RUN python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements.runtime.lock \
 && python -m pip install --require-hashes --only-binary :all: -r requirements.build.lock
COPY pyproject.toml README.md LICENSE ./
COPY crds/ crds/
COPY operator/ operator/
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /venv/bin/python install --no-deps --no-index dist/*.whl

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="sovereign-cloud-operator" \
      org.opencontainers.image.source="https://github.com/sovereigncloud-io/sovereign-cloud-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
# HOME: nothing is written there, but libraries look for their files in it.
ENV PATH=/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONMALLOC=malloc
COPY --from=build /venv /venv
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["sovereign"]
CMD ["run"]
