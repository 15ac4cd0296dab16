#!/bin/sh
# Makes kafka_user and kafka_db as the image of PostgreSQL starts for the first time. kafka_user is no superuser: as that,
# anybody who knows its password could run programs in the container. The superuser has no password afterwards, so that
# only `docker exec` gets in as it.
set -eu

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv superuser POSTGRES_USER
\getenv password KAFKA_USER_PASSWORD
CREATE ROLE kafka_user LOGIN CREATEDB CREATEROLE PASSWORD :'password';
CREATE DATABASE kafka_db OWNER kafka_user;
ALTER ROLE :"superuser" PASSWORD NULL;
SQL
