--! both
SET timezone = 'America/New_York';
SELECT '12:30:45+02'::timetz, TIME WITH TIME ZONE '04:05:06.789-08:30', '24:00 UTC'::timetz, timetz '2024-07-01 12:00';
SELECT '12:30:45.678+02'::timetz(1), '23:59:59.9999+02'::timetz(0), '12:00:00.5-03'::timetz(0), '12:00+02'::timetz(7);
SELECT '12:30:45+02'::timetz::text, '12:30:45+02'::timetz::time, '2024-07-01 12:00+00'::timestamptz::timetz, NULL::timetz;
SELECT '12:00 Europe/Berlin'::timetz;
SELECT '25:00+02'::timetz;
SELECT '12:00+17'::timetz;
SELECT '12:00+02'::timetz::interval;
SELECT 1::timetz;
SELECT '12:00+02'::timetz = '10:00+00', '12:00+02'::timetz < '10:00+00', '12:00+02'::timetz > '11:00+02', '10:00+00'::timetz IN ('12:00+02', '10:00+00');
SELECT timetz '12:00+02' AT TIME ZONE 'UTC', timetz '01:00+02' AT TIME ZONE INTERVAL '-03:30', timezone('+05', timetz '23:00+00');
SELECT timetz '12:00+02' AT TIME ZONE 'Nowhere/City';
SELECT timetz '12:00+02' + interval '13 hours', interval '1 day 1 second' + timetz '12:00+02', timetz '1:00+02' - interval '2 hours', timetz '12:00+02' - '1:30';
SELECT date '2024-07-01' + timetz '12:00+02', timetz '01:00-05' + date '2024-07-01';
SELECT timetz '12:00+02' - timetz '11:00+02';
SELECT timetz '12:00+02' + '1:30';
SELECT extract(hour FROM timetz '12:30:45.5+02:30'), extract(second FROM timetz '12:30:45.5+02'), extract(epoch FROM timetz '12:30:45.5+02'), date_part('timezone', timetz '12:30-02:30');
SELECT extract(day FROM timetz '12:30+02');
SELECT ARRAY[timetz '12:00+02', '10:00+00', NULL], '{12:00+02,11:00:00.5-03}'::timetz[], (ARRAY[timetz '12:00+02'])[1];
SELECT min(t), max(t), count(DISTINCT t), array_agg(t ORDER BY t) FROM (VALUES (timetz '12:00+02'), ('10:00+00'), ('09:00-01'), (NULL)) AS v (t);
SELECT t, count(*) FROM (VALUES (timetz '12:00+02'), ('10:00+00'), ('10:00+00'), (NULL)) AS v (t) GROUP BY t ORDER BY t;
SELECT pg_typeof(current_time), pg_typeof(current_time(2)), current_time::time = localtime, pg_typeof(timetz '1:00+00');
SELECT (timetz '10:00+00', timetz '12:00+00') OVERLAPS (timetz '13:00+02', timetz '13:30+02');
SELECT to_json(timetz '12:00+02'), concat(timetz '12:00+02', 'x'), timetz '12:00+02' || 'x';
CREATE TEMPORARY TABLE shift (id int, start timetz, stop timetz(2), starts timetz[]);
INSERT INTO shift VALUES (1, '12:00+02', '13:00:00.126+02', '{12:00+02,NULL}'), (2, current_time, NULL, NULL);
SELECT id, start, stop, starts FROM shift WHERE id = 1;
INSERT INTO shift VALUES (3, timestamp '2024-01-01 12:00');
UPDATE shift SET start = time '12:00' WHERE id = 2 RETURNING start::time;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shift'::regclass AND attnum > 0 ORDER BY attnum;
SELECT typname, typlen, typcategory, typelem, typarray FROM pg_type WHERE oid IN (1266, 1270) ORDER BY oid;
--! types timetz
--! bind '12:30:45.25+02'
SELECT $1, $1 + interval '1 hour', $1::time;
--! bind '12:30+02'
SELECT $1 = timetz '10:30+00', $1 > timetz '10:30+00';
--! bind '12:30+02' '{12:30+02,NULL}'
SELECT $1::timetz, $2::timetz[];
CREATE TEMPORARY TABLE copied_arrays (a int, v varchar(3)[], n numeric(5,2)[], t timetz, b varbit);
--! copy 1,"{abc,x}","{1.255,2}",12:00+02,101
--! copy 2,,,,
--! copy 3,{},{},01:00:00.5-03,
COPY copied_arrays FROM STDIN (FORMAT csv);
SELECT * FROM copied_arrays ORDER BY a;
--! copy 4,{abcd},,,
COPY copied_arrays FROM STDIN (FORMAT csv);
--! copy 4,,,25:00+02,
COPY copied_arrays FROM STDIN (FORMAT csv);
--! copy 4,,,,102
COPY copied_arrays FROM STDIN (FORMAT csv);
SELECT count(*) FROM copied_arrays;
