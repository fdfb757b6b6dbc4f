--! both
SELECT B'101', X'1F', b'', x'aB', '101'::bit(3), 'x1F'::varbit, '101'::bit(5), NULL::bit(3);
SELECT B'102';
SELECT X'1G';
SELECT B'101'::bit(5), B'10111'::bit(3), B'10111'::varbit(3), '10111'::bit;
SELECT 5::bit(8), (-5)::bit(8), 5::bit, (-1)::bigint::bit(70);
SELECT B'10111'::int, B'10111'::int8;
SELECT B'101'::numeric;
SELECT 5::varbit(3);
SELECT B'101' & B'110', B'101' | B'110', B'101' # B'110', ~B'101', B'101' << 1, B'101' >> 1, B'101' || B'11';
SELECT B'101' & B'11';
SELECT B'101' = B'0101', B'101' < B'11', B'101' = '101';
SELECT B'101' = 5;
SELECT length(B'101'), octet_length(B'101'), bit_length(B'101');
SELECT pg_typeof(B'101'), pg_typeof('1'::varbit), pg_typeof(B'1' || B'0');
SELECT ARRAY[B'1', B'01']::varbit[], '{101,NULL}'::bit(3)[];
CREATE TEMPORARY TABLE flag (a bit, b bit(3), c varbit, d bit varying(3), e bit(2)[]);
INSERT INTO flag VALUES ('1', '101', '1', '11', '{11,00}'), (B'0', B'111', B'', NULL, NULL);
INSERT INTO flag (b) VALUES ('1011');
INSERT INTO flag (d) VALUES (B'1011');
INSERT INTO flag (a) VALUES (1);
SELECT * FROM flag ORDER BY b;
SELECT b & '110', b || c, ~b, b::text AS t, cast(b AS bit(5)) AS w FROM flag ORDER BY b;
SELECT typname, typlen, typcategory, typelem, typarray FROM pg_type WHERE oid IN (1560, 1562) ORDER BY oid;
--! bind 101
SELECT $1::bit(3), $1::bit(3) & B'110';
