//! A real Redis or Valkey server, and the dozen lines of protocol to talk to it.
//!
//! The surprise: it listens on a Unix socket only, in the directory that the
//! test gives it. A developer's own server on port 6379 is never in the way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{Daemon, tethered};
use crate::provision::Tools;

/// A running server.
pub struct Redis {
    server: Daemon,
    socket: PathBuf,
}

impl Redis {
    /// Starts one over `data_dir`, which is loaded where it holds data. `extra`
    /// is appended to the command line: `&["--appendonly", "yes"]`.
    pub fn start(tools: &Tools, data_dir: &Path, socket: &Path, extra: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let mut command = tethered(&tools.redis_server);
        command.args(["--port", "0", "--save", "", "--enable-debug-command", "yes"]);
        command
            .arg("--dir")
            .arg(data_dir)
            .arg("--unixsocket")
            .arg(socket)
            .args(extra);
        command.current_dir("/");
        let name = tools
            .redis_server
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let server = Daemon::start(&name, command)?;
        let mut redis = Self {
            server,
            socket: socket.to_owned(),
        };
        let path = redis.socket.clone();
        let ready = || ask(&path, &["PING"]).is_ok_and(|pong| pong == "PONG");
        redis.server.wait_until(Duration::from_secs(60), ready)?;
        Ok(redis)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The socket it listens on.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends a command; the reply as text, lists one element a line.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        ask(&self.socket, words)
    }

    /// Makes `n` keys `<prefix>:<i>`, of 100 bytes each.
    pub fn populate(&self, n: usize, prefix: &str) -> Result<()> {
        self.command(&["DEBUG", "POPULATE", &n.to_string(), prefix, "100"])?;
        // POPULATE writes no AOF and counts no change: one write that does.
        self.command(&["SET", &format!("{prefix}:populated"), &n.to_string()])
            .map(drop)
    }

    /// Writes `n` keys `<prefix>:<i>` as commands, which an AOF records.
    pub fn write(&self, n: usize, prefix: &str) -> Result<()> {
        let mut stream = UnixStream::connect(&self.socket)?;
        let mut replies = BufReader::new(stream.try_clone()?);
        for start in (0..n).step_by(1000) {
            let range = start..n.min(start + 1000);
            let commands = range
                .clone()
                .map(|i| encode(&["SET", &format!("{prefix}:{i}"), "value"]));
            stream.write_all(&commands.collect::<Vec<_>>().concat())?;
            for _ in range {
                reply(&mut replies)?;
            }
        }
        Ok(())
    }

    /// SAVE: `dump.rdb` is complete when this returns.
    pub fn save(&self) -> Result<()> {
        self.command(&["SAVE"]).map(drop)
    }

    /// BGREWRITEAOF, and waits for its end.
    pub fn bgrewriteaof_wait(&self) -> Result<()> {
        self.command(&["BGREWRITEAOF"])?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            let info = self.command(&["INFO", "persistence"])?;
            let idle = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"];
            if idle.iter().all(|line| info.contains(line)) {
                ensure!(
                    info.contains("aof_last_bgrewrite_status:ok"),
                    "rewrite failed: {info}"
                );
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
        bail!("the AOF rewrite did not end within a minute")
    }

    /// The number of keys.
    pub fn dbsize(&self) -> Result<u64> {
        Ok(self.command(&["DBSIZE"])?.parse()?)
    }

    /// DEBUG DIGEST: equal where two servers hold equal data.
    pub fn digest(&self) -> Result<String> {
        self.command(&["DEBUG", "DIGEST"])
    }

    /// SHUTDOWN NOSAVE: what is on disk stays as it is.
    pub fn shutdown_nosave(mut self) -> Result<()> {
        // It answers by closing the connection.
        self.command(&["SHUTDOWN", "NOSAVE"]).ok();
        self.server.wait()
    }
}

fn ask(socket: &Path, words: &[&str]) -> Result<String> {
    let what = || format!("{} at {}", words.join(" "), socket.display());
    let mut stream = UnixStream::connect(socket).with_context(what)?;
    stream.write_all(&encode(words))?;
    reply(&mut BufReader::new(stream)).with_context(what)
}

fn encode(words: &[&str]) -> Vec<u8> {
    let words_encoded = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words_encoded.collect::<String>()).into_bytes()
}

fn reply(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    ensure!(from.read_line(&mut line)? > 0, "closed without a reply");
    let line = line.trim_end();
    let rest = line.get(1..).unwrap_or_default();
    match line.as_bytes().first() {
        Some(b'+' | b':') => Ok(rest.to_owned()),
        Some(b'$') if rest == "-1" => Ok(String::new()),
        Some(b'$') => {
            let mut bytes = vec![0; rest.parse::<usize>()? + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(b'*') => {
            let items = (0..rest.parse::<usize>()?).map(|_| reply(from));
            Ok(items.collect::<Result<Vec<_>>>()?.join("\n"))
        }
        _ => bail!("{line}"),
    }
}
