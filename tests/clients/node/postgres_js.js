// postgres.js: the extended protocol with named statements, types by pg_type.
"use strict";

const postgres = require("postgres");
const fs = require("fs");
const path = require("path");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
const { server, test, eachStatement, show, fails, main } = require("./tap");

async function connected(run, options = {}) {
  const sql = postgres({
    host: server.host, port: server.port, user: server.user, password: server.password, database: server.database,
    max: 1, onnotice: () => {}, ...options,
  });
  try {
    await run(sql);
  } finally {
    await sql.end({ timeout: 2 });
  }
}

const columns = (result) => show(result.columns.map((c) => `${c.name}:${c.type}`).join(", "));

test("connect: connects and tells parameters", () =>
  connected(async (sql) => {
    await sql`select 1`;
    show(sql.parameters.server_encoding, sql.parameters.client_encoding, sql.parameters.integer_datetimes);
  }));

test("simple: several statements and fragments", () =>
  connected(async (sql) => {
    show((await sql.unsafe("select 1 as a; select 2 as b")).map((rows) => [...rows]));
    const filter = sql`where r_regionkey > ${2}`;
    show([...(await sql`select * from region ${filter} order by 1`)]);
  }));

test("simple: errors carry SQLSTATE and position", () =>
  connected(async (sql) => {
    for (const text of ["select * from missing", "selec 1", "select 1/0"]) {
      const error = await fails(sql.unsafe(text));
      show([text, error.code, error.position]);
    }
  }));

test("prepared: parameters with inferred types", () =>
  connected(async (sql) => {
    show([...(await sql`select n_name from nation where n_nationkey = ${7}`)]);
    show([...(await sql`select ${"x"}::text as a, ${5}::int4 as b, ${true}::bool as c, ${null}::text as d, ${new Date(0)}::timestamptz as e, ${Buffer.from([1, 255])}::bytea as f`)]);
    show([...(await sql`select n_name from nation where n_nationkey in ${sql([1, 2, 3])} order by 1`)]);
    for (let n = 0; n < 6; n++) show([...(await sql`select ${n}::int4 + 1 as n`)]);
  }));

test("prepared: describe", () =>
  connected(async (sql) => {
    const described = await sql`select o_orderkey, o_comment from orders where o_orderdate > ${new Date(0)} and o_custkey = ${1}`.describe();
    show(described.types, described.columns.map((c) => [c.name, c.type]));
  }));

test("arrays: array parameters by type", () =>
  connected(async (sql) => {
    show([...(await sql`select ${sql.array([1, 2, 3], 1007)} as a, ${sql.array(["a", null, 'q"'], 1009)} as b`)]);
    show([...(await sql`select n_name from nation where n_nationkey = any(${[3, 4]}) order by 1`)]);
  }));

test("json: json parameters", () =>
  connected(async (sql) => {
    show([...(await sql`select ${sql.json({ a: [1, null] })}::jsonb as a, ${{ b: 1 }}::json as b`)]);
  }));

test("cursors: reads in parts", () =>
  connected(async (sql) => {
    const sizes = [];
    await sql`select * from nation order by 1`.cursor(10, (rows) => { sizes.push(rows.length); });
    show(sizes);
    for await (const [row] of sql`select n_nationkey from nation order by 1`.cursor()) {
      if (row.n_nationkey >= 3) break;
      show(row);
    }
    let n = 0;
    await sql`select l_orderkey from lineitem`.forEach(() => { n++; });
    show(n);
  }));

test("copy out: a readable stream", () =>
  connected(async (sql) => {
    const parts = [];
    for await (const part of await sql`copy region to stdout with (format csv)`.readable()) parts.push(part);
    show(Buffer.concat(parts).toString());
  }));

test("copy in: a writable stream", () =>
  connected(async (sql) => {
    await sql`create table js_copied (a int, b text)`;
    await pipeline(Readable.from(["1\tx\n2\t\\N\n"]), await sql`copy js_copied from stdin`.writable());
    show([...(await sql`select * from js_copied order by a`)]);
    await sql`drop table js_copied`;
  }));

test("transactions: begin, savepoints and errors", () =>
  connected(async (sql) => {
    await sql`create table js_saved (a int)`;
    await sql.begin(async (sql) => {
      await sql`insert into js_saved values (1)`;
      await sql.savepoint(async (sql) => {
        await sql`insert into js_saved values (2)`;
        throw new Error("back");
      }).catch((error) => show(error.message));
    });
    show((await fails(sql.begin(async (sql) => { await sql`insert into js_saved values (3)`; await sql`select * from missing`; }))).code);
    show([...(await sql`select * from js_saved`)]);
    await sql`drop table js_saved`;
  }));

test("cancel: a query is cancelled", () =>
  connected(async (sql) => {
    const query = sql`select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b`;
    const failure = fails(query);
    setTimeout(() => query.cancel(), 300);
    show((await failure).code);
    show([...(await sql`select 'alive' as a`)]);
  }));

test("metadata: LISTEN and NOTIFY", () =>
  connected(async (sql) => {
    const heard = new Promise((resolve) => { sql.listen("channel_of_js", resolve).then(() => sql.notify("channel_of_js", "hi")); });
    show(await heard);
  }));

test("batch: inserts many rows, pipelined queries", () =>
  connected(async (sql) => {
    await sql`create table js_batch (a int, b text)`;
    const result = await sql`insert into js_batch ${sql([{ a: 1, b: "x" }, { a: 2, b: null }])}`;
    show(result.count, result.command);
    const many = await Promise.all([1, 2, 3].map((n) => sql`select ${n}::int4 as n`));
    show(many.map((rows) => rows[0].n));
    show([...(await sql`select count(*)::int4 as n, max(a) as a from js_batch`)]);
    await sql`drop table js_batch`;
  }));

eachStatement((text) =>
  connected(async (sql) => {
    const result = await sql.unsafe(text, [], { prepare: true }).values();
    columns(result);
    for (const row of result) show(row);
  }));

// The package keeps its manifest to itself.
const manifest = path.join(path.dirname(require.resolve("postgres")), "..", "..", "package.json");
main(`postgres.js ${JSON.parse(fs.readFileSync(manifest)).version}`);
