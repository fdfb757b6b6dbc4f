//! EXPLAIN: the physical plan as PostgreSQL's one text column.
//!
//! | module | what |
//! |---|---|
//! | `operators` | the lines of a plan that has run |

mod operators;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use futures::FutureExt;
use sqlparser::ast::Statement as Ast;
use tarn_exec::{Lane, QueryId};
use tarn_planner::binder::bind;
use tarn_planner::statement::Explain;
use tarn_planner::{Statement, plan};

use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::modify::explain::{Explained, explained, measured};
use crate::session::Session;

/// What EXPLAIN has to show.
#[derive(Default)]
struct Shown {
    /// What a statement that writes does, and to which table.
    title: Option<String>,
    /// The logical plans, of which VERBOSE tells.
    logical: Vec<String>,
    /// Plans in the order in which they run: one, but for some statements that write.
    plans: Vec<Arc<dyn ExecutionPlan>>,
    ran: Option<Ran>,
}

/// What ANALYZE has found.
struct Ran {
    n_rows: u64,
    planning: Duration,
    execution: Duration,
}

/// Plans the statement inside an EXPLAIN, runs it for ANALYZE, and describes the plan.
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
    let shown = if form.writes && form.analyze {
        Box::pin(written(session, &inner, query_id)).await?
    } else {
        Box::pin(planned(session, &inner, form, query_id)).await?
    };
    if form.json {
        return Ok(vec![json(&shown)]);
    }
    Ok(text(shown, form))
}

/// Runs a statement that writes.
async fn written(
    session: &Arc<Session>,
    statement: &Statement,
    query_id: QueryId,
) -> Result<Shown> {
    let started = Instant::now();
    let done = measured(session, statement, query_id).await?;
    let planning = done.ready.map_or(Duration::ZERO, |ready| ready.duration_since(started));
    let execution = started.elapsed().saturating_sub(planning);
    Ok(Shown {
        title: Some(format!("{} on {}", done.operation, done.table)),
        logical: vec![],
        plans: done.plans,
        ran: Some(Ran { n_rows: done.n_rows, planning, execution }),
    })
}

/// Plans a statement, and runs it if it is a query to be measured.
async fn planned(
    session: &Arc<Session>,
    statement: &Statement,
    form: Explain,
    query_id: QueryId,
) -> Result<Shown> {
    let started = Instant::now();
    let state = session.state();
    let (inner, logical, title) = match explained(session, statement, &state).boxed().await? {
        Some(Explained { operation, table, query }) => {
            let title = Some(format!("{operation} on {table}"));
            match query {
                Some((query, logical)) => (query, logical, title),
                None => return Ok(Shown { title, ..Shown::default() }),
            }
        }
        None => {
            let bound = bind(statement, &state, &SessionLookup::new(session)).await?;
            let logical = plan::logical_plan(statement, bound.ast, &state, &bound.tables, &[])?;
            (statement.clone(), logical, None)
        }
    };
    let optimized = plan::optimize(&logical, &state, &inner)?;
    let mut lines = Vec::new();
    if form.verbose {
        push_lines(&mut lines, "Logical plan:", &logical.display_indent().to_string());
        push_lines(&mut lines, "Optimized plan:", &optimized.display_indent().to_string());
    }
    let physical = plan::physical_plan(&optimized, &state, &inner).await?;
    let planning = started.elapsed();
    if !form.analyze {
        return Ok(Shown { title, logical: lines, plans: vec![physical], ran: None });
    }
    let engine = &session.shared.engine;
    let env = Arc::clone(engine.runtime_env());
    let context = tarn_planner::session_state::task_context(&state, env);
    let started = Instant::now();
    let mut stream =
        engine.run(query_id, physical, context, session.token(), Lane::Queries).await?;
    let mut n_rows = 0;
    while let Some(batch) = stream.next().await {
        n_rows += u64::try_from(batch?.num_rows()).unwrap_or(u64::MAX);
    }
    // Operators are put together anew before they run: those of the stream were measured.
    let plans = vec![Arc::clone(stream.plan())];
    let ran = Some(Ran { n_rows, planning, execution: started.elapsed() });
    Ok(Shown { title, logical: lines, plans, ran })
}

