//! The unit's status line: `STATUS=` datagrams of sd_notify(3) while the run is under way.

use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testbed::bed::{Process, descendants};
use testbed::relay::Rule;
use testbed::{Bed, Running};

use super::fake::LIMIT;
use crate::support::{bed, expect_cmd};

/// All that arrived.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 8192];
    let mut all = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    all
}

#[track_caller]
fn tells_every_stage(bed: &Bed, socket: UnixDatagram, name: &str) {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    // The kernel queues ten datagrams; a service manager reads them as they come.
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            all.extend(heard(&socket));
            std::thread::sleep(Duration::from_millis(2));
        }
        all.extend(heard(&socket));
        all
    });
    let ran = expect_cmd(bed, bed.cmd(&["run"]).env("NOTIFY_SOCKET", name), 0);
    over.store(true, Ordering::Relaxed);
    let all = reader.join().expect("it ends");
    for text in &all {
        let status = text.strip_prefix("STATUS=");
        assert!(
            status.is_some_and(|s| !s.is_empty() && !s.contains('\n')),
            "{text:?}: {ran}"
        );
    }
    for stage in ["snapshot", "upload", "commit", "retention"] {
        assert!(
            all.iter().any(|text| text.contains(stage)),
            "{stage}: {all:#?}"
        );
    }
}

#[test]
fn every_stage_is_told_to_a_socket_with_a_path() {
    let bed = bed();
    let path = bed.scratch().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    tells_every_stage(&bed, socket, &path.to_string_lossy());
}

#[test]
fn every_stage_is_told_to_an_abstract_socket() {
    let bed = bed();
    let name = format!("ocb-test-{}", bed.bucket());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    tells_every_stage(&bed, socket, &format!("@{name}"));
}

#[test]
fn no_child_may_speak_to_the_service_manager_in_our_name() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").path("/falkordb-").stall());
    bed.export_mode("slow:3").expect("a mode");
    let path = bed.scratch().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let mut run = Running::start(bed.cmd(&["run"]).env("NOTIFY_SOCKET", &path)).expect("it starts");
    let mut tools = BTreeSet::new();
    run.wait_until("both children", LIMIT, |run| {
        heard(&socket);
        // A fork of ours is not yet a child: what it was told to be comes with its exec.
        let is_ours = |child: &Process| child.argv.last().is_some_and(|word| word == "run");
        for child in descendants(run.pid())
            .into_iter()
            .filter(|child| !is_ours(child))
        {
            let names = |pair: &String| pair.starts_with("NOTIFY_SOCKET=");
            assert!(!child.environ.iter().any(names), "{:?}", child.argv);
            tools.extend(["rclone", "python3", "btrfs"].into_iter().filter(|tool| {
                // setpriv has become the tool.
                child.argv.first().is_some_and(|word| word.ends_with(tool))
            }));
        }
        tools.contains("rclone") && tools.contains("python3")
    })
    .expect("they are seen");
    relay.clear();
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn a_socket_that_nobody_reads_holds_nothing_up() {
    let bed = bed();
    let path = bed.scratch().join("notify");
    let full = UnixDatagram::bind(&path).expect("a socket");
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.set_nonblocking(true).expect("a socket");
    while sender.send_to(b"STATUS=full", &path).is_ok() {}
    let run = Running::start(bed.cmd(&["run"]).env("NOTIFY_SOCKET", &path)).expect("it starts");
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.committed().expect("names").len(), 1, "{ran}");
    drop(full);
    let missing = bed.scratch().join("nobody");
    let started = chrono::Utc::now().timestamp();
    while chrono::Utc::now().timestamp() == started {
        std::thread::sleep(Duration::from_millis(10));
    }
    expect_cmd(&bed, bed.cmd(&["run"]).env("NOTIFY_SOCKET", missing), 0);
}
