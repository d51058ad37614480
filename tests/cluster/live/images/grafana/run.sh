#!/bin/sh
# Like the original's start script: it replaces the variables that end in __FILE for the server that it starts, so other
# commands in the container do not see their values.
set -e
for name in $(env | sed -n 's/^\(GF_[^=]*\)__FILE=.*/\1/p'); do
    eval "value=\${$name:-}"
    if [ -n "$value" ]; then
        echo >&2 "ERROR: Both $name and ${name}__FILE are set (but are exclusive)"
        exit 1
    fi
    eval "file=\$${name}__FILE"
    export "$name=$(cat "$file")"
    unset "${name}__FILE"
done
exec grafana server "$@"
