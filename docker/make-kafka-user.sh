#!/bin/sh
# Creates kafka_user and kafka_db when the PostgreSQL image starts for the first time. kafka_user is not a superuser,
# because anybody who knows a superuser's password can run programs in the container. Afterwards the superuser has no
# password, so it can log in only by `docker exec`.
set -eu

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv superuser POSTGRES_USER
\getenv password KAFKA_USER_PASSWORD
CREATE ROLE kafka_user LOGIN CREATEDB CREATEROLE PASSWORD :'password';
CREATE DATABASE kafka_db OWNER kafka_user;
ALTER ROLE :"superuser" PASSWORD NULL;
SQL
