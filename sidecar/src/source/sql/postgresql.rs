//! The PostgreSQL driver. It keeps one connection between collections.
//!
//! The connection string can have `sslmode=disable`, `prefer` (the default) or `require`. As in libpq, the last two do
//! not verify the server's certificate. With TLS settings, TLS is always used, and the settings decide about the
//! verification.
//!
//! The number of octets received from the server is limited, also over the lifetime of a connection, because
//! tokio-postgres keeps each parameter that a server reports.

mod limited_stream;
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

use super::rows::{Cell, RowConverter};
use crate::source::{
    error::{Phase, SourceError, in_full},
    file,
    http::{resolver::Resolver, tls::TlsClients},
};
pub(super) use limited_stream::MAX_RECEIVED;
use limited_stream::{LimitedStream, ReceiveLimit};
use tls::Connector;
use value::Value;

const DEFAULT_PORT: u16 = 5432;
/// The maximum number of octets received while a query is prepared: the names and types of its columns. tokio-postgres
/// queries unknown types, and recursively the types that they consist of.
const MAX_DESCRIPTION: u64 = 128 << 10;
/// How much longer than the timeout of the sidecar the server may run a query.
const GRACE: Duration = Duration::from_millis(250);
/// The maximum length of a server's error message, in characters.
const MAX_MESSAGE: usize = 500;

/// A PostgreSQL server.
pub(super) struct PostgreSql {
    dsn_file: String,
    directory: PathBuf,
    resolver: Resolver,
    /// The TLS configurations of the settings, if there are settings.
    tls: Option<TlsClients>,
    /// TLS configurations that do not verify the certificate of the server.
    unverified: TlsClients,
    /// The expected name in the server's certificate, if it is not the host.
    server_name: Option<String>,
    connection: Option<Connection>,
    location: String,
}

/// A connection. Dropping it closes it.
struct Connection {
    client: Client,
    /// The connection string that it was created with.
    dsn: Vec<u8>,
    prepared: Vec<(Statement, Columns)>,
    limit: ReceiveLimit,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl PostgreSql {
    pub(super) fn new(dsn_file: String, tls: Option<Tls>, directory: PathBuf) -> Self {
        let server_name = tls.as_ref().and_then(|tls| tls.server_name.clone());
        let unverified = TlsClients::new(Tls { insecure_skip_verify: true, ..Tls::default() });
        Self {
            dsn_file,
            directory,
            resolver: Resolver::default(),
            tls: tls.map(TlsClients::new),
            unverified,
            server_name,
            connection: None,
            location: "PostgreSQL".to_owned(),
        }
    }

    pub(super) fn location(&self) -> String {
        self.location.clone()
    }

    /// Runs the queries. The connection is closed if an error occurs or the future is dropped.
    pub(super) async fn run(
        &mut self,
        queries: &[SqlQuery],
        timeout: Duration,
        phase: &mut Phase,
        rows: &mut RowConverter,
    ) -> Result<(), SourceError> {
        let start = Instant::now();
        let dsn = file::read(&self.directory, &self.dsn_file)?;
        let tls_changed = match &mut self.tls {
            Some(clients) => clients.current(&self.directory)?.1,
            None => false,
        };
        let kept = self.connection.take().filter(|kept| kept.dsn == dsn && !tls_changed && kept.is_reusable());
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(dsn).await?,
        };
        *phase = Phase::AwaitingResponse;
        connection.limit.set(MAX_RECEIVED);
        connection.begin(timeout.saturating_sub(start.elapsed())).await?;
        connection.prepare(queries).await?;
        for (i, (query, (statement, columns))) in queries.iter().zip(&connection.prepared).enumerate() {
            *phase = Phase::Querying { query: i + 1, of: queries.len() };
            let result = connection.client.query_raw(statement, std::iter::empty::<i32>()).await;
            let mut result = pin!(result.map_err(|error| connection.error(&query.name, &error))?);
            while let Some(row) = result.try_next().await.map_err(|error| connection.error(&query.name, &error))? {
                let (labels, values) = columns.read(query, &row)?;
                rows.add(query, &labels, &values)?;
            }
        }
        connection.client.batch_execute("COMMIT").await.map_err(|error| connection.error("COMMIT", &error))?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self, dsn: Vec<u8>) -> Result<Connection, SourceError> {
        let bad = |problem| SourceError::BadFile { name: self.dsn_file.clone(), problem };
        // The error of the parser is not shown: it may contain a part of the password.
        let text = std::str::from_utf8(&dsn).map_err(|_| bad("is not UTF-8"))?;
        let mut config: Config = text.trim().parse().map_err(|_| {
            bad(if text.contains("sslmode=verify-") {
                "has an unsupported sslmode; instead of verify-ca and verify-full, use the TLS settings"
            } else {
                "is not a connection string, for example postgres://user@host:5432/database"
            })
        })?;
        config.application_name("snmp-sidecar");
        let host = match config.get_hosts() {
            [host] => host.clone(),
            [] => return Err(bad("has no host")),
            _ => return Err(bad("has more than one host")),
        };
        let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
        let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
        match host {
            Host::Tcp(host) => {
                let url_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                self.location = format!("postgresql://{url_host}:{port}/{database}");
                let stream = self.connect_tcp(&host, port).await?;
                self.start_tls(config, dsn, stream, &host).await
            }
            Host::Unix(directory) => {
                self.location = format!("PostgreSQL at {}, {database}", directory.display());
                let socket = directory.join(format!(".s.PGSQL.{port}"));
                let stream =
                    UnixStream::connect(socket).await.map_err(|error| SourceError::Connect(error.to_string()))?;
                let (stream, limit) = LimitedStream::new(stream);
                config.ssl_mode(SslMode::Disable);
                let connected = config.connect_raw(stream, NoTls).await;
                Connection::new(connected, dsn, limit)
            }
        }
    }

