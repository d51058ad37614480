#!/bin/sh
# Like the original's: refuses to start the server where the working directory is read-only.
set -e
case "$1" in
-* | *.conf) set -- valkey-server "$@" ;;
esac
if [ "$1" = valkey-server ] && [ ! -w . ]; then
    echo "error: the working directory $(pwd) is not writable by user $(id -u)" >&2
    exit 1
fi
exec "$@"
