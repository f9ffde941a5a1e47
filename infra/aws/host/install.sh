#!/usr/bin/env bash
# A new machine (Ubuntu 24.04, as root): its volume, Docker, the project, its settings, its units. User data has fetched
# the project and written /etc/churn/host.env. Every step may be repeated; what the volume holds already is kept.
set -euo pipefail
project=$(cd "$(dirname "$0")/../../.." && pwd)
set -a
. /etc/churn/host.env
set +a
export PATH="$PATH:/snap/bin" DEBIAN_FRONTEND=noninteractive

mount_volume() {
    local device="/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${CHURN_VOLUME/-/}" found=0
    # The machine before this one may still hold it.
    until [ -e "$device" ]; do
        aws ec2 attach-volume --volume-id "$CHURN_VOLUME" --device /dev/sdf \
            --instance-id "$(cat /var/lib/cloud/data/instance-id)" || true
        sleep 10
    done
    udevadm settle
    blkid --probe "$device" || found=$?
    [ "$found" -ne 2 ] || mkfs.ext4 -q "$device" # 2: there is nothing on it yet, and nothing else means that
    grep -q "^$device " /etc/fstab || echo "$device /srv ext4 defaults,nofail 0 2" >>/etc/fstab
    mountpoint -q /srv || mount /srv
}

install_docker() {
    mkdir -p /etc/docker ~root/.docker /etc/systemd/system/docker.service.d
    # Before the volume is there, Docker would begin anew beside it.
    printf '[Unit]\nRequiresMountsFor=/srv\n' >/etc/systemd/system/docker.service.d/churn.conf
    # containerd's own image store, which Docker 29 begins with, would lie beside the volume.
    echo '{"data-root": "/srv/docker", "features": {"containerd-snapshotter": false}}' >/etc/docker/daemon.json
    # Signs in to the registry by the machine's role, so that no token lies about.
    printf '{"credHelpers": {"%s": "ecr-login"}}\n' "${CHURN_REGISTRY%/}" >~root/.docker/config.json
    # Ubuntu's own upgrades may hold the lock, above all after the first start.
    apt-get -o DPkg::Lock::Timeout=600 update --quiet=2
    apt-get -o DPkg::Lock::Timeout=600 install --yes --quiet=2 --no-install-recommends \
        docker.io docker-compose-v2 amazon-ecr-credential-helper make
}

# The files that a volume holds go with the images that its .env names, and deployments replace both together.
install_project() {
    if [ ! -e /srv/churn ]; then
        rm -rf /srv/churn.new
        cp -a "$project" /srv/churn.new
        mv /srv/churn.new /srv/churn
    fi
    ln -sfn /srv/churn /opt/churn
}

# Secrets are made once and stay on the volume. What the stacks know is written anew; the tag is the deployments'.
write_settings() {
    local files="docker-compose.yaml:infra/compose/docker-compose.production.yaml:infra/compose/docker-compose.aws.yaml"
    cd /opt/churn
    [ -e .env ] || python3 -m infra.compose.environment .env
    [ "$CHURN_DATABASE_HOST" = none ] || files="$files:infra/compose/docker-compose.rds.yaml"
    grep -q '^CHURN_TAG=' .env || echo "CHURN_TAG=$CHURN_TAG" >>.env
    set_line COMPOSE_FILE "$files"
    for name in CHURN_REGISTRY CHURN_STORE_URI CHURN_DOMAIN CHURN_DATABASE_HOST AWS_DEFAULT_REGION; do
        set_line "$name" "${!name}"
    done
    set_line CHURN_TLS_EMAIL "unused@$CHURN_DOMAIN" # the load balancer has the certificate
}

set_line() {
    sed -i "/^$1=/d" .env
    echo "$1=$2" >>.env
}

fetch_authorities() {
    [ "$CHURN_DATABASE_HOST" != none ] || return 0
    curl --fail --silent --show-error --retry 5 --output /etc/churn/rds.pem \
        https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
}

# The services' own user, by the administrator's password, which goes no further than this.
prepare_database() {
    [ "$CHURN_DATABASE_HOST" != none ] || return 0
    cd /opt/churn
    local secret
    secret=$(aws secretsmanager get-secret-value --secret-id "$CHURN_DATABASE_SECRET" --query SecretString --output text)
    MYSQL_PWD=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["password"])' <<<"$secret") \
        docker run --rm --interactive --env MYSQL_PWD --volume /etc/churn/rds.pem:/rds.pem:ro mysql:8.4 \
        mysql --host="$CHURN_DATABASE_HOST" --user=administrator --ssl-mode=VERIFY_IDENTITY --ssl-ca=/rds.pem <<END
CREATE USER IF NOT EXISTS churn IDENTIFIED BY '$(sed -n 's/^CHURN_MYSQL_PASSWORD=//p' .env)' REQUIRE SSL;
GRANT ALL ON churn.* TO churn;
CREATE USER IF NOT EXISTS exporter IDENTIFIED BY '$(sed -n 's/^CHURN_EXPORTER_PASSWORD=//p' .env)' REQUIRE SSL;
GRANT PROCESS, REPLICATION CLIENT, SELECT ON *.* TO exporter;
END
}

install_units() {
    install --mode 0644 /opt/churn/infra/aws/host/churn*.service /opt/churn/infra/aws/host/churn*.timer \
        /etc/systemd/system/
    systemctl daemon-reload
    systemctl enable churn-credentials.service churn-credentials.timer churn.service
    systemctl start churn-credentials.service churn-credentials.timer
}

mount_volume
install_project
write_settings
# Docker begins with the containers that the volume remembers, and makes a directory of each mount's source that is not
# there. So all sources come before it.
fetch_authorities
install_units
install_docker
prepare_database
systemctl start --no-block churn.service # it tries again until the registry has the images
