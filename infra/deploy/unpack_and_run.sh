# On the machine, in the project's directory, as remote.py sends it: $1 is the archive in S3, $2 the commit. The files of
# the commit take the place of the former ones, which come back where its images do not run.
set -euo pipefail
export PATH="$PATH:/snap/bin"
kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT

aws s3 cp --only-show-errors "$1" "$kept/new.tar.gz"
tar --list --file "$kept/new.tar.gz" | grep -v '/$' >"$kept/names"
# What is new in this commit has no former self.
while IFS= read -r name; do [ ! -e "$name" ] || printf '%s\n' "$name"; done <"$kept/names" >"$kept/former"
tar --create --file "$kept/former.tar" --files-from "$kept/former"
tar --extract --file "$kept/new.tar.gz"

code=0
python3 -m infra.deploy.host "$2" || code=$?
[ "$code" -eq 0 ] || tar --extract --file "$kept/former.tar"
exit "$code"
