--! both
--! setup
CREATE TABLE a (id int, name text, v int);
--! setup
CREATE TABLE b (id int, a_id int, name text);
--! setup
CREATE TABLE c (id int8, label varchar(10), w numeric(6,2));
--! setup
INSERT INTO a VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', NULL), (4, NULL, 40);
--! setup
INSERT INTO b VALUES (1, 1, 'b1'), (2, 1, 'b2'), (3, 3, 'b3'), (4, NULL, 'b4'), (9, 9, 'one');
--! setup
INSERT INTO c VALUES (1, 'c1', 1.50), (3, 'c3', 3.25), (7, 'c7', NULL);
SELECT * FROM a JOIN b ON a.id = b.a_id ORDER BY a.id, b.id;
SELECT a.name, b.name FROM a LEFT JOIN b ON a.id = b.a_id ORDER BY a.id, b.id;
SELECT a.id, b.id FROM a RIGHT JOIN b ON a.id = b.a_id ORDER BY b.id;
SELECT a.id, b.id FROM a FULL JOIN b ON a.id = b.a_id ORDER BY 1, 2;
SELECT id, a.name, b.name FROM a JOIN b USING (id) ORDER BY id;
SELECT * FROM a LEFT JOIN c USING (id) ORDER BY id;
SELECT * FROM a RIGHT JOIN c USING (id) ORDER BY id;
SELECT * FROM a FULL JOIN c USING (id) ORDER BY id;
SELECT id FROM a FULL JOIN b USING (id) ORDER BY id;
SELECT * FROM a NATURAL JOIN b ORDER BY 1;
SELECT * FROM a NATURAL FULL JOIN c ORDER BY 1;
SELECT count(*) FROM a CROSS JOIN b;
SELECT count(*) FROM a, b WHERE a.id < b.id;
SELECT a.id, b.id FROM a JOIN b ON a.id < b.id AND b.id < 4 ORDER BY 1, 2;
SELECT a.id, b.id FROM a LEFT JOIN b ON a.id = b.a_id AND b.id > 1 ORDER BY 1, 2;
SELECT a.id, b.id FROM a LEFT JOIN b ON false ORDER BY 1;
SELECT a.id, b.id, c.id FROM a LEFT JOIN (b JOIN c ON b.id = c.id) ON a.id = b.a_id ORDER BY 1, 2;
SELECT x.id, y.id FROM a AS x JOIN a AS y ON x.id = y.id - 1 ORDER BY 1;
SELECT t.* FROM a AS t WHERE t.v > 10 ORDER BY t.id;
SELECT a.*, c.label FROM a, c WHERE a.id = c.id ORDER BY 1;
SELECT q.n FROM a AS q(i, n, k) ORDER BY q.i;
SELECT * FROM (SELECT id FROM a) AS s JOIN (VALUES (1, 'x'), (2, 'y')) AS v(id, l) USING (id) ORDER BY 1;
SELECT j.id FROM (a JOIN b USING (id)) AS j ORDER BY 1;
SELECT a.id FROM a JOIN b USING (nope);
SELECT id FROM a, b;
SELECT a.nope FROM a;
SELECT zz.id FROM a;
SELECT * FROM nowhere;
SELECT * FROM a JOIN a ON true;
SELECT a.id FROM a AS renamed;
SELECT name FROM a JOIN b USING (id);
SELECT a.id, c.w FROM a FULL JOIN c ON a.id = c.id WHERE c.w IS NULL ORDER BY 1;
SELECT * FROM a JOIN b ON a.id = b.a_id JOIN c ON c.id = a.id ORDER BY b.id;
SELECT coalesce(a.id, c.id) AS k FROM a FULL JOIN c ON a.id = c.id ORDER BY k;
SELECT a.id FROM a LEFT JOIN b ON b.a_id = a.id WHERE b.id IS NULL ORDER BY 1;
SELECT a.id, l.n FROM a, LATERAL (SELECT count(*) AS n FROM b WHERE b.a_id = a.id) AS l ORDER BY 1;
SELECT a.id, l.* FROM a LEFT JOIN LATERAL (SELECT b.id AS bid, b.name FROM b WHERE b.a_id = a.id ORDER BY b.id DESC LIMIT 1) AS l ON true ORDER BY 1;
SELECT a.id, g FROM a, LATERAL generate_series(1, a.id) AS g WHERE a.id < 4 ORDER BY 1, 2;
SELECT a.id, x.d FROM a CROSS JOIN LATERAL (SELECT a.v * 2 AS d) AS x ORDER BY 1;
SELECT a.id, x.column1 FROM a CROSS JOIN LATERAL (VALUES (a.v), (a.id)) AS x ORDER BY 1, 2;
SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.id = a.id) AS l ORDER BY 1;
SELECT a.id, s.t FROM a JOIN LATERAL (SELECT sum(b.id) AS t FROM b WHERE b.a_id = a.id) AS s ON s.t > 1 ORDER BY 1;
SELECT a, b.id FROM a JOIN b ON a.id = b.a_id ORDER BY b.id;
SELECT (a).id, (a).name FROM a ORDER BY 1;
SELECT a IS NULL, a.* IS NOT NULL FROM a ORDER BY a.id;
