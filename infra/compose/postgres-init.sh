#!/bin/sh
# Runs once, on an empty data directory: a database and a user for Airflow, and for MLflow; and one for the studies of
# churn_tuning, as Airflow's tasks.
set -eu
for name in airflow mlflow; do
    case "$name" in
        airflow) password="$AIRFLOW_PASSWORD" ;;
        *) password="$MLFLOW_PASSWORD" ;;
    esac
    psql -v ON_ERROR_STOP=1 --username postgres <<SQL
CREATE ROLE $name LOGIN PASSWORD '$password';
CREATE DATABASE $name OWNER $name;
SQL
done
psql -v ON_ERROR_STOP=1 --username postgres -c "CREATE DATABASE tuning OWNER airflow"
