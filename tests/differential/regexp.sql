--! both
SELECT 'abc' ~ 'b', 'abc' ~ '^b', 'ABC' ~* 'b', 'abc' !~ 'z', 'ABC' !~* 'b';
SELECT regexp_replace('foobar', 'o+', 'X'), regexp_replace('foobarbaz', 'b..', 'X', 'g');
SELECT regexp_replace('abc', '(a)(b)', '\2\1'), regexp_replace('abc', 'B', 'x', 'i');
SELECT regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_match('abc', 'z'), regexp_match('abc', 'b');
SELECT regexp_matches('foobarbaz', 'b(.)(.)', 'g');
SELECT * FROM regexp_matches('a1b2', '[0-9]', 'g');
SELECT regexp_split_to_array('a1b22c', '[0-9]+'), regexp_split_to_array('abc', '');
SELECT * FROM regexp_split_to_table('a b  c', '\s+');
SELECT substring('foobar' FROM 'o.b'), substring('foobar' FROM 'o(.)b'), substring('foobar', 'z');
SELECT substring('abcdefg' SIMILAR 'a#"%#"g' ESCAPE '#');
SELECT 'abc' SIMILAR TO 'a%', 'abc' SIMILAR TO 'b', 'abc' SIMILAR TO '%(b|d)%', 'abc' NOT SIMILAR TO 'a';
SELECT regexp_count('ABCABCAXYaxy', 'A.'), regexp_count('ABCABCAXYaxy', 'A.', 1, 'i');
SELECT regexp_like('Hello World', 'world$', 'i'), regexp_like('abc', 'B');
SELECT regexp_instr('number of your street', 'o', 1, 2), regexp_instr('abc', 'z');
SELECT regexp_substr('number of your street', 'y.*r'), regexp_substr('abcabc', 'c', 4);
SELECT 'a.b' ~ 'a\.b', 'axb' ~ 'a\.b', 'a' ~ '[[:alpha:]]', '5' ~ '\d', 'é' ~ '\w';
SELECT 'foo bar' ~ '\mbar\M', 'foobar' ~ '\mbar';
SELECT 'abc' ~ '(';
SELECT regexp_replace('aaa', 'a', 'b', 2), regexp_replace('aaa', 'a', 'b', 1, 2);
SELECT regexp_replace('a\b', '\\', '/'), regexp_replace('abc', '', 'x'), regexp_replace('x', 'x', '\&\&');
SELECT 'line1
line2' ~ '^line2', 'line1
line2' ~ '(?n)^line2';
SELECT 'aXb' ~ 'a(?i)x', 'AB' ~ '(?i)ab';
SELECT regexp_match('2024-05-06', '(\d+)-(\d+)-(\d+)');
SELECT (regexp_match('key=val', '(\w+)=(\w+)'))[2];
