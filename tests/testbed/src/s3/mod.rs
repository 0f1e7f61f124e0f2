//! S3 servers on loopback: moto, rclone's, and a quick one of ours for measurements.
//!
//! The surprise: all tests of a process share one moto. It takes two seconds to
//! start and is quick then; each test has a bucket to itself. A test that moves
//! the clock starts its own.

mod objects;
mod shelf;

use std::fs;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use objects::Objects;
use objects::Store;
use shelf::Shelf;

use crate::clock::Clock;
use crate::process::{Daemon, PATH, free_port, lock, tethered};
use crate::provision::Tools;

/// The key id that every server and stub here knows.
pub const KEY_ID: &str = "005ocb0testbed0000000001";
/// Its secret: no shorter, no tamer than real ones, to be found nowhere.
pub const APP_KEY: &str = "K005zQ/never+shown/AnyWhere0042";

const START: Duration = Duration::from_secs(60);

/// A running S3 server.
pub struct S3 {
    objects: Objects,
    server: Running,
}

enum Running {
    Process(Mutex<Daemon>),
    Threads(Shelf),
}

/// A bucket name nobody else in this process uses.
pub fn unique_bucket() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!(
        "ocb-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

impl S3 {
    /// moto, threaded, in memory; it lives by `clock` where one is given.
    pub fn moto(tools: &Tools, clock: Option<&Clock>) -> Result<Self> {
        let port = free_port()?;
        let mut command = tethered(&tools.python);
        command
            .arg(&tools.moto_server)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.env_clear().env("PATH", PATH).env("TZ", "UTC");
        command.envs(clock.map(Clock::env).unwrap_or_default());
        Self::start("moto_server", command, port, Store::Http)
    }

    /// The one moto that all tests of a process share, each in its own bucket.
    pub fn shared_moto() -> Result<&'static Self> {
        static SHARED: OnceLock<S3> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = lock(&STARTING);
        if SHARED.get().is_none() {
            SHARED.set(Self::moto(&Tools::locate()?, None)?).ok();
        }
        SHARED.get().context("the shared moto is gone")
    }

    /// rclone 1.75.2 serving `dir`, which checks signatures against [`KEY_ID`].
    pub fn rclone_serve(tools: &Tools, dir: &Path) -> Result<Self> {
        let port = free_port()?;
        fs::create_dir_all(dir)?;
        let mut command = tethered(&tools.rclone_new);
        command
            .env_clear()
            // Not 0, with which two writers at once make it spin for minutes.
            .args(["serve", "s3", "--config", "", "--dir-cache-time", "1ms"]);
        command.args(["--addr", &format!("127.0.0.1:{port}")]);
        command
            .args(["--auth-key", &format!("{KEY_ID},{APP_KEY}")])
            .arg(dir);
        Self::start(
            "rclone serve s3",
            command,
            port,
            Store::Directory(dir.to_owned()),
        )
    }

    /// One of ours, quick enough to measure against, its bytes in `dir`.
    pub fn quick(dir: &Path) -> Result<Self> {
        let shelf = Shelf::start(dir)?;
        Ok(Self {
            objects: Objects {
                addr: shelf.addr(),
                store: Store::Http,
            },
            server: Running::Threads(shelf),
        })
    }

    /// Empties every bucket of [`S3::quick`], at once.
    pub fn clear(&self) -> Result<()> {
        let Running::Threads(shelf) = &self.server else {
            bail!("only the quick server is emptied at once");
        };
        shelf.clear();
        Ok(())
    }

    fn start(name: &str, command: Command, port: u16, store: Store) -> Result<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Daemon::start(name, command)?;
        server.wait_for_port(addr, START)?;
        Ok(Self {
            objects: Objects { addr, store },
            server: Running::Process(Mutex::new(server)),
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.objects.addr)
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.objects.addr
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        match &self.server {
            Running::Process(server) => lock(server).pid(),
            Running::Threads(_) => std::process::id(),
        }
    }

    /// The last of what the server logged.
    pub fn log(&self) -> String {
        match &self.server {
            Running::Process(server) => lock(server).output(),
            Running::Threads(_) => String::new(),
        }
    }
}

impl Deref for S3 {
    type Target = Objects;

    fn deref(&self) -> &Objects {
        &self.objects
    }
}
