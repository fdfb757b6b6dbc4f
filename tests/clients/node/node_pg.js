// node-pg with pg-cursor, pg-query-stream and pg-copy-streams.
"use strict";

const assert = require("assert");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
const pg = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");
const copy = require("pg-copy-streams");
const { server, test, eachStatement, show, fails, main } = require("./tap");

async function connected(run, options = {}) {
  const client = new pg.Client({ ...server, ...options });
  client.on("error", () => {});
  await client.connect();
  try {
    await run(client);
  } finally {
    await client.end();
  }
}

const columns = (fields) => show(fields.map((f) => `${f.name}:${f.dataTypeID}:${f.dataTypeSize}:${f.dataTypeModifier}:${f.format}`).join(", "));

test("connect: connects with settings in the startup message", () =>
  connected(async (client) => {
    show((await client.query("show application_name")).rows, (await client.query("show statement_timeout")).rows);
    show((await client.query("show search_path")).rows);
  }, { application_name: "node", statement_timeout: 30000, options: "-c search_path=pg_catalog" }));

test("connect: a pool answers in parallel", async () => {
  const pool = new pg.Pool({ ...server, max: 4 });
  const answers = await Promise.all([...Array(40).keys()].map((n) => pool.query("select $1::int4 as n", [n])));
  show(answers.map((answer) => answer.rows[0].n));
  await pool.end();
});

test("simple: several statements in one message", () =>
  connected(async (client) => {
    const results = await client.query("select 1 as a; select 2 as b, 'x' as c; set work_mem = '8MB'");
    for (const result of results) show([result.command, result.rowCount, result.rows]);
  }));

test("simple: rows as arrays and command tags", () =>
  connected(async (client) => {
    const result = await client.query({ text: "select 1, 2 as a, 3 as a", rowMode: "array" });
    show([result.command, result.rowCount, result.rows, result.fields.map((f) => f.name)]);
    for (const sql of ["create table node_tags (a int)", "insert into node_tags values (1), (2)", "update node_tags set a = 3", "delete from node_tags", "drop table node_tags"]) {
      const { command, rowCount } = await client.query(sql);
      show([sql, command, rowCount]);
    }
  }));

test("simple: errors carry SQLSTATE and position", () =>
  connected(async (client) => {
    for (const sql of ["select * from missing", "selec 1", "select missing from nation", "select 1/0", "select 'x'::int4"]) {
      const error = await fails(client.query(sql));
      show([sql, error.code, error.severity, error.position]);
    }
    show((await client.query("select 1 as alive")).rows);
  }));

test("prepared: parameters of many types", () =>
  connected(async (client) => {
    const values = [1, 2.5, "text", true, null, new Date(Date.UTC(2024, 1, 29, 1, 2, 3)), Buffer.from([0, 255]), ["a", "b"], { a: 1 }];
    const sql = "select $1::int4 a, $2::float8 b, $3::text c, $4::bool d, $5::text e, $6::timestamptz f, $7::bytea g, $8::text[] h, $9::jsonb i";
    const result = await client.query(sql, values);
    columns(result.fields);
    show(result.rows);
    show((await client.query("select n_name from nation where n_nationkey = $1 or n_name = $2 order by 1", [7, "FRANCE"])).rows);
    show((await client.query("select n_name from nation where n_nationkey = any($1) order by 1", [[1, 2]])).rows);
  }));

test("prepared: a named statement runs often, and binary results", () =>
  connected(async (client) => {
    for (let n = 0; n < 8; n++) {
      const { rows } = await client.query({ name: "named", text: "select $1::int8 * 2 as n", values: [n] });
      show(rows);
    }
    const result = await client.query({ text: "select n_nationkey, n_name from nation order by 1 limit 2", binary: true });
    columns(result.fields);
    show(result.rows);
  }));

test("prepared: wrong number of parameters", () =>
  connected(async (client) => {
    show((await fails(client.query("select $1::int4, $2::int4", [1]))).code);
    show((await fails(client.query("select $1::int4", ["x"]))).code);
  }));

test("cursors: pg-cursor reads in parts", () =>
  connected(async (client) => {
    const cursor = client.query(new Cursor("select n_nationkey from nation where n_nationkey > $1 order by 1", [3]));
    for (;;) {
      const rows = await cursor.read(8);
      show(rows);
      if (rows.length === 0) break;
    }
    await cursor.close();
    const early = client.query(new Cursor("select * from lineitem"));
    show((await early.read(3)).length);
    await early.close();
    show((await client.query("select 'alive' as a")).rows);
  }));

