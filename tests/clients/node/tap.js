// Test Anything Protocol for the programs of Node's drivers; see ../python/tap.py for the rules.
"use strict";

const fs = require("fs");
const path = require("path");
const util = require("util");

const [host, port, user, password, database, file] = process.argv.slice(2);
if (!database) {
  console.error("usage: node PROGRAM host port user password database [statements]");
  process.exit(2);
}
exports.server = { host, port: Number(port), user, password, database };

const cases = [];

// Registers an asynchronous case.
exports.test = (name, run) => cases.push([name, run]);

// Registers run(sql) for each statement of statements.txt.
exports.eachStatement = (run) => {
  let capability = "";
  const text = fs.readFileSync(file || path.join(__dirname, "..", "statements.txt"), "utf8");
  for (const line of text.split("\n").map((line) => line.trimEnd())) {
    if (line.startsWith("[")) {
      capability = line.slice(1, -1);
    } else if (line && !line.startsWith("#")) {
      cases.push([`${capability}: ${line}`, () => run(line)]);
    }
  }
};

// Prints what has to be the same on both servers.
exports.show = (...values) => {
  for (const value of values) {
    const text = typeof value === "string" ? value : util.inspect(value, { depth: 8, breakLength: Infinity, compact: true });
    for (const line of text.split("\n")) console.log(`# = ${line.trimEnd()}`);
  }
};

// Returns the error that a promise must end with.
exports.fails = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
};

exports.main = async (client) => {
  console.log(`# client: ${client}`);
  console.log(`1..${cases.length}`);
  let failed = 0;
  for (const [index, [name, run]] of cases.entries()) {
    let timer;
    try {
      const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error("no answer for 8 s")), 8000);
      });
      await Promise.race([run(), limit]);
      console.log(`ok ${index + 1} - ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${index + 1} - ${name}`);
      for (const line of `${error.code || ""} ${error.stack || error}`.split("\n").slice(0, 6)) console.log(`# | ${line}`);
    }
    clearTimeout(timer);
  }
  process.exit(failed ? 1 : 0);
};
