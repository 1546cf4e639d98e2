//! Where call records wait while the database takes none: a bounded file beside it, each batch on
//! disk before it counts as kept. Replayed in order when the database is back, each record once:
//! how far is written in the transaction that writes the records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::Record;

/// Octets of the file at most: some 100,000 records.
pub const SPOOL_OCTETS_MAX: u64 = 64 << 20;

/// The first line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// Tells one spool from the next.
    spool: i64,
}

/// The file, which exists only while something waits in it.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    octets_max: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: i64,
    /// End of what is kept.
    end: u64,
    /// Up to where it was replayed.
    replayed: u64,
    records: u64,
}

/// Records of a spool, and what is true when they are in the database.
#[derive(Debug)]
pub struct Chunk {
    /// In order.
    pub records: Vec<Record>,
    /// The spool they are of.
    pub spool: i64,
    /// Up to here it is replayed then.
    pub offset: u64,
}

impl Spool {
    /// The spool of a node, as the last run left it; `replayed`: how far the database says that
    /// which spool was replayed.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(path: &Path, replayed: (i64, u64)) -> io::Result<Self> {
        Self::open_bounded(path, replayed, SPOOL_OCTETS_MAX)
    }

    fn open_bounded(path: &Path, replayed: (i64, u64), octets_max: u64) -> io::Result<Self> {
        let mut spool = Self {
            path: path.to_owned(),
            octets_max,
            open: None,
        };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(spool),
            Err(error) => return Err(error),
        };
        let Some((id, end, records)) = survey(&file)? else {
            // It ended before its first batch was kept.
            fs::remove_file(path)?;
            return Ok(spool);
        };
        // What was being written at a crash was not kept.
        file.set_len(end)?;
        let replayed = if replayed.0 == id { replayed.1 } else { 0 };
        spool.open = Some(Open {
            file,
            id,
            end,
            replayed,
            records,
        });
        if replayed >= end {
            spool.remove()?;
        }
        Ok(spool)
    }

    /// Records wait in it.
    #[must_use]
    pub const fn holds_records(&self) -> bool {
        self.open.is_some()
    }

    /// Records and octets in it.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.open
            .as_ref()
            .map_or((0, 0), |open| (open.records, open.end))
    }

    /// Keeps a batch: on disk when this returns.
    ///
    /// # Errors
    /// No room, on the disk or within the bound: nothing of it is kept.
    pub fn append(&mut self, records: &[Record], fresh_id: i64) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        let fresh = self.open.is_none();
        if fresh {
            self.open = Some(create(&self.path, fresh_id)?);
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let end = open.end + u64::try_from(text.len()).unwrap_or(u64::MAX);
        let kept = if end > self.octets_max {
            Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the spool is full",
            ))
        } else {
            open.file
                .seek(SeekFrom::Start(open.end))
                .and_then(|_| open.file.write_all(&text))
                .and_then(|()| open.file.sync_data())
        };
        if let Err(error) = kept {
            // What was written of it must not be read.
            if fresh {
                self.remove()?;
            } else {
                open.file.set_len(open.end)?;
            }
            return Err(error);
        }
        open.end = end;
        open.records += u64::try_from(records.len()).unwrap_or(0);
        Ok(())
    }

    /// The next records to write, at most `count`; `None`: all are written. Lines that are no
    /// records are passed over.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self, count: usize) -> io::Result<Option<Chunk>> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        open.file.seek(SeekFrom::Start(open.replayed))?;
        let mut reader = BufReader::new(&open.file);
        let mut chunk = Chunk {
            records: Vec::with_capacity(count),
            spool: open.id,
            offset: open.replayed,
        };
        let mut line = Vec::new();
        while chunk.offset < open.end && chunk.records.len() < count {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            chunk.offset += u64::try_from(length).unwrap_or(0);
            if let Ok(record) = serde_json::from_slice(&line) {
                chunk.records.push(record);
            }
        }
        Ok((chunk.offset > open.replayed).then_some(chunk))
    }

    /// A chunk is in the database. After the last one the file is gone.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn replayed(&mut self, chunk: &Chunk) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        debug_assert!(open.id == chunk.spool && open.replayed <= chunk.offset);
        open.replayed = chunk.offset;
        let count = u64::try_from(chunk.records.len()).unwrap_or(0);
        open.records = open.records.saturating_sub(count);
        if open.replayed >= open.end {
            self.remove()?;
        }
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        self.open = None;
        fs::remove_file(&self.path)
    }
}

