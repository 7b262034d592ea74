//! The kept process itself: it opens the tools once, and runs the cases that trials send.
//!
//! The test target becomes one if a trial started it so. It ends when no trial came for some seconds, when its program
//! was replaced, or when a trial was killed while its case ran: that case's calls are killed then, and the trials beside
//! it run their cases themselves. It writes no report and no record.

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Answer, HELLO_PATIENCE, Hello, TrialCase, VARIABLE, key, line, socket_path};
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::frontend::trial::stage::TestSession;
use crate::process::{Interrupt, kept_socket, request_stop, stop_requested};

/// How long the process is kept after the last trial.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// How often it looks whether it has to end.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// How often it tells a trial that it is still at it.
const PULSE: Duration = Duration::from_secs(1);

/// Whether this process was started to be kept.
pub(in crate::frontend::trial) fn is_asked() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Serves until it is not needed any more. Nobody reads what it returns.
pub(in crate::frontend::trial) fn serve(settings: Settings) -> Result<ExitCode> {
    let cannot = |error: std::io::Error| Error::system(error.to_string());
    // What the terminal sends to the trials is not for this process.
    let _ = rustix::process::setsid();
    let key = key::for_settings(&settings).unwrap_or_default();
    if std::env::var(VARIABLE).ok().as_ref() != Some(&key) {
        return Ok(ExitCode::FAILURE);
    }
    let directory = kept_socket::directory().map_err(cannot)?;
    let socket = kept_socket::KeptSocket::open(&socket_path(&directory, &key)).map_err(cannot)?;
    let Some(socket) = socket else {
        return Ok(ExitCode::SUCCESS);
    };
    let stage = Arc::new(TestSession::for_listing(settings.clone()));
    stage.check_required()?;
    let at_work = Arc::new(AtomicUsize::new(0));
    let mut last = Instant::now();
    // A changed key: the program, a tool or the catalogue was replaced.
    while stop_requested() == Interrupt::None {
        if at_work.load(Ordering::Acquire) > 0 {
            last = Instant::now();
        } else if last.elapsed() > IDLE_MAX || key::for_settings(&settings).as_ref() != Some(&key) {
            break;
        }
        if let Some(stream) = socket.next(LOOK_AROUND).map_err(cannot)? {
            at_work.fetch_add(1, Ordering::AcqRel);
            let leaving = Leaving(Arc::clone(&at_work));
            let (stage, key) = (Arc::clone(&stage), key.clone());
            thread::spawn(move || {
                let _leaving = leaving;
                let _ = serve_trial(&stage, &key, stream);
            });
        }
    }
    drop(socket);
    while at_work.load(Ordering::Acquire) > 0 {
        thread::sleep(LOOK_AROUND);
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts a trial as gone, even if its case panics.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs the case of one trial.
fn serve_trial(stage: &TestSession, key: &str, stream: UnixStream) -> std::io::Result<()> {
    stream.set_write_timeout(Some(HELLO_PATIENCE))?;
    stream.set_read_timeout(Some(HELLO_PATIENCE))?;
    let writer = Mutex::new(stream.try_clone()?);
    send(
        &writer,
        &Hello {
            key: key.to_owned(),
        },
    )?;
    let mut reader = BufReader::new(stream);
    let trial_case: TrialCase = serde_json::from_str(&line(&mut reader)?)?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| watch(reader.get_mut(), &writer, &is_done));
        // Whatever is wrong here, the trial finds out by itself.
        let answer = Answer {
            records: match stage.absent_reference() {
                None => stage.records_for(&trial_case).ok(),
                Some(_) => None,
            },
        };
        is_done.store(true, Ordering::Release);
        let sent = send(&writer, &answer);
        let stream = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.shutdown(Shutdown::Both);
        sent
    })
}

/// Tells the trial now and then that its case still runs, and ends everything when the trial has gone.
fn watch(reader: &mut UnixStream, writer: &Mutex<UnixStream>, is_done: &AtomicBool) {
    let _ = reader.set_read_timeout(Some(PULSE));
    loop {
        // A trial says nothing after its case, so what can be read is its end.
        let read = reader.read(&mut [0; 1]);
        if is_done.load(Ordering::Acquire) {
            return;
        }
        let is_there = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        let pulse = || {
            let mut stream = writer.lock().unwrap_or_else(PoisonError::into_inner);
            stream.write_all(b"\n")
        };
        if !is_there || pulse().is_err() {
            // At once, not politely.
            request_stop();
            request_stop();
            return;
        }
    }
}

fn send(writer: &Mutex<UnixStream>, what: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(what)?;
    text.push(b'\n');
    let mut stream = writer.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(&text)
}
