//! Log and metrics.
//!
//! | metric | unit | what |
//! |---|---|---|
//! | `tarn_pg_connections_total` | connections | accepted on the Postgres wire |
//! | `tarn_errors_total` | errors, by SQLSTATE | answered to clients |
//! | `tarn_memory_tables_bytes` | bytes | rows of tables in memory |

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The Delta kernel logs as errors what is answered to the client as an error anyway.
const DEFAULT_FILTER: &str =
    "warn,tarn_server=info,tarn_catalog=info,buoyant_kernel=off,buoyant_kernel_engine=off";

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts the log on standard error; `TARN_LOG` chooses what is logged.
pub(crate) fn start_log() {
    let filter = crate::config::environment("TARN_LOG")
        .and_then(|text| text.parse::<EnvFilter>().ok())
        .unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second server in one process, as in tests, keeps the first one's log.
    drop(log.try_init());
}

/// Starts collecting metrics, once per process.
pub(crate) fn metrics() -> Option<&'static PrometheusHandle> {
    METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).as_ref()
}
