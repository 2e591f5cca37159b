//! PostgreSQL: one connection, kept from reading to reading.
//!
//! The connection string may say `sslmode=disable`, `prefer` (the default) or `require`. As with libpq the last two do
//! not look at the server's certificate; with TLS settings there is TLS, and the certificate is verified as they say.
//!
//! What the server says is bounded, also over the life of a connection: tokio-postgres keeps each parameter that a server
//! reports.

mod intake;
mod tls;
mod value;

use std::{
    error::Error as _,
    io,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use rustls::pki_types::ServerName;
use sidecar_config::{SqlQuery, Tls};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::AbortHandle,
};
use tokio_postgres::{
    Client, Config, NoTls, Row, Statement,
    config::{Host, SslMode},
};

use super::{Cell, INTAKE, Rows};
use crate::source::{
    Cause, Phase,
    error::in_full,
    file,
    http::{resolver::Resolver, tls::Clients},
};
use intake::{Counted, Intake};
use tls::Connector;
use value::Value;

const PORT: u16 = 5432;
/// The most that is taken in while a query is prepared, in octets: names and types of columns. tokio-postgres asks for types
/// that it does not know, and for those that they are made of, each from within the last.
const DESCRIPTION: u64 = 128 << 10;
/// How much longer than the sidecar waits a server may run a query.
const GRACE: Duration = Duration::from_millis(250);
/// The most that is shown of what a server says, in characters.
const MAX_SHOWN: usize = 500;

/// A server.
pub(super) struct PostgreSql {
    dsn_file: String,
    folder: PathBuf,
    resolver: Resolver,
    /// Those that verify, where there are settings, and those that do not.
    tls: Option<Clients>,
    unverified: Clients,
    /// The name to expect in the server's certificate instead of the host.
    server_name: Option<String>,
    connection: Option<Connection>,
    location: String,
}

