//! Who is connected to what: version, user, database, settings, addresses, locks.

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::pg_type::pg_type_of;

use super::function::{Call, Kind, Spec, Value, immutable, stable, volatile};
use super::lookup::temporary_schema;
use crate::error::PlannerError;
use crate::functions::fault::fault;

pub(super) const FUNCTIONS: &[Spec] = &[
    stable("version", (0, 0), Kind::Text, |call, _| {
        let number = call.facts.settings.get("server_version").unwrap_or_else(|| "16.6".to_owned());
        let number = number.split(' ').next().unwrap_or_default().to_owned();
        let tarn = env!("CARGO_PKG_VERSION");
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        let bits = usize::BITS;
        Ok(Value::Text(format!("PostgreSQL {number} (tarn {tarn}) on {arch}-{os}, {bits}-bit")))
    }),
    stable("current_database", (0, 0), Kind::Name, |call, _| Ok(Value::text(&call.facts.database))),
    stable("current_catalog", (0, 0), Kind::Name, |call, _| Ok(Value::text(&call.facts.database))),
    stable("current_schema", (0, 0), Kind::Name, |call, _| {
        Ok(Value::from_text(existing_path(call).next()))
    }),
    stable("current_schemas", (1, 1), Kind::NameList, |call, row| {
        let implicit = call.bool(0, row) == Some(true);
        let implicit = implicit && !call.facts.search_path.iter().any(|name| name == "pg_catalog");
        let implicit = implicit.then_some("pg_catalog");
        let temporary = temporary_schema(call.facts).map(|schema| schema.name.as_str());
        let temporary = temporary.filter(|_| call.bool(0, row) == Some(true));
        let names = temporary.into_iter().chain(implicit).chain(existing_path(call));
        Ok(Value::Texts(names.map(str::to_owned).collect()))
    }),
    stable("current_user", (0, 0), Kind::Name, |call, _| Ok(Value::text(&call.facts.user))),
    stable("current_role", (0, 0), Kind::Name, |call, _| Ok(Value::text(&call.facts.user))),
    stable("user", (0, 0), Kind::Name, |call, _| Ok(Value::text(&call.facts.user))),
    stable("session_user", (0, 0), Kind::Name, |call, _| Ok(Value::text(&call.facts.session_user))),
    stable("system_user", (0, 0), Kind::Text, |_, _| Ok(Value::Null)),
    stable("pg_backend_pid", (0, 0), Kind::Int4, |call, _| {
        Ok(Value::Int(i64::from(call.facts.backend_pid)))
    }),
    // Volatile, because set_config may stand beside it.
    volatile("current_setting", (1, 2), Kind::Text, current_setting).called_on_null(),
    volatile("set_config", (3, 3), Kind::Text, |call, row| {
        let name =
            call.text(0, row).ok_or_else(|| fault("22004", "SET requires parameter name"))?;
        let name = name.to_ascii_lowercase();
        let local = call.bool(2, row) == Some(true);
        let failed = |error| DataFusionError::External(Box::new(error));
        call.facts.settings.set(&name, call.text(1, row), local).map_err(failed)?;
        Ok(Value::from_text(call.facts.settings.get(&name)))
    })
    .called_on_null(),
    stable("pg_postmaster_start_time", (0, 0), Kind::Timestamptz, |call, _| {
        Ok(Value::Instant(call.facts.server_started_at.timestamp_micros()))
    }),
    stable("pg_conf_load_time", (0, 0), Kind::Timestamptz, |call, _| {
        Ok(Value::Instant(call.facts.server_started_at.timestamp_micros()))
    }),
    // The addresses are the server's to know; NULL is what PostgreSQL answers on a local socket.
    stable("inet_server_addr", (0, 0), Kind::Inet, nothing),
    stable("inet_server_port", (0, 0), Kind::Int4, nothing),
    stable("inet_client_addr", (0, 0), Kind::Inet, nothing),
    stable("inet_client_port", (0, 0), Kind::Int4, nothing),
    stable("pg_is_in_recovery", (0, 0), Kind::Bool, no),
    stable("pg_my_temp_schema", (0, 0), Kind::Oid, |call, _| {
        Ok(Value::Int(temporary_schema(call.facts).map_or(0, |schema| i64::from(schema.oid))))
    }),
    stable("pg_is_other_temp_schema", (1, 1), Kind::Bool, no),
    stable("txid_current", (0, 0), Kind::Int8, transaction),
    stable("txid_current_if_assigned", (0, 0), Kind::Int8, nothing),
    stable("pg_current_xact_id", (0, 0), Kind::Int8, transaction),
    stable("getdatabaseencoding", (0, 0), Kind::Name, |_, _| Ok(Value::text("UTF8"))),
    stable("pg_client_encoding", (0, 0), Kind::Name, |_, _| Ok(Value::text("UTF8"))),
    immutable("pg_encoding_to_char", (1, 1), Kind::Name, |call, row| {
        Ok(Value::text(match call.int(0, row) {
            Some(0) => "SQL_ASCII",
            Some(6) => "UTF8",
            Some(8) => "LATIN1",
            _ => "",
        }))
    }),
    immutable("pg_char_to_encoding", (1, 1), Kind::Int4, |call, row| {
        let name = call.text(0, row).unwrap_or_default().to_ascii_uppercase();
        Ok(Value::Int(match name.replace(['-', '_'], "").as_str() {
            "SQLASCII" => 0,
            "UTF8" | "UNICODE" => 6,
            "LATIN1" | "ISO88591" => 8,
            _ => -1,
        }))
    }),
    stable("pg_typeof", (1, 1), Kind::Reg("regtype"), |call, _| {
        Ok(Value::oid(call.field(0).map(|field| pg_type_of(field).oid)))
    })
    .called_on_null(),
    stable("pg_collation_for", (1, 1), Kind::Text, |call, _| {
        let text = call.field(0).is_some_and(|field| field.data_type().is_string());
        Ok(Value::from_text(text.then_some("\"default\"")))
    })
    .called_on_null(),
    // Nothing is ever locked, so that all of these succeed at once.
    volatile("pg_advisory_lock", (1, 2), Kind::Void, empty),
    volatile("pg_advisory_lock_shared", (1, 2), Kind::Void, empty),
    volatile("pg_advisory_xact_lock", (1, 2), Kind::Void, empty),
    volatile("pg_try_advisory_lock", (1, 2), Kind::Bool, yes),
    volatile("pg_try_advisory_xact_lock", (1, 2), Kind::Bool, yes),
    volatile("pg_advisory_unlock", (1, 2), Kind::Bool, yes),
    volatile("pg_advisory_unlock_shared", (1, 2), Kind::Bool, yes),
    volatile("pg_advisory_unlock_all", (0, 0), Kind::Void, empty),
    // Stands for a subquery that cannot be planned: the statement fails when the value is needed.
    volatile("unsupported_subquery", (1, 1), Kind::Text, |call, row| {
        let what = call.text(0, row).unwrap_or_default().to_owned();
        Err(DataFusionError::External(Box::new(PlannerError::unsupported(what))))
    }),
    // Settings are read from the catalog log when a session begins: nothing has to be loaded.
    volatile("pg_reload_conf", (0, 0), Kind::Bool, |call, _| {
        if call.facts.catalog.is_superuser(&call.facts.user) {
            return Ok(Value::Bool(true));
        }
        Err(fault("42501", "permission denied for function pg_reload_conf"))
    }),
    volatile("pg_cancel_backend", (1, 1), Kind::Bool, |call, row| {
        let pid = call.int(0, row).and_then(|pid| i32::try_from(pid).ok());
        let done = pid.map_or(Ok(false), |pid| call.facts.backends.cancel(pid));
        Ok(Value::Bool(done.map_err(|error| DataFusionError::External(Box::new(error)))?))
    }),
    volatile("pg_terminate_backend", (1, 2), Kind::Bool, |call, row| {
        let pid = call.int(0, row).and_then(|pid| i32::try_from(pid).ok());
        let done = pid.map_or(Ok(false), |pid| call.facts.backends.terminate(pid));
        Ok(Value::Bool(done.map_err(|error| DataFusionError::External(Box::new(error)))?))
    }),
    volatile("pg_notify", (2, 2), Kind::Void, |call, row| {
        let channel = call.text(0, row).unwrap_or_default();
        call.facts.backends.notify(channel, call.text(1, row).unwrap_or_default())?;
        Ok(Value::text(""))
    }),
    volatile("pg_stat_clear_snapshot", (0, 0), Kind::Void, empty),
    volatile("pg_stat_get_numscans", (1, 1), Kind::Int8, zero),
    volatile("pg_stat_get_tuples_returned", (1, 1), Kind::Int8, zero),
    volatile("pg_stat_get_tuples_inserted", (1, 1), Kind::Int8, zero),
    volatile("pg_stat_get_live_tuples", (1, 1), Kind::Int8, zero),
    volatile("pg_stat_get_dead_tuples", (1, 1), Kind::Int8, zero),
];

