#!/usr/bin/env bash
# Load the images of the dev stack into a test cluster that cannot pull: our own, built from the Dockerfile as users build
# them, also under a second tag; public ones from the cluster tool's recipes; and stand-ins for the rest from images/.
#   images.sh CLUSTER-TOOL SECOND-TAG
set -euo pipefail
cluster=$1 next=$2
cd "$(dirname "$0")/../../.."
churn=.venv/bin/churn

# Print the image that the stack runs for a NAME of infra/versions.py.
image() { .venv/bin/python -c 'import sys; from infra.versions import PUBLIC; print(PUBLIC[sys.argv[1]])' "$1"; }

"$cluster" base-images docker.io/library/python:3.11-slim-bookworm "$(image postgres)" "$(image prometheus)" \
    "$(image alertmanager)" "$(image node-exporter)" docker.io/test/kube-state-metrics:program
for name in ingress grafana pushgateway blackbox cache kube-state-metrics postgres-exporter; do
    "$cluster" build "tests/cluster/live/images/$name" -t "$(image "$name")"
done
# PostgreSQL's next major, for the test of the upgrade, which fails without it.
"$cluster" build "tests/cluster/live/images/postgres16" --build-arg "POSTGRES=$(image postgres)" \
    -t docker.io/library/postgres:16-stand-in || echo "there is no stand-in of PostgreSQL 16" >&2
CHURN_BUILD="tests/cluster/live/build.sh '$cluster'" "$churn" images build
# Print our own images as the stack names them.
ours() {
    .venv/bin/python -c 'from ops.stack import checkout, image_build as b
print(*(build.image for build in b.builds("dev", checkout.ROOT)), sep="\n")'
}
for own in $(ours); do
    "$cluster" tag "$own" "${own%:*}:$next"
done
