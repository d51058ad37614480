#!/usr/bin/env bash
# Build an image as `docker build OPTION... DIR` does, with the cluster tool, which wants the folder first.
#   build.sh CLUSTER-TOOL OPTION... DIR
set -euo pipefail
cluster=$1
shift
exec "$cluster" build "${@: -1}" "${@:1:$#-1}"