test("cursors: pg-query-stream streams", () =>
  connected(async (client) => {
    let rows = 0;
    for await (const row of client.query(new QueryStream("select l_orderkey from lineitem limit 5000", [], { batchSize: 700 }))) rows += row.l_orderkey ? 1 : 0;
    show(rows);
  }));

test("cursors: DECLARE and FETCH", () =>
  connected(async (client) => {
    await client.query("begin");
    await client.query("declare c cursor for select n_nationkey from nation order by 1");
    show((await client.query("fetch 3 from c")).rows, (await client.query("move 2 from c")).rowCount, (await client.query("fetch all from c")).rowCount);
    await client.query("close c");
    await client.query("commit");
  }));

async function copied(client, sql) {
  const parts = [];
  for await (const part of client.query(copy.to(sql))) parts.push(part);
  return Buffer.concat(parts);
}

test("copy out: text, csv and binary", () =>
  connected(async (client) => {
    show((await copied(client, "copy region to stdout")).toString());
    show((await copied(client, "copy (select * from nation order by 1 limit 3) to stdout with (format csv, header true)")).toString());
    show((await copied(client, "copy (select r_regionkey, r_name from region order by 1) to stdout (format binary)")).toString("hex"));
    show((await copied(client, "copy lineitem to stdout csv")).length);
  }));

test("copy in: text and csv", () =>
  connected(async (client) => {
    await client.query("create table node_copied (a int, b text)");
    const stream = client.query(copy.from("copy node_copied from stdin"));
    await pipeline(Readable.from(["1\tx\n2\t", "\\N\n"]), stream);
    show(stream.rowCount);
    await pipeline(Readable.from(['3,"a,b"\n']), client.query(copy.from("copy node_copied from stdin csv")));
    show((await client.query("select * from node_copied order by a")).rows);
    await client.query("drop table node_copied");
  }));

test("transactions: commit, rollback, savepoints, failed transactions", () =>
  connected(async (client) => {
    await client.query("create table node_saved (a int)");
    await client.query("begin");
    await client.query("insert into node_saved values (1)");
    await client.query("savepoint one");
    show((await fails(client.query("select * from missing"))).code);
    show((await fails(client.query("select 1"))).code);
    await client.query("rollback to one");
    await client.query("commit");
    await client.query("begin; insert into node_saved values (2)");
    await client.query("rollback");
    show((await client.query("select * from node_saved")).rows);
    await client.query("drop table node_saved");
  }));

test("cancel: pg_cancel_backend and statement_timeout", () =>
  connected(async (client) => {
    const slow = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b";
    const running = fails(client.query(slow));
    await connected(async (other) => {
      const until = Date.now() + 10000;
      let cancelled = false;
      while (!cancelled && Date.now() < until) {
        cancelled = (await other.query("select pg_cancel_backend(pid) as c from pg_stat_activity where state = 'active' and query like 'select sum(sqrt%' and pid <> pg_backend_pid()")).rows.some((row) => row.c);
      }
    });
    show((await running).code);
    await client.query("set statement_timeout = 200");
    show((await fails(client.query(slow))).code);
  }));

test("metadata: LISTEN and NOTIFY reach the listener", () =>
  connected(async (client) => {
    const heard = new Promise((resolve) => client.on("notification", resolve));
    await client.query("listen channel_of_node");
    await client.query("notify channel_of_node, 'hello'");
    const { channel, payload } = await heard;
    show([channel, payload]);
  }));

test("batch: queued queries are answered in order", () =>
  connected(async (client) => {
    const answers = await Promise.all([1, 2, 3].map((n) => client.query("select $1::int4 as n", [n])));
    show(answers.map((a) => a.rows[0].n));
  }));

eachStatement((sql) =>
  connected(async (client) => {
    for (const config of [sql, { text: sql, values: [], queryMode: "extended" }]) {
      const result = await client.query(typeof config === "string" ? { text: config, rowMode: "array" } : { ...config, rowMode: "array" });
      columns(result.fields);
      for (const row of result.rows) show(row);
    }
  }));

assert.ok(server.host);
main(`node-pg ${require("pg/package.json").version}`);
