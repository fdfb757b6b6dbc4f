#![expect(clippy::disallowed_methods, reason = "unit tests have no runtime of their own")]

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use datafusion::error::Result;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::executor::block_on;
use tarn_catalog::pg_catalog::settings::SettingValue;
use tarn_catalog::{
    CatalogSnapshot, ColumnEntry, RoleEntry, SchemaEntry, TableEntry, TableKind, pg_catalog,
};

use crate::error::PlannerError;
use crate::facts::{Backends, SessionFacts, SettingsLookup};

#[derive(Debug)]
struct Settings;

impl SettingsLookup for Settings {
    fn get(&self, name: &str) -> Option<String> {
        (name == "server_version").then(|| "16.6 (tarn)".to_owned())
    }

    fn all(&self) -> Vec<SettingValue> {
        Vec::new()
    }

    fn set(
        &self,
        name: &str,
        _value: Option<&str>,
        _local: bool,
    ) -> std::result::Result<(), PlannerError> {
        match name {
            "jit" => Ok(()),
            _ => Err(PlannerError::UndefinedSetting { name: name.to_owned() }),
        }
    }
}

impl Backends for Settings {
    fn cancel(&self, pid: i32) -> std::result::Result<bool, PlannerError> {
        Ok(pid == 1)
    }

    fn terminate(&self, pid: i32) -> std::result::Result<bool, PlannerError> {
        Ok(pid == 1)
    }

    fn notify(&self, _channel: &str, _payload: &str) -> Result<()> {
        Ok(())
    }

    fn sleep(&self, _time: std::time::Duration) -> bool {
        true
    }
}

fn facts() -> SessionFacts {
    let table = |oid, name: &str, view: Option<&str>| {
        Arc::new(TableEntry {
            oid,
            name: name.to_owned(),
            kind: if view.is_some() { TableKind::View } else { TableKind::Table },
            columns: vec![ColumnEntry {
                name: "a".to_owned(),
                data_type: DataType::Int64,
                pg_type: tarn_catalog::pg_type::pg_type_of_data_type(&DataType::Int64),
                nullable: true,
            }],
            n_rows_estimate: Some(10),
            view_definition: view.map(str::to_owned),
            comment: Some("rows".to_owned()),
            details: tarn_catalog::memory::TableDetails::default(),
            statistics: None,
            access: Arc::default(),
        })
    };
    let schema = |oid, name: &str, tables| SchemaEntry {
        oid,
        name: name.to_owned(),
        tables,
        ..SchemaEntry::default()
    };
    let catalog = CatalogSnapshot {
        version: 3,
        database: "tarn".to_owned(),
        schemas: vec![
            schema(11, "pg_catalog", pg_catalog::system_entries()),
            schema(2200, "public", vec![table(16_400, "Odd Name", None), table(16_401, "t", None)]),
            schema(
                16_390,
                "sales",
                vec![table(16_402, "t", None), table(16_403, "v", Some("SELECT 1"))],
            ),
        ],
        roles: vec![RoleEntry {
            oid: 10,
            name: "tarn".to_owned(),
            superuser: true,
            login: true,
            ..RoleEntry::default()
        }],
        ..CatalogSnapshot::default()
    };
    SessionFacts {
        user: "tarn".to_owned(),
        session_user: "tarn".to_owned(),
        database: "tarn".to_owned(),
        search_path: vec!["tarn".to_owned(), "public".to_owned()],
        backend_pid: 42,
        catalog: Arc::new(catalog),
        server_started_at: DateTime::<Utc>::UNIX_EPOCH,
        settings: Arc::new(Settings),
        backends: Arc::new(Settings),
        forms: Arc::new(crate::types::forms::NoForms),
        seed: Arc::default(),
    }
}

fn run(sql: &str) -> Result<Vec<RecordBatch>> {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().extensions.insert(facts());
    let context = SessionContext::new_with_config(config);
    for function in super::scalar_functions() {
        context.register_udf((*function).clone());
    }
    for function in super::table_functions() {
        let name = function.name().to_owned();
        context.register_udtf(&name, Arc::clone(function.function()));
    }
    block_on(async {
        let plan = context.state().create_logical_plan(sql).await?;
        context.execute_logical_plan(plan).await?.collect().await
    })
}

/// Evaluates an expression once as a constant and once for each of six rows.
fn check(expression: &str, expected: &str) {
    let constant = run(&format!("SELECT {expression}")).expect(expression);
    let show = |batches: &[RecordBatch]| {
        arrow::util::display::array_value_to_string(batches[0].column(0), 0).expect("can be shown")
    };
    assert_eq!(show(&constant), expected, "{expression}");
    let rows = format!("SELECT {expression} FROM generate_series(1, 6) g(n)");
    let rows = run(&rows).expect(expression);
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
    assert_eq!(show(&rows), expected, "{expression} with rows");
}