fn create(path: &Path, id: i64) -> io::Result<Open> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let mut head = serde_json::to_vec(&Head { spool: id })?;
    head.push(b'\n');
    if let Err(error) = file.write_all(&head).and_then(|()| file.sync_data()) {
        fs::remove_file(path)?;
        return Err(error);
    }
    let end = u64::try_from(head.len()).unwrap_or(0);
    Ok(Open {
        file,
        id,
        end,
        replayed: end,
        records: 0,
    })
}

/// Id, end of the last whole line, records; `None`: not even a head.
fn survey(file: &File) -> io::Result<Option<(i64, u64, u64)>> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let (mut id, mut end, mut records) = (None, 0, 0);
    loop {
        line.clear();
        let length = (&mut reader)
            .take(SPOOL_OCTETS_MAX)
            .read_until(b'\n', &mut line)?;
        if length == 0 || line.last() != Some(&b'\n') {
            break;
        }
        end += u64::try_from(length).unwrap_or(0);
        if id.is_none() {
            let Ok(head) = serde_json::from_slice::<Head>(&line) else {
                return Ok(None);
            };
            id = Some(head.spool);
        } else {
            records += 1;
        }
    }
    Ok(id.map(|id| (id, end, records)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cdr::record::CallOpened;

    fn record(number: u32) -> Record {
        Record::CallOpened(CallOpened {
            call: format!("call {number}"),
            at: Timestamp::UNIX_EPOCH,
            source: "office\n".to_owned(),
            source_address: "192.0.2.1:5060".to_owned(),
            call_id: "x".to_owned(),
            request_path: "J\u{f6}rg".to_owned(),
            caller: "\"610\"".to_owned(),
        })
    }

    fn drain(spool: &mut Spool) -> Vec<Record> {
        let mut all = Vec::new();
        while let Some(chunk) = spool.next(2).unwrap() {
            spool.replayed(&chunk).unwrap();
            all.extend(chunk.records);
        }
        all
    }

    #[test]
    fn records_come_back_in_order_and_the_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::open(&path, (0, 0)).unwrap();
        assert!(!spool.holds_records());
        spool.append(&[record(1), record(2)], 7).unwrap();
        spool.append(&[record(3)], 8).unwrap();
        assert_eq!(spool.size().0, 3);
        assert_eq!(drain(&mut spool), [record(1), record(2), record(3)]);
        assert!(!spool.holds_records() && !path.exists());
    }

    #[test]
    fn after_a_crash_only_what_was_not_replayed_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::open(&path, (0, 0)).unwrap();
        spool.append(&[record(1), record(2), record(3)], 7).unwrap();
        let chunk = spool.next(2).unwrap().unwrap();
        // The database has it, the process ends before it says so; half a line follows.
        drop(spool);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"CallOpened\":{\"call\":\"torn").unwrap();
        let mut spool = Spool::open(&path, (chunk.spool, chunk.offset)).unwrap();
        assert_eq!(drain(&mut spool), [record(3)]);
        // Everything was in the database, only the file was still there.
        let mut spool = Spool::open(&path, (0, 0)).unwrap();
        spool.append(&[record(1)], 9).unwrap();
        let chunk = spool.next(5).unwrap().unwrap();
        drop(spool);
        let spool = Spool::open(&path, (9, chunk.offset)).unwrap();
        assert!(!spool.holds_records() && !path.exists());
    }

    #[test]
    fn a_full_spool_keeps_what_it_has_and_takes_no_half_batch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::open_bounded(&path, (0, 0), 400).unwrap();
        spool.append(&[record(1)], 7).unwrap();
        let refused = spool.append(&[record(2), record(3)], 8).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(drain(&mut spool), [record(1)]);
    }

    #[test]
    fn what_is_no_spool_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        fs::write(&path, b"\xff\xfe garbage\n\n").unwrap();
        let mut spool = Spool::open(&path, (0, 0)).unwrap();
        assert!(!spool.holds_records());
        spool.append(&[record(1)], 7).unwrap();
        assert_eq!(drain(&mut spool), [record(1)]);
    }
}
