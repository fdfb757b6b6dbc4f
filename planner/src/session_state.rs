//! DataFusion's session state as tarn sets it up.

use std::sync::Arc;

use datafusion::config::ConfigNonZeroUsize;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::prelude::SessionConfig;

use crate::analyzer::{
    InListsOfExpressions, IntervalOrder, Members, PostgresArithmetic, PostgresCasts, StrictTypes,
    TemporalCasts, UnknownLiterals, WindowKeys,
};
use crate::decorrelate::{self, CountedSetOperations, Decorrelate};
use crate::facts::SessionFacts;
use crate::functions;
use crate::types::bits::BitOperators;
use crate::types::operators::Operators;
use crate::using::UsingJoins;
use crate::variables::{Variables, engine_time_zone};

/// A state behind a trait object, for the same reason as a statement's tree: the type reaches
/// plans and expressions, over which the compiler would prove `Send` in every future.
trait Base: std::fmt::Debug + Send + Sync {
    fn state(&self) -> SessionState;
}

impl Base for SessionState {
    fn state(&self) -> SessionState {
        self.clone()
    }
}

/// Makes the state of a session; the parts that all sessions share are built once.
#[derive(Debug, Clone)]
pub struct SessionStateFactory {
    base: Arc<dyn Base>,
}

impl SessionStateFactory {
    /// Builds the shared part: functions, rules, the runtime's memory and object stores.
    ///
    /// `physical_rules` are appended to DataFusion's own.
    #[must_use]
    pub fn new(
        runtime: Arc<RuntimeEnv>,
        physical_rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
    ) -> Self {
        let mut builder = SessionStateBuilder::new()
            .with_default_features()
            .with_runtime_env(runtime)
            .with_config(base_config())
            .with_optimizer_rules(decorrelate::guard(Optimizer::new().rules))
            .with_relation_planners(vec![Arc::new(UsingJoins)])
            .with_analyzer_rules(first_rules())
            .with_analyzer_rule(Arc::new(CountedSetOperations))
            .with_analyzer_rule(Arc::new(Decorrelate::new(functions::single_value())))
            .with_analyzer_rule(Arc::new(InListsOfExpressions))
            .with_analyzer_rule(Arc::new(IntervalOrder))
            .with_analyzer_rule(Arc::new(TemporalCasts))
            .with_analyzer_rule(Arc::new(PostgresCasts))
            .with_analyzer_rule(Arc::new(PostgresArithmetic));
        for rule in physical_rules {
            builder = builder.with_physical_optimizer_rule(rule);
        }
        if let Some(functions) = builder.scalar_functions() {
            functions.extend(functions::scalar_functions());
        }
        if let Some(functions) = builder.aggregate_functions() {
            functions.extend(functions::aggregate_functions());
        }
        if let Some(functions) = builder.window_functions() {
            functions.extend(functions::window_functions());
        }
        if let Some(functions) = builder.table_functions() {
            let added = functions::table_functions().into_iter();
            functions.extend(added.map(|function| (function.name().to_owned(), function)));
        }
        if let Some(planners) = builder.expr_planners() {
            // Before DataFusion's own, which would refuse the operands.
            planners.insert(0, Arc::new(BitOperators));
            planners.insert(1, functions::datetime::planner::planner());
            planners.insert(2, functions::numeric::planner::planner());
            planners.insert(3, Arc::new(Operators));
        }
        Self { base: Arc::new(builder.build()) }
    }

    /// Adds functions of the program that the server is part of.
    #[must_use]
    pub fn with_functions(self, functions: &[Arc<ScalarUDF>]) -> Self {
        if functions.is_empty() {
            return self;
        }
        let mut state = self.base.state();
        for function in functions {
            // Only states that refuse all functions fail here, and this is none.
            drop(state.register_udf(Arc::clone(function)));
        }
        Self { base: Arc::new(state) }
    }

    /// The state for one session's settings.
    ///
    /// `n_partitions_default` is used where the session does not set `tarn.target_partitions`.
    #[must_use]
    pub fn session(
        &self,
        facts: SessionFacts,
        variables: &Variables,
        n_partitions_default: usize,
    ) -> SessionState {
        let mut state = self.base.state();
        let config = state.config_mut();
        let options = config.options_mut();
        let n_partitions = variables
            .integer("tarn.target_partitions")
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0);
        options.execution.target_partitions = n_partitions.unwrap_or(n_partitions_default);
        let rows = variables.integer("tarn.batch_rows").and_then(|n| usize::try_from(n).ok());
        if let Some(Ok(rows)) = rows.map(ConfigNonZeroUsize::try_new) {
            options.execution.batch_size = rows;
        }
        let zone = variables.get("timezone").unwrap_or_default();
        options.execution.time_zone = Some(engine_time_zone(&zone));
        options.extensions.insert(facts);
        state
    }
}

/// DataFusion's own analysis with what has to come before it.
fn first_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(UnknownLiterals));
    rules.insert(1, Arc::new(Members));
    rules.insert(2, Arc::new(StrictTypes));
    rules.insert(3, Arc::new(WindowKeys));
    rules
}

fn base_config() -> SessionConfig {
    let mut config = SessionConfig::new().with_information_schema(false);
    let options = config.options_mut();
    // Makes now() a timestamp with time zone; each session sets its own zone.
    options.execution.time_zone = Some("+00:00".to_owned());
    options.sql_parser.collect_spans = true;
    // Literals such as 0.06 are numeric, not float8, as in PostgreSQL.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.support_varchar_with_length = true;
    // Listings are made by the catalog, which knows when they change.
    options.execution.listing_table_ignore_subdirectory = false;
    // The schemas may differ in metadata: a union's branches name their PostgreSQL types, of which
    // the logical plan keeps the first one's.
    options.execution.skip_physical_aggregate_schema_check = true;
    config
}

/// The context that a physical plan of this state runs in, with its own memory accounting.
#[must_use]
pub fn task_context(state: &SessionState, runtime: Arc<RuntimeEnv>) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        state.session_id().to_owned(),
        state.config().clone(),
        state.scalar_functions().clone(),
        state.higher_order_functions().clone(),
        state.aggregate_functions().clone(),
        state.window_functions().clone(),
        runtime,
    ))
}
