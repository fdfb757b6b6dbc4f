use crate::parser::{ParseLimits, parse};
use crate::statement::{Command, Direction, Fetch};

fn command(sql: &str) -> Result<Command, String> {
    let statements = parse(sql, &ParseLimits::default()).map_err(|error| error.to_string())?;
    statements.first().ok_or("nothing")?.command().map_err(|error| error.to_string())
}

#[test]
fn fetch_directions() {
    let check = |sql: &str, expected: Direction| match command(sql) {
        Ok(Command::Fetch(Fetch { name, direction, .. })) => {
            assert_eq!((name.as_str(), direction), ("c", expected), "{sql}");
        }
        other => panic!("{sql}: {other:?}"),
    };
    check("FETCH c", Direction::Forward(Some(1)));
    check("FETCH NEXT FROM c", Direction::Forward(Some(1)));
    check("FETCH 100 in \"c\"", Direction::Forward(Some(100)));
    check("FETCH -3 FROM c", Direction::Forward(Some(-3)));
    check("FETCH ALL c", Direction::Forward(None));
    check("FETCH FORWARD ALL FROM c", Direction::Forward(None));
    check("FETCH FORWARD c", Direction::Forward(Some(1)));
    check("MOVE BACKWARD 2 IN c", Direction::Backward(Some(2)));
    check("MOVE BACKWARD ALL IN c", Direction::Backward(None));
    check("FETCH ABSOLUTE -1 FROM c", Direction::Absolute(-1));
    check("FETCH RELATIVE 0 FROM c", Direction::Relative(0));
    check("FETCH LAST FROM c", Direction::Absolute(-1));
    check("FETCH PRIOR FROM c", Direction::Backward(Some(1)));
}

#[test]
fn copy_options_are_checked() {
    let check = |sql: &str, expected: Option<&str>| {
        assert_eq!(command(sql).err().as_deref(), expected, "{sql}");
    };
    check("COPY t TO STDOUT", None);
    check("COPY (SELECT 1) TO STDOUT (FORMAT \"binary\")", None);
    check("COPY BINARY t FROM STDIN", None);
    check(
        "COPY t (a, b) FROM STDIN WITH DELIMITER AS '|' NULL 'x' CSV HEADER QUOTE '''' ESCAPE 'e'",
        None,
    );
    check("COPY t TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *, HEADER)", None);
    check("COPY t TO STDOUT CSV FORCE QUOTE a, b", None);
    check("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (a), FORCE_NOT_NULL (b), HEADER MATCH)", None);
    check("COPY t TO STDOUT (FORMAT xml)", Some("COPY format \"xml\" not recognized"));
    check(
        "COPY t TO STDOUT (DELIMITER 'ab')",
        Some("COPY delimiter must be a single one-byte character"),
    );
    check("COPY t TO STDOUT (DELIMITER 'a')", Some("COPY delimiter cannot be \"a\""));
    check("COPY t TO STDOUT (QUOTE '|')", Some("COPY quote available only in CSV mode"));
    check("COPY t TO STDOUT (FORMAT csv, FORMAT csv)", Some("conflicting or redundant options"));
    check("COPY t TO STDOUT (FORMAT binary, NULL 'x')", Some("cannot specify NULL in BINARY mode"));
    check(
        "COPY t TO STDOUT (FORMAT csv, NULL 'a,b')",
        Some("COPY delimiter must not appear in the NULL specification"),
    );
    check("COPY t TO STDOUT (shiny)", Some("option \"shiny\" not recognized"));
    check("COPY (SELECT 1) FROM STDIN", Some("syntax error at or near \"FROM\""));
    check("COPY t TO '/tmp/x'", Some("COPY to a file of the server is not allowed"));
}

#[test]
fn transactions_and_sessions() {
    for sql in [
        "BEGIN",
        "BEGIN WORK",
        "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, NOT DEFERRABLE",
        "START TRANSACTION READ WRITE",
        "COMMIT AND NO CHAIN",
        "END",
        "ABORT WORK",
        "ROLLBACK AND CHAIN",
        "ROLLBACK TO SAVEPOINT a",
        "ROLLBACK WORK TO a",
        "RELEASE a",
        "SAVEPOINT \"A b\"",
        "SET TRANSACTION READ ONLY",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "LISTEN a",
        "UNLISTEN *",
        "NOTIFY a, 'b'",
        "DISCARD TEMPORARY",
        "DEALLOCATE PREPARE ALL",
        "LOCK TABLE a, b IN ACCESS EXCLUSIVE MODE NOWAIT",
        "VACUUM (VERBOSE, ANALYZE) a (b)",
        "ANALYZE",
        "COMMENT ON COLUMN a.b IS 'c'",
        "COMMENT ON TABLE a IS NULL",
        "GRANT SELECT ON a TO b",
        "CLOSE ALL",
        "PREPARE p (int, numeric(5,2)[]) AS SELECT $1, $2",
        "EXECUTE p (1, 'x')",
        "DECLARE c BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR VALUES (1)",
    ] {
        assert!(command(sql).is_ok(), "{sql}: {:?}", command(sql));
    }
    for sql in [
        "BEGIN READ",
        "COMMIT x",
        "SET TRANSACTION",
        "PREPARE p AS SET a = 1",
        "DECLARE c FOR SELECT 1",
    ] {
        assert!(command(sql).is_err(), "{sql}");
    }
}
