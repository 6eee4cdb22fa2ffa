//! A small client of Redis's protocol: one connection, one command, one answer. Reads no more of an answer than a
//! fixed limit.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Sends a command and returns the answer; a null answer is the empty text.
///
/// # Errors
/// No server answers, or it answers with an error.
pub(super) async fn command(addr: SocketAddr, words: &[&str]) -> Result<String, String> {
    let asking = async {
        let mut stream = TcpStream::connect(addr).await.map_err(|e| e.to_string())?;
        stream.write_all(&encode(words)).await.map_err(|e| e.to_string())?;
        answer(&mut BufReader::new(stream.take(ANSWER_BYTES_MAX))).await
    };
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err("no answer within 2 seconds".to_owned()))
}

fn encode(words: &[&str]) -> Vec<u8> {
    let words_text: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{words_text}", words.len()).into_bytes()
}

async fn answer<R: tokio::io::AsyncBufRead + Unpin>(from: &mut R) -> Result<String, String> {
    let mut line = String::new();
    from.read_line(&mut line).await.map_err(|e| e.to_string())?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+" | ":", text)) => Ok(text.to_owned()),
        Some(("-", text)) => Err(text.to_owned()),
        Some(("$", "-1")) => Ok(String::new()),
        Some(("$", length)) => {
            let length: usize = length.parse().map_err(|_| format!("an answer of {length:?} bytes"))?;
            let mut text = Vec::new();
            let read = from.take(length as u64).read_to_end(&mut text).await.map_err(|e| e.to_string())?;
            if read < length {
                return Err("the answer was cut short".to_owned());
            }
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Err(format!("an answer that is none: {line:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_told_apart() {
        assert_eq!(encode(&["GET", "é"]), "*2\r\n$3\r\nGET\r\n$2\r\né\r\n".as_bytes());
        for (bytes, expected) in [
            ("+OK\r\n", Ok("OK")),
            (":7\r\n", Ok("7")),
            ("$5\r\na\r\nbc\r\n", Ok("a\r\nbc")),
            ("$-1\r\n", Ok("")),
            ("-READONLY no\r\n", Err("READONLY no")),
            ("$9\r\nabc", Err("the answer was cut short")),
            ("", Err("an answer that is none: \"\"")),
            ("$x\r\n", Err("an answer of \"x\" bytes")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(answer(&mut bytes.as_bytes()).await, expected, "{bytes:?}");
        }
    }
}