    async fn connect_tcp(&self, host: &str, port: u16) -> Result<TcpStream, SourceError> {
        let addresses = self.resolver.addresses(host).await.map_err(|error| SourceError::Connect(in_full(&error)))?;
        let mut last_error = SourceError::Connect(format!("{host} has no address"));
        for address in addresses {
            match TcpStream::connect((address, port)).await {
                Ok(stream) => {
                    // This is only an optimization.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last_error = SourceError::Connect(error.to_string()),
            }
        }
        Err(last_error)
    }

    /// Starts TLS as configured, and the session.
    async fn start_tls(
        &mut self,
        mut config: Config,
        dsn: Vec<u8>,
        stream: TcpStream,
        host: &str,
    ) -> Result<Connection, SourceError> {
        let (stream, limit) = LimitedStream::new(stream);
        let clients = match &mut self.tls {
            Some(verified) => {
                config.ssl_mode(SslMode::Require);
                verified
            }
            None if config.get_ssl_mode() == SslMode::Disable => {
                return Connection::new(config.connect_raw(stream, NoTls).await, dsn, limit);
            }
            None => &mut self.unverified,
        };
        let (client, _) = clients.current(&self.directory)?;
        let name = self.server_name.clone().unwrap_or_else(|| host.to_owned());
        let name = ServerName::try_from(name)
            .map_err(|_| SourceError::TlsSettings("the host is neither a DNS name nor an address".to_owned()))?;
        let connector = Connector::new(Arc::clone(&client), name);
        Connection::new(config.connect_raw(stream, connector).await, dsn, limit)
    }
}

impl Connection {
    fn new<S, T>(
        connected: Result<(Client, tokio_postgres::Connection<S, T>), tokio_postgres::Error>,
        dsn: Vec<u8>,
        limit: ReceiveLimit,
    ) -> Result<Self, SourceError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (client, connection) = connected.map_err(|error| {
            if let Some(limit) = limit.exceeded() {
                return SourceError::ResponseTooLong { limit };
            }
            match (server_message(&error), tls_error(&error)) {
                (Some(message), _) => database_error(None, &message),
                (None, Some(error)) => SourceError::Tls(error),
                (None, None) => SourceError::Connect(truncated(&in_full(&error))),
            }
        })?;
        let driver = tokio::spawn(async move {
            // The next request on the client returns the error.
            let _ = connection.await;
        })
        .abort_handle();
        Ok(Self { client, dsn, prepared: Vec::new(), limit, driver })
    }

    /// Returns whether the connection is open and has received less than the limit of its lifetime.
    fn is_reusable(&self) -> bool {
        !self.client.is_closed() && self.limit.total() < MAX_RECEIVED
    }

