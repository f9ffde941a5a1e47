#!/bin/sh
# Finds a Python that the project runs on, then builds .venv with it. PYTHON=python3.12 chooses another.
set -u
cd "$(dirname "$0")/../.." || exit 1

if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python python3.13 python3.12 python3.11; fi
seen=""
for candidate in "$@"; do
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case "$version" in
    3.11 | 3.12 | 3.13) exec "$candidate" -m infra.local.install ${PYTHON:+--exactly} ;;
    esac
    seen="$seen $candidate is Python $version;"
done

echo "setup: Python 3.11, 3.12 or 3.13 is needed; tried $*, found${seen:- none that runs}" >&2
echo "setup: install one (python.org, your package manager, pyenv), or name it: PYTHON=python3.12 make setup" >&2
exit 1
