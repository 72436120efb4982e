//! What a server that does not answer in time lets one know.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why nothing came within `limit`: whether anything accepts connections there.
pub(crate) async fn silence(host: &str, port: u16, limit: Duration) -> String {
    let seconds = limit.as_secs_f32();
    match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => format!("the server accepted the connection, but did not answer within {seconds} s"),
        Ok(Err(_)) | Err(_) => format!("no connection within {seconds} s; check the address, and firewalls on the way"),
    }
}