fn text(shown: Shown, form: Explain) -> Vec<String> {
    let Shown { title, mut logical, plans, ran } = shown;
    let lines = &mut logical;
    let rows = ran.as_ref().filter(|_| title.is_some()).map(|ran| ran.n_rows);
    let depth = usize::from(title.is_some() && ran.is_some());
    lines.extend(title.map(|title| match rows {
        Some(n_rows) => format!("{title} (actual rows={n_rows})"),
        None => title,
    }));
    for plan in &plans {
        if form.verbose {
            let shown = if ran.is_some() {
                DisplayableExecutionPlan::with_metrics(plan.as_ref())
            } else {
                DisplayableExecutionPlan::new(plan.as_ref())
            };
            push_lines(lines, "Physical plan:", &shown.indent(true).to_string());
        } else if ran.is_some() {
            operators::push_operators(plan, depth, lines);
        } else {
            let shown = DisplayableExecutionPlan::new(plan.as_ref());
            push_lines(lines, "", &shown.indent(false).to_string());
        }
    }
    if let Some(ran) = ran {
        lines.push(format!("Planning Time: {:.3} ms", ran.planning.as_secs_f64() * 1e3));
        lines.push(format!("Execution Time: {:.3} ms", ran.execution.as_secs_f64() * 1e3));
    }
    logical
}

/// What a plan says, without the characters that keep internal names apart from those of users.
fn readable(text: &str) -> String {
    text.replace('\u{1}', "#").replace('\0', "")
}

fn push_lines(lines: &mut Vec<String>, title: &str, text: &str) {
    if !title.is_empty() {
        lines.push(title.to_owned());
    }
    lines.extend(text.lines().map(readable));
}

/// The plan as PostgreSQL's JSON: one object for each operator, with those below it in `Plans`.
fn json(shown: &Shown) -> String {
    let mut whole = serde_json::Map::new();
    let mut plans: Vec<_> = shown.plans.iter().map(json_node).collect();
    let plan = match (&shown.title, plans.pop()) {
        (None, Some(plan)) => plan,
        (title, last) => {
            plans.extend(last);
            serde_json::json!({ "Node Type": "ModifyTable", "Details": title, "Plans": plans })
        }
    };
    whole.insert("Plan".to_owned(), plan);
    if let Some(ran) = &shown.ran {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        whole.insert("Actual Rows".to_owned(), ran.n_rows.into());
        whole.insert("Planning Time".to_owned(), ms(ran.planning).into());
        whole.insert("Execution Time".to_owned(), ms(ran.execution).into());
    }
    let whole = serde_json::Value::Array(vec![whole.into()]);
    serde_json::to_string_pretty(&whole).unwrap_or_default()
}

fn json_node(plan: &Arc<dyn ExecutionPlan>) -> serde_json::Value {
    let mut node = serde_json::Map::new();
    node.insert("Node Type".to_owned(), plan.name().into());
    let line = DisplayableExecutionPlan::new(plan.as_ref()).one_line().to_string();
    node.insert("Details".to_owned(), readable(line.trim()).into());
    if let Ok(statistics) = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())
        && let Some(n_rows) = statistics.num_rows.get_value()
    {
        node.insert("Plan Rows".to_owned(), (*n_rows).into());
    }
    if let Some(metrics) = plan.metrics() {
        if let Some(n_rows) = metrics.output_rows() {
            node.insert("Actual Rows".to_owned(), n_rows.into());
        }
        if let Some(time) = operators::milliseconds(&metrics.aggregate_by_name()) {
            node.insert("Actual Total Time".to_owned(), time.into());
        }
    }
    let below: Vec<_> = plan.children().into_iter().map(json_node).collect();
    if !below.is_empty() {
        node.insert("Plans".to_owned(), below.into());
    }
    node.into()
}
