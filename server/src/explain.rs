//! EXPLAIN: the physical plan as PostgreSQL's one text column.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use sqlparser::ast::Statement as Ast;
use tarn_exec::{Lane, QueryId};
use tarn_planner::binder::bind;
use tarn_planner::statement::Explain;
use tarn_planner::{Statement, plan};

use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::modify::explain::{Explained, explained};
use crate::query::unsupported;
use crate::session::Session;

/// Plans the query inside an EXPLAIN, runs it for ANALYZE, and describes the plan.
pub(crate) async fn explain(
    session: &Arc<Session>,
    statement: &Statement,
    form: Explain,
    query_id: QueryId,
) -> Result<Vec<String>> {
    let Ast::Explain { statement: inner, .. } = statement.ast() else {
        return Err(Error::Internal { what: "not an EXPLAIN".to_owned() });
    };
    let inner = statement.with_ast(inner.as_ref().clone());
    let state = session.state();
    let written = Box::pin(explained(session, &inner, &state)).await?;
    if written.is_some() && form.analyze {
        return Err(unsupported("EXPLAIN ANALYZE of a statement that writes"));
    }
    let (inner, logical, title) = match written {
        Some(Explained { operation, table, query: Some((query, logical)) }) => {
            (query, logical, Some(format!("{operation} on {table}")))
        }
        Some(Explained { operation, table, query: None }) => {
            return Ok(vec![format!("{operation} on {table}")]);
        }
        None => {
            let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
            let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
            (inner, logical, None)
        }
    };
    let optimized = plan::optimize(&logical, &state, &inner)?;
    let mut lines = Vec::new();
    if form.verbose {
        push_lines(&mut lines, "Logical plan:", &logical.display_indent().to_string());
        push_lines(&mut lines, "Optimized plan:", &optimized.display_indent().to_string());
    }
    let physical = plan::physical_plan(&optimized, &state, &inner).await?;
    let mut text =
        DisplayableExecutionPlan::new(physical.as_ref()).indent(form.verbose).to_string();
    let mut summary = None;
    let mut measured = None;
    if form.analyze {
        let started = std::time::Instant::now();
        let engine = &session.shared.engine;
        let env = Arc::clone(engine.runtime_env());
        let context = tarn_planner::session_state::task_context(&state, env);
        let mut stream = engine
            .run(query_id, Arc::clone(&physical), context, session.token(), Lane::Queries)
            .await?;
        let mut n_rows = 0;
        while let Some(batch) = stream.next().await {
            n_rows += batch?.num_rows();
        }
        let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        text = DisplayableExecutionPlan::with_metrics(physical.as_ref())
            .indent(form.verbose)
            .to_string();
        let bytes = tarn_exec::progress_of(&physical).n_bytes_scanned;
        measured = Some((elapsed_ms, n_rows));
        summary = Some(format!(
            "Execution Time: {elapsed_ms:.3} ms, {n_rows} rows, {bytes} bytes scanned"
        ));
    }
    if form.json {
        return Ok(vec![json(&physical, measured, title)]);
    }
    lines.extend(title);
    let title = if form.verbose { "Physical plan:" } else { "" };
    push_lines(&mut lines, title, &text);
    lines.extend(summary);
    Ok(lines)
}

fn push_lines(lines: &mut Vec<String>, title: &str, text: &str) {
    if !title.is_empty() {
        lines.push(title.to_owned());
    }
    lines.extend(text.lines().map(|line| line.replace('\u{1}', "#")));
}

/// The plan as PostgreSQL's JSON: one object for each operator, with those below it in `Plans`.
fn json(
    plan: &Arc<dyn ExecutionPlan>,
    measured: Option<(f64, usize)>,
    title: Option<String>,
) -> String {
    let mut whole = serde_json::Map::new();
    let plan = match title {
        None => json_node(plan),
        Some(title) => serde_json::json!({
            "Node Type": "ModifyTable",
            "Details": title,
            "Plans": [json_node(plan)],
        }),
    };
    whole.insert("Plan".to_owned(), plan);
    if let Some((elapsed_ms, n_rows)) = measured {
        whole.insert("Actual Rows".to_owned(), n_rows.into());
        whole.insert("Execution Time".to_owned(), ((elapsed_ms * 1e3).round() / 1e3).into());
    }
    let whole = serde_json::Value::Array(vec![whole.into()]);
    serde_json::to_string_pretty(&whole).unwrap_or_default()
}

fn json_node(plan: &Arc<dyn ExecutionPlan>) -> serde_json::Value {
    let mut node = serde_json::Map::new();
    node.insert("Node Type".to_owned(), plan.name().into());
    let line = DisplayableExecutionPlan::new(plan.as_ref()).one_line().to_string();
    node.insert("Details".to_owned(), line.trim().replace('\u{1}', "#").into());
    if let Ok(statistics) = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())
        && let Some(n_rows) = statistics.num_rows.get_value()
    {
        node.insert("Plan Rows".to_owned(), (*n_rows).into());
    }
    if let Some(n_rows) = plan.metrics().and_then(|metrics| metrics.output_rows()) {
        node.insert("Actual Rows".to_owned(), n_rows.into());
    }
    let below: Vec<_> = plan.children().into_iter().map(json_node).collect();
    if !below.is_empty() {
        node.insert("Plans".to_owned(), below.into());
    }
    node.into()
}
