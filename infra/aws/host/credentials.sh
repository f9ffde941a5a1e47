#!/usr/bin/env bash
# Each part's credentials for an hour: the machine takes on the part's role (CHURN_ROLES="web=arn… airflow=arn…") and
# leaves them where that part's container alone looks. `credential_process` has the AWS libraries read them again before
# they end; the timer renews them three times as often as need be.
set -euo pipefail
export PATH="$PATH:/snap/bin"
directory=${CHURN_CREDENTIALS_DIR:-/run/churn}

install --directory --mode 0700 "$directory" # no user of this machine; mounts lead past it
for each in $CHURN_ROLES; do
    part=${each%%=*}
    mkdir -p "$directory/$part"
    printf '[default]\ncredential_process = cat /run/aws/credentials.json\n' >"$directory/$part/config"
    aws sts assume-role --role-arn "${each#*=}" --role-session-name "churn-$part" --duration-seconds 3600 --output json \
        --query 'Credentials.{Version: `1`, AccessKeyId: AccessKeyId, SecretAccessKey: SecretAccessKey, SessionToken: SessionToken, Expiration: Expiration}' \
        >"$directory/$part/credentials.new"
    mv "$directory/$part/credentials.new" "$directory/$part/credentials.json" # a reader finds the old ones or the new
done
