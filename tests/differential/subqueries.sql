--! both
--! setup
CREATE TABLE o (id int, cust int, total numeric(8,2));
--! setup
CREATE TABLE k (id int, name text);
--! setup
INSERT INTO o VALUES (1, 1, 10), (2, 1, 20.5), (3, 2, 5), (4, NULL, 7);
--! setup
INSERT INTO k VALUES (1, 'ann'), (2, 'bob'), (3, 'cid'), (NULL, 'nil');
SELECT (SELECT 1), (SELECT max(total) FROM o), (SELECT NULL);
SELECT name, (SELECT sum(total) FROM o WHERE o.cust = k.id) FROM k ORDER BY name;
SELECT name, (SELECT count(*) FROM o WHERE o.cust = k.id) AS n FROM k ORDER BY name;
SELECT name, (SELECT total FROM o WHERE o.cust = k.id ORDER BY total DESC LIMIT 1) FROM k ORDER BY name;
SELECT name, (SELECT o.total FROM o WHERE o.cust = k.id AND o.id = 3) FROM k ORDER BY name;
SELECT (SELECT total FROM o);
SELECT name, (SELECT total FROM o WHERE o.cust = k.id) FROM k;
SELECT (SELECT 1, 2);
SELECT name FROM k WHERE id IN (SELECT cust FROM o) ORDER BY 1;
SELECT name FROM k WHERE id NOT IN (SELECT cust FROM o) ORDER BY 1;
SELECT name FROM k WHERE id NOT IN (SELECT cust FROM o WHERE cust IS NOT NULL) ORDER BY 1;
SELECT name FROM k WHERE id NOT IN (SELECT cust FROM o) OR name = 'cid' ORDER BY 1;
SELECT name FROM k WHERE EXISTS (SELECT 1 FROM o WHERE o.cust = k.id) ORDER BY 1;
SELECT name FROM k WHERE NOT EXISTS (SELECT 1 FROM o WHERE o.cust = k.id AND o.total > 6) ORDER BY 1;
SELECT name, EXISTS (SELECT 1 FROM o WHERE o.cust = k.id), id IN (SELECT cust FROM o) FROM k ORDER BY 1;
SELECT EXISTS (SELECT 1 FROM o), EXISTS (SELECT 1 FROM o WHERE false);
SELECT name FROM k WHERE id = ANY (SELECT cust FROM o) ORDER BY 1;
SELECT name FROM k WHERE id >= ALL (SELECT cust FROM o WHERE cust IS NOT NULL) ORDER BY 1;
SELECT name FROM k WHERE id > SOME (SELECT cust FROM o) ORDER BY 1;
SELECT id FROM o WHERE (cust, total) IN (SELECT 1, 10.00) ORDER BY 1;
SELECT id FROM o WHERE (cust, id) IN ((1, 1), (2, 3)) ORDER BY 1;
SELECT id FROM o WHERE total > (SELECT avg(total) FROM o) ORDER BY 1;
SELECT id FROM o AS x WHERE total = (SELECT max(total) FROM o AS y WHERE y.cust = x.cust) ORDER BY 1;
SELECT id FROM o AS x WHERE total > (SELECT avg(total) FROM o AS y WHERE y.cust <> x.cust) ORDER BY 1;
SELECT t.n FROM (SELECT count(*) AS n FROM o) AS t;
SELECT * FROM (SELECT id, total FROM o ORDER BY total DESC LIMIT 2) AS t ORDER BY id;
SELECT (SELECT array_agg(id ORDER BY id) FROM o WHERE o.cust = k.id) FROM k ORDER BY name;
SELECT ARRAY(SELECT o.id FROM o WHERE o.cust = k.id ORDER BY 1) FROM k ORDER BY name;
SELECT name FROM k ORDER BY (SELECT count(*) FROM o WHERE o.cust = k.id) DESC, name;
SELECT CASE WHEN EXISTS (SELECT 1 FROM o WHERE o.cust = k.id) THEN 'yes' ELSE 'no' END FROM k ORDER BY name;
SELECT cust, count(*) FROM o GROUP BY cust HAVING count(*) > (SELECT 1) ORDER BY 1;
SELECT k.id, (SELECT string_agg(o.id::text, ',' ORDER BY o.id) FROM o WHERE o.cust >= k.id) FROM k ORDER BY 1;
SELECT (SELECT (SELECT max(o.id) FROM o WHERE o.cust = k.id)) FROM k ORDER BY name;
SELECT * FROM k WHERE (SELECT count(*) FROM o WHERE o.cust = k.id) = 0 ORDER BY name;
SELECT 1 IN (SELECT NULL::int), 1 NOT IN (SELECT NULL::int), NULL IN (SELECT 1 WHERE false);
SELECT ROW(1, 2) = ROW(1, 2), ROW(1, 2) < ROW(1, 3), (1, NULL) = (1, NULL), (1, 2) IN ((1, 2));
SELECT (SELECT id FROM k WHERE name = o.nope) FROM o;
SELECT k.name, t.total FROM k, (SELECT cust, sum(total) AS total FROM o GROUP BY cust) AS t WHERE t.cust = k.id ORDER BY 1;
SELECT (SELECT k.name FROM k WHERE k.id = o.cust) AS who, sum(total) FROM o GROUP BY 1 ORDER BY 1;
SELECT 7 IN (1, CASE WHEN id = 1 THEN 7 ELSE id END) FROM o ORDER BY id;
