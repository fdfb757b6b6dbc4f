//! Where records run: an engine and the address or session API behind it.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use tokio_postgres::Config;

use crate::answer::{Answer, SqlError};
use crate::flight::{FlightAddress, FlightSession};
use crate::in_process::{InProcessServer, InProcessSession};
use crate::pg::PgSession;

/// A way to reach a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// tarn over the PostgreSQL protocol.
    Pg,
    /// tarn over Flight SQL.
    Flight,
    /// tarn's session API, without a socket.
    InProcess,
    /// A real PostgreSQL.
    Postgres,
}

impl Engine {
    /// Name on the command line and label in `skipif` and `onlyif`.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Pg => "pg",
            Engine::Flight => "flight",
            Engine::InProcess => "in-process",
            Engine::Postgres => "postgres",
        }
    }

    /// Labels that hold beside the name. tarn speaks PostgreSQL's dialect, so files meant for PostgreSQL include it.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Engine::Postgres => &["postgresql", "postgres"],
            Engine::Pg | Engine::Flight | Engine::InProcess => &["tarn", "postgresql", "postgres"],
        }
    }
}

impl FromStr for Engine {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "pg" => Engine::Pg,
            "flight" => Engine::Flight,
            "in-process" => Engine::InProcess,
            "postgres" => Engine::Postgres,
            other => bail!("unknown engine {other:?}: use pg, flight, in-process or postgres"),
        })
    }
}

/// An engine that sessions can be opened on.
#[derive(Debug)]
pub enum Target {
    /// [`Engine::Pg`] and [`Engine::Postgres`].
    Pg {
        /// Which of the two.
        engine: Engine,
        /// Address, user and database.
        config: Box<Config>,
        /// Queries as prepared statements with binary results.
        extended: bool,
    },
    /// [`Engine::Flight`].
    Flight(Box<FlightAddress>),
    /// [`Engine::InProcess`].
    InProcess(InProcessServer),
}

impl Target {
    /// The target behind a URL: `postgresql://user@host:port/database` or `http://host:port` for Flight SQL.
    pub fn from_url(engine: Engine, url: &str, extended: bool) -> Result<Self> {
        Ok(match engine {
            Engine::Pg | Engine::Postgres => {
                let config = url.parse::<Config>().with_context(|| format!("bad --url {url:?}"))?;
                Target::Pg { engine, config: Box::new(config), extended }
            }
            Engine::Flight => Target::Flight(Box::new(FlightAddress::new(url)?)),
            Engine::InProcess => bail!("--url cannot be used with --engine in-process"),
        })
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        match self {
            Target::Pg { engine, .. } => *engine,
            Target::Flight(_) => Engine::Flight,
            Target::InProcess(_) => Engine::InProcess,
        }
    }

    /// Whether queries go through prepared statements and binary values.
    pub fn is_extended(&self) -> bool {
        matches!(self, Target::Pg { extended: true, .. })
    }

    /// Opens a session.
    pub async fn session(&self) -> Result<Session, SqlError> {
        Ok(match self {
            Target::Pg { config, extended, .. } => {
                Session::Pg(PgSession::connect(config, *extended).await?)
            }
            Target::Flight(address) => {
                Session::Flight(Box::new(FlightSession::connect(address).await?))
            }
            Target::InProcess(server) => Session::InProcess(InProcessSession::open(server)?),
        })
    }
}

/// One session of any engine.
#[derive(Debug)]
pub enum Session {
    /// Over the PostgreSQL protocol.
    Pg(PgSession),
    /// Over Flight SQL.
    Flight(Box<FlightSession>),
    /// By function calls.
    InProcess(InProcessSession),
}

impl Session {
    /// Runs one record's SQL; `want_letters` also asks for column types.
    pub async fn run(&mut self, sql: &str, want_letters: bool) -> Result<Answer, SqlError> {
        match self {
            Session::Pg(session) => session.run(sql, want_letters).await,
            Session::Flight(session) => session.run(sql, want_letters).await,
            Session::InProcess(session) => session.run(sql).await,
        }
    }

    /// Stops what the session runs.
    pub async fn cancel(&self) {
        match self {
            Session::Pg(session) => session.cancel().await,
            Session::Flight(_) => {} // dropping the stream cancels it
            Session::InProcess(session) => session.cancel(),
        }
    }

    /// Whether a new session is needed.
    pub fn is_closed(&self) -> bool {
        match self {
            Session::Pg(session) => session.is_closed(),
            Session::Flight(_) | Session::InProcess(_) => false,
        }
    }
}
