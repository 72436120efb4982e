//! What a server that does not answer in time lets one know.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Who does not accept a connection at once does not accept one.
const ACCEPT: Duration = Duration::from_secs(1);

/// Why nothing came within `limit`: whether anything accepts connections there.
pub(crate) async fn silence(host: &str, port: u16, limit: Duration) -> String {
    let seconds = limit.as_secs_f32();
    match timeout(limit.min(ACCEPT), TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => format!("the server accepted the connection, but did not answer within {seconds} s"),
        Ok(Err(_)) | Err(_) => format!("no connection within {seconds} s; check the address, and firewalls on the way"),
    }
}
