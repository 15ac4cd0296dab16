//! Provides a server that follows a script, to do what PostgreSQL does not do on demand.

use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use ccstream_core::settings::DatabaseUrl;

/// One step of a script.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Reads a startup packet, or a request for TLS.
    Startup,
    /// Reads messages up to one with this tag.
    Read(u8),
    /// Sends bytes.
    Send(Vec<u8>),
    /// Ends the connection with a reset.
    Reset,
    /// Closes the connection in an orderly way, as a server that stops does.
    Close,
}

/// A server on loopback. Each connection follows the next script, and stays open and silent after the last step.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: DatabaseUrl,
    startups: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts the server in the current runtime. It ends with the runtime. `parameters` are those of the URL.
    pub(super) async fn start(parameters: &str, scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = DatabaseUrl(format!("postgresql://user:secret@127.0.0.1:{port}/database?{parameters}"));
        let startups = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&startups);
        tokio::spawn(async move {
            let mut open = Vec::new();
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                open.push(follow(stream, script, &noted).await);
            }
            // Later connections are refused.
            drop(listener);
            pending::<()>().await;
        });
        Self { url, startups }
    }

    /// Returns the startup packets that the server has received.
    pub(super) fn startups(&self) -> Vec<String> {
        self.startups.lock().unwrap().clone()
    }
}

/// Follows a script. Returns the connection if the script leaves it open.
async fn follow(mut stream: TcpStream, script: Vec<Step>, startups: &Mutex<Vec<String>>) -> Option<TcpStream> {
    for step in script {
        match step {
            Step::Startup => {
                let body = read_body(&mut stream).await?;
                startups.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
            }
            Step::Read(wanted) => {
                while stream.read_u8().await.ok()? != wanted {
                    read_body(&mut stream).await?;
                }
                read_body(&mut stream).await?;
            }
            Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
            Step::Reset => {
                stream.set_zero_linger().unwrap();
                return None;
            }
            Step::Close => return None,
        }
    }
    Some(stream)
}

/// Reads a length and then the bytes that it counts.
async fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = stream.read_u32().await.ok()?;
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Builds a protocol message.
pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 4;
    [&[tag], length.to_be_bytes().as_slice(), body].concat()
}

/// Builds an error message that ends the session.
pub(super) fn fatal(state: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C{state}\0M{text}\0\0").as_bytes())
}

/// Returns the steps that accept a client without a password and answer the statement that sets the session up.
pub(super) fn login() -> Vec<Step> {
    let welcome = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    let done = [message(b'C', b"SET\0"), message(b'Z', b"I")].concat();
    vec![Step::Startup, Step::Send(welcome), Step::Read(b'Q'), Step::Send(done)]
}
