//! The plain contents of a backup: a sequence of frames, each `kind, length (4 bytes, big endian), payload`.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// A frame; the reader of a newer version may meet more kinds, which it refuses by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The rows of a table follow.
    Table(TableHead),
    /// Bytes of the table, or of the file.
    Data(Vec<u8>),
    /// So many rows they were.
    TableEnd(TableEnd),
    /// The file of SQLite follows.
    File,
    /// The backup is whole.
    End,
}

#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct TableHead {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct TableEnd {
    pub(super) rows: u64,
}

const HEAD: usize = 5;
/// Nothing writes larger ones.
const MAX_PAYLOAD: usize = 64 << 20;

pub(super) fn encode(frame: &Frame, out: &mut Vec<u8>) -> Result<()> {
    let json;
    let (kind, payload): (u8, &[u8]) = match frame {
        Frame::Table(head) => {
            json = serde_json::to_vec(head)?;
            (b'T', &json)
        }
        Frame::Data(data) => (b'D', data),
        Frame::TableEnd(end) => {
            json = serde_json::to_vec(end)?;
            (b'E', &json)
        }
        Frame::File => (b'F', &[]),
        Frame::End => (b'Z', &[]),
    };
    ensure!(payload.len() <= MAX_PAYLOAD, "a frame of {} bytes", payload.len());
    out.push(kind);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// The first frame of `bytes`, which loses it; `None` when it is not all there yet.
pub(super) fn decode(bytes: &mut Vec<u8>) -> Result<Option<Frame>> {
    let [kind, a, b, c, d, ..] = bytes[..] else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    ensure!(length <= MAX_PAYLOAD, "the backup is damaged: a frame of {length} bytes");
    if bytes.len() < HEAD + length {
        return Ok(None);
    }
    let rest = bytes.split_off(HEAD + length);
    let payload = std::mem::replace(bytes, rest).split_off(HEAD);
    Ok(Some(match kind {
        b'T' => Frame::Table(serde_json::from_slice(&payload)?),
        b'D' => Frame::Data(payload),
        b'E' => Frame::TableEnd(serde_json::from_slice(&payload)?),
        b'F' => Frame::File,
        b'Z' => Frame::End,
        other => bail!("the backup has a frame of kind {other}: it is damaged, or a newer version of Matrixon made it"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let frames = [
            Frame::Table(TableHead { name: "users".to_owned(), columns: vec!["id".to_owned()] }),
            Frame::Data(b"1\n2\n".to_vec()),
            Frame::TableEnd(TableEnd { rows: 2 }),
            Frame::File,
            Frame::End,
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            encode(frame, &mut bytes).unwrap();
        }
        for cut in 0..bytes.len() {
            let (mut buffer, mut seen) = (bytes[..cut].to_vec(), Vec::new());
            while let Some(frame) = decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
            buffer.extend_from_slice(&bytes[cut..]);
            while let Some(frame) = decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
            assert_eq!(seen, frames, "cut at {cut}");
        }
        assert!(decode(&mut vec![b'D', 255, 255, 255, 255]).is_err());
        assert!(decode(&mut vec![b'?', 0, 0, 0, 0]).is_err());
    }
}
