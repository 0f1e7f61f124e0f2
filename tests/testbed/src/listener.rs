//! A loopback listener with a thread a connection, gone on drop.
//!
//! The surprise: drop also shuts the connections that are still open. A client
//! that waits for an answer must see the server go, not hang.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use anyhow::Result;

use crate::process::{listen, lock};

type Open = Arc<Mutex<HashMap<u64, TcpStream>>>;

pub(crate) struct Listener {
    addr: SocketAddr,
    closing: Arc<AtomicBool>,
    open: Open,
    accepting: Option<JoinHandle<()>>,
}

impl Listener {
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Result<Self> {
        let socket = listen()?;
        let addr = socket.local_addr()?;
        let closing = Arc::new(AtomicBool::new(false));
        let open = Open::default();
        let accepting = {
            let (closing, open, serve) = (closing.clone(), open.clone(), Arc::new(serve));
            thread::spawn(move || {
                for (id, stream) in (0..).zip(socket.incoming()) {
                    if closing.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let Ok(copy) = stream.try_clone() else {
                        continue;
                    };
                    // Answers are small; Nagle would add 40 ms to each.
                    stream.set_nodelay(true).ok();
                    lock(&open).insert(id, copy);
                    let (open, serve) = (open.clone(), serve.clone());
                    thread::spawn(move || {
                        serve(stream);
                        lock(&open).remove(&id);
                    });
                }
            })
        };
        Ok(Self {
            addr,
            closing,
            open,
            accepting: Some(accepting),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // `accept` has no other way to be woken.
        TcpStream::connect(self.addr).ok();
        if let Some(thread) = self.accepting.take() {
            thread.join().ok();
        }
        for stream in lock(&self.open).values() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}
