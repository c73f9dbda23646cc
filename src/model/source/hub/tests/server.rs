//! A server on loopback that behaves as the hub does, or as its storage does.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came in; the names of headers are in lower case.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the byte that the content is wanted from.
    pub(super) fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.strip_suffix('-')?.parse().ok()).unwrap_or(0)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    sent: usize,
    silence: Duration,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        let body = body.into();
        let sent = body.len();
        Reply { status, headers: Vec::new(), body, sent, silence: Duration::ZERO }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// Ends the connection after so many bytes of the body.
    pub(super) fn cut(mut self, sent: usize) -> Reply {
        self.sent = self.sent.min(sent);
        self
    }

    /// Holds the connection open without a word before it ends.
    pub(super) fn silent(mut self, silence: Duration) -> Reply {
        self.silence = silence;
        self
    }

    fn write(&self, request: &Request, stream: &mut TcpStream) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", self.status);
        head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&self.body[..self.sent])?;
        }
        stream.flush()?;
        std::thread::sleep(self.silence);
        Ok(())
    }
}

/// A running server; it stops when it is dropped.
pub(super) struct Server {
    pub(super) address: String,
    seen: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to answer; `answer` also gets the number of requests with the same method and path
    /// that came before.
    pub(super) fn start(
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (seen, ended) = (seen.clone(), ended.clone());
            move || {
                std::thread::scope(|scope| {
                    for stream in listener.incoming().flatten() {
                        if ended.load(Ordering::SeqCst) {
                            break;
                        }
                        let (seen, answer) = (&seen, &answer);
                        scope.spawn(move || {
                            // Who goes away early is no failure of the server.
                            let _ = serve(stream, seen, answer);
                        });
                    }
                });
            }
        });
        Ok(Server { address, seen, ended, thread: Some(thread) })
    }

    /// Returns all requests so far.
    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how many requests of a method came whose path holds a text.
    pub(super) fn count(&self, method: &str, path: &str) -> usize {
        let wanted = |seen: &&Request| seen.method == method && seen.path.contains(path);
        self.seen().iter().filter(wanted).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // One more connection wakes the thread that waits for them.
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &(impl Fn(&Request, usize) -> Reply + Sync),
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        match line?.split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let request = Request { method, path, headers };
    let before = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |old: &&Request| old.method == request.method && old.path == request.path;
        let before = seen.iter().filter(same).count();
        seen.push(request.clone());
        before
    };
    answer(&request, before).write(&request, &mut stream)
}
