# The images of the project's own processes; each target has the dependencies of its own lock file and only the packages
# that it runs:
#
#   api       the prediction API: neither pandas nor MLflow
#   mlflow    MLflow's server, the migration of its database, and the removal of what was deleted
#   training  from customers to a registered version
#   ops       backups, restores and drills; with PostgreSQL's programs of the server's major
#
#   docker build --target api --tag churn.invalid/api:0.1.0 .        (or all of them: .venv/bin/churn images build)
#
# Each runs as a numeric user that owns nothing in the image, needs to write nowhere but in /tmp and what is mounted, and
# is its own PID 1: every program here handles SIGTERM by itself. Bytecode is made while building, since nothing can be
# written later.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/churn/bin:$PATH \
    PYTHONPATH=/srv/churn \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
# initdb wants its user to have a name.
RUN groupadd --gid 10001 churn \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin churn
WORKDIR /srv/churn

# The targets go on from here, each with its packages, instead of copying a stage: a builder that keeps layers would read a
# copied folder anew in every build, only to see that it is the same.
FROM base AS environment
RUN python -m venv --without-pip /opt/churn

FROM environment AS api
COPY requirements/api.lock /opt/churn/requirements.lock
RUN /usr/local/bin/python -m pip --python /opt/churn/bin/python --disable-pip-version-check --no-cache-dir --quiet \
    install --root-user-action=ignore --require-hashes -r /opt/churn/requirements.lock
COPY app app
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python", "-m", "app"]
ARG VERSION=dev
ARG REVISION=unknown
ENV CHURN_GIT_REVISION=$REVISION
LABEL org.opencontainers.image.title="churn api" \
      org.opencontainers.image.description="Churn predictions over HTTP from the model in production" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM environment AS mlflow
COPY requirements/mlflow.lock /opt/churn/requirements.lock
RUN /usr/local/bin/python -m pip --python /opt/churn/bin/python --disable-pip-version-check --no-cache-dir --quiet \
    install --root-user-action=ignore --require-hashes -r /opt/churn/requirements.lock
COPY app app
COPY ops ops
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 5000
ENTRYPOINT ["python", "-m", "ops.jobs.tracking_pod"]
ARG VERSION=dev
ARG REVISION=unknown
ENV CHURN_GIT_REVISION=$REVISION
LABEL org.opencontainers.image.title="churn mlflow" \
      org.opencontainers.image.description="MLflow's server with logins, and the jobs on its database" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM environment AS training
COPY requirements/training.lock /opt/churn/requirements.lock
RUN /usr/local/bin/python -m pip --python /opt/churn/bin/python --disable-pip-version-check --no-cache-dir --quiet \
    install --root-user-action=ignore --require-hashes -r /opt/churn/requirements.lock
COPY app app
COPY ops ops
COPY training training
RUN python -m compileall -q .
USER 10001:10001
ENTRYPOINT ["python", "-m", "ops.jobs.retrain"]
ARG VERSION=dev
ARG REVISION=unknown
ENV CHURN_GIT_REVISION=$REVISION
LABEL org.opencontainers.image.title="churn training" \
      org.opencontainers.image.description="Trains, judges and registers a churn model" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM environment AS ops
# The client must not be older than the server, and a drill restores into a server of the same major. Its version is the
# distribution's newest: a security update is wanted, not pinned away.
# hadolint ignore=DL3008
RUN mkdir -p /etc/postgresql-common \
    && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf \
    && apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /etc/ssl/private/ssl-cert-snakeoil.key
ENV PATH=/usr/lib/postgresql/15/bin:$PATH
COPY requirements/ops.lock /opt/churn/requirements.lock
RUN /usr/local/bin/python -m pip --python /opt/churn/bin/python --disable-pip-version-check --no-cache-dir --quiet \
    install --root-user-action=ignore --require-hashes -r /opt/churn/requirements.lock
COPY app app
COPY ops ops
RUN python -m compileall -q .
USER 10001:10001
ENTRYPOINT ["python", "-m", "ops.cli"]
ARG VERSION=dev
ARG REVISION=unknown
ENV CHURN_GIT_REVISION=$REVISION
LABEL org.opencontainers.image.title="churn ops" \
      org.opencontainers.image.description="Backups, restores, drills, and the churn command" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
