//! Background servers that cannot outlive us, and the ports they listen on.
//!
//! The surprise: servers are started by a thread of their own that never ends.
//! The kernel sends the parent-death signal when the *thread* that spawned the
//! child ends, and a test's thread ends long before the test binary does.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::provision::which;

/// Where tools are looked for, whatever the caller has.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is kept of a server's output.
const TAIL: usize = 16 * 1024;

const LAST_WORDS: Duration = Duration::from_millis(500);

/// A panicking test poisons what it holds; the others still want their servers.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command that the kernel kills when the thread that spawns it ends.
pub fn tethered(program: impl AsRef<OsStr>) -> Command {
    let mut command = setpriv();
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// `setpriv` by its absolute path: a test may take it off the child's PATH.
pub(crate) fn setpriv() -> Command {
    Command::new(which("setpriv").unwrap_or_else(|| "setpriv".into()))
}

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Spawns on the thread that never ends.
fn spawn_on_keeper(command: Command) -> Result<Child> {
    static KEEPER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // A caller that went away drops the child with the answer.
                answer.send(command.spawn()).ok();
            }
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    lock(keeper)
        .send((command, answer))
        .map_err(|_| anyhow!("the thread that starts servers is gone"))?;
    Ok(child.recv().context("start a server")??)
}

/// A server in the background: killed and waited for on drop, killed by the
/// kernel should we die first.
pub struct Daemon {
    name: String,
    child: Child,
    tail: Arc<Mutex<VecDeque<u8>>>,
    draining: JoinHandle<()>,
}

impl Daemon {
    /// Starts a command that was made by [`tethered`]. Its output is drained,
    /// and the last 16 KiB are kept for error messages.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        let (mut output, stdout) = std::io::pipe()?;
        let stderr = stdout.try_clone()?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = spawn_on_keeper(command).with_context(|| format!("start {name}"))?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        let draining = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut chunk) {
                let mut kept = lock(&kept);
                kept.extend(&chunk[..n]);
                let excess = kept.len().saturating_sub(TAIL);
                kept.drain(..excess);
            }
        });
        let name = name.to_owned();
        Ok(Self {
            name,
            child,
            tail,
            draining,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last of what it printed.
    pub fn output(&self) -> String {
        let tail: Vec<u8> = lock(&self.tail).iter().copied().collect();
        String::from_utf8_lossy(&tail).into_owned()
    }

    /// Waits until `ready` holds; fails early, with the output, when it dies.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                // Its last words may still be in the pipe, unless a child has it.
                let death = Instant::now();
                while !self.draining.is_finished() && death.elapsed() < LAST_WORDS {
                    thread::sleep(Duration::from_millis(2));
                }
                bail!("{} ended with {status}:\n{}", self.name, self.output());
            }
            if start.elapsed() > limit {
                bail!(
                    "{} not ready after {limit:?}:\n{}",
                    self.name,
                    self.output()
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until it accepts connections at `addr`.
    pub fn wait_for_port(&mut self, addr: SocketAddr, limit: Duration) -> Result<()> {
        self.wait_until(limit, || TcpStream::connect(addr).is_ok())
            .with_context(|| format!("wait for {addr}"))
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A loopback port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(listen()?.local_addr()?.port())
}

/// Listens on a loopback port. Ports below the kernel's ephemeral range, so
/// that no outgoing connection takes one in the meantime, each handed out once
/// a process.
pub(crate) fn listen() -> Result<TcpListener> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        // Not from the process's number: in a namespace of its own every process has the same.
        AtomicU64::new(RandomState::new().build_hasher().finish())
    });
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(COUNT);
        if let Ok(socket) = TcpListener::bind(("127.0.0.1", FIRST + step as u16)) {
            return Ok(socket);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {FIRST} and {}",
        FIRST + COUNT
    )
}

/// Runs a short command to its end; its output is the error when it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let what = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command
        .get_args()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let what = format!("{what} {}", arguments.join(" "));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {what}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