#[test]
fn names_and_numbers() {
    check("to_regclass_oid('t')", "16401");
    check("to_regclass_oid('sales.T')", "16402");
    check("to_regclass_oid('\"Odd Name\"')", "16400");
    check("to_regclass_oid('pg_class')", "1259");
    check("to_regclass('nothing')", "");
    check("regclass_out(16402)", "sales.t");
    check("regclass_out(16400)", "\"Odd Name\"");
    check("regclass_out(7)", "7");
    check("regtype_out(23)", "integer");
    check("to_regtype_oid('timestamp with time zone')", "1184");
    check("regproc_out(to_regproc_oid('array_in'))", "array_in");
    check("regprocedure_out(to_regprocedure_oid('abs(int)'))", "abs(integer)");
    check("pg_table_is_visible(16401)", "true");
    check("pg_table_is_visible(16402)", "false");
    check("pg_table_is_visible('1259')", "true");
    check("pg_get_userbyid(10)", "tarn");
    check("pg_get_userbyid(11)", "unknown (OID=11)");
    let missing = run("SELECT to_regclass_oid('nothing')").expect_err("does not exist");
    assert!(missing.to_string().contains("relation \"nothing\" does not exist"));
}

#[test]
fn the_session() {
    check("version() ~ '^PostgreSQL 16\\.6 \\(tarn'", "true");
    check("current_database()", "tarn");
    check("current_schema()", "public");
    check("current_schemas(true)", "[pg_catalog, public]");
    check("current_schemas(false)", "[public]");
    check("pg_backend_pid()", "42");
    check("current_setting('server_version')", "16.6 (tarn)");
    check("current_setting('nonsense', true)", "");
    check("set_config('jit', 'off', false)", "");
    // A regtype: the frontends print its name.
    check("pg_typeof(1::int)", "23");
    check("pg_encoding_to_char(6)", "UTF8");
    check("pg_advisory_unlock_all()", "");
    let missing = run("SELECT current_setting('nonsense')").expect_err("does not exist");
    assert!(missing.to_string().contains("unrecognized configuration parameter \"nonsense\""));
}

#[test]
fn definitions() {
    check("format_type(1700, 983046)", "numeric(15,2)");
    check("format_type(23, NULL)", "integer");
    check("format_type(NULL, NULL)", "");
    check("pg_get_viewdef(16403)", " SELECT 1;");
    check("pg_get_function_result(2803)", "bigint");
    check("obj_description(16401, 'pg_class')", "rows");
    check("obj_description(2200, 'pg_namespace')", "standard public schema");
    check("col_description(16401, 1)", "");
}

#[test]
fn privileges_and_sizes() {
    check("has_table_privilege('t', 'SELECT, insert')", "true");
    check("has_schema_privilege('tarn', 'public', 'USAGE')", "true");
    check("pg_has_role('tarn', 'USAGE')", "true");
    check("pg_size_pretty(pg_relation_size('t'))", "80 bytes");
    let nonsense = run("SELECT has_table_privilege('t', 'FLY')").expect_err("no privilege");
    assert!(nonsense.to_string().contains("unrecognized privilege type"));
    let missing = run("SELECT has_table_privilege('nothing', 'SELECT')");
    assert!(missing.is_err());
}

#[test]
fn quoting_and_arrays() {
    check("quote_ident('Odd Name')", "\"Odd Name\"");
    check("quote_ident('select')", "\"select\"");
    check("quote_ident('plain')", "plain");
    check("quote_literal('it''s')", "'it''s'");
    check("quote_nullable(NULL)", "NULL");
    check("format('%I.%s|%3s|%-3s|%L|%%', 'A', 'b', 'c', 'd', NULL)", "\"A\".b|  c|d  |NULL|%");
    check("format('%2$s %1$s', 'a', 'b')", "b a");
    check("array_upper(make_array(1, 2, 3), 1)", "3");
    check("like_escape('pg/_%\\', '/')", "pg\\_%\\\\");
    check(
        "json_build_object('a', 1, 'b', NULL, 'c', 'x\"')",
        "{\"a\" : 1, \"b\" : null, \"c\" : \"x\\\"\"}",
    );
    check("array_lower(make_array(1, 2, 3), 1)", "1");
}

#[test]
fn functions_that_yield_rows() {
    let zones = run("SELECT * FROM pg_timezone_names() WHERE name = 'UTC'").expect("runs");
    assert_eq!(zones.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}