/// A connection, which ends when this is dropped.
struct Connection {
    client: Client,
    /// The contents of the file that it was made with.
    dsn: Vec<u8>,
    prepared: Vec<(Statement, Columns)>,
    intake: Intake,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl PostgreSql {
    pub(super) fn new(dsn_file: String, tls: Option<Tls>, folder: PathBuf) -> Self {
        let server_name = tls.as_ref().and_then(|tls| tls.server_name.clone());
        let unverified = Clients::new(Tls { insecure_skip_verify: true, ..Tls::default() });
        Self {
            dsn_file,
            folder,
            resolver: Resolver::default(),
            tls: tls.map(Clients::new),
            unverified,
            server_name,
            connection: None,
            location: "PostgreSQL".to_owned(),
        }
    }

    pub(super) fn location(&self) -> String {
        self.location.clone()
    }

    /// Runs the queries. Whatever goes wrong, also that the caller gives up, ends the connection.
    pub(super) async fn run(
        &mut self,
        queries: &[SqlQuery],
        timeout: Duration,
        phase: &mut Phase,
        rows: &mut Rows,
    ) -> Result<(), Cause> {
        let began = Instant::now();
        let dsn = file::read(&self.folder, &self.dsn_file)?;
        let other_tls = match &mut self.tls {
            Some(clients) => clients.current(&self.folder)?.1,
            None => false,
        };
        let kept = self.connection.take().filter(|kept| kept.dsn == dsn && !other_tls && kept.may_go_on());
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(dsn).await?,
        };
        *phase = Phase::AwaitingResponse;
        connection.intake.allow(INTAKE);
        connection.begin(timeout.saturating_sub(began.elapsed())).await?;
        connection.prepare(queries).await?;
        for (i, (query, (statement, columns))) in queries.iter().zip(&connection.prepared).enumerate() {
            *phase = Phase::Querying { query: i + 1, of: queries.len() };
            let answered = connection.client.query_raw(statement, std::iter::empty::<i32>()).await;
            let mut answered = pin!(answered.map_err(|error| connection.failed(&query.name, &error))?);
            while let Some(row) = answered.try_next().await.map_err(|error| connection.failed(&query.name, &error))? {
                let (labels, values) = columns.read(query, &row)?;
                rows.take(query, &labels, &values)?;
            }
        }
        connection.client.batch_execute("COMMIT").await.map_err(|error| connection.failed("COMMIT", &error))?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self, dsn: Vec<u8>) -> Result<Connection, Cause> {
        let bad = |problem| Cause::BadFile { name: self.dsn_file.clone(), problem };
        // What is wrong with it is not told: it may be a part of the password.
        let text = std::str::from_utf8(&dsn).map_err(|_| bad("is not UTF-8"))?;
        let mut config: Config = text.trim().parse().map_err(|_| {
            bad(if text.contains("sslmode=verify-") {
                "has a sslmode that is not known: TLS settings verify, in place of verify-ca and verify-full"
            } else {
                "is not a connection string, as postgres://user@host:5432/database"
            })
        })?;
        config.application_name("snmp-sidecar");
        let host = match config.get_hosts() {
            [host] => host.clone(),
            [] => return Err(bad("names no host")),
            _ => return Err(bad("names more than one host")),
        };
        let port = config.get_ports().first().copied().unwrap_or(PORT);
        let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
        match host {
            Host::Tcp(host) => {
                let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                self.location = format!("postgresql://{shown}:{port}/{database}");
                let stream = self.reach(&host, port).await?;
                self.over_tls(config, dsn, stream, &host).await
            }
            Host::Unix(folder) => {
                self.location = format!("PostgreSQL at {}, {database}", folder.display());
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                let stream = UnixStream::connect(socket).await.map_err(|error| Cause::Connect(error.to_string()))?;
                let (stream, intake) = Counted::new(stream);
                config.ssl_mode(SslMode::Disable);
                let connected = config.connect_raw(stream, NoTls).await;
                Connection::new(connected, dsn, intake)
            }
        }
    }

    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, Cause> {
        let found = self.resolver.addresses(host).await.map_err(|error| Cause::Connect(in_full(&error)))?;
        let mut failed = Cause::Connect(format!("{host} has no address"));
        for address in found {
            match TcpStream::connect((address, port)).await {
                Ok(stream) => {
                    // Without it only a little slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => failed = Cause::Connect(error.to_string()),
            }
        }
        Err(failed)
    }

    async fn over_tls(
        &mut self,
        mut config: Config,
        dsn: Vec<u8>,
        stream: TcpStream,
        host: &str,
    ) -> Result<Connection, Cause> {
        let (stream, intake) = Counted::new(stream);
        let clients = match &mut self.tls {
            Some(verified) => {
                config.ssl_mode(SslMode::Require);
                verified
            }
            None if config.get_ssl_mode() == SslMode::Disable => {
                return Connection::new(config.connect_raw(stream, NoTls).await, dsn, intake);
            }
            None => &mut self.unverified,
        };
        let (client, _) = clients.current(&self.folder)?;
        let name = self.server_name.clone().unwrap_or_else(|| host.to_owned());
        let name = ServerName::try_from(name)
            .map_err(|_| Cause::TlsSettings("the host is neither a DNS name nor an address".to_owned()))?;
        let connector = Connector::new(Arc::clone(&client), name);
        Connection::new(config.connect_raw(stream, connector).await, dsn, intake)
    }
}

impl Connection {
    fn new<S, T>(
        connected: Result<(Client, tokio_postgres::Connection<S, T>), tokio_postgres::Error>,
        dsn: Vec<u8>,
        intake: Intake,
    ) -> Result<Self, Cause>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (client, connection) = connected.map_err(|error| {
            if let Some(limit) = intake.exceeded() {
                return Cause::IntakeTooLong { limit };
            }
            match (told(&error), of_tls(&error)) {
                (Some(told), _) => database(None, &told),
                (None, Some(error)) => Cause::Tls(error),
                (None, None) => Cause::Connect(shown(&in_full(&error))),
            }
        })?;
        let driver = tokio::spawn(async move {
            // Whoever asks next is told.
            let _ = connection.await;
        })
        .abort_handle();
        Ok(Self { client, dsn, prepared: Vec::new(), intake, driver })
    }

    /// Whether it is open, and has not brought so much that it is better made anew.
    fn may_go_on(&self) -> bool {
        !self.client.is_closed() && self.intake.total() < INTAKE
    }