    /// Returns the error of a failed query.
    fn error(&self, query: &str, error: &tokio_postgres::Error) -> SourceError {
        if let Some(limit) = self.limit.exceeded() {
            return SourceError::ResponseTooLong { limit };
        }
        database_error(Some(query), &server_message(error).unwrap_or_else(|| in_full(error)))
    }

    /// Prepares the queries, once per connection. A query without the expected columns is an error. So no query can end
    /// the transaction, as COMMIT would.
    async fn prepare(&mut self, queries: &[SqlQuery]) -> Result<(), SourceError> {
        for query in queries.iter().skip(self.prepared.len()) {
            self.limit.set(MAX_DESCRIPTION);
            let statement = self.client.prepare(&query.query).await;
            let statement = statement.map_err(|error| self.error(&query.name, &error))?;
            if !statement.params().is_empty() {
                let error = "it has parameters such as $1, which are not supported";
                return Err(database_error(Some(&query.name), error));
            }
            let columns = Columns::find(query, &statement)?;
            self.prepared.push((statement, columns));
        }
        self.limit.set(MAX_RECEIVED);
        Ok(())
    }

    /// Begins a transaction in which all queries see the same snapshot of the database.
    ///
    /// The server aborts queries slightly after the timeout of the source, for example a query that waits for a lock.
    /// The sidecar times out first, so that its error is always the same.
    async fn begin(&self, timeout: Duration) -> Result<(), SourceError> {
        let timeout = (timeout + GRACE).as_millis().clamp(1, 86_400_000);
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {timeout}; \
             SET LOCAL idle_in_transaction_session_timeout = {timeout}"
        );
        self.client.batch_execute(&begin).await.map_err(|error| self.error("BEGIN", &error))
    }
}

fn database_error(query: Option<&str>, error: &str) -> SourceError {
    SourceError::Database { query: query.map(ToOwned::to_owned), error: truncated(error) }
}

/// Returns a text from a server in one line, truncated for messages.
fn truncated(text: &str) -> String {
    let mut line: String = text.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_MESSAGE).is_some() {
        line.push('…');
    }
    line
}

/// Returns the error of rustls, if the TLS handshake failed.
fn tls_error(error: &tokio_postgres::Error) -> Option<String> {
    let error = error.source()?.downcast_ref::<io::Error>()?;
    Some(error.get_ref()?.downcast_ref::<rustls::Error>()?.to_string())
}

/// Returns the error that the server sent: its message, its code, and the position in the query.
fn server_message(error: &tokio_postgres::Error) -> Option<String> {
    let error = error.as_db_error()?;
    let position = match error.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(position)) => format!(", at character {position}"),
        _ => String::new(),
    };
    Some(format!("{} (SQLSTATE {}){position}", error.message(), error.code().code()))
}

/// The positions of a query's columns in its rows.
struct Columns {
    labels: Vec<usize>,
    values: Vec<usize>,
}

impl Columns {
    fn find(query: &SqlQuery, statement: &Statement) -> Result<Self, SourceError> {
        let position = |column: &String| {
            let mut columns = statement.columns().iter();
            let position = columns.position(|candidate| candidate.name() == column);
            position.ok_or_else(|| database_error(Some(&query.name), &format!("it has no column {column}")))
        };
        Ok(Self {
            labels: query.labels.iter().map(position).collect::<Result<_, _>>()?,
            values: query.values.iter().map(position).collect::<Result<_, _>>()?,
        })
    }

    fn read(&self, query: &SqlQuery, row: &Row) -> Result<(Vec<Option<String>>, Vec<Cell>), SourceError> {
        let cell = |position: &usize| match row.try_get::<_, Option<Value>>(*position) {
            Ok(None) => Ok(Cell::Null),
            Ok(Some(Value(cell))) => Ok(cell),
            Err(error) => {
                let column = row.columns().get(*position).map_or("", tokio_postgres::Column::name);
                let error = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                Err(database_error(Some(&query.name), &format!("the column {column} {error}")))
            }
        };
        let text = |position: &usize| {
            Ok(match cell(position)? {
                Cell::Null => None,
                Cell::Text(text) => Some(text),
                Cell::Number(number) => Some(value::text(number)),
            })
        };
        Ok((
            self.labels.iter().map(text).collect::<Result<_, SourceError>>()?,
            self.values.iter().map(cell).collect::<Result<_, SourceError>>()?,
        ))
    }
}
