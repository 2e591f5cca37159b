//! Parts of the bench that run as separate processes, because they need their own processor, priority or allocator.

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

use crate::{peers::bare, peers::floor, peers::objects::Objects, requests::encoding};

/// A part of the bench
#[derive(Debug, Parser)]
pub enum Part {
    /// Serve a page whose values all change with each scrape. Prints its port, and then a line for each scrape
    Exporter {
        /// The rows of the table
        rows: u32,
        /// The columns of the table
        columns: u32,
        /// The number of scalars
        scalars: u32,
    },
    /// Run a subagent that only searches a sorted array
    Bare {
        /// The master's socket
        socket: PathBuf,
    },
    /// Run async-snmp's engine with a sorted array. Prints its port
    Floor,
    /// Wait for the end of the standard input, and then remove the test cluster of this name
    TakeDown {
        /// The cluster's name
        cluster: String,
    },
    /// Print how many allocations the encoding of a Response needs with our codec and with the agentx crate
    Allocations,
}

impl Part {
    /// Runs it.
    ///
    /// # Errors
    /// Returns an error if something that it needs is missing.
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
        // If the reader is gone, this process ends soon.
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
