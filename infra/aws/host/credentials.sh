#!/usr/bin/env bash
# Each part's credentials for an hour: the machine takes on the part's role (CHURN_ROLES="web=arn… airflow=arn…") and
# leaves them where that part's container alone looks. `credential_process` has the AWS libraries read them again before
# they end; the timer renews them three times as often as need be.
set -euo pipefail
export PATH="$PATH:/snap/bin"
directory=${CHURN_CREDENTIALS_DIR:-/run/churn}

assume() {
    aws sts assume-role --role-arn "$1" --role-session-name "churn-$2" --duration-seconds 3600 --output json \
        --query 'Credentials.{Version: `1`, AccessKeyId: AccessKeyId, SecretAccessKey: SecretAccessKey, SessionToken: SessionToken, Expiration: Expiration}'
}

install --directory --mode 0700 "$directory" # no user of this machine; mounts lead past it
for each in $CHURN_ROLES; do
    part=${each%%=*}
    mkdir -p "$directory/$part"
    printf '[default]\ncredential_process = cat /run/aws/credentials.json\n' >"$directory/$part/config"
    tries=12 # the network, or a new role, may still be on its way; the timer comes again
    until assume "${each#*=}" "$part" >"$directory/$part/credentials.new"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit 1
        sleep 5
    done
    mv "$directory/$part/credentials.new" "$directory/$part/credentials.json" # a reader finds the old ones or the new
done
