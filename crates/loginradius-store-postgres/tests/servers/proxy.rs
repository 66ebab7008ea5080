//! A proxy before the server, which cuts connections, strikes single statements, or holds back what a client has sent.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Where a connection is cut: after so many bytes in one direction, counted over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Never,
    ToServer(usize),
    ToClient(usize),
}

/// What happens to the next statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It is done, and its connection is closed before the reply.
    LoseReply,
    /// It is held back until [`Proxy::restore`].
    Delay,
}

#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug)]
struct State {
    cut: Cut,
    to_server: usize,
    to_client: usize,
    connections: usize,
    /// Connections up to that one are held: what their clients send stays here.
    held_up_to: usize,
    is_holding: bool,
    is_down: bool,
    strike: Option<Strike>,
    struck: usize,
    /// Connections whose replies get lost.
    without_reply: HashSet<usize>,
    /// Connections whose statement was held back, which ends with the next round.
    delayed: HashSet<usize>,
}

impl Proxy {
    pub(crate) fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            cut: Cut::Never,
            to_server: 0,
            to_client: 0,
            connections: 0,
            held_up_to: 0,
            is_holding: false,
            is_down: false,
            strike: None,
            struck: 0,
            without_reply: HashSet::new(),
            delayed: HashSet::new(),
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = {
                    let mut state = shared.0.lock().unwrap();
                    if state.is_down {
                        continue;
                    }
                    state.connections += 1;
                    state.connections
                };
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)) else { continue };
                pump(number, Direction::ToServer, client.try_clone().unwrap(), server.try_clone().unwrap(), &shared);
                pump(number, Direction::ToClient, server, client, &shared);
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        let password = loginradius_testing::postgres::PASSWORD;
        format!("postgres://postgres:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// Counts from here, and cuts once.
    pub(crate) fn cut(&self, cut: Cut) {
        let mut state = self.state.0.lock().unwrap();
        (state.cut, state.to_server, state.to_client) = (cut, 0, 0);
    }

    /// Returns whether the cut is still to come.
    pub(crate) fn cut_is_pending(&self) -> bool {
        self.state.0.lock().unwrap().cut != Cut::Never
    }

    /// Returns how many bytes went to the server and to the client since the last [`cut`](Self::cut).
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.0.lock().unwrap();
        (state.to_server, state.to_client)
    }

    /// Holds back what the clients of today's connections send from now on.
    pub(crate) fn hold(&self) {
        let mut state = self.state.0.lock().unwrap();
        (state.held_up_to, state.is_holding) = (state.connections, true);
    }

    /// Has new connections pass, while those of before are still held.
    pub(crate) fn let_new_ones_pass(&self) {
        let mut state = self.state.0.lock().unwrap();
        state.held_up_to = state.connections;
    }

    /// Holds back what all clients send from now on, also on new connections.
    pub(crate) fn hold_all(&self) {
        let mut state = self.state.0.lock().unwrap();
        (state.held_up_to, state.is_holding) = (usize::MAX, true);
    }

    /// Passes on what was held, although its client may have gone.
    pub(crate) fn release(&self) {
        self.state.0.lock().unwrap().is_holding = false;
        self.state.1.notify_all();
    }

    /// Strikes the next statement that is no renewal.
    pub(crate) fn strike(&self, strike: Strike) {
        self.state.0.lock().unwrap().strike = Some(strike);
    }

    /// Has what was struck arrive, and returns how many statements that were since the last call.
    pub(crate) fn restore(&self) -> usize {
        let mut state = self.state.0.lock().unwrap();
        state.strike = None;
        state.delayed.clear();
        let struck = std::mem::take(&mut state.struck);
        drop(state);
        self.state.1.notify_all();
        thread::sleep(Duration::from_millis(250));
        struck
    }

    /// Refuses new connections, or serves them again.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.0.lock().unwrap().is_down = is_down;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    ToServer,
    ToClient,
}

fn pump(
    number: usize,
    direction: Direction,
    mut from: TcpStream,
    mut to: TcpStream,
    shared: &Arc<(Mutex<State>, Condvar)>,
) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        let mut was_held = false;
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let (pass, is_cut) = {
                let mut state = shared.0.lock().unwrap();
                if direction == Direction::ToServer {
                    if is_statement(&buffer[..read]) {
                        state.strike_next(number);
                    }
                    while state.holds(number) {
                        was_held = true;
                        state = shared.1.wait(state).unwrap();
                    }
                } else if state.without_reply.contains(&number) {
                    break;
                }
                state.pass(direction, read)
            };
            let passed = pass > 0 && to.write_all(&buffer[..pass]).is_ok();
            if is_cut || !passed {
                break;
            }
        }
        // A client that has gone leaves a server that has still to run what was held.
        if was_held {
            thread::sleep(Duration::from_millis(300));
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Returns whether that is a statement, whose first message is `Parse`, and no renewal.
fn is_statement(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'P') && !bytes.windows(6).any(|window| window == b"unnest")
}

impl State {
    fn strike_next(&mut self, connection: usize) {
        match self.strike.take() {
            Some(Strike::LoseReply) => drop(self.without_reply.insert(connection)),
            Some(Strike::Delay) => drop(self.delayed.insert(connection)),
            None => return,
        }
        self.struck += 1;
    }

    fn holds(&self, connection: usize) -> bool {
        self.delayed.contains(&connection) || (self.is_holding && connection <= self.held_up_to)
    }

    /// Returns how many of these bytes pass, and whether the connection is cut after them.
    fn pass(&mut self, direction: Direction, length: usize) -> (usize, bool) {
        let (count, limit) = match direction {
            Direction::ToServer => {
                (&mut self.to_server, if let Cut::ToServer(limit) = self.cut { Some(limit) } else { None })
            }
            Direction::ToClient => {
                (&mut self.to_client, if let Cut::ToClient(limit) = self.cut { Some(limit) } else { None })
            }
        };
        let before = *count;
        *count += length;
        match limit {
            Some(limit) if before + length > limit => {
                self.cut = Cut::Never;
                (limit.saturating_sub(before), true)
            }
            _ => (length, false),
        }
    }
}
