#!/bin/sh
# Print the path of a Pulumi command line of the version in pulumi/go.mod, building it once where there is none.
# Why built: the tests need an engine that is pinned by hash and downloads nothing by itself. A `pulumi` on PATH that is
# as new is taken as it is; the tests bring their own providers either way. Exit status 3: no Go to build it with.
set -eu

module=$(dirname "$0")/pulumi
version=$(awk '$1 == "github.com/pulumi/pulumi/pkg/v3" { print $2 }' "$module/go.mod")

if found=$(command -v pulumi); then
    installed=$(PULUMI_SKIP_UPDATE_CHECK=true pulumi version)
    if [ "$(printf '%s\n' "$version" "$installed" | sort -V | head -n 1)" = "$version" ]; then
        echo "$found"
        exit
    fi
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/churn-tools
binary=$cache/pulumi-$version
mkdir -p "$cache"
# Two test processes ask at once: one builds, the other waits. macOS has no flock; there both build.
if command -v flock >/dev/null; then
    exec 9>"$cache/.pulumi.lock"
    flock 9
fi
if [ ! -x "$binary" ]; then
    command -v go >/dev/null || exit 3
    echo "Building Pulumi $version, which takes some minutes once ..." >&2
    # Made under a name of its own, so that a build that is broken off leaves no half of a program.
    made=$(mktemp "$binary.XXXXXX")
    trap 'rm -f "$made"' EXIT
    # Without its version, the engine counts as too old for destroying a stack of an inline program.
    stamp="-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$version"
    # Without the lock, which a process that go leaves behind would go on holding.
    (cd "$module" && go build -ldflags "$stamp" -o "$made" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi) 9>&-
    chmod 755 "$made"
    mv "$made" "$binary"
fi
echo "$binary"
