--! bind 7
SELECT $1::int + 1;
--! bind 7
SELECT $1 + 1;
--! bind 'two words'
SELECT $1;
--! bind NULL
SELECT $1::text IS NULL, $1;
--! bind 1 2
SELECT $1::int + $2::int8, $1::int;
--! types int4 int4
--! bind 1 2
SELECT $1 + $2, $1 / $2;
--! types int8
--! bind 5
SELECT $1, $1 + 1, $1 * 1.5;
--! types numeric
--! bind 1.50
SELECT $1, $1 * 2, round($1);
--! types float8
--! bind 1e10
SELECT $1, $1 / 3;
--! types text
--! bind 'héé'
SELECT $1, length($1), upper($1);
--! types varchar
--! bind 'v'
SELECT $1, $1 || 'x';
--! types date
--! bind 2024-02-28
SELECT $1, $1 + 1;
--! types timestamp
--! bind '2024-02-28 10:11:12.5'
SELECT $1, $1 + INTERVAL '1 day';
--! types timestamptz
--! bind '2024-02-28 10:11:12+02'
SELECT $1, date_trunc('day', $1);
--! types time
--! bind 10:11:12.25
SELECT $1;
--! types interval
--! bind '1 day 02:00'
SELECT $1, $1 * 2;
--! types bool
--! bind t
SELECT $1, NOT $1;
--! types bytea
--! bind \x0102ff
SELECT $1, length($1);
--! types json
--! bind '{"a": [1]}'
SELECT $1, $1 -> 'a';
--! types jsonb
--! bind '{"b":1,"a":2}'
SELECT $1, $1 ->> 'a';
--! types int4[]
--! bind {1,NULL,3}
SELECT $1, $1[3], cardinality($1);
--! types text[]
--! bind '{a,"b c"}'
SELECT $1, 'a' = ANY ($1);
--! types oid
--! bind 1259
SELECT $1, $1::regclass;
--! types int2
--! bind 12
SELECT $1, $1 + 1, $1::text;
--! types float4
--! bind 0.1
SELECT $1, $1::float8;
--! types name
--! bind abc
SELECT $1, $1 = 'abc';
--! types bpchar
--! bind 'ab '
SELECT $1, length($1);
--! types - text
--! bind 3 x
SELECT $1::int, $2;
--! bind 2
SELECT g FROM generate_series(1, 5) AS g ORDER BY g LIMIT $1;
--! bind 3
SELECT g FROM generate_series(1, 5) AS g ORDER BY g OFFSET $1;
--! bind 3
SELECT g FROM generate_series(1, 5) AS g WHERE g > $1 ORDER BY g;
--! bind {2,4}
SELECT g FROM generate_series(1, 5) AS g WHERE g = ANY ($1) ORDER BY g;
--! bind 2 4
SELECT g FROM generate_series(1, 5) AS g WHERE g IN ($1, $2) ORDER BY g;
--! bind 2 4
SELECT g FROM generate_series(1, 5) AS g WHERE g BETWEEN $1 AND $2 ORDER BY g;
--! bind a%
SELECT 'abc' LIKE $1, 'abc' ILIKE $1;
--! bind x y
SELECT $1 || $2;
--! bind x
SELECT 'a' || $1, upper($1), length($1);
--! bind 2024-01-01
SELECT DATE '2024-01-02' > $1, DATE '2024-01-02' - $1;
--! bind '1 day'
SELECT TIMESTAMP '2024-01-01' + $1;
--! bind 1.5
SELECT 2.5 + $1, $1::numeric(4,2);
--! bind abc
SELECT $1::int;
--! bind 99999999999
SELECT $1::int4;
--! bind 1
SELECT $1, $2;
--! bind 1 2
SELECT $1::int;
--! bind 5
SELECT $2::int;
--! bind 1 NULL
SELECT coalesce($1, 5), coalesce($2, 'x');
--! bind t
SELECT CASE WHEN $1 THEN 'yes' ELSE 'no' END;
--! bind 5
SELECT CASE 5 WHEN $1 THEN 'five' END;
--! bind 1 a
VALUES ($1::int, $2);
--! bind 1 2
SELECT * FROM (VALUES ($1::int), ($2::int)) AS t(v) ORDER BY v;
--! bind pg_class
SELECT $1::regclass::oid, relname FROM pg_class WHERE oid = $1::regclass;
--! bind {r,v}
SELECT count(*) > 0 FROM pg_class WHERE relkind = ANY ($1);
--! bind year
SELECT date_trunc($1, TIMESTAMP '2024-05-06');
--! bind UTC
SELECT TIMESTAMPTZ '2024-01-01 00:00+00' AT TIME ZONE $1;
--! bind 3
SELECT repeat('ab', $1), substr('abcdef', $1), left('abc', $1 - 1);
--! bind 2
SELECT round(2.345, $1), power($1, 3), $1::float8 ^ 2;
--! bind a
SELECT to_json($1::text), jsonb_build_object('k', $1::text);
--! bind 1 2
SELECT ARRAY[$1, 3], ARRAY[$2::int8];
--! bind x
SELECT count(*) FROM pg_class WHERE relname = $1;
--! bind 1
SELECT (SELECT $1::int + 1), EXISTS (SELECT 1 WHERE $1::int = 1);
--! types unknown
--! bind abc
SELECT $1;
--! bind a
SELECT $1 = 'a', 'a' IN ($1), $1 IS DISTINCT FROM 'b';
--! extended
BEGIN;
--! extended
SELECT 1 / 0;
--! extended
SELECT 1;
--! extended
ROLLBACK;
--! extended
SET application_name = 'ext';
--! extended
SHOW application_name;
--! extended
SELECT 1; SELECT 2;
--! extended
;
--! extended
SELECT nope;
--! extended
SELEC 1;