fn nothing(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::Null)
}

fn no(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::Bool(false))
}

fn yes(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::Bool(true))
}

fn zero(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::Int(0))
}

fn empty(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::text(""))
}

/// A snapshot's number stands for the transaction that made it.
fn transaction(call: &Call<'_>, _: usize) -> Result<Value> {
    let version = call.facts.catalog.version.saturating_add(700);
    Ok(Value::Int(i64::try_from(version).unwrap_or(i64::MAX)))
}

/// The schemas of the search path that exist.
fn existing_path<'a>(call: &Call<'a>) -> impl Iterator<Item = &'a str> {
    let facts = call.facts;
    let names = facts.search_path.iter().map(String::as_str);
    names.filter(|name| facts.catalog.schema(name).is_some())
}

fn current_setting(call: &Call<'_>, row: usize) -> Result<Value> {
    let Some(name) = call.text(0, row) else { return Ok(Value::Null) };
    let missing_ok = call.bool(1, row) == Some(true);
    match call.facts.settings.get(&name.to_ascii_lowercase()) {
        Some(value) => Ok(Value::Text(value)),
        None if missing_ok => Ok(Value::Null),
        None => {
            let error = PlannerError::UndefinedSetting { name: name.to_owned() };
            Err(DataFusionError::External(Box::new(error)))
        }
    }
}
