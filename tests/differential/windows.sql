--! both
--! setup
CREATE TABLE emp (id int, dept text, name text, pay int, hired date);
--! setup
INSERT INTO emp VALUES (1, 'x', 'ann', 100, '2020-01-01'), (2, 'x', 'bob', 200, '2020-02-01'), (3, 'x', 'cid', 200, '2021-01-01'), (4, 'y', 'dan', 50, '2019-01-01'), (5, 'y', 'eve', NULL, '2022-05-01'), (6, NULL, 'fay', 75, NULL);
SELECT id, row_number() OVER (ORDER BY id), rank() OVER (ORDER BY pay), dense_rank() OVER (ORDER BY pay) FROM emp ORDER BY id;
SELECT id, dept, row_number() OVER (PARTITION BY dept ORDER BY id DESC) FROM emp ORDER BY id;
SELECT id, sum(pay) OVER (ORDER BY id), sum(pay) OVER (PARTITION BY dept), avg(pay) OVER () FROM emp ORDER BY id;
SELECT id, lag(pay) OVER (ORDER BY id), lead(pay, 2) OVER (ORDER BY id), lag(pay, 1, 0) OVER (ORDER BY id) FROM emp ORDER BY id;
SELECT id, first_value(name) OVER w, last_value(name) OVER w, nth_value(name, 2) OVER w FROM emp WINDOW w AS (PARTITION BY dept ORDER BY id) ORDER BY id;
SELECT id, ntile(4) OVER (ORDER BY id), percent_rank() OVER (ORDER BY pay), cume_dist() OVER (ORDER BY pay) FROM emp ORDER BY id;
SELECT id, sum(pay) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM emp ORDER BY id;
SELECT id, count(*) OVER (ORDER BY pay RANGE BETWEEN 50 PRECEDING AND CURRENT ROW) FROM emp ORDER BY id;
SELECT id, sum(pay) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS running FROM emp ORDER BY id;
SELECT id, max(pay) OVER (ORDER BY dept GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM emp ORDER BY id;
SELECT id, count(*) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) FROM emp ORDER BY id;
SELECT dept, count(*), rank() OVER (ORDER BY count(*) DESC) FROM emp GROUP BY dept ORDER BY dept;
SELECT id, count(*) FILTER (WHERE pay > 100) OVER (ORDER BY id) FROM emp ORDER BY id;
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY dept ORDER BY pay DESC NULLS LAST, id) AS n FROM emp) AS t WHERE n = 1 ORDER BY id;
SELECT id FROM emp WHERE row_number() OVER () = 1;
SELECT sum(pay) OVER (ORDER BY hired RANGE BETWEEN INTERVAL '1 year' PRECEDING AND CURRENT ROW) FROM emp WHERE hired IS NOT NULL ORDER BY hired;
SELECT string_agg(name, ',') OVER (PARTITION BY dept ORDER BY id) FROM emp ORDER BY id;
SELECT id, pay - avg(pay) OVER (PARTITION BY dept) AS diff FROM emp ORDER BY id;
SELECT DISTINCT dept, sum(pay) OVER (PARTITION BY dept) FROM emp ORDER BY dept;
SELECT id, rank() OVER (PARTITION BY dept ORDER BY pay) + 1 AS r, row_number() OVER (ORDER BY id) * 2 AS d FROM emp ORDER BY id;
SELECT rank() FROM emp;
SELECT ntile(0) OVER (ORDER BY id) FROM emp;
SELECT id, array_agg(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM emp ORDER BY id;
SELECT id, sum(pay) OVER w1, count(*) OVER w2 FROM emp WINDOW w1 AS (PARTITION BY dept), w2 AS (w1 ORDER BY id) ORDER BY id;
SELECT id, lag(name, 1, 'none') OVER (PARTITION BY dept ORDER BY id) AS previous FROM emp ORDER BY id;
