//! The HTTP page: what is served and how to connect, health, metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Shared, telemetry};

/// Serves the page until `stop` is cancelled.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    let app = Router::new()
        .route("/", get(page))
        .route("/health", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .with_state(shared);
    let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP page stopped");
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    #[expect(clippy::cast_precision_loss, reason = "exact below 8 PiB")]
    let rows_bytes = shared.rows_budget.bytes_used() as f64;
    metrics::gauge!("tarn_memory_tables_bytes").set(rows_bytes);
    match telemetry::metrics() {
        Some(handle) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
            (StatusCode::OK, kind, handle.render()).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "no metrics\n").into_response(),
    }
}

async fn page(State(shared): State<Arc<Shared>>) -> Html<String> {
    let snapshot = shared.catalog.snapshot();
    let mut rows = String::new();
    let system = |name: &str| crate::system_tables::SCHEMAS.contains(&name);
    for schema in snapshot.schemas.iter().filter(|schema| !system(&schema.name)) {
        for table in &schema.tables {
            let n_rows = table.n_rows_estimate.map_or_else(|| "–".to_owned(), grouped);
            rows.push_str(&format!(
                "<tr><td>{}.{}</td><td class=n>{}</td><td class=n>{n_rows}</td><td>{}</td></tr>\n",
                escape(&schema.name),
                escape(&table.name),
                table.columns.len(),
                escape(table.comment.as_deref().unwrap_or_default()),
            ));
        }
    }
    if rows.is_empty() {
        rows.push_str("<tr><td colspan=4>No tables yet.</td></tr>");
    }
    let pg = shared.config.pg.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let flight =
        shared.config.flight.map_or_else(|| "off".to_owned(), |address| address.to_string());
    Html(format!(
        include_str!("http/page.html"),
        pg = escape(&pg),
        flight = escape(&flight),
        started = shared.started_at.format("%Y-%m-%d %H:%M:%S UTC"),
        n_sessions = shared.sessions.list().len(),
        n_queries = shared.running.len(),
        n_waiting = shared.engine.n_waiting(),
        memory = grouped(u64::try_from(shared.engine.memory_pool().reserved()).unwrap_or(u64::MAX)),
        rows = rows,
    ))
}

/// Writes a number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
