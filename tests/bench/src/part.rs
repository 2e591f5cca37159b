//! Parts of the bench that are processes of their own: they have a processor, a priority or an allocator of their own.

use std::{
    io::{self, Write as _, stdout},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    thread,
};

use anyhow::Result;
use clap::Parser;
use harness::{Cluster, Exporter, Reply};

use crate::{bare, encoding, floor, objects::Objects};

/// One part.
#[derive(Debug, Parser)]
pub enum Part {
    /// Serve a page of values that all change with each scrape. Writes its port, and then a line for each scrape
    Exporter {
        /// Rows of the table
        rows: u32,
        /// Columns of the table
        columns: u32,
        /// Scalars
        scalars: u32,
    },
    /// Be a subagent that does nothing but search a sorted array
    Bare {
        /// The master's socket
        socket: PathBuf,
    },
    /// Be async-snmp's engine over a sorted array. Writes its port
    Floor,
    /// Wait until nobody holds the other end of the input any more, and then take down the test cluster of this name
    TakeDown {
        /// The cluster's name
        cluster: String,
    },
    /// Write how many allocations the encoding of a Response takes: ours, the agentx crate's
    Allocations,
}

impl Part {
    /// Runs it.
    ///
    /// # Errors
    /// Where what it needs is not there.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Exporter { rows, columns, scalars } => exporter(Objects { rows, columns, scalars }),
            Self::Bare { socket } => bare::serve(UnixStream::connect(socket)?),
            Self::Floor => floor::serve(),
            Self::TakeDown { cluster } => take_down(&cluster),
            Self::Allocations => allocations(),
        }
    }
}

fn exporter(objects: Objects) -> Result<()> {
    let pages: Arc<[String]> = [0, 1].map(|later| objects.page(later)).into();
    let exporter = Exporter::start(Reply::made(move |scrape| {
        // A reader that is gone ends this process soon.
        writeln!(stdout(), "scraped").ok();
        pages.get(scrape % pages.len()).cloned().unwrap_or_default()
    }))?;
    writeln!(stdout(), "port {}", exporter.port())?;
    loop {
        thread::park();
    }
}

fn take_down(cluster: &str) -> Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Cluster::remove(cluster, false)
}

fn allocations() -> Result<()> {
    let variables = encoding::variables();
    let mut buffer = Vec::new();
    encoding::ours(&variables, &mut buffer)?;
    let mut response = encoding::peer_response(&variables)?;
    let mut outcome = Ok(());
    let ours = allocation_counter::measure(|| outcome = encoding::ours(&variables, &mut buffer));
    outcome?;
    let mut outcome = Ok(Vec::new());
    let peer = allocation_counter::measure(|| outcome = encoding::peer(&mut response));
    outcome?;
    writeln!(stdout(), "{} {}", ours.count_total, peer.count_total)?;
    Ok(())
}
