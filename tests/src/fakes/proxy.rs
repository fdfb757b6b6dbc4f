//! A proxy that makes the network and the store behind it as bad as they can be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::http::{Listening, Response, forward, send, serve};

/// How many of a thousand requests go wrong in each way; the rest pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Answered 500, and not done.
    pub refused: u64,
    /// Done, and answered 500 all the same.
    pub done_and_refused: u64,
    /// Done, and the connection cut instead of an answer.
    pub lost: u64,
    /// Cut before anything was done.
    pub cut: u64,
    /// Done, and not answered while the client waits.
    pub late: u64,
    /// Done only when the client has given up and tried again.
    pub delayed: u64,
    /// How long every request takes at least, whatever becomes of it.
    pub slow_ms: u64,
}

impl Faults {
    /// Every kind about equally often, one request in ten.
    pub fn often() -> Self {
        Self {
            refused: 30,
            done_and_refused: 20,
            lost: 20,
            cut: 20,
            late: 10,
            delayed: 10,
            slow_ms: 0,
        }
    }
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    listening: Listening,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    faults: Faults,
    on: AtomicBool,
    dice: AtomicU64,
    n_requests: AtomicU64,
    n_faults: AtomicU64,
    /// What requests were for, when they have been done.
    answered: broadcast::Sender<String>,
    /// Session tokens of S3 that are no longer good.
    expired: Mutex<Vec<String>>,
    /// The end of the path whose next answer does not come while the client waits.
    late: Mutex<Option<String>>,
    /// What was asked for, as method and path with query.
    asked: Mutex<Vec<String>>,
    /// moto looks whether an object is there and then makes it; stores do both at once.
    creating: tokio::sync::Mutex<()>,
}

/// How long a request that is delayed waits for its client to try again.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(4);
/// How long a client may wait for an answer that does not come: more than any limit in tests.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

impl Proxy {
    /// Starts a proxy in front of a server; the seed decides which requests go wrong.
    pub async fn start(upstream: SocketAddr, faults: Faults, seed: u64) -> Result<Self> {
        let state = Arc::new(State {
            upstream,
            faults,
            on: AtomicBool::new(true),
            dice: AtomicU64::new(seed),
            n_requests: AtomicU64::new(0),
            n_faults: AtomicU64::new(0),
            answered: broadcast::Sender::new(1024),
            expired: Mutex::default(),
            late: Mutex::default(),
            asked: Mutex::default(),
            creating: tokio::sync::Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let listening = serve(move |request, mut stream| {
            let state = Arc::clone(&shared);
            async move {
                state.n_requests.fetch_add(1, Ordering::Relaxed);
                if state.faults.slow_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(state.faults.slow_ms)).await;
                }
                if state.has_expired(request.header("x-amz-security-token")) {
                    state.n_faults.fetch_add(1, Ordering::Relaxed);
                    return send(stream, &expired()).await;
                }
                lock(&state.asked).push(format!("{} {}", request.method, request.target));
                let fault = if state.is_late(&request.target) { Fault::Late } else { state.roll() };
                if fault != Fault::None {
                    state.n_faults.fetch_add(1, Ordering::Relaxed);
                }
                match fault {
                    Fault::Cut => return Ok(()),
                    Fault::Refused => return send(stream, &broken()).await,
                    Fault::Delayed => {
                        let mut answered = state.answered.subscribe();
                        given_up(&mut stream).await?;
                        // It need not try again: then this comes at the end of the wait.
                        let again = async {
                            while answered.recv().await.is_ok_and(|target| target != request.target)
                            {
                            }
                        };
                        drop(tokio::time::timeout(RETRY_WAIT_MAX, again).await);
                    }
                    Fault::None | Fault::DoneAndRefused | Fault::Lost | Fault::Late => {}
                }
                let creates = request.header("if-none-match").is_some();
                let turn = if creates { Some(state.creating.lock().await) } else { None };
                let answer = forward(state.upstream, &request).await?;
                drop(turn);
                // Nobody listens unless a request is delayed.
                drop(state.answered.send(request.target));
                match fault {
                    // Nobody waits for the answer of what was delayed.
                    Fault::Lost | Fault::Delayed => Ok(()),
                    Fault::DoneAndRefused => send(stream, &broken()).await,
                    Fault::Late => given_up(&mut stream).await,
                    Fault::None | Fault::Cut | Fault::Refused => send(stream, &answer).await,
                }
            }
        })
        .await?;
        Ok(Self { listening, state })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr
    }

    /// Switches the faults on or off.
    pub fn set_faults(&self, on: bool) {
        self.state.on.store(on, Ordering::Relaxed);
    }

    /// Answers all requests with this session token as S3 does when it has expired.
    pub fn expire(&self, token: &str) {
        lock(&self.state.expired).push(token.to_owned());
    }

    /// Has the next answer for a path that ends so not come while the client waits.
    pub fn delay_once(&self, path_end: &str) {
        *lock(&self.state.late) = Some(path_end.to_owned());
    }

    /// What was asked for since the last call, as method and path with query.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state.asked))
    }

    /// How many requests came so far.
    pub fn n_requests(&self) -> u64 {
        self.state.n_requests.load(Ordering::Relaxed)
    }

    /// How many requests went wrong so far.
    pub fn n_faults(&self) -> u64 {
        self.state.n_faults.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Refused,
    DoneAndRefused,
    Lost,
    Cut,
    Late,
    Delayed,
}

impl State {
    fn has_expired(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| lock(&self.expired).iter().any(|expired| expired == token))
    }

    fn is_late(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        lock(&self.late).take_if(|end| path.ends_with(end.as_str())).is_some()
    }

    fn roll(&self) -> Fault {
        if !self.on.load(Ordering::Relaxed) {
            return Fault::None;
        }
        // splitmix64: a counter whose values are scrambled.
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut x = self.dice.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut rolled = (x ^ (x >> 31)) % 1000;
        let f = &self.faults;
        for (share, fault) in [
            (f.refused, Fault::Refused),
            (f.done_and_refused, Fault::DoneAndRefused),
            (f.lost, Fault::Lost),
            (f.cut, Fault::Cut),
            (f.late, Fault::Late),
            (f.delayed, Fault::Delayed),
        ] {
            if rolled < share {
                return fault;
            }
            rolled -= share;
        }
        Fault::None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns when the client has closed its connection.
async fn given_up(stream: &mut TcpStream) -> Result<()> {
    let mut more = [0; 1];
    let closed = async { while stream.read(&mut more).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(PATIENCE_MAX, closed).await.context("the client waits for ever")
}

fn expired() -> Vec<u8> {
    Response::new(403, super::bucket::error("ExpiredToken")).to_bytes()
}

fn broken() -> Vec<u8> {
    Response::new(500, super::bucket::error("InternalError")).to_bytes()
}
