#!/bin/sh
# One role and one database for each user of PostgreSQL; run once, by the image, when the volume is empty.
set -eu
for name in airflow mlflow optuna; do
    psql --set=ON_ERROR_STOP=1 --username=postgres --set=name="$name" <<'SQL'
\getenv password POSTGRES_PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