    /// Why what was asked for failed.
    fn failed(&self, query: &str, error: &tokio_postgres::Error) -> Cause {
        if let Some(limit) = self.intake.exceeded() {
            return Cause::IntakeTooLong { limit };
        }
        database(Some(query), &told(error).unwrap_or_else(|| in_full(error)))
    }

    /// Has the queries ready; a server parses them once. One without the columns that are asked for is not run: thus none
    /// is that ends the transaction, as COMMIT does.
    async fn prepare(&mut self, queries: &[SqlQuery]) -> Result<(), Cause> {
        for query in queries.iter().skip(self.prepared.len()) {
            self.intake.allow(DESCRIPTION);
            let statement = self.client.prepare(&query.query).await;
            let statement = statement.map_err(|error| self.failed(&query.name, &error))?;
            if !statement.params().is_empty() {
                let error = "it has parameters, as $1, and there is nothing to put in their place";
                return Err(database(Some(&query.name), error));
            }
            let columns = Columns::of(query, &statement)?;
            self.prepared.push((statement, columns));
        }
        self.intake.allow(INTAKE);
        Ok(())
    }

    /// One state of the database for all queries, and hardly more time for each than the source has left: also for what a
    /// sidecar no longer waits for, as a query that waits for a lock. The sidecar gives up first, and so says what is
    /// slow in the same words always.
    async fn begin(&self, timeout: Duration) -> Result<(), Cause> {
        let timeout = (timeout + GRACE).as_millis().clamp(1, 86_400_000);
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {timeout}; \
             SET LOCAL idle_in_transaction_session_timeout = {timeout}"
        );
        self.client.batch_execute(&begin).await.map_err(|error| self.failed("BEGIN", &error))
    }
}

fn database(query: Option<&str>, error: &str) -> Cause {
    Cause::Database { query: query.map(ToOwned::to_owned), error: shown(error) }
}

/// As much of a text from a server as people are shown, in one line.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Why there is no TLS, where rustls says so.
fn of_tls(error: &tokio_postgres::Error) -> Option<String> {
    let error = error.source()?.downcast_ref::<io::Error>()?;
    Some(error.get_ref()?.downcast_ref::<rustls::Error>()?.to_string())
}

/// What the server says: its code, its words, and where in the query.
fn told(error: &tokio_postgres::Error) -> Option<String> {
    let error = error.as_db_error()?;
    let place = match error.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(position)) => format!(", at character {position}"),
        _ => String::new(),
    };
    Some(format!("{} (SQLSTATE {}){place}", error.message(), error.code().code()))
}

/// Where a query's columns are in its rows.
struct Columns {
    labels: Vec<usize>,
    values: Vec<usize>,
}

impl Columns {
    fn of(query: &SqlQuery, statement: &Statement) -> Result<Self, Cause> {
        let place = |column: &String| {
            let mut columns = statement.columns().iter();
            let found = columns.position(|known| known.name() == column);
            found.ok_or_else(|| database(Some(&query.name), &format!("it has no column {column}")))
        };
        Ok(Self {
            labels: query.labels.iter().map(place).collect::<Result<_, _>>()?,
            values: query.values.iter().map(place).collect::<Result<_, _>>()?,
        })
    }

    fn read(&self, query: &SqlQuery, row: &Row) -> Result<(Vec<Option<String>>, Vec<Cell>), Cause> {
        let cell = |place: &usize| match row.try_get::<_, Option<Value>>(*place) {
            Ok(None) => Ok(Cell::Null),
            Ok(Some(Value(cell))) => Ok(cell),
            Err(error) => {
                let column = row.columns().get(*place).map_or("", tokio_postgres::Column::name);
                let error = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                Err(database(Some(&query.name), &format!("the column {column} {error}")))
            }
        };
        let text = |place: &usize| {
            Ok(match cell(place)? {
                Cell::Null => None,
                Cell::Text(text) => Some(text),
                Cell::Number(number) => Some(value::text(number)),
            })
        };
        Ok((
            self.labels.iter().map(text).collect::<Result<_, Cause>>()?,
            self.values.iter().map(cell).collect::<Result<_, Cause>>()?,
        ))
    }
}
