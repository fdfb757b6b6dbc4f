//! The engine: threads, memory, admission.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{ExecError, Result};
use crate::id::QueryId;
use crate::interrupt::interruptible;
use crate::query::{self, QueryStream};

/// Each CPU thread reserves this much address space for its stack; only what is used is paid for.
///
/// The planner and the optimizer recurse over expressions: the parser's limits keep them below
/// this also in builds without optimisation, where frames are large.
const STACK_BYTES: usize = 256 << 20;

// There are twice as many threads as cores queries are planned for: an operator may compute for
// seconds without a pause, and planning and other queries must go on beside it.

/// How many operators are named in an out-of-memory error.
const N_CONSUMERS_NAMED: usize = 3;

/// What the engine needs to know at start.
#[derive(Debug)]
pub struct EngineOptions {
    /// CPU threads.
    pub n_threads: usize,
    /// Bytes that all queries together may reserve.
    pub memory_bytes_max: usize,
    /// Bytes that all queries together may spill.
    pub spill_bytes_max: u64,
    /// Where spilled runs go; the folder is made when it is first needed.
    pub spill_dir: PathBuf,
    /// Queries that run at a time.
    pub n_running_max: usize,
    /// Queries that may wait for a place.
    pub n_waiting_max: usize,
    /// Gives object stores to scans.
    pub object_stores: Arc<dyn ObjectStoreRegistry>,
}

/// Which queries a query waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// All that read tables.
    Queries,
    /// Those that read system relations only: they are short, and tools must be able to look while
    /// all other places are taken.
    System,
}

/// Queries over system relations that run at a time.
const N_SYSTEM_RUNNING_MAX: usize = 16;

/// Runs plans; shared by all sessions.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
    env: Arc<RuntimeEnv>,
    permits: Arc<Semaphore>,
    /// Places of [`Lane::System`].
    system_permits: Arc<Semaphore>,
    n_waiting: AtomicUsize,
    n_waiting_max: usize,
    n_threads: usize,
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    /// `Start` when threads or the spill folder cannot be made.
    pub fn start(options: EngineOptions) -> Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.n_threads.max(1).saturating_mul(2))
            .thread_name("tarn-cpu")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| start_error("CPU threads", error))?;
        tarn_catalog::discovery::make_private_folder(&options.spill_dir)
            .map_err(|error| start_error("the spill folder", error))?;
        let pool = FairSpillPool::new(options.memory_bytes_max);
        let named =
            std::num::NonZeroUsize::new(N_CONSUMERS_NAMED).unwrap_or(std::num::NonZeroUsize::MIN);
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.spill_dir]))
            .with_max_temp_directory_size(options.spill_bytes_max);
        let env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, named)))
            .with_disk_manager_builder(disk)
            .with_object_store_registry(options.object_stores)
            .build_arc()
            .map_err(|error| start_error("the query environment", error))?;
        Ok(Arc::new(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            env,
            permits: Arc::new(Semaphore::new(options.n_running_max.max(1))),
            system_permits: Arc::new(Semaphore::new(N_SYSTEM_RUNNING_MAX)),
            n_waiting: AtomicUsize::new(0),
            n_waiting_max: options.n_waiting_max,
            n_threads: options.n_threads.max(1),
        }))
    }

    /// The environment that plans are made for and run in.
    #[must_use]
    pub fn runtime_env(&self) -> &Arc<RuntimeEnv> {
        &self.env
    }

    /// The memory that all queries share.
    #[must_use]
    pub fn memory_pool(&self) -> &Arc<dyn MemoryPool> {
        &self.env.memory_pool
    }

    /// CPU threads.
    #[must_use]
    pub fn n_threads(&self) -> usize {
        self.n_threads
    }

    /// Runs a future on the CPU threads.
    ///
    /// Planning goes here: it may compute for long, which must not hold up the threads that
    /// serve sockets, and it needs their large stacks.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Starts a plan as soon as there is a place for it.
    ///
    /// # Errors
    /// `QueueFull`, `Cancelled` while waiting, `Engine` when the plan cannot be started.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the queue back.
    pub async fn run(
        self: &Arc<Self>,
        id: QueryId,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        cancel: CancellationToken,
        lane: Lane,
    ) -> Result<QueryStream> {
        // A query that nobody waits for any more has to stop as well as a cancelled one.
        let stop = cancel.child_token();
        let plan =
            interruptible(plan, &stop).map_err(|error| ExecError::Engine(Box::new(error)))?;
        let permit = self.admit(&cancel, lane).await?;
        Ok(query::start(self, id, plan, context, stop, permit))
    }

    /// Waits for a place among the running queries.
    async fn admit(&self, cancel: &CancellationToken, lane: Lane) -> Result<OwnedSemaphorePermit> {
        let permits = match lane {
            Lane::Queries => &self.permits,
            Lane::System => &self.system_permits,
        };
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        if self.n_waiting.fetch_add(1, Ordering::Relaxed) >= self.n_waiting_max {
            self.n_waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(ExecError::QueueFull { n_waiting_max: self.n_waiting_max });
        }
        let waiting = Waiting(&self.n_waiting);
        let permit = tokio::select! {
            permit = Arc::clone(permits).acquire_owned() => {
                permit.map_err(|_| ExecError::Stopping)
            }
            () = cancel.cancelled() => Err(ExecError::Cancelled),
        };
        drop(waiting);
        permit
    }

    /// Queries that run and wait now.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.n_waiting.load(Ordering::Relaxed)
    }

    /// Stops taking queries and ends the threads without waiting for them.
    pub fn stop(&self) {
        self.permits.close();
        self.system_permits.close();
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Engine {
    /// A runtime must not be dropped on one of its own or another runtime's threads.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Counts down also when the waiting future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start_error(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> ExecError {
    ExecError::Start { what: what.to_owned(), source: Box::new(error) }
}
