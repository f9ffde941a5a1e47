# On the machine, in the project's directory, as remote.py sends it: $1 is the archive in S3, $2 the commit. The files of
# the commit take the place of the former ones, which come back where its images do not run: at once, or after a kill
# with the next call or the machine's next start (`--put-back`, churn.service). Until then .former-TAG.tar has them, by
# the tag that they go with.
set -euo pipefail
export PATH="$PATH:/snap/bin"
exec 9>.deployment.lock # host.py's own, before a file changes
flock --nonblock 9 || { echo "not deployed: another deployment runs on this machine"; exit 1; }
tag=$(sed -n 's/^CHURN_TAG=//p' .env | tail -n 1)
former=.former-$tag.tar

put_back() {
    [ ! -e "$former" ] || tar --extract --file "$former"
    rm -f .former-*.tar
}
put_back
[ "$1" != --put-back ] || exit 0

kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT

same() {
    cmp -s "$kept/new/$1" "$1" && [ "$(stat --format %a "$kept/new/$1")" = "$(stat --format %a "$1")" ]
}

aws s3 cp --only-show-errors "$1" "$kept/new.tar.gz"
mkdir "$kept/new"
tar --extract --file "$kept/new.tar.gz" --directory "$kept/new"
# A file that stays as it is is left alone: host.py asks of each when it changed.
tar --list --file "$kept/new.tar.gz" | grep -v '/$' |
    while IFS= read -r name; do same "$name" || printf '%s\n' "$name"; done >"$kept/names"
# What is new in this commit has no former self.
while IFS= read -r name; do [ ! -e "$name" ] || printf '%s\n' "$name"; done <"$kept/names" >"$kept/former"
tar --create --file .former.new --files-from "$kept/former"
sync .former.new
mv .former.new "$former"
tar --create --directory "$kept/new" --files-from "$kept/names" | tar --extract

code=0
# It puts the former files back itself, before it brings the former images back.
python3 -m infra.deploy.host "$2" --lock 9 --former "$former" || code=$?
[ "$code" -ne 0 ] || rm "$former"
put_back
exit "$code"
