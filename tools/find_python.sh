#!/bin/sh
# Prints the Python that builds the environment: the one named as the argument, or else the first
# that fits. A name on the PATH may be a shim that does not run, so each is asked for its version.
# Where none fits, one line says what to do.
set -u

oldest=3.11
too_old=""
without_venv=""

asked=${1:-}
if [ -n "$asked" ]; then set -- "$asked"; else set -- python3.13 python3.12 python3.11 python3; fi

for candidate in "$@"; do
    version=$("$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
    release=${version%.*}
    if [ "${release%.*}" -lt 3 ] || { [ "${release%.*}" -eq 3 ] && [ "${release#*.}" -lt "${oldest#*.}" ]; }; then
        too_old="$candidate is Python $version, and chainrule needs $oldest or newer"
    elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        : "${without_venv:=$candidate cannot make virtual environments: apt install python$release-venv}"
    else
        echo "$candidate"
        exit 0
    fi
done

missing="${asked:-Python $oldest or newer} is not here or does not run"
way_out="install Python $oldest or newer, and name it if it is not found: make PYTHON=python$oldest"
echo "${without_venv:-${too_old:-$missing}: $way_out}" >&2
exit 1
