# Makes the virtual environment $1 with the newest suitable Python on PATH; called by the Makefile.
folder=$1

# One that somebody made and that works is kept.
if "$folder/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
    { "$folder/bin/python" -c 'import pip' 2>/dev/null || uv --version >/dev/null 2>&1; }; then
    exit 0
fi

for name in python3.13 python3.12 python3.11 python3; do
    python=$(command -v "$name") || continue
    # A version manager's shim may be on PATH for a version that is not installed, so it is run, not only found.
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    # Debian ships venv without ensurepip until python3-venv is installed.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        without_venv=$name
        continue
    fi
    echo "Making $folder with $("$python" --version) ..."
    exec "$python" -m venv --clear "$folder"
done

if [ -n "${without_venv:-}" ]; then
    echo "$without_venv cannot make virtual environments: install its venv package" \
        "(on Debian and Ubuntu: apt install python3-venv)" >&2
else
    echo "No Python 3.11 or newer was found on PATH" \
        "(python3.13, python3.12, python3.11 and python3 were tried): install one" >&2
fi
exit 1
